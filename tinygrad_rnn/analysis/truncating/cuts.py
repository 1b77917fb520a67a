"""Truncated gradients of one weight for all lengths of truncation, and how they agree with the full gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.chain import require_room
from tinygrad_rnn.analysis.reading.cotangents import Coordinates
from tinygrad_rnn.analysis.reading.norms import MOST_ENTRIES
from tinygrad_rnn.analysis.reading.recurrences import NEVER
from tinygrad_rnn.analysis.reading.rows import SEED, Rows, Seed
from tinygrad_rnn.analysis.reading.steps import Steps
from tinygrad_rnn.analysis.reading.uses import NOWHERE, Uses

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Squares and products of two gradients, for each k: enough for error and cosine, alone or with other weights.

    Attributes:
        off: (T,), ||g - g_k||².
        product: (T,), <g, g_k>.
        cut: (T,), ||g_k||².
        full: ||g||².
        unit: what all gradients were divided by, so that squares neither vanish nor overflow.
    """

    off: Array
    product: Array
    cut: Array
    full: float
    unit: float

    def in_unit(self, unit: float) -> Agreement:
        """Return the same with another unit."""
        c = (self.unit / unit) ** 2 if unit else 1.0
        return Agreement(c * self.off, c * self.product, c * self.cut, c * self.full, unit)

    @property
    def error(self) -> Array:
        """(T,): ||g - g_k|| / ||g||; nan for a zero gradient."""
        nothing = np.full_like(self.off, np.nan)
        return np.asarray(np.sqrt(self.off / self.full) if self.full else nothing)

    @property
    def cosine(self) -> Array:
        """(T,): the cosine between g and g_k; nan where one of them is zero."""
        sizes = np.sqrt(self.cut) * np.sqrt(self.full)
        ratio: Array = np.divide(self.product, sizes, out=np.full_like(sizes, np.nan), where=sizes > 0)
        return np.clip(ratio, -1.0, 1.0)


def together(agreements: Mapping[str, Agreement]) -> Agreement:
    """Return the agreement of the gradients of several weights as one vector."""
    unit = max((a.unit for a in agreements.values()), default=1.0) or 1.0
    same = [a.in_unit(unit) for a in agreements.values()]
    off, product, cut = (sum(getattr(a, name) for a in same) for name in ("off", "product", "cut"))
    return Agreement(off, product, cut, sum(a.full for a in same), unit)


def sliding(steps: Steps, leaf: int) -> Agreement:
    """Return how the gradients in which each error runs back through k = 1 ... T steps agree with the full one."""
    return _compared(*_tails(lag_sums(steps, leaf)))


def _compared(tails: Array, heads: Array, unit: float) -> Agreement:
    """Return the agreement of ``heads[k-1]`` = g_k with g, where ``tails[k-1]`` = g - g_k; all divided by ``unit``."""
    tails, heads = tails.reshape(len(tails), -1), heads.reshape(len(heads), -1)
    full = heads[-1]
    product, cut = heads @ full, np.einsum("ki,ki->k", heads, heads)
    return Agreement(np.einsum("ki,ki->k", tails, tails), product, cut, float(full @ full), unit)


def _tails(lags: Array) -> tuple[Array, Array, float]:
    """Return g - g_k and g_k for each k, in units of the largest entry of the contributions, and that unit."""
    unit = float(np.abs(lags).max(initial=0.0)) or 1.0
    lags = lags / unit
    tails = np.zeros_like(lags)  # summed from the far end, so that a small error is exact as well
    tails[:-1] = np.cumsum(lags[:0:-1], axis=0)[::-1]
    return tails, np.cumsum(lags, axis=0), unit


def lag_sums(steps: Steps, leaf: int) -> Array:
    """Return (T, *shape of W): C_d = sum_t contributions[t, t - d]; C_0 includes what belongs to no step."""
    shape = steps.graph[leaf].shape
    found = np.zeros((steps.length, *shape))
    direction = -1 if steps.recurrences[0].backward else 1
    uses = Uses(steps, (leaf,))
    for first, last in _chunks(steps, leaf):
        for (_, k), rows in uses.reached(steps.seeds(first, last)).items():
            start = first + rows.first
            if k == NOWHERE:
                found[0] += rows.array.sum(axis=0)
                continue
            for t, share in enumerate(rows.array, start):
                lag = direction * (t - k)
                if lag >= 0:
                    found[lag] += share
                elif share.any():
                    raise ValueError(
                        f"truncation: the loss of step {t} reaches step {k}, which comes later; the lanes of this "
                        "network do not share one time (as an encoder and its decoder), so that no number of steps "
                        "back says where a gradient is cut"
                    )
    found[0] += uses.apart(leaf)
    return found


def _chunks(steps: Steps, leaf: int) -> Iterator[tuple[int, int]]:
    """Return ranges of so many losses that a row of contributions for each of them can be held."""
    size = steps.length * int(np.prod(steps.graph[leaf].shape, dtype=int))
    require_room(f"a row of contributions to {steps.graph[leaf].name}", size, "choose smaller weights=")
    rows = max(1, MOST_ENTRIES // max(1, size))
    return ((t, min(t + rows, steps.length)) for t in range(0, steps.length, rows))


@dataclass(frozen=True, eq=False)
class Blocks:
    """The gradients of ``unroll(truncate=k)``: row k - 1 of one sweep is cut at every k-th step.

    Attributes:
        steps: the graph by time.
        leaves: the weights by name.
        coordinates: the states at which is cut.
    """

    steps: Steps
    leaves: Mapping[str, int]
    coordinates: tuple[Coordinates, ...]

    @classmethod
    def of(cls, steps: Steps, leaves: Mapping[str, int]) -> Blocks:
        """Return the cuts of every lane of ``steps``."""
        return cls(steps, leaves, tuple(Coordinates.of(steps, r) for r in steps.recurrences))

    def gradients(self, k: int) -> dict[str, Array]:
        """Return the gradient of each weight for blocks of k steps."""
        return {name: self._rows(leaf, [k])[0] for name, leaf in self.leaves.items()}

    def compared(self, name: str) -> Agreement:
        """Return how the gradients for all k agree with the full one."""
        leaf = self.leaves[name]
        size = int(np.prod(self.steps.graph[leaf].shape, dtype=int))
        rows = max(1, MOST_ENTRIES // max(1, size))
        (full,) = self._rows(leaf, [self.steps.length])
        unit = float(np.abs(full).max(initial=0.0)) or 1.0
        found = []
        for first in range(1, self.steps.length + 1, rows):
            heads = self._rows(leaf, list(range(first, min(first + rows, self.steps.length + 1))))
            heads = np.concatenate([heads, full[None]]) / unit
            found.append(_compared(heads[-1] - heads, heads, unit))
        off, product, cut = (
            np.concatenate([getattr(a, f)[:-1] for a in found]) for f in ("off", "product", "cut")
        )
        return Agreement(off, product, cut, found[0].full, unit)

    def _rows(self, leaf: int, lengths: list[int]) -> Array:
        """Return (len(lengths), *shape of W): the gradient for blocks of each length."""
        uses = Uses(self.steps, (leaf,))
        found = np.zeros((len(lengths), *self.steps.graph[leaf].shape))
        seeds: list[Seed] = [
            (node, Rows(0, np.broadcast_to(rows.array, (len(lengths), *rows.array.shape[1:])).copy()))
            for node, rows in self.steps.total()
        ]
        watched = frozenset().union(*(c.places.keys() for c in self.coordinates))
        for rows in uses.reached(seeds, watched=watched, edge=self._edge(np.array(lengths))).values():
            found[rows.first : rows.first + len(rows.array)] += rows.array
        return found + uses.apart(leaf)

    def _edge(self, lengths: Array) -> Callable[[int, int, Rows], Rows | None]:
        def edge(child: int, parent: int, rows: Rows) -> Rows:
            alive = np.ones(len(rows.array), bool)
            for c in self.coordinates:
                if child != SEED and parent in c.places and c.settled[child] != NEVER:
                    made = min(position for position, _ in c.places[parent])
                    alive &= c.settled[child] // lengths == made // lengths
            if alive.all():
                return rows
            return Rows(rows.first, rows.array * alive.reshape(-1, *(1,) * (rows.array.ndim - 1)))

        return edge
