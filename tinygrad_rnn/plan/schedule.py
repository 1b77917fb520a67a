"""``scheduled``: which operations of a program run together, and in which order.

Operations of one class (the same operation, parameters, shapes and neighborhood) may run as one, if none depends on
another. Merging each class into a point gives a quotient graph; a strongly connected component of it with more than one
point, or a loop, is a recurrence, and everything else can be batched whole. Inside a recurrence operations
are batched by level, its longest path (on-the-fly operation batching: Neubig, Goldberg and Dyer 2017). So the products
of all inputs with a weight become one, whatever the order in which they were recorded, and so do readouts, losses and
weight gradients; only the recurrence itself runs step by step. Nothing here knows of time.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.primitives.indexing import Slice
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS, Item, Program

ALONE = (SUM_OF_MATMULS, ops.add_n)  # each reads its own arguments side by side
MOST_TERMS = 4  # of a sum that may be batched with others
SHARED = 4  # uses; a source with more is a weight, and products with different weights are not one batch
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that run as one operation: same operation, parameters, shapes, and none depends on another."""

    members: tuple[int, ...]


def views(program: Program) -> list[bool]:
    """Return which items are another reading of their argument's memory, and so cost nothing."""
    contiguous: list[bool] = []
    result: list[bool] = []
    for item in program.items:
        view, flat = False, True
        if item.op is ops.transpose:
            view, flat = True, False
        elif item.op is ops.reshape:
            view = contiguous[item.args[0]]
        elif item.op is ops.getitem and len(item.args) == 1:
            view, flat = True, contiguous[item.args[0]] and _leading(item.params["key"])
        result.append(view)
        contiguous.append(flat)
    return result


def _leading(key: Sequence[object]) -> bool:
    """Return whether a key of integers and slices takes one unbroken piece of memory."""
    while key and isinstance(key[0], int):
        key = key[1:]
    if not key:
        return True
    return len(key) == 1 and isinstance(key[0], Slice) and key[0].step in (None, 1)


def scheduled(order: Order) -> list[Batch]:
    """Return the batches in an order in which they can run."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i in order.work:
        groups.setdefault((order.component[i], order.level[i], order.classes[i]), []).append(i)
    return [Batch(tuple(members)) for _, members in sorted(groups.items())]


class Order:
    """What must run before what.

    Attributes:
        work: the items that must be computed; views and assembled values cost nothing.
        base: for each item the one whose memory it reads.
        classes: for each item of work a number, the same for those that could run as one.
        component: for each item of work the rank of its strongly connected component of classes.
        recurrent: the ranks of components that are recurrences.
        level: for each item of work its depth inside its component.
    """

    def __init__(self, program: Program) -> None:
        view = views(program)
        self.base = _bases(program, view)
        self.work = [
            i
            for i, item in enumerate(program.items)
            if item.kind == "op" and not view[i] and item.op is not ASSEMBLE
        ]
        inner = set(self.work)
        deps = {
            i: [d for a in program.items[i].args for d in _makers(program, self.base, a) if d in inner]
            for i in self.work
        }
        self.classes = _classes(program, self.work, self.base)
        rank = _components(self.classes, deps, self.work)
        self.component = {i: rank[c] for i, c in self.classes.items()}
        self.recurrent = _recurrent(self.classes, rank, deps)
        self.level = _levels(self.work, deps, self.component)


def _recurrent(classes: dict[int, int], rank: dict[int, int], deps: dict[int, list[int]]) -> set[int]:
    """Return the components of several classes, or of one that depends on itself."""
    loops = {rank[c] for i, c in classes.items() if any(classes[d] == c for d in deps[i])}
    seen: dict[int, int] = {}
    for c, r in rank.items():
        if seen.setdefault(r, c) != c:
            loops.add(r)
    return loops


def _makers(program: Program, base: list[int], i: int) -> list[int]:
    """Return the items that write the memory that item i reads."""
    source = base[i]
    item = program.items[source]
    return [m for a in item.args for m in _makers(program, base, a)] if item.op is ASSEMBLE else [source]


def _bases(program: Program, view: list[bool]) -> list[int]:
    """Return for each item the item whose memory it reads."""
    base: list[int] = []
    for i, item in enumerate(program.items):
        base.append(base[item.args[0]] if view[i] else i)
    return base


def _classes(program: Program, work: list[int], base: list[int]) -> dict[int, int]:
    """Return a number for each operation, the same for those that could run as one."""
    # of each reading: the steps of a sequence are readings of one array, each used little
    uses = [0] * len(program.items)
    for i in work:
        for a in program.items[i].args:
            uses[a] += 1
    stripped: dict[tuple[str, ...], Hashable] = {}
    first = {
        i: i
        if program.items[i].op in ALONE and program.items[i].shape and not _short(program.items[i])
        else _signature(program.items[i], program, stripped)
        for i in work
    }

    def neighbor(a: int) -> Hashable:
        source = base[a]
        if source in first:
            return first[source]
        if program.items[source].op is ASSEMBLE:
            return ASSEMBLE, program.items[a].shape
        shared = a if uses[a] > SHARED and program.items[a].shape else None
        return program.items[source].kind, program.items[a].shape, shared

    numbers: dict[Hashable, int] = {}
    second = {
        i: (first[i], tuple([neighbor(a) for a in program.items[i].args]))
        if program.items[i].shape
        else first[i]
        for i in work
    }  # numbers are gathered anyway: the larger their batches, the better
    return {i: numbers.setdefault(second[i], len(numbers)) for i in work}


def _short(item: Item) -> bool:
    """Return whether a sum has so few terms that running it with others pays more than reading it in one go."""
    return item.op is ops.add_n and len(item.args) <= MOST_TERMS


def _signature(item: Item, program: Program, stripped: dict[tuple[str, ...], Hashable]) -> Hashable:
    scope = stripped.get(item.scope)
    if scope is None:
        scope = stripped[item.scope] = tuple(_DIGITS.sub("#", part) for part in item.scope)
    shapes = tuple([(program.items[a].shape, program.items[a].dtype) for a in item.args])
    params = tuple(sorted(item.params.items())) if item.params else ()
    return item.op, params, shapes, item.dtype, scope


def _components(classes: dict[int, int], deps: dict[int, list[int]], work: list[int]) -> dict[int, int]:
    """Return for each class the rank of its strongly connected component, arguments first (Tarjan 1972)."""
    edges: dict[int, set[int]] = {c: set() for c in classes.values()}
    for i in work:
        edges[classes[i]].update(classes[d] for d in deps[i])
    rank: dict[int, int] = {}
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    closed = 0
    for root in edges:
        if root in order:
            continue
        stack = [(root, iter(sorted(edges[root])))]
        order[root] = low[root] = len(order)
        path.append(root)
        while stack:
            node, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
                if low[node] == order[node]:
                    _close(node, path, rank, closed)
                    closed += 1
            elif step not in order:
                order[step] = low[step] = len(order)
                path.append(step)
                stack.append((step, iter(sorted(edges[step]))))
            elif step not in rank:
                low[node] = min(low[node], order[step])
    return rank


def _close(node: int, path: list[int], rank: dict[int, int], number: int) -> None:
    while True:
        member = path.pop()
        rank[member] = number
        if member == node:
            return


def _levels(work: Iterable[int], deps: dict[int, list[int]], component: dict[int, int]) -> dict[int, int]:
    """Return the length of the longest path to each operation inside its component."""
    level: dict[int, int] = {}
    for i in work:
        own = component[i]
        level[i] = max((level[d] + 1 for d in deps[i] if component[d] == own), default=0)
    return level
