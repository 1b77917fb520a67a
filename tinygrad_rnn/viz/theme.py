"""Colors, line widths and shapes; what a gradient's magnitude looks like.

The ramp runs from pale yellow to dark blue. Its lightness falls steadily, so that it reads alike with every kind of
color vision and in grey print. Magnitudes lie on a logarithmic scale: through time a gradient vanishes by powers of
ten.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

RAMP = ("#fbf6d0", "#dcecc0", "#abdbbe", "#74c2c5", "#479fc6", "#2c72ae", "#1f4788")
EDGE_RAMP = ("#b4bfc4", "#9ab5be", "#7ba7b9", "#5b95b1", "#3f7fa8", "#2a6398", "#1f4788")
WIDTHS = (0.7, 0.9, 1.2, 1.5, 1.9, 2.4, 3.0)  # points
INK, PAPER = "#1b2733", "#ffffff"
PLAIN, MUTED, FRAME, LINE = "#f3f5f7", "#6f7d89", "#a9b4bd", "#5d6b78"
ALARM, ALARM_FILL = "#d55e00", "#f29a5c"  # vermillion: not finite, or cut
ZERO = "#ffffff"
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
        """The magnitudes between neighbouring colors, ascending; empty where there is nothing to scale."""
        if not self.high or self.low >= self.high:
            return ()
        step = (math.log10(self.high) - math.log10(self.low)) / len(RAMP)
        return tuple(10 ** (math.log10(self.low) + step * (i + 1)) for i in range(len(RAMP) - 1))


class Palette:
    """Fills and lines for one drawing; the scale's bounds are computed once."""

    __slots__ = ("_bounds", "scale")

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._bounds = scale.bounds

    def level(self, magnitude: float) -> int:
        """Return the color's place in the ramp."""
        return bisect_right(self._bounds, magnitude) if self._bounds else len(RAMP) // 2

    def fill(self, magnitude: float | None) -> tuple[str, str]:
        """Return the fill and the text color of a node whose gradient has this magnitude; None: not computed."""
        if magnitude is None:
            return PLAIN, INK
        if not magnitude < math.inf:
            return ALARM_FILL, INK
        if magnitude == 0.0:
            return ZERO, INK
        level = self.level(magnitude)
        return RAMP[level], INK if level < 5 else PAPER

    def line(self, magnitude: float | None) -> tuple[str, float]:
        """Return color and width of an edge through which a cotangent of this magnitude flows."""
        if magnitude is None or magnitude == 0.0:
            return FRAME, WIDTHS[0]
        if not magnitude < math.inf:
            return ALARM, WIDTHS[-1]
        level = self.level(magnitude)
        return EDGE_RAMP[level], WIDTHS[level]


def legend(scale: Scale, what: str = "gradient magnitude") -> str:
    """Return the legend as one row of an HTML-like table; ``what`` is colored, and no text of the user's."""
    if not scale.high:
        return ""
    edges = (scale.low, *scale.bounds) if scale.bounds else (scale.high,)
    colors = RAMP if scale.bounds else (RAMP[len(RAMP) // 2],)
    cells = "".join(
        f'<td bgcolor="{color}" width="52"><font color="{INK if i < 5 else PAPER}">{edge:.0e}</font></td>'
        for i, (color, edge) in enumerate(zip(colors, edges, strict=True))
    )
    return f"<tr><td>{what}, from&nbsp;</td>{cells}<td>&nbsp;to {scale.high:.0e}</td></tr>"
