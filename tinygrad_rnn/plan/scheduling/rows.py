"""``Rows``: in which order the members of a batch should stand, so that what a recurrence reads lies together.

A batch that runs whole may have its members in any order, and so may a joined sum its terms. The best is that of the
recurrence: step by step, and within a step the longest sequences first. Then a step reads one piece of memory, and the
rows that go on are the first of those that were there. Nothing here knows of time: a step is a level of a recurrence,
a row is whatever can be followed through its levels.
"""

from __future__ import annotations

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.plan.program import SUM_OF_MATMULS, Program, with_args
from tinygrad_rnn.plan.scheduling.schedule import Batch, Order

Rank = tuple[int, int, int]
NOWHERE: Rank = (-1, 0, 0)


def aligned(program: Program, order: Order, batches: list[Batch]) -> tuple[Program, list[Batch]]:
    """Return the program with the terms of its long sums, and the batches with their members, in the order of rows.

    Where all rows are equally long they stay in the order of recording, which has every step at the same distance.
    """
    rows = Rows(order)
    if not rows.ragged():
        return program, batches
    rank = rows.ranks()
    items = list(program.items)
    for i in order.work:
        if items[i].op is SUM_OF_MATMULS or items[i].op is ops.add_n:
            items[i] = with_args(items[i], _terms(program, i, rank, order.base))
    new = [Batch(tuple(sorted(batch.members, key=lambda m: (rank[m], m)))) for batch in batches]
    return Program(items, program.outputs), new


def _terms(program: Program, i: int, rank: list[Rank], base: list[int]) -> tuple[int, ...]:
    """Return the arguments of a sum in the order of their rows; a product has the rank of its later factor."""
    args = program.items[i].args
    if program.items[i].op is not SUM_OF_MATMULS:
        return tuple(sorted(args, key=lambda a: rank[base[a]]))
    half = len(args) // 2
    pairs = sorted(
        zip(args[:half], args[half:], strict=True), key=lambda p: max(rank[base[p[0]]], rank[base[p[1]]])
    )
    return tuple([p[0] for p in pairs] + [p[1] for p in pairs])


class Rows:
    """Follows rows through the levels of recurrences, and from there to what feeds on them or feeds them.

    Inside a recurrence what hangs together is a row. One that reads from an earlier recurrence, as the way back does,
    has the rows and the steps of that one.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.step = [-1] * len(order.component)
        self.root = list(range(len(order.component)))
        self.length: dict[int, int] = {}
        self._borrowed: dict[int, int] = {}  # a row of a later recurrence: that of an earlier one
        recurrent = [i for i in order.made if order.component[i] in order.recurrent]
        for i in recurrent:
            for d in order.deps[i]:
                if order.component[d] == order.component[i]:
                    self.root[self._root(i)] = self._root(d)
        for i in recurrent:
            root = self.root[i] = self._root(i)
            self.length[root] = max(self.length.get(root, 0), order.level[i])
        self.row = list(self.root)

    def _root(self, i: int) -> int:
        root = self.root
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    def ragged(self) -> bool:
        """Return whether a recurrence has rows of several lengths."""
        lengths: dict[int, set[int]] = {}
        for root, length in self.length.items():
            lengths.setdefault(self.order.component[root], set()).add(length)
        return any(len(found) > 1 for found in lengths.values())

    def ranks(self) -> list[Rank]:
        """Return the rank of each item: its step, its row (longest first); equal where nothing tells."""
        order = self.order
        self._follow(set())
        first = {
            i
            for i in order.made
            if order.component[i] in order.recurrent and self.root[i] not in self._borrowed
        }
        fed = self._feed(first)
        self._follow(fed)  # now with what reads the state before the first step
        self._feed({i for i in order.made if self.step[i] >= 0})
        length = self.length
        pairs = zip(self.step, self.row, strict=True)
        return [NOWHERE if step < 0 else (step, -length.get(row, 0), row) for step, row in pairs]

    def _follow(self, fed: set[int]) -> None:
        """Set the step and the row of what depends on a recurrence; once there is what feeds one, of the rest."""
        order, step, row, root, borrowed = self.order, self.step, self.row, self.root, self._borrowed
        for i in order.made:
            own, deps = order.component[i], order.deps[i]
            recurrent = own in order.recurrent
            if i in fed or (fed and recurrent and root[i] not in borrowed):
                continue
            outer = [d for d in deps if step[d] >= 0 and not (recurrent and order.component[d] == own)]
            if outer:
                latest = max(outer, key=step.__getitem__)
                step[i], row[i] = step[latest], row[latest]
                if recurrent:
                    row[i] = borrowed.setdefault(root[i], row[i])
            elif recurrent and root[i] in borrowed:
                inner = [step[d] for d in deps if order.component[d] == own]
                step[i], row[i] = max(inner, default=0), borrowed[root[i]]
            elif recurrent:
                step[i] = order.level[i]

    def _feed(self, users: set[int]) -> set[int]:
        """Give what ``users`` are made from, and has none, the step and the row of the first of them; return those."""
        order, step, row = self.order, self.step, self.row
        fed: set[int] = set()
        for i in reversed(order.made):
            if i in users or i in fed:
                for d in order.deps[i]:
                    if d in fed or step[d] < 0:
                        fed.add(d)
                        if step[d] < 0 or step[i] < step[d]:
                            step[d], row[d] = step[i], row[i]
        return fed
