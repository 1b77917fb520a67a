"""``Canvas``: boxes, arrows and frames become lines of DOT, in the order in which they were put down.

The lines are written here and not by graphviz's ``node`` and ``edge`` methods: a million nodes take those 20 s.
Everything that is written comes from an index, so the same graph gives the same text in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinygrad_rnn.viz.escape import marked_up, quoted, shown
from tinygrad_rnn.viz.theme import FONT, FRAME, INK, LINE, MUTED, SHAPES, Palette, legend

Path = tuple[str, ...]
_LONGEST_NOTICE = 200
_RICH_BOXES = 600  # up to here a label has two sizes of type; above, plain text that is laid out faster
_QUICK_BOXES = 1_500  # above, the layout takes short cuts
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
    """

    name: str
    lines: Sequence[str]
    kind: str
    magnitude: float | None = None
    tokens: str = ""
    members: Iterable[int] = ()


class Canvas:
    """Collects what is drawn, frame by frame.

    Args:
        palette: colors for the magnitudes.
        expected: about how many boxes there will be; decides how much care each gets.
        rankdir: ``"BT"``, inputs below and losses above with time from left to right, or another of DOT's.
    """

    __slots__ = ("_frames", "_loose", "_members", "boxes", "palette", "quick", "rankdir", "rich")

    def __init__(self, palette: Palette, expected: int, rankdir: str = "BT") -> None:
        self.palette = palette
        self.rankdir = rankdir
        self.rich = expected <= _RICH_BOXES
        self.quick = expected > _QUICK_BOXES
        self.boxes = 0
        self._frames: dict[Path, list[str]] = {(): []}
        self._loose: list[str] = []
        self._members: dict[str, list[int]] = {}

    def box(self, vertex: Vertex, frame: Path = ()) -> None:
        """Put down a box; ``frame``: the titles of the frames that it stands in, outermost first."""
        kind = vertex.kind
        fill, ink = self.palette.fill(vertex.magnitude)
        color = f',fillcolor="{fill}"' if kind != "fold" else ""
        color += f',fontcolor="{ink}"' if ink != INK else ""
        css = f"{kind} {vertex.tokens}" if vertex.tokens else kind
        self.boxes += 1
        self._members[vertex.name] = list(vertex.members)
        self._in(frame).append(
            f'{vertex.name} [label={self._label(vertex.lines)},{SHAPES[kind]}{color},class="{css}"]\n'
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
    ) -> None:
        """Put down an edge; ``magnitude`` is that of the cotangent which flows back through it."""
        color, width = self.palette.line(magnitude)
        more = f",{attributes}" if attributes else ""
        where = self._in(frame) if frame else self._loose
        where.append(f'{tail}->{head} [color="{color}",penwidth={width}{more}]\n')

    def layout(self, line: str, frame: Path = ()) -> None:
        """Put down a line that only moves things: an invisible node or edge, a row."""
        (self._in(frame) if frame else self._loose).append(line + "\n")

    def lines(self, notices: Sequence[str], scaled: bool, colored: str = "gradient magnitude") -> list[str]:
        """Return the body of the digraph; ``scaled``: with the legend of the colors, which stand for ``colored``."""
        short_cuts = f",{_SHORT_CUTS}" if self.quick else ""
        head = [
            f'graph [rankdir={self.rankdir},newrank=true,fontname="{FONT}",fontsize=11,fontcolor="{MUTED}"'
            f",nodesep=0.22,ranksep=0.32,bgcolor=white,labelloc=b,pad=0.2{short_cuts}]\n",
            f'node [fontname="{FONT}",fontsize=11,fontcolor="{INK}",color="{LINE}",{_BOX}]\n',
            f'edge [fontname="{FONT}",fontsize=9,fontcolor="{MUTED}",arrowsize=0.6]\n',
        ]
        return [*head, self._caption(notices, colored if scaled else ""), *self._nested(), *self._loose]

    def _caption(self, notices: Sequence[str], colored: str) -> str:
        rows = legend(self.palette.scale, colored) if colored else ""
        span = f' colspan="{rows.count("<td")}"' if rows else ""
        rows += "".join(
            f"<tr><td{span}>{marked_up(shown(notice, _LONGEST_NOTICE))}</td></tr>" for notice in notices
        )
        if not rows:
            return ""
        return f'label=<<table border="0" cellborder="0" cellspacing="0" cellpadding="4">{rows}</table>>\n'

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
                out.append(f"subgraph cluster_{count} {{\n{_frame_style(frame)}\n")
                count += 1
                stack.append((frame, False))
            out += self._frames[frame]
            stack += [(child, True) for child in reversed(inner[frame])]
        return out

    def _label(self, lines: Sequence[str]) -> str:
        texts = [shown(line) or " " for line in lines]
        escapable = not any("\\" in text for text in texts)  # an HTML-like label obeys \N come what may
        if not (self.rich and escapable):
            return '"' + "\\n".join(map(quoted, texts)) + '"'
        small = "".join(f'<br/><font point-size="9">{marked_up(text)}</font>' for text in texts[1:])
        return f"<<b>{marked_up(texts[0])}</b>{small}>"


def _frame_style(frame: Path) -> str:
    backward = "backward" in frame
    style = 'style="rounded,dashed"' if backward else 'style="rounded,filled",fillcolor="#fafbfc"'
    title = f'label="{quoted(shown(frame[-1]))}";labelloc=b;labeljust=l;class="frame"'
    return f'{title};graph [{style},color="{FRAME}",fontsize=12,fontcolor="{INK}"]'
