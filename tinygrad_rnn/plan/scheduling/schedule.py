"""``scheduled``: which operations of a program run together, and in which order.

Operations of one class (the same operation, parameters, shapes and neighborhood) may run as one, if none depends on
another. Merging each class into a point gives a quotient graph; a strongly connected component of it with more than one
point, or a loop, is a recurrence, and everything else can be batched whole. Inside a recurrence operations
are batched by level, its longest path (on-the-fly operation batching: Neubig, Goldberg and Dyer 2017). So the products
of all inputs with a weight become one, whatever the order in which they were recorded, and so do readouts, losses and
weight gradients; only the recurrence itself runs step by step. Nothing here knows of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.primitives.indexing import Slice
from tinygrad_rnn.plan.program import ASSEMBLE, Batch, Item, Program
from tinygrad_rnn.plan.scheduling.blocking import in_blocks
from tinygrad_rnn.plan.scheduling.classes import ALONE, Classes
from tinygrad_rnn.plan.scheduling.components import components, recurrent

SPREAD = 4  # members, at least, of a batch that is split from another one


def bases(program: Program) -> list[int]:
    """Return for each item the one whose memory it reads: itself, unless it is another reading of its argument."""
    base: list[int] = []
    contiguous = [True] * len(program.items)
    for item in program.items:
        if item.op is ASSEMBLE:
            for piece, key in zip(item.args, item.params["keys"], strict=True):
                contiguous[piece] = _leading(key)
    for i, item in enumerate(program.items):
        op, source = item.op, i
        if op is ops.transpose:
            source, contiguous[i] = item.args[0], False
        elif op is ops.reshape:
            if contiguous[item.args[0]]:
                source = item.args[0]
        elif op is ops.getitem and len(item.args) == 1:
            source = item.args[0]
            contiguous[i] = contiguous[source] and _leading(item.params["key"])
        base.append(i if source == i else base[source])
    return base


def _leading(key: Sequence[object]) -> bool:
    """Return whether a key of integers and slices takes one unbroken piece of memory."""
    while key and isinstance(key[0], int):
        key = key[1:]
    if not key:
        return True
    return len(key) == 1 and isinstance(key[0], Slice) and key[0].step in (None, 1)


def scheduled(order: Order) -> list[Batch]:
    """Return the batches in an order in which they can run."""
    groups: dict[tuple[int, int, int, int], list[int]] = {}
    phase, component, level, classes = order.phase, order.component, order.level, order.classes
    for i in order.work:
        groups.setdefault((phase[i], component[i], level[i], classes[i]), []).append(i)
    spots = _Spots(order.items, order.base)
    result: list[Batch] = []
    for _, keys in groupby(sorted(groups), key=itemgetter(0)):
        batches: list[Batch] = []
        fixed: list[bool] = []
        for key in keys:
            recurrent = key[1] in order.recurrent
            parts = [groups[key]] if recurrent else spots.split(groups[key])
            batches += [Batch(tuple(part)) for part in parts]
            fixed += [recurrent] * len(parts)
        result += in_blocks(order, batches, fixed)  # nothing leaves its phase
    return result


class _Spots:
    """Tells where in a whole each value lies: as a piece of it, or as a reading of a part."""

    def __init__(self, items: list[Item], base: list[int]) -> None:
        self.items, self.base = items, base
        self._home: dict[int, Hashable] = {}
        for item in items:
            if item.op is ASSEMBLE:
                keys = map(_columns, item.params["keys"])
                self._home.update(zip(item.args, keys, strict=True))

    def split(self, members: list[int]) -> list[list[int]]:
        """Return members in groups that lie, and read their arguments, at the same spots of their wholes.

        Values at one spot of many wholes can be at a constant distance, where those at several spots are not. Members
        at hardly any common spots, such as the rows of one array, stay together.
        """
        first = self.items[members[0]]
        if len(members) < 2 * SPREAD or not first.shape or first.op in ALONE:
            return [members]
        groups: dict[Hashable, list[int]] = {}
        for m in members:
            groups.setdefault(tuple([self._spot(a) for a in (m, *self.items[m].args)]), []).append(m)
        return list(groups.values()) if len(groups) * SPREAD <= len(members) else [members]

    def _spot(self, i: int) -> Hashable:
        keys = []
        while i != self.base[i]:
            if self.items[i].op is ops.getitem:
                keys.append(_columns(self.items[i].params["key"]))
            i = self.items[i].args[0]
        return self._home.get(i), *keys


def _columns(key: tuple[Any, ...]) -> Hashable:
    """Return a key without its integers: rows of one array are at a constant distance, as the columns of all rows."""
    return tuple([part for part in key if not isinstance(part, int)])


class Order:
    """What must run before what.

    Attributes:
        items: those of the program.
        phase: for each item its phase; phases run one after the other, and nothing of two of them runs together.
        made: the operations that are no other reading of an item, assembled values among them.
        deps: for each of these those that must be made before; an assembled value stands for its pieces.
        work: those that must be computed; views and assembled values cost nothing.
        base: for each item the one whose memory it reads.
        home: for each piece of an assembled value that value.
        classes: for each item of work a number, the same for those that could run as one; -1 for other items, but
            a number of its own for each assembled value, through which its readers wait for its pieces.
        component: for each of these twice the rank of its strongly connected component of classes, and 1 more where
            it follows that component; a negative number for others.
        recurrent: the ranks of components that are recurrences.
        level: for each of these its depth inside its component.
    """

    def __init__(self, program: Program, phase: Sequence[int] | None = None) -> None:
        self.items = items = program.items
        self.phase = [0] * len(items) if phase is None else phase
        self.base = base = bases(program)
        self.made = made = [i for i, item in enumerate(items) if item.kind == "op" and base[i] == i]
        self.work = [i for i in made if items[i].op is not ASSEMBLE]
        self.classes = Classes(items, base, self.work).numbers(made, self.phase)
        self.deps = deps = self._deps(items, made)
        self.home = {p: i for i in made if items[i].op is ASSEMBLE for p in items[i].args}
        edges: list[set[int]] = [set() for _ in range(max(self.classes, default=-1) + 1)]
        for i in made:
            edges[self.classes[i]].update([self.classes[d] for d in deps[i]])
        rank = components(edges)
        self.component = [-1] * len(items)
        for i in made:
            self.component[i] = 2 * rank[self.classes[i]]
        self.recurrent = {2 * r for r in recurrent(edges, rank)}
        self._put_off(made, deps)
        self.level = self._levels(items, made, deps)

    def _put_off(self, made: list[int], deps: list[list[int]]) -> None:
        """Let what a recurrence does not read itself follow it, where it is much the same in many steps.

        It came in because it is of one class with something that the recurrence reads.
        """
        component, classes = self.component, self.classes
        read = {d for i in made for d in deps[i] if component[d] == component[i]}
        loose = [i for i in made if component[i] in self.recurrent and i not in read]
        counts = Counter([classes[i] for i in loose])
        for i in loose:
            if counts[classes[i]] >= SPREAD:
                component[i] += 1

    def _deps(self, items: list[Item], made: list[int]) -> list[list[int]]:
        """Return for each item that is made those that must be made before."""
        base, classes = self.base, self.classes
        deps: list[list[int]] = [[]] * len(items)
        for i in made:
            deps[i] = [d for d in [base[a] for a in items[i].args] if classes[d] >= 0]
        return deps

    def _levels(self, items: list[Item], made: list[int], deps: list[list[int]]) -> list[int]:
        """Return the depth of each operation inside its component.

        It is the longest path to it, or the longest path from it, counted back: of sequences of several lengths the
        first aligns the starts, the second the ends. That one is taken which puts into one level what reads from one
        level of the recurrences before it, so that what lies together is read together.
        """
        component, recurrent = self.component, self.recurrent
        early, near = [0] * len(items), [-1] * len(items)
        for i in made:
            own, inner, outer = component[i], [-1], [-1]
            for d in deps[i]:
                if component[d] == own:
                    inner.append(early[d] + (items[i].op is not ASSEMBLE))
                else:
                    outer.append(early[d] if component[d] in recurrent else near[d])
            near[i] = max(outer)
            if own in recurrent:
                early[i] = max(0, *inner)
            else:
                near[i] = max(near[i], *(near[d] for d in deps[i]), -1)
        late = self._late(items, early)
        seen: dict[int, tuple[set[Any], set[Any]]] = {c: (set(), set()) for c in recurrent}
        for i in made:
            if component[i] in recurrent and near[i] >= 0:
                for pairs, level in zip(seen[component[i]], (early, late), strict=True):
                    pairs.add((level[i], self.classes[i], near[i]))
        turned = {c for c, (starts, ends) in seen.items() if len(ends) < len(starts)}
        return [late[i] if component[i] in turned else early[i] for i in range(len(items))]

    def _late(self, items: list[Item], early: list[int]) -> list[int]:
        """Return the last level of each operation at which no other one has to wait for it."""
        component = self.component
        last: dict[int, int] = {}
        for i in self.made:
            last[component[i]] = max(last.get(component[i], 0), early[i])
        late = [last.get(c, 0) for c in component]
        for i in reversed(self.made):
            if component[i] in self.recurrent:
                before = late[i] - (items[i].op is not ASSEMBLE)
                for d in self.deps[i]:
                    if component[d] == component[i]:
                        late[d] = min(late[d], before)
        return late


__all__ = ["Batch", "Order", "bases", "scheduled"]
