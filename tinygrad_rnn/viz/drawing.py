"""``Drawing``: a ``graphviz.Digraph`` that finds its layout program and shows itself in a notebook."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_rnn.viz.engine import LayoutProgramNotFound, find_program

SVG = "image/svg+xml"
PICTURES = ("svg", "png", "jpg", "jpeg", "pdf")
MOST_BOXES = 20_000  # more would keep a notebook waiting for minutes, and its browser after that
_HEAD_OF_SOURCE = 4_000  # characters of DOT text shown where a picture cannot be
_NOTEBOOK_WIDTH = 1_000.0  # points; a wider picture is scrolled
_PNG_RESOLUTION = "-Gdpi=144"


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """What ``tr.draw`` returns: DOT text that can be looked at, changed with graphviz's methods, and written.

    ``.render("graph.svg")`` (or .png) writes a picture, ``.pipe(format="svg")`` returns one, ``.source`` is the DOT
    text. Unlike its parent it makes SVG unless told otherwise, and needs no Graphviz where the wheel graphviz-pure is.

    Attributes:
        level: ``"op"``, ``"step"``, ``"scalar"`` or ``"rolled"``; ``""`` for a drawing made by hand.
        boxes: how many nodes are drawn, ghosts included.
        notices: what the reader should know, such as that steps are folded.
        members: for each box, by its identifier (``n0``, the title of its group in the SVG), the nodes of the graph
            that it stands for, by index: one for a node, its ghosts and the links of its chain; all operations of a
            cell; all folded nodes for a fold. At ``level="scalar"`` they are indices of the scalar graph, in a plan's
            drawing of its items. A constant that is written into a node's label is a member of that node's box.
    """

    level: str = ""
    boxes: int = 0
    notices: tuple[str, ...] = ()
    members: dict[str, tuple[int, ...]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.members = {}
        kwargs.setdefault("format", "svg")
        super().__init__(*args, **kwargs)

    def __repr__(self) -> str:
        level = f" at level={self.level!r}" if self.level else ""
        return f"<Drawing{level} of {self.boxes:,} nodes; .render('graph.svg') writes it, .source is its DOT text>"

    def pipe(  # the signature is graphviz's
        self,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        *,
        engine: str | None = None,
        encoding: str | None = None,
    ) -> Any:
        """Return the picture as bytes, or as text where ``encoding`` is given.

        Raises:
            LayoutProgramNotFound: no program can make this format; the error holds the DOT text.
            graphviz.CalledProcessError: the program refused the DOT text.
        """
        kind = (format or self.format).lower()
        program = find_program(kind, self.source, plugin=bool(renderer or formatter))
        plugins = ":".join(part for part in (kind, renderer, formatter) if part)
        arguments = [f"-K{engine or self.engine}"]
        if neato_no_op:
            arguments.append(f"-n{int(neato_no_op)}")
        if kind in ("png", "jpg", "jpeg"):
            arguments.append(_PNG_RESOLUTION)
        picture = program.run(self.source, plugins, tuple(arguments))
        return picture.decode(encoding) if encoding else picture

    def render(  # the signature is graphviz's
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        quiet_view: bool = False,
        *,
        outfile: str | os.PathLike[str] | None = None,
        engine: str | None = None,
        raise_if_result_exists: bool = False,
        overwrite_source: bool = False,
    ) -> str:
        """Write the picture and return its path.

        ``render("graph.svg")`` writes just that file. Otherwise as graphviz does: ``render("graph", format="png")``
        writes the DOT text to ``graph`` and the picture to ``graph.png``; ``render(outfile="graph.png")`` the text to
        ``graph.gv``.

        Raises:
            LayoutProgramNotFound: as ``pipe``; nothing is written.
            FileExistsError: the picture exists and ``raise_if_result_exists``.
            ValueError: the picture would overwrite its own DOT text.
        """
        suffix = Path(filename).suffix.lower().removeprefix(".") if filename is not None else ""
        if suffix in PICTURES and outfile is None and format in (None, suffix):
            filename, outfile, source = None, filename, None
        else:
            source = filename or (Path(outfile).with_suffix(".gv") if outfile is not None else self.filename)
        folder = Path(directory if directory is not None else self.directory)
        kind = (format or self._suffix_of(outfile) or self.format).lower()
        written = folder / (outfile if outfile is not None else f"{source}.{kind}")
        if raise_if_result_exists and written.exists():
            raise graphviz.FileExistsError(f"output file exists: {str(written)!r}")
        if source is not None and not overwrite_source and written.resolve() == (folder / source).resolve():
            raise ValueError(
                f"render: {str(written)!r} would overwrite the DOT text; give another filename or outfile"
            )
        picture = self.pipe(kind, renderer, formatter, neato_no_op, quiet, engine=engine)
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(picture)
        if source is not None and not cleanup:
            super().save(source, directory=directory)
        if view or quiet_view:
            graphviz.view(str(written), quiet=quiet_view)
        return str(written)

    def save(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        *,
        skip_existing: bool | None = False,
    ) -> str:
        """Write the DOT text and return its path; ``render`` writes the picture.

        Raises:
            ValueError: the name is that of a picture.
        """
        name = str(filename)
        if Path(name).suffix.lower().removeprefix(".") in PICTURES:
            raise ValueError(
                f"save: writes the DOT text, and {name!r} is the name of a picture: use .render({name!r})"
            )
        return str(super().save(filename, directory=directory, skip_existing=skip_existing))

    @staticmethod
    def _suffix_of(outfile: str | os.PathLike[str] | None) -> str:
        return Path(outfile).suffix.removeprefix(".") if outfile is not None else ""

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        """Return the picture for a notebook, with a line of text beside it; a notice where there is no program.

        A wide picture comes with metadata that let JupyterLab and VS Code scroll it instead of shrinking it.
        """
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        wanted = set(include) if include is not None else {SVG, "text/html", "text/plain"}
        wanted -= set(exclude or ())
        try:
            if self.boxes > MOST_BOXES:
                bundle |= self._apology(
                    f"{self.boxes:,} nodes are too many for a notebook; fold them (fold=True) or .render() a file"
                )
            elif SVG in wanted:
                bundle[SVG] = self.pipe("svg", encoding="utf-8")
            if "image/png" in wanted:
                bundle["image/png"] = self.pipe("png")
        except (LayoutProgramNotFound, graphviz.CalledProcessError) as error:
            bundle |= self._apology(str(error))
        given = {kind: data for kind, data in bundle.items() if kind in wanted}
        if _width(given.get(SVG, "")) <= _NOTEBOOK_WIDTH:
            return given
        return given, {kind: {"unconfined": True} for kind in (SVG, "image/png") if kind in given}

    def _apology(self, why: str) -> dict[str, Any]:
        source = self.source
        head = source[:_HEAD_OF_SOURCE] + ("\n…" if len(source) > _HEAD_OF_SOURCE else "")
        page = f"<p><b>Not drawn:</b> {html.escape(why)}</p><pre>{html.escape(head)}</pre>"
        return {"text/plain": f"Not drawn: {why}\n\n{head}", "text/html": page}


def _width(svg: str) -> float:
    """Return the width of a picture in points."""
    found = re.search(r'<svg width="([\d.]+)pt"', svg)
    return float(found[1]) if found else 0.0
