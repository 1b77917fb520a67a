"""``Saturation``: which share of the units of each nonlinearity is so flat that it lets no gradient pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.flows.slopes import is_nonlinearity, slope
from tinygrad_rnn.analysis.flows.stateflow import plain
from tinygrad_rnn.analysis.reading.recurrences import NEVER
from tinygrad_rnn.analysis.reading.steps import Steps
from tinygrad_rnn.analysis.table import Table
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.nn.places import place_of, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]
FLAT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Saturation:
    """The share of the units with |phi'| below a threshold.

    Attributes:
        shares: for each nonlinearity (T,), the share in each step; nan where a step has none of it. It is called by
            what it makes: ``"i"`` of an LSTM's input gate, ``"h"`` of a simple cell, or ``"tanh(c)"``.
        threshold: what counts as flat.
    """

    shares: Mapping[str, Array]
    threshold: float

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {_mean(share):.0%}" for name, share in self.shares.items())
        return f"<Saturation, units with |φ'| < {self.threshold:g}: {means or 'no nonlinearity'}>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the share of saturated units over the steps, a line for each nonlinearity."""
        ax = axes_for(ax, figsize=(5.6, 3.6))
        for name, share in self.shares.items():
            ax.plot(np.arange(len(share)), share, marker="." if len(share) < 40 else "", label=name)
        ax.set(xlabel="step", ylabel=f"share of units with |φ'| < {self.threshold:g}", ylim=(-0.03, 1.03))
        if self.shares:
            ax.legend()
        return ax

    def table(self) -> Table:
        """Return the shares, a row for each step."""
        length = max(map(len, self.shares.values()), default=0)
        rows = [(t, *(share[t] for share in self.shares.values())) for t in range(length)]
        return Table(f"share of units with |φ'| < {self.threshold:g}", ("t", *self.shares), rows)

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_dict(self) -> dict[str, Any]:
        """Return the shares as plain Python numbers."""
        return {"threshold": self.threshold, "shares": {name: plain(s) for name, s in self.shares.items()}}


def saturation(steps: Steps, threshold: float = FLAT) -> Saturation:
    """Return the saturation of every nonlinearity that a state is made with, lane by lane.

    Raises:
        ValueError: a threshold that is not positive.
    """
    if not threshold > 0:
        raise ValueError(f"saturation: the threshold must be positive, got {threshold}")
    flat: dict[str, Array] = {}
    units: dict[str, Array] = {}
    several = len(steps.recurrences) > 1
    for recurrence in steps.recurrences:
        settled = recurrence.settled(steps.graph)
        for i, node in enumerate(steps.graph):
            place = place_of(node.scope)
            if settled[i] == NEVER or place.step < 0 or "/".join(place.lane) != recurrence.lane:
                continue
            if is_nonlinearity(node):
                name = f"{recurrence.lane} {_title(node)}" if several else _title(node)
                slopes = np.abs(slope(node))
                for found, count in ((flat, np.count_nonzero(slopes < threshold)), (units, slopes.size)):
                    found.setdefault(name, np.zeros(steps.length))[place.step] += count
    with np.errstate(invalid="ignore"):
        return Saturation({name: flat[name] / units[name] for name in flat}, threshold)


def _title(node: Node) -> str:
    """What a nonlinearity is called in every step; the entries h[0], h[1] of a vector of Values are one."""
    if node.name:
        return series(node.name).split("[", 1)[0]
    argument = series(node.parents[0].name)
    return f"{node.op.symbol}({argument})" if argument else str(node.op.symbol)


def _mean(share: Array) -> float:
    return float(np.nanmean(share)) if np.isfinite(share).any() else float("nan")
