"""``allocated``: the place of each block in one arena; blocks that are not needed at the same time share memory."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Instruction, Operand, Scattered

LINE = 64  # bytes; every block begins at a cache line


def lifetimes(instructions: Sequence[Instruction], count: int) -> tuple[list[int], list[int]]:
    """Return for each of ``count`` blocks the first and the last instruction that touches it; -1 where none does."""
    first, last = [-1] * count, [-1] * count
    for k, instruction in enumerate(instructions):
        for operand in (instruction.out, *instruction.args):
            for block in _touched(operand):
                if first[block] < 0:
                    first[block] = k
                last[block] = k
    return first, last


def _touched(operand: Operand) -> Iterable[int]:
    return set(operand.blocks.tolist()) if isinstance(operand, Scattered) else (operand[0],)


def allocated(
    blocks: Sequence[tuple[np.dtype[Any], int]],
    instructions: Sequence[Instruction],
    given: set[int],
    kept: set[int],
    fixed: set[int],
) -> tuple[list[int], int]:
    """Return the first byte of each block, and how many bytes there are in all.

    Args:
        blocks: dtype and number of entries.
        instructions: in the order of running.
        given: blocks that are written before the first instruction.
        kept: blocks that are read after the last one.
        fixed: blocks whose contents outlive a run.
    """
    first, last = lifetimes(instructions, len(blocks))
    end = len(instructions)
    born: list[list[int]] = [[] for _ in range(end + 1)]
    dead: list[list[int]] = [[] for _ in range(end + 1)]
    starts = [0] * len(blocks)
    room = Room()
    lengths = [-(-size * dtype.itemsize // LINE) * LINE for dtype, size in blocks]
    for block, length in enumerate(lengths):
        if block in fixed:
            starts[block] = room.taken(length)
        elif block in given or first[block] >= 0 or block in kept:
            born[0 if block in given or first[block] < 0 else first[block]].append(block)
            if block not in kept:
                dead[max(last[block], 0)].append(block)
    for k in range(end + 1):
        for block in born[k]:
            starts[block] = room.taken(lengths[block])
        for block in dead[k]:
            room.free(starts[block], lengths[block])
    return starts, room.size


class Room:
    """Bytes in one row, of which runs are taken and freed; the smallest free run that is large enough is taken.

    Attributes:
        size: the most bytes that were needed so far.
        free_runs: (length, start) of each free run, shortest first.
    """

    def __init__(self) -> None:
        self.size = 0
        self.free_runs: list[tuple[int, int]] = []
        self._length: dict[int, int] = {}  # of the free run that begins there
        self._start: dict[int, int] = {}  # of the free run that ends there

    def taken(self, length: int) -> int:
        """Return where a run of ``length`` bytes begins that is now taken."""
        if not length:
            return 0
        k = bisect_left(self.free_runs, (length, -1))
        if k < len(self.free_runs):
            found, start = self.free_runs[k]
            self._forget(start, found)
            if found > length:
                self._remember(start + length, found - length)
            return start
        start = self._start.get(self.size, self.size)  # a free run at the end grows
        if start < self.size:
            self._forget(start, self.size - start)
        self.size = start + length
        return start

    def free(self, start: int, length: int) -> None:
        """Give a run back; it becomes one with its free neighbors."""
        if not length:
            return
        end = start + length
        if end in self._length:
            after = self._length[end]
            self._forget(end, after)
            end += after
        if start in self._start:
            before = self._start[start]
            self._forget(before, start - before)
            start = before
        self._remember(start, end - start)

    def _remember(self, start: int, length: int) -> None:
        insort(self.free_runs, (length, start))
        self._length[start] = length
        self._start[start + length] = start

    def _forget(self, start: int, length: int) -> None:
        del self.free_runs[bisect_left(self.free_runs, (length, start))]
        del self._length[start], self._start[start + length]
