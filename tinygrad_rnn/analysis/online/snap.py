"""``SnAp1``: real-time recurrent learning that keeps of the influence what one step can reach."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn.analysis.online.onestep import Block, Cotangents, OneStep
from tinygrad_rnn.analysis.online.online import OnlineGradient
from tinygrad_rnn.core.graph import Node


class SnAp1(OnlineGradient):
    """The sparse one-step approximation: as small as the parameters, deterministic and biased.

    As ``RTRL``, but an entry (i, j) of P_t = dS_t/dtheta is kept only where parameter j reaches state i within a single
    step; all others are taken as 0:

        P_t = mask(dF/dtheta) * (J_t P_{t-1} + dF/dtheta)

    A weight of a simple recurrence reaches one unit in one step, so that P has as many entries as there are
    parameters, not n times as many. What is lost is influence by way of other units: none where the recurrence is
    diagonal (then the gradient is exact), more the more the units talk to each other.

    Which entries these are is a matter of the graph and not of today's numbers: it is found by pulling a nan back
    through the recorded step, and looked up again where a number turns up outside. Finding J_t and dF/dtheta still
    takes n vjps a step, as in ``RTRL``.

    Raises:
        ValueError: a derivative rule of the cell turns nan into a number.

    Source: Menick et al. (2020), section 3.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> rng = np.random.default_rng(0)
        >>> cell, xs = tr.nn.RNNCell(2, 8, rng=rng), rng.normal(size=(5, 2))
        >>> for method in (tr.RTRL, tr.SnAp1):
        ...     print(method(cell, cell).run(xs, lambda h: (h * h).sum()).carried)
        768
        96
    """

    method: ClassVar[str] = "SnAp-1"

    def __init__(self, cell: Any, parameters: Any, state: Any = None) -> None:
        super().__init__(cell, parameters, state)
        self._kept: dict[Node, Kept] = {}
        self._reaches: Any = (
            None  # (n, n): whether state k reaches state i in one step; None before the first
        )

    @property
    def carried(self) -> int:
        """The number of entries that are kept."""
        return sum(kept.values.size for kept in self._kept.values())

    def _through(self, cotangent: Any) -> Cotangents:
        return {leaf: kept.through(cotangent) for leaf, kept in self._kept.items()}

    def _advance(self, recorded: OneStep) -> None:
        state, fresh = self._read(recorded)
        if fresh is None:
            self._look_up(recorded)
            state, fresh = self._read(recorded)
        if fresh is None:
            raise ValueError(
                "SnAp1: a derivative rule in the cell hides nan, so what it reaches cannot be found"
            )
        for leaf, kept in self._kept.items():
            kept.advance(state, self._reaches, fresh[leaf])

    def _read(self, recorded: OneStep) -> tuple[Any, dict[Node, Any] | None]:
        """Return J and the kept entries of dF/dtheta, block by block; None for these where one lies outside."""
        state, fresh = [], {leaf: np.zeros(kept.values.size) for leaf, kept in self._kept.items()}
        for block in recorded.blocks():
            if block.state.size and (self._reaches is None or self._outside(block)):
                return None, None
            state.append(block.state)
            for leaf, rows in block.parameters.items():
                if leaf not in fresh and np.any(rows):
                    return None, None
                if leaf in fresh and not self._kept[leaf].read(block.first, rows, fresh[leaf]):
                    return None, None
        return np.concatenate(state) if state else np.zeros((0, 0)), fresh

    def _outside(self, block: Block) -> bool:
        known = self._reaches[block.first : block.first + len(block.state)]
        return bool(np.any(block.state[~known]))

    def _look_up(self, recorded: OneStep) -> None:
        """Widen what is kept by what the graph of this step can reach."""
        reaches: list[Any] = []
        touched: dict[Node, list[Any]] = {}
        for block in recorded.blocks(unit=float("nan")):
            reaches.append(np.isnan(block.state))
            for leaf, entries in block.parameters.items():
                rows, columns = np.nonzero(np.isnan(entries))
                touched.setdefault(leaf, []).append((block.first + rows, columns))
        found_reaches = np.concatenate(reaches)
        if found_reaches.shape[1]:
            self._reaches = found_reaches if self._reaches is None else self._reaches | found_reaches
        for leaf, parts in touched.items():
            every, where = (np.concatenate(part) for part in zip(*parts, strict=True))
            self._kept[leaf] = Kept.widened(self._kept.get(leaf), every, where, int(np.prod(leaf.shape)))
        for kept in self._kept.values():
            kept.forget_pairs()


class Kept:
    """The kept entries of the influence (n, size) of one leaf, sorted by column and then by row.

    Attributes:
        rows, columns: where each entry stands.
        values: the entries.
    """

    __slots__ = ("_pairs", "_size", "columns", "rows", "values")

    def __init__(self, rows: Any, columns: Any, size: int) -> None:
        self.rows, self.columns, self._size = rows, columns, size
        self.values: Any = np.zeros(rows.size)
        self._pairs: tuple[Any, Any] | None = None

    @classmethod
    def widened(cls, old: Kept | None, rows: Any, columns: Any, size: int) -> Kept:
        """Return the entries of ``old`` with its values and those at ``rows`` and ``columns``, as yet 0."""
        n = int(np.max(rows, initial=-1)) + 1
        if old is not None:
            n = max(n, int(np.max(old.rows, initial=-1)) + 1)
            rows, columns = np.concatenate([old.rows, rows]), np.concatenate([old.columns, columns])
        keys = np.unique(columns * n + rows)
        new = cls(keys % n, keys // n, size) if n else cls(rows, columns, size)
        if old is not None:
            new.values[np.searchsorted(keys, old.columns * n + old.rows)] = old.values
        return new

    def forget_pairs(self) -> None:
        """Find anew which entries feed which, at the next step."""
        self._pairs = None

    def read(self, first: int, rows: Any, fresh: Any) -> bool:
        """Put some rows of dF/dtheta into ``fresh`` where they are kept; return whether nothing was left over."""
        mine = np.flatnonzero((self.rows >= first) & (self.rows < first + len(rows)))
        fresh[mine] = rows[self.rows[mine] - first, self.columns[mine]]
        return bool(np.count_nonzero(fresh[mine]) == np.count_nonzero(rows))

    def through(self, cotangent: Any) -> Any:
        """Return ``cotangent @ P`` (size,)."""
        return np.bincount(self.columns, cotangent[self.rows] * self.values, minlength=self._size)

    def advance(self, state: Any, reaches: Any, fresh: Any) -> None:
        """P_ij becomes the sum of J_ik P_kj over the kept k of column j, plus the fresh (dF/dtheta)_ij."""
        moved = np.zeros(self.values.size)
        if state.size:
            into, out_of = self._feeding(reaches)
            weights = state[self.rows[into], self.rows[out_of]] * self.values[out_of]
            moved = np.bincount(into, weights, minlength=moved.size)
        self.values = moved + fresh

    def _feeding(self, reaches: Any) -> tuple[Any, Any]:
        """Return all pairs (into, out of) of entries in one column such that the one's state feeds the other's."""
        if self._pairs is None:
            _, first, counts = np.unique(self.columns, return_index=True, return_counts=True)
            partners = np.repeat(counts, counts)
            into = np.repeat(np.arange(self.columns.size), partners)
            place = np.arange(into.size) - np.repeat(np.cumsum(partners) - partners, partners)
            out_of = np.repeat(np.repeat(first, counts), partners) + place
            feeds = reaches[self.rows[into], self.rows[out_of]]
            self._pairs = into[feeds], out_of[feeds]
        return self._pairs
