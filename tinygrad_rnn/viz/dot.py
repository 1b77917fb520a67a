"""``Canvas``: boxes, arrows and frames become lines of DOT, in the order in which they were put down.

The lines are written here and not by graphviz's ``node`` and ``edge`` methods: a million nodes take those 20 s.
Everything that is written comes from an index, so the same graph gives the same text in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinygrad_rnn.viz.escape import marked_up, quoted, shown, subscripted
from tinygrad_rnn.viz.theme import FONT, SHAPES, Palette, Theme

Path = tuple[str, ...]
_LONGEST_NOTICE = 200
_GAP = 8  # points between the picture and its caption
_LONGEST_TIP = 400  # characters of one line
_RICH_BOXES = 600  # up to here a label has two sizes of type; above, plain text that is laid out faster
_QUICK_BOXES = 1_500  # above, the layout takes short cuts, and nothing is told where the pointer rests
_ITSELF = "\0"  # stands in a line for the drawing's own mark; no text of the user's can hold it
_BOX = 'margin="0.1,0.05",height=0.3,width=0.4'  # inches
_SHORT_CUTS = "splines=line,mclimit=0.02,nslimit=0.02,searchsize=5"


@dataclass(slots=True)
class Vertex:
    """A box that is drawn.

    Attributes:
        name: its identifier, made by the program.
        lines: its text; the first line is the heading.
        kind: which shape and SVG class it has, a key of ``theme.SHAPES``.
        magnitude: of its gradient, for its color; None where there is none.
        tokens: further SVG classes, separated by spaces.
        members: the nodes of the graph, by index, that it stands for.
        named: whether the heading begins with a name, whose ``_3`` is then written as a subscript.
        tip: what is told where the pointer rests, in lines.
        link: the box, by its identifier, to which a click leads.
    """

    name: str
    lines: Sequence[str]
    kind: str
    magnitude: float | None = None
    tokens: str = ""
    members: Iterable[int] = ()
    named: bool = False
    tip: Sequence[str] = ()
    link: str = ""


class Canvas:
    """Collects what is drawn, frame by frame.

    Args:
        palette: colors for the magnitudes.
        expected: about how many boxes there will be; decides how much care each gets.
        bare: leave out caption, tips and links, for a page that says these itself.
        numbers: write at each edge the magnitude that flows back, where there are few.

    Attributes:
        boxes: how many were put down.
        rich: whether labels have two sizes of type, and edges numbers.
        told: whether tips and links are written.
    """

    __slots__ = (
        "_frames",
        "_loose",
        "_members",
        "bare",
        "boxes",
        "numbers",
        "palette",
        "quick",
        "rich",
        "told",
    )

    def __init__(self, palette: Palette, expected: int, bare: bool = False, numbers: bool = False) -> None:
        self.palette = palette
        self.bare = bare
        self.rich = expected <= _RICH_BOXES
        self.numbers = numbers and self.rich
        self.quick = expected > _QUICK_BOXES
        self.told = not (bare or self.quick)
        self.boxes = 0
        self._frames: dict[Path, list[str]] = {(): []}
        self._loose: list[str] = []
        self._members: dict[str, list[int]] = {}

    def box(self, vertex: Vertex, frame: Path = ()) -> None:
        """Put down a box; ``frame``: the titles of the frames that it stands in, outermost first."""
        kind, theme = vertex.kind, self.palette.theme
        fill, ink = self.palette.fill(vertex.magnitude)
        color = f',fillcolor="{fill}"' if kind != "fold" else ""
        color += f',fontcolor="{ink}"' if ink != theme.ink else ""
        color += f',color="{theme.alarm}"' if kind == "cut" else ""
        color += self.palette.border(vertex.magnitude)
        css = f"{kind} {vertex.tokens}" if vertex.tokens else kind
        self.boxes += 1
        self._members[vertex.name] = list(vertex.members)
        self._in(frame).append(
            f'{vertex.name} [label={self._label(vertex)},{SHAPES[kind]}{color},class="{css}"{self._more(vertex)}]\n'
        )

    def enlist(self, name: str, i: int) -> None:
        """Let the box ``name`` stand for node i of the graph too."""
        self._members[name].append(i)

    @property
    def members(self) -> dict[str, tuple[int, ...]]:
        """For each box the nodes of the graph, by index, that it stands for, ascending."""
        return {name: tuple(sorted(set(found))) for name, found in self._members.items()}

    def arrow(
        self,
        tail: str,
        head: str,
        magnitude: float | None = None,
        attributes: str = "",
        *,
        frame: Path = (),
        tip: Sequence[str] = (),
        level: bool = False,
    ) -> None:
        """Put down an edge.

        Args:
            tail: the box where it begins.
            head: the box where it ends.
            magnitude: of the cotangent which flows back through it.
            attributes: further ones.
            frame: the frame that holds it.
            tip: what is told where the pointer rests, in lines.
            level: whether both ends stand in one row, where dot 2.43 draws an edge with a label twice.
        """
        color, width = self.palette.line(magnitude)
        more = f",{attributes}" if attributes else ""
        if self.numbers and magnitude is not None and not level and "label=" not in attributes:
            more += f',label="  {magnitude:.2g}"'
        more += f',tooltip="{_tip(tip)}"' if tip and self.told else ""
        where = self._in(frame) if frame else self._loose
        where.append(
            f'{tail}->{head} [color="{color}",penwidth={width}{self.palette.dash(magnitude)}{more}]\n'
        )

    def layout(self, line: str, frame: Path = ()) -> None:
        """Put down a line that only moves things: an invisible node or edge, a row."""
        (self._in(frame) if frame else self._loose).append(line + "\n")

    def lines(self, notices: Sequence[str], scaled: bool, colored: str = "gradient magnitude") -> list[str]:
        """Return the body of the digraph; ``scaled``: with the legend of the colors, which stand for ``colored``."""
        caption = "" if self.bare else self._caption(notices, colored if scaled else "")
        body = [*_head(self.palette.theme, self.quick), caption, *self._nested(), *self._loose]
        if not self.told:
            return body
        mark = hashlib.sha256("".join(body).encode("utf-8", "replace")).hexdigest()[:8]
        return [line.replace(_ITSELF, f"g{mark}") for line in body]

    def _caption(self, notices: Sequence[str], colored: str) -> str:
        rows = self.palette.legend(colored) if colored else ""
        span = f' colspan="{rows.count("<td")}"' if rows else ""
        rows = f'<tr><td{span} height="{_GAP}"></td></tr>{rows}' if rows or notices else ""
        rows += "".join(
            f"<tr><td{span}>{marked_up(shown(notice, _LONGEST_NOTICE))}</td></tr>" for notice in notices
        )
        if not rows:
            return ""
        return f'label=<<table border="0" cellborder="0" cellspacing="0" cellpadding="4">{rows}</table>>\n'

    def _more(self, vertex: Vertex) -> str:
        """Return the attributes for the pointer: its tip, its link, and the id to which links lead."""
        if not self.told:
            return ""
        link = f'href="#{_ITSELF}-{vertex.link}"' if vertex.link else f'id="{_ITSELF}-{vertex.name}"'
        return f',{link},tooltip="{_tip(vertex.tip or vertex.lines)}"'

    def _in(self, frame: Path) -> list[str]:
        found = self._frames.get(frame)
        if found is None:
            self._in(frame[:-1])  # a frame stands inside its outer ones, and after them
            found = self._frames[frame] = []
        return found

    def _nested(self) -> list[str]:
        """Return the frames' lines, each inside its outer frame."""
        inner: dict[Path, list[Path]] = {frame: [] for frame in self._frames}
        for frame in self._frames:
            if frame:
                inner[frame[:-1]].append(frame)
        out: list[str] = []
        stack: list[tuple[Path, bool]] = [((), True)]
        count = 0
        while stack:
            frame, entering = stack.pop()
            if not entering:
                out.append("}\n")
                continue
            if frame:
                out.append(f"subgraph cluster_{count} {{\n{_frame_style(frame, self.palette.theme)}\n")
                count += 1
                stack.append((frame, False))
            out += self._frames[frame]
            stack += [(child, True) for child in reversed(inner[frame])]
        return out

    def _label(self, vertex: Vertex) -> str:
        texts = [shown(line) or " " for line in vertex.lines]
        escapable = not any("\\" in text for text in texts)  # an HTML-like label obeys \N come what may
        if not (self.rich and escapable):
            return '"' + "\\n".join(map(quoted, texts)) + '"'
        head = subscripted(texts[0]) if vertex.named else marked_up(texts[0])
        below = [subscripted(t, 7.0) if vertex.kind == "delay" else marked_up(t) for t in texts[1:]]
        gap = '<br/><font point-size="4"> </font>' if below and "<sub>" in head else ""
        small = "".join(f'<br/><font point-size="9">{text}</font>' for text in below)
        return f"<<b>{head}</b>{gap}{small}>"


def _tip(lines: Sequence[str]) -> str:
    r"""Return lines as a tooltip; in one ``\\N`` is read as a name even where it is escaped, unless escaped twice."""
    return "\\n".join(quoted(shown(line, _LONGEST_TIP)).replace("\\\\", "\\\\\\\\") for line in lines)


def _head(theme: Theme, quick: bool) -> list[str]:
    short_cuts = f",{_SHORT_CUTS}" if quick else ""
    return [
        f'graph [rankdir=BT,newrank=true,fontname="{FONT}",fontsize=11,fontcolor="{theme.muted}"'
        f',nodesep=0.22,ranksep=0.32,bgcolor="{theme.background}",labelloc=b,pad=0.2{short_cuts}]\n',
        f'node [fontname="{FONT}",fontsize=11,fontcolor="{theme.ink}",color="{theme.line}",{_BOX}]\n',
        f'edge [fontname="{FONT}",fontsize=9,fontcolor="{theme.muted}",arrowsize=0.6]\n',
    ]


def _frame_style(frame: Path, theme: Theme) -> str:
    backward = "backward" in frame
    style = 'style="rounded,dashed"' if backward else f'style="rounded,filled",fillcolor="{theme.frame_fill}"'
    title = f'label="{quoted(shown(frame[-1]))}";labelloc=b;labeljust=l;class="frame"'
    return f'{title};graph [{style},color="{theme.frame}",fontsize=12,fontcolor="{theme.ink}"]'
