"""Reads an SVG back: what is drawn, whatever the layout program's taste in markup."""

import shutil
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from tinygrad_rnn.viz import engine
from tinygrad_rnn.viz.drawing import Drawing

_NS = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"


@dataclass(frozen=True)
class Item:
    """A node, edge or cluster of the picture: its title, SVG classes, lines of text, where they begin, tip and link."""

    title: str
    classes: frozenset[str]
    texts: tuple[str, ...]
    left: float
    id: str = ""
    tip: str = ""
    link: str = ""


@dataclass(frozen=True)
class Picture:
    """All items of a picture."""

    nodes: tuple[Item, ...]
    edges: tuple[Item, ...]
    frames: tuple[Item, ...]
    texts: tuple[str, ...]
    root: ElementTree.Element

    def classed(self, name: str) -> list[Item]:
        """Return the nodes with an SVG class."""
        return [node for node in self.nodes if name in node.classes]


def program(name: str) -> engine.Program:
    """Return a layout program, or skip the test and say why."""
    path = next(engine._wheel_paths(), None) if name == engine.WHEEL else shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: this test has not run")
    return engine.Program(name, path)


def read(drawing: Drawing, name: str = engine.WHEEL) -> Picture:
    """Lay the drawing out and read the SVG back; invisible helpers of the layout are left out."""
    root = ElementTree.fromstring(program(name).run(drawing.source, "svg"))
    found: dict[str, list[Item]] = {"node": [], "edge": [], "cluster": []}
    for group in root.iter(f"{_NS}g"):
        classes = frozenset(group.get("class", "").split())
        kind = next((k for k in found if k in classes), None)
        if kind and len(group) > 1:  # an invisible one has a title only
            found[kind].append(_item(group, classes))
    texts = lines(root)
    return Picture(tuple(found["node"]), tuple(found["edge"]), tuple(found["cluster"]), texts, root)


def _item(group: ElementTree.Element, classes: frozenset[str]) -> Item:
    title = group.findtext(f"{_NS}title") or ""
    lefts = [float(t.get("x", "nan")) for t in group.iter(f"{_NS}text")]
    anchor = next(group.iter(f"{_NS}a"), None)
    tip, link = ("", "") if anchor is None else (anchor.get(f"{_XLINK}{k}", "") for k in ("title", "href"))
    return Item(
        title, classes, lines(group), min(lefts, default=float("nan")), group.get("id", ""), tip, link
    )


def lines(element: ElementTree.Element) -> tuple[str, ...]:
    """Return the lines of text inside an element, a subscript written as in a name: ``h_3``."""
    found: list[tuple[str | None, str]] = []
    pieces = [t for t in element.iter(f"{_NS}text") if t.get("font-size") != "4.00"]  # that is a gap
    below = {t.get("y") for t in pieces if t.get("baseline-shift") == "sub"}
    for piece in pieces:
        y, text = piece.get("y"), _text(piece)
        if piece.get("baseline-shift") == "sub":
            text = "_" + text.replace(",", "_")
        if y in below and found and found[-1][0] == y:
            found[-1] = (y, found[-1][1] + text)
        else:
            found.append((y, text))
    return tuple(text for _, text in found)


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").replace("\N{NO-BREAK SPACE}", " ")
