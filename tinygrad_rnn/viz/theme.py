"""Colors, line widths and shapes; what a gradient's magnitude looks like.

On white the ramp runs from pale yellow to dark blue, on dark from a blue that is nearly the background to pale yellow:
what vanishes fades into the page. Lightness changes steadily along it, so that it reads alike with every kind of color
vision. In print there are no colors: the width of a line tells the magnitude, and dashes what has all but vanished.
Magnitudes lie on a logarithmic scale: through time a gradient vanishes by powers of ten.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LEVELS = 7  # so many colors or widths
FONT = "Helvetica"
FEWEST_DECADES = 3.0  # gradients of about one size look alike
DECADES = 12.0  # a gradient 12 powers of ten below the largest is as good as vanished

SHAPES = {
    "leaf": 'shape=box,style="filled",penwidth=1.8',
    "constant": 'shape=box,style="filled",penwidth=0.7',
    "op": 'shape=box,style="filled,rounded",penwidth=0.9',
    "ghost": 'shape=box,style="filled,dashed",penwidth=0.9',
    "state": 'shape=box,style="filled,dashed,rounded",penwidth=0.9',
    "cut": 'shape=octagon,style="filled,dashed",penwidth=1.4',
    "chain": "shape=circle,style=filled,penwidth=0.9,margin=0.02",
    "cell": 'shape=box,style="filled,rounded",penwidth=1.8,margin="0.18,0.12"',
    "delay": "shape=box,style=filled,penwidth=1.8",
    "fold": "shape=plaintext,style=solid",
}


@dataclass(frozen=True, slots=True)
class Theme:
    """How a drawing looks.

    Attributes:
        ramp: the fill for each level of magnitude, from vanished to largest.
        inks: the color of the text on each of them.
        edge_ramp: the color of an edge for each level.
        widths: the width of an edge for each level, in points.
        borders: the width of a box's border for each level; empty where the fill tells the magnitude.
        dashes: the style of an edge for each level; empty where all are solid.
        ink: the color of text.
        muted: of text that matters less.
        background: of the page.
        plain: the fill of a box without a gradient; zero: of one whose gradient is 0.
        line: the color of borders; frame: of frames and of edges without a gradient; frame_fill: inside of a frame.
        alarm: the color of what is not finite or cut; alarm_fill: of its box.
    """

    ramp: tuple[str, ...]
    inks: tuple[str, ...]
    edge_ramp: tuple[str, ...]
    widths: tuple[float, ...]
    ink: str
    muted: str
    background: str
    plain: str
    zero: str
    line: str
    frame: str
    frame_fill: str
    alarm: str
    alarm_fill: str
    alarm_ink: str
    borders: tuple[float, ...] = ()
    dashes: tuple[str, ...] = ()


_INK, _NIGHT = "#1b2733", "#10161d"
_WIDTHS = (0.7, 0.9, 1.2, 1.5, 1.9, 2.4, 3.0)
LIGHT = Theme(
    ramp=("#fbf6d0", "#dcecc0", "#abdbbe", "#74c2c5", "#479fc6", "#2c72ae", "#1f4788"),
    inks=(_INK,) * 5 + ("#ffffff",) * 2,
    edge_ramp=("#b4bfc4", "#9ab5be", "#7ba7b9", "#5b95b1", "#3f7fa8", "#2a6398", "#1f4788"),
    widths=_WIDTHS,
    ink=_INK,
    muted="#6f7d89",
    background="white",
    plain="#f3f5f7",
    zero="#ffffff",
    line="#5d6b78",
    frame="#a9b4bd",
    frame_fill="#fafbfc",
    alarm="#d55e00",
    alarm_fill="#f29a5c",
    alarm_ink=_INK,
)
DARK = Theme(
    ramp=("#1c2c3d", "#1f4460", "#235f80", "#377a98", "#66a6b0", "#a5cfb9", "#f2f0b8"),
    inks=("#e8eef3",) * 3 + ("#ffffff",) + (_NIGHT,) * 3,
    edge_ramp=("#3d4b58", "#44617a", "#4b7896", "#5c92aa", "#7dadb6", "#acd0bb", "#f2f0b8"),
    widths=_WIDTHS,
    ink="#e8eef3",
    muted="#98a6b3",
    background=_NIGHT,
    plain="#232c36",
    zero=_NIGHT,
    line="#8796a5",
    frame="#4a5967",
    frame_fill="#161e27",
    alarm="#ff8a3d",
    alarm_fill="#b34e00",
    alarm_ink="#ffffff",
)
PRINT = Theme(
    ramp=("white",) * LEVELS,
    inks=("black",) * LEVELS,
    edge_ramp=("black",) * LEVELS,
    widths=(0.5, 0.7, 0.9, 1.4, 2.0, 2.8, 3.8),
    ink="black",
    muted="black",
    background="white",
    plain="white",
    zero="white",
    line="black",
    frame="#555555",
    frame_fill="white",
    alarm="black",
    alarm_fill="white",
    alarm_ink="black",
    borders=(0.3, 0.6, 1.0, 1.4, 2.0, 2.7, 3.6),
    dashes=("dotted", "dashed", *("solid",) * 5),
)
THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT}


def theme_of(name: Any) -> Theme:
    """Return the theme called ``name``.

    Raises:
        ValueError: there is none of this name.
    """
    found = THEMES.get(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"draw: theme={name!r} is unknown; legal: {', '.join(map(repr, THEMES))}")
    return found


@dataclass(frozen=True, slots=True)
class Scale:
    """Magnitudes to colors, by powers of ten.

    Attributes:
        low: where the ramp begins.
        high: the largest finite magnitude; 0 when there is none.
    """

    low: float = 0.0
    high: float = 0.0

    @classmethod
    def of(cls, magnitudes: Iterable[float]) -> Scale:
        """Return the scale that spans the finite, positive ``magnitudes``: at least 3 decades, at most 12."""
        low, high = math.inf, 0.0
        for x in magnitudes:
            if 0.0 < x < math.inf:
                low, high = min(low, x), max(high, x)
        if not high:
            return cls()
        low = min(max(low, high * 10**-DECADES), high * 10**-FEWEST_DECADES)
        return cls(max(low, 5e-324), high)

    @property
    def bounds(self) -> tuple[float, ...]:
        """The magnitudes between neighboring colors, ascending; empty where there is nothing to scale."""
        if not self.high or self.low >= self.high:
            return ()
        step = (math.log10(self.high) - math.log10(self.low)) / LEVELS
        return tuple(10 ** (math.log10(self.low) + step * (i + 1)) for i in range(LEVELS - 1))


class Palette:
    """Fills and lines for one drawing; the scale's bounds are computed once."""

    __slots__ = ("_bounds", "scale", "theme")

    def __init__(self, scale: Scale, theme: Theme = LIGHT) -> None:
        self.scale = scale
        self.theme = theme
        self._bounds = scale.bounds

    def level(self, magnitude: float) -> int:
        """Return the color's place in the ramp."""
        return bisect_right(self._bounds, magnitude) if self._bounds else LEVELS // 2

    def fill(self, magnitude: float | None) -> tuple[str, str]:
        """Return the fill and the text color of a node whose gradient has this magnitude; None: not computed."""
        theme = self.theme
        if magnitude is None:
            return theme.plain, theme.ink
        if not magnitude < math.inf:
            return theme.alarm_fill, theme.alarm_ink
        if magnitude == 0.0:
            return theme.zero, theme.ink
        level = self.level(magnitude)
        return theme.ramp[level], theme.inks[level]

    def border(self, magnitude: float | None) -> str:
        """Return the attributes of a box's border, where it tells the magnitude."""
        borders = self.theme.borders
        if not borders or magnitude is None:
            return ""
        if not magnitude < math.inf:
            return ",peripheries=2"
        return f",penwidth={borders[self.level(magnitude) if magnitude else 0]}"

    def line(self, magnitude: float | None) -> tuple[str, float]:
        """Return color and width of an edge through which a cotangent of this magnitude flows."""
        theme = self.theme
        if magnitude is None or magnitude == 0.0:
            return theme.frame, theme.widths[0]
        if not magnitude < math.inf:
            return theme.alarm, theme.widths[-1]
        level = self.level(magnitude)
        return theme.edge_ramp[level], theme.widths[level]

    def dash(self, magnitude: float | None) -> str:
        """Return the attribute of an edge's dashes, where they tell the magnitude."""
        dashes = self.theme.dashes
        if not dashes or magnitude is None or not magnitude < math.inf:
            return ""
        style = dashes[self.level(magnitude) if magnitude else 0]
        return "" if style == "solid" else f",style={style}"

    def cut(self, label: str) -> str:
        """Return the attributes of an edge through which no gradient passes."""
        color = self.theme.alarm
        return f'style=dashed,arrowhead=tee,penwidth=1.6,color="{color}",fontcolor="{color}",label="{label}"'

    def legend(self, what: str = "gradient magnitude") -> str:
        """Return the legend as one row of an HTML-like table; ``what`` is colored, and no text of the user's."""
        scale, theme = self.scale, self.theme
        if not scale.high:
            return ""
        low, high = f"{scale.low:.0e}", f"{scale.high:.0e}"
        if theme.borders:
            span = f"from {low} (thin, dotted) to {high} (thick)" if self._bounds else high
            return f"<tr><td>width of lines: {what}, {span}</td></tr>"
        edges = (scale.low, *self._bounds) if self._bounds else (scale.high,)
        levels = range(LEVELS) if self._bounds else (LEVELS // 2,)
        cells = "".join(
            f'<td bgcolor="{theme.ramp[i]}" width="52"><font color="{theme.inks[i]}">{edge:.0e}</font></td>'
            for i, edge in zip(levels, edges, strict=True)
        )
        return f"<tr><td>{what}, from&nbsp;</td>{cells}<td>&nbsp;to {high}</td></tr>"
