"""``Contributions``: the share of dL_t/dW that entered through the use of W at step k.

dL/dW = sum_t sum_k contributions[t, k]: a shared weight is one leaf with a use in each step, and what the losses send
to it through each use is added up. Nothing is stored: a share, a row or a sum is swept for when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.analysis.figure import axes_for
from tinygrad_rnn.analysis.flows.stateflow import plain
from tinygrad_rnn.analysis.reading.chain import require_room
from tinygrad_rnn.analysis.reading.norms import MOST_ENTRIES, row_norms
from tinygrad_rnn.analysis.reading.rows import Rows, Seed
from tinygrad_rnn.analysis.reading.steps import Steps
from tinygrad_rnn.analysis.reading.uses import NOWHERE, Uses
from tinygrad_rnn.analysis.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Contributions:
    """The contributions to the gradient of one weight W; ``[t, k]`` has the shape of W.

    A weight that is first made into another (W.T, or x @ W for all steps) outside of all steps is used where that is
    used. What comes from no loss of a step, or through a use at no single step, is in :attr:`outside`.

    Attributes:
        steps: the graph by time.
        name: what the weight is called.
        leaf: its index in the graph.
    """

    steps: Steps
    name: str
    leaf: int

    def __repr__(self) -> str:
        return f"<Contributions of {self.name}: {self.shape}, computed on access>"

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, T, *shape of W): rows are losses t, columns are uses k."""
        return (self.steps.length, self.steps.length, *self._inner)

    def __getitem__(self, key: Any) -> Array:
        """Return ``[t, k]`` in one sweep from t to k, ``[t]`` = (T, *shape of W) in one, ``[:, k]`` in one for each t.

        Raises:
            IndexError: no such step.
            TooLargeError: more than fits: ask for rows, or for the sums, one at a time.
        """
        t, k, *rest = key if isinstance(key, tuple) else (key, slice(None))
        if isinstance(t, slice):
            rows = range(self.steps.length)[t]
            chosen = [self._row(row, k) for row in self._roomy(rows, k)]
            found = np.stack(chosen) if chosen else np.zeros((0, *self.row(0)[k].shape))
            return found[(slice(None), *(slice(None) for _ in range(isinstance(k, slice))), *rest)]
        row = self._row(_at(t, self.steps.length), k)
        return row[(slice(None), *rest)] if isinstance(k, slice) else row[tuple(rest)]

    def row(self, t: int) -> Array:
        """Return (T, *shape of W): what L_t sends through the use at each step; they sum to dL_t/dW."""
        return self._placed(self._uses(self.steps.seeds(t, t + 1)))

    @property
    def by_step(self) -> Array:
        """(T, *shape of W): what the use at each step k gives, summed over all losses, in one sweep."""
        return self._placed(self._uses(self.steps.total()))

    @property
    def by_loss(self) -> Array:
        """(T, *shape of W): dL_t/dW for each t."""
        require_room(
            f"dL_t/d{self.name} for all t", self.steps.length * self._size, "ask for one row at a time"
        )
        found = np.zeros((self.steps.length, *self._inner))
        for first, last in self._chunks(self._size * self.steps.length):
            for rows in self._uses(self.steps.seeds(first, last)).values():
                start = first + rows.first
                found[start : start + len(rows.array)] += rows.array
        return found

    @cached_property
    def outside(self) -> Array:
        """(*shape of W): what belongs to no [t, k]; 0 for a weight that is used in time steps only."""
        uses = self._uses(self.steps.total())
        found = np.array(uses[NOWHERE].array[0]) if NOWHERE in uses else np.zeros(self._inner)
        return np.asarray(found + self._users.apart(self.leaf))

    @property
    def total(self) -> Array:
        """(*shape of W): the sum of all contributions and of what is outside: the gradient of W."""
        return np.asarray(self.by_step.sum(axis=0) + self.outside)

    @cached_property
    def norms(self) -> Array:
        """(T, T): the norm of each contribution; 0 where there is none."""
        found = np.zeros(self.shape[:2])
        for first, _, k, rows in self.sweeps():
            start = first + rows.first
            found[start : start + len(rows.array), k] = row_norms(rows.array)
        return found

    @property
    def shares(self) -> Array:
        """(T,): the signed share of each step k in the gradient g of W, <by_step[k], g> / <g, g>; with what is outside
        they sum to 1. Zeros where g is 0.
        """
        by_step = self.by_step.reshape(self.steps.length, -1)
        total = by_step.sum(axis=0) + self.outside.ravel()
        scale = np.abs(total).max(initial=0.0)
        if not scale:
            return np.zeros(len(by_step))
        unit = total / scale
        return np.asarray(by_step @ unit / scale / (unit @ unit))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Return axes with the signed share of each step's use in the whole gradient, a bar for each step."""
        ax = axes_for(ax, figsize=(5.6, 3.6))
        shares = self.shares
        ax.bar(np.arange(len(shares)), shares, width=0.9, color=np.where(shares < 0, "#c05a1c", "#1d4e79"))
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        ax.set(xlabel="k: through the use in step", ylabel=f"share of ∂L/∂{self.name}")
        return ax

    def _repr_html_(self) -> str:
        rows = [(k, share) for k, share in enumerate(self.shares)]
        return Table(f"shares of ∂L/∂{self.name} by step", ("k", "share"), rows).html()

    def to_dict(self) -> dict[str, Any]:
        """Return the norms of all contributions and the signed share of each step as plain Python numbers."""
        return {"name": self.name, "norms": plain(self.norms), "shares": plain(self.shares)}

    def sweeps(self) -> Iterator[tuple[int, int, int, Rows]]:
        """Yield (first, last, k, rows): for the losses first ... last-1 what each step's use gives, a few at a time."""
        for first, last in self._chunks(self._size * self.steps.length):
            for k, rows in self._uses(self.steps.seeds(first, last)).items():
                if k != NOWHERE:
                    yield first, last, k, rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole: Array = self[:]
        return np.asarray(whole, dtype=dtype)

    @property
    def _inner(self) -> tuple[int, ...]:
        return tuple(self.steps.graph[self.leaf].shape)

    @property
    def _size(self) -> int:
        return int(np.prod(self._inner, dtype=int))

    @cached_property
    def _users(self) -> Uses:
        return Uses(self.steps, (self.leaf,))

    def _chunks(self, size: int) -> list[tuple[int, int]]:
        rows = max(1, MOST_ENTRIES // max(1, size))
        return [(t, min(t + rows, self.steps.length)) for t in range(0, self.steps.length, rows)]

    def _roomy(self, rows: range, k: Any) -> range:
        columns = len(range(self.steps.length)[k]) if isinstance(k, slice) else 1
        wanted = f"{len(rows)} x {columns} contributions to {self.name}"
        require_room(
            wanted, len(rows) * columns * self._size, "ask for one row [t], or for .by_step and .by_loss"
        )
        return rows

    def _row(self, t: int, k: Any) -> Array:
        if isinstance(k, slice):
            return np.asarray(self.row(t)[k])
        k = _at(k, self.steps.length)
        found = self._uses(self.steps.seeds(t, t + 1), only=k)
        return np.array(found[k].array[0]) if k in found else np.zeros(self._inner)

    def _placed(self, uses: Mapping[int, Rows]) -> Array:
        """One row of contributions as an array over the steps."""
        size = self.steps.length * self._size
        require_room(f"a row of contributions to {self.name}", size, "ask for one [t, k] at a time")
        found = np.zeros((self.steps.length, *self._inner))
        for k, rows in uses.items():
            if k != NOWHERE:
                found[k] = rows.array[0]
        return found

    def _uses(self, seeds: Iterable[Seed], only: int | None = None) -> dict[int, Rows]:
        """Return what reaches the weight through its use at each step, or at ``only`` one."""
        return {k: rows for (_, k), rows in self._users.reached(seeds, only).items()}


def _at(index: Any, length: int) -> int:
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
        raise TypeError(f"contributions: a step must be an integer or a slice, got {index!r}")
    if not -length <= index < length:
        raise IndexError(f"contributions: step {index} is out of range for {length} steps")
    return int(index) % length


@dataclass(frozen=True, slots=True)
class AllContributions(Mapping[str, Contributions]):
    """The contributions to each weight, by its name."""

    steps: Steps

    def __getitem__(self, name: str) -> Contributions:
        leaves = self.steps.leaves
        if name not in leaves:
            raise KeyError(f"no weight {name!r}; there are {', '.join(map(repr, leaves))}")
        return Contributions(self.steps, name, leaves[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps.leaves)

    def __len__(self) -> int:
        return len(self.steps.leaves)
