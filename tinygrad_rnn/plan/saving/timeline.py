"""``Timeline``: the order in which the operations of a program are best computed where memory is short.

A value is computed as late as the first that needs it allows, so that nothing waits in memory for its reader. Terms of
long sums and pieces of assembled values are the exception: they are taken in at once, and so they, and what leads to
nothing else, are computed as soon as what they read is there. A loss runs right behind the step that it reads, its way
back right before the step on the way back that needs it, in whatever order they were recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item, Program, kind_of
from tinygrad_rnn.plan.scheduling.schedule import bases

LONG = 8  # terms; a sum of more takes each in as soon as it is there
NEAR = 8  # operations; what takes no more from what is always there is computed with its first reader
_NEVER = 2**60


class Timeline:
    """When to compute what.

    Attributes:
        program: what is to be computed.
        order: the indices of its operations, views included, arguments first.
        rank: for each item its place in ``order``; -1 for inputs, leaves, constants and draws, which are always there.
        long: what is made of many terms, each of which can be taken in by itself.
        sums: those of it that are sums.
        frames: assembled values that nobody reads; they only give their pieces a place.
        view: whether an item is another reading of its argument's memory.
        home: for each item the one whose memory it lives in: what a view reads, the whole of which it is a piece.
        size: for each item the bytes that it takes by itself.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.long = {i for i, item in enumerate(program.items) if _is_long(program, item)}
        base = bases(program)
        self.view = [b != i for i, b in enumerate(base)]
        self.frames = _frames(program)
        when = _times(program, self.long, self.view)
        for i in sorted(self.frames):
            when[i] = max([when[a] for a in program.items[i].args])
        operations = [i for i, item in enumerate(program.items) if item.kind == "op"]
        self.order = sorted(operations, key=when.__getitem__)  # stable: of one time in recorded order
        self.sums = {i for i in self.long if program.items[i].op is not ASSEMBLE}
        self.rank = [-1] * len(program.items)
        for r, i in enumerate(self.order):
            self.rank[i] = r
        self.home = _homes(program, base)
        self.size = [
            math.prod(item.shape) * item.dtype.itemsize if self.home[i] == i else 0
            for i, item in enumerate(program.items)
        ]

    def reads(self) -> Iterator[tuple[int, int]]:
        """Yield (item, the rank at which it is read); a long sum reads a term when all of its factors are there."""
        for r, i in enumerate(self.order):
            item = self.program.items[i]
            if i in self.frames:
                continue
            if i not in self.long:
                for a in item.args:
                    yield a, r
                continue
            for term in terms(item):
                at = self.taken(term, r)
                for a in term:
                    yield a, at

    def writes(self, i: int) -> list[int]:
        """Return the ranks at which something is written to the memory of item ``i``, which is its own home."""
        item, own = self.program.items[i], self.rank[i]
        if i in self.long:
            return [own, *[self.taken(term, own) for term in terms(item)]]
        return [self.rank[a] for a in item.args] if item.op is ASSEMBLE else [own]

    def taken(self, term: tuple[int, ...], otherwise: int) -> int:
        """Return the rank at which a term of a long sum can be taken in, ``otherwise`` where it is always there."""
        last = max([self.rank[a] for a in term])
        return otherwise if last < 0 else last


def terms(item: Item) -> list[tuple[int, ...]]:
    """Return the arguments of a sum or an assembled value, those that belong together as one."""
    if item.op is SUM_OF_MATMULS:
        half = len(item.args) // 2
        return list(zip(item.args[:half], item.args[half:], strict=True))
    return [(a,) for a in item.args]


def _is_long(program: Program, item: Item) -> bool:
    """Return whether an item is made of many terms, each of which can be taken in by itself."""
    if item.op is SUM_OF_MATMULS:
        return len(item.args) > 2 * LONG
    if len(item.args) <= LONG:
        return False
    if item.op is ops.add_n:
        return all(kind_of(program.items[a]) == kind_of(item) for a in item.args)
    return item.op is ASSEMBLE


def _frames(program: Program) -> set[int]:
    """Return the assembled values that only give their pieces a place."""
    read = {a for item in program.items for a in item.args}.union(program.outputs)
    return {i for i, item in enumerate(program.items) if item.op is ASSEMBLE and i not in read}


def _homes(program: Program, base: list[int]) -> list[int]:
    """Return for each item the one whose memory it lives in."""
    whole = list(range(len(program.items)))
    for i, item in enumerate(program.items):
        if item.op is ASSEMBLE:
            for a in item.args:
                whole[a] = i
    return [whole[b] for b in base]


def _times(program: Program, long: set[int], view: list[bool]) -> list[int]:
    """Return a time for each operation, not before those of its arguments."""
    depth = _depths(program)
    latest, firm = _deadlines(program, long, depth)
    aside = _aside(program, long)
    times = [-1] * len(program.items)
    for i, item in enumerate(program.items):
        if depth[i] > NEAR:
            late = latest[i] == firm[i] and not aside[i]
            ready = max([times[a] for a in item.args])
            times[i] = latest[i] if late else ready + 1 if ready >= 0 else -1
    first = [len(times)] * len(times)
    for i in range(len(program.items) - 1, -1, -1):
        if times[i] < 0:
            times[i] = first[i]
        for a in program.items[i].args:
            first[a] = min(first[a], times[i])
    for i, item in enumerate(program.items):
        if view[i] and depth[item.args[0]] > NEAR:
            times[i] = times[item.args[0]]
    return times


def _aside(program: Program, long: set[int]) -> list[bool]:
    """Return which operations lead to nothing but a term of a long sum, by one way."""
    users = program.users()
    aside = [False] * len(program.items)
    wanted = set(program.outputs)
    for i in range(len(program.items) - 1, -1, -1):
        if i in wanted or program.items[i].kind != "op":
            continue
        one = len(users[i]) == 1 and aside[users[i][0]]
        aside[i] = one or long.issuperset(users[i])
    return aside


def _deadlines(program: Program, long: set[int], depth: list[int]) -> tuple[list[int], list[int]]:
    """Return the latest time of each item, and the one it would have if long sums needed only their deepest term."""
    items = program.items
    end = len(items)
    latest = [end] * len(items)
    firm = [_NEVER] * len(items)
    for i in program.outputs:
        firm[i] = end
    for i in range(len(items) - 1, -1, -1):
        item = items[i]
        before, firmly = latest[i] - 1, firm[i] - 1
        for a in item.args:
            latest[a] = min(latest[a], before)
        deepest = item.args
        if i in long:
            deepest = max(terms(item), key=lambda term: max([depth[a] for a in term]))
        for a in deepest:
            firm[a] = min(firm[a], firmly)
    return latest, firm


def _depths(program: Program) -> list[int]:
    """Return the number of operations on the longest way to each item."""
    depth = [0] * len(program.items)
    for i, item in enumerate(program.items):
        if item.kind == "op":
            depth[i] = 1 + max([depth[a] for a in item.args], default=0)
    return depth
