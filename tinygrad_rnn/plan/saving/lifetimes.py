"""``Lifetimes``: from when to when each value of a timeline lies in memory, and where few do."""

from __future__ import annotations

import numpy as np

from tinygrad_rnn.plan.saving.timeline import Timeline


class Lifetimes:
    """One entry for each home of the timeline, in the order of the program. Times are ranks.

    Attributes:
        block: for each item of the program the entry of its home; -1 for what is always there.
        size: bytes; none for long sums, which are there however one cuts.
        born: when its first piece is written.
        complete: when its last piece is written.
        last: when it is last read; ``end`` if it is wanted.
        wanted: whether an output lies in it.
        end: the rank behind everything.
        turn: when the most is alive: there the way back begins.
        last_there: when it is last read or written up to the turn.
        first_back: when it is first read after the turn, else ``end``.
    """

    def __init__(self, timeline: Timeline) -> None:
        program, rank, home = timeline.program, timeline.rank, timeline.home
        self.end = end = len(timeline.order)
        own = [i for i, item in enumerate(program.items) if item.kind == "op" and home[i] == i]
        entry = dict(zip(own, range(len(own)), strict=True))
        self.block = [entry.get(home[i], -1) for i in range(len(rank))]
        self.size = np.array([timeline.size[i] if i not in timeline.sums else 0 for i in own], np.int64)
        blocks, ranks = _columns([(self.block[i], r) for i in own for r in timeline.writes(i)])
        self.born = np.full(len(own), end)
        np.minimum.at(self.born, blocks, ranks)
        self.complete = np.zeros(len(own), np.int64)
        np.maximum.at(self.complete, blocks, ranks)
        read, at = _columns([(self.block[a], r) for a, r in timeline.reads() if self.block[a] >= 0])
        self.last = self.complete.copy()
        np.maximum.at(self.last, read, at)
        self.wanted = np.zeros(len(own), bool)
        self.wanted[[self.block[i] for i in program.outputs if self.block[i] >= 0]] = True
        self.last[self.wanted] = end
        alive = crossing(self.size, self.born, self.last + 1, end)
        self.turn = int(alive.argmax()) if end else -1
        there = at <= self.turn
        self.last_there = np.minimum(self.complete, self.turn)
        np.maximum.at(self.last_there, read[there], at[there])
        self.first_back = np.full(len(own), end)
        np.minimum.at(self.first_back, read[~there], at[~there])

    def cuts_there(self, segments: int) -> list[int]:
        """Return the ranks behind which to cut the way there into at most that many segments of about equal bytes."""
        end = self.turn + 1
        weight = np.bincount(np.minimum(self.born, end), self.size, end + 1)[:end]
        # what crosses is kept for each segment; the way back had better need it itself
        price = self.size * np.where(self.first_back < self.end, segments, 1.5 * segments)
        return cuts(weight, crossing(price, self.born, self.last_there, end), segments)


def _columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def crossing(size: np.ndarray, start: np.ndarray, stop: np.ndarray, end: int) -> np.ndarray:
    """Return for each rank below ``end`` the bytes of what is there from ``start`` until before ``stop``."""
    change = np.zeros(end + 2, size.dtype)
    np.add.at(change, np.minimum(start, end), size)
    np.subtract.at(change, np.minimum(np.maximum(stop, start), end), size)
    return change.cumsum()[:end]


def cuts(weight: np.ndarray, across: np.ndarray, pieces: int) -> list[int]:
    """Return the ranks behind which to cut into pieces of about equal weight, where little crosses.

    Args:
        weight: of each rank.
        across: what a cut behind each rank costs, in units of weight.
        pieces: at most that many; a cut lies within half a piece of its ideal place, behind the cut before.
    """
    total = weight.cumsum()
    if not len(total) or not total[-1]:
        return []
    result: list[int] = []
    for k in range(1, pieces):
        low, high = np.searchsorted(total, total[-1] * np.array([k - 0.5, k + 0.5]) / pieces)
        low = max(low, result[-1] + 1 if result else 0)
        high = min(high, len(total) - 1)
        if low < high:
            astray = np.abs(total[low:high] - total[-1] * k / pieces)
            result.append(int(low + (across[low:high] + astray).argmin()))
    return result
