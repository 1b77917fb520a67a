"""Many backward passes over one graph at once: the cotangents of a node are rows of one array.

Row r is an ordinary backward pass of its own (of the loss at time r, say, or of one entry of a state). A rule is linear
in the cotangent, so an elementwise operation needs its partial once for all rows and a matrix product stays one
product. Other operations are pulled back row by row, by the same rule as in ``backward``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import local_vjp
from tinygrad_rnn.core.graph import Graph, Node, refuse_stale
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives.indexing import decode
from tinygrad_rnn.core.value import Value

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Rows:
    """The cotangents of a node in the passes ``first`` to ``first + len(array) - 1``; those of the others are 0.

    Attributes:
        first: the first pass.
        array: (passes, *shape of the node).
    """

    first: int
    array: Array

    def __add__(self, other: Rows) -> Rows:
        if self.first == other.first and len(self.array) == len(other.array):
            return Rows(self.first, self.array + other.array)
        first = min(self.first, other.first)
        last = max(self.first + len(self.array), other.first + len(other.array))
        total = np.zeros((last - first, *self.array.shape[1:]))
        for rows in (self, other):
            start = rows.first - first
            total[start : start + len(rows.array)] += rows.array
        return Rows(first, total)


Seed = tuple[int, Rows]  # a node by its index, and what reaches it from outside
Edge = Callable[[int, int, Rows], Rows | None]
SEED = -1  # stands in the place of the child where rows come from a seed


def sweep(
    graph: Graph,
    seeds: Iterable[Seed],
    through: Array,
    watched: Set[int] = frozenset(),
    edge: Edge | None = None,
) -> Iterator[int]:
    """Run the passes backward over a graph; yields each watched node that they reach, when all its users have been.

    Args:
        graph: the graph.
        seeds: where the passes start.
        through: for each node whether cotangents are handed to it.
        watched: nodes whose incoming edges are shown to ``edge``.
        edge: called with the indices of child and parent and the rows that the child hands to the parent; returns the
            rows that arrive, or None to let none arrive. A seed is shown as the child ``SEED``.

    Raises:
        GraphMutationError: a leaf was assigned new data after an operation had used it.
    """
    waiting: dict[int, Rows] = {}

    def hand(child: int, parent: int, rows: Rows | None) -> None:
        if parent in watched and rows is not None and edge is not None:
            rows = edge(child, parent, rows)
        if rows is not None:
            old = waiting.get(parent)
            waiting[parent] = rows if old is None else old + rows

    for node, rows in seeds:
        if through[node]:
            hand(SEED, node, rows)
    for i in range(max(waiting, default=-1), -1, -1):
        arrived = waiting.pop(i, None)
        if arrived is None:
            if not waiting:
                return
            continue
        if i in watched:
            yield i
        parents = graph.parent_indices[i]
        needed = [bool(through[p]) for p in parents]
        if any(needed):
            refuse_stale((graph[i],))
            for p, share in zip(parents, pull(graph[i], arrived.array, needed), strict=True):
                if share is not None:
                    hand(i, p, Rows(arrived.first, share))


def run(passes: Iterator[int]) -> None:
    """Run a sweep of which only the edges are of interest."""
    for _ in passes:
        pass


def pull(node: Node, g: Array, needed: list[bool]) -> list[Array | None]:
    """Return, for each parent, local derivative times each row of ``g``; None where not needed or there is none.

    Args:
        node: made by an operation.
        g: (rows, *shape of the node).
        needed: for each parent whether its cotangents are wanted.
    """
    op: Op = node.op
    args = tuple(np.asarray(p._data) for p in node.parents)
    rule = _RULES.get(op)
    with np.errstate(all="ignore"):
        if op.partials is not None:
            return [_elementwise(node, op, i, g, args) if n else None for i, n in enumerate(needed)]
        if rule is not None and not (op is ops.getitem and len(args) > 1):
            return [rule(i, g, args, node.params) if n else None for i, n in enumerate(needed)]
        return _row_by_row(node, g, needed)


def _elementwise(node: Node, op: Op, i: int, g: Array, args: tuple[Array, ...]) -> Array | None:
    """The rows times the partial, summed over the axes along which the argument was broadcast."""
    rules, y = op.partials, np.asarray(node._data)
    if isinstance(rules, tuple):
        rule = rules[i]
        partial = None if rule is None else rule(NUMPY, y, *args, **node.params)
    else:
        assert rules is not None  # for the type checker: the caller has looked
        partial = rules(i, NUMPY, y, *((args,) if op.packed else args), **node.params)
    if partial is None:
        return None
    return _summed(np.asarray(op.product(NUMPY, g, partial)), args[i].shape)


def _summed(c: Array, shape: tuple[int, ...]) -> Array:
    """Return (rows, *wide) summed to (rows, *shape), where ``shape`` was broadcast to ``wide``."""
    lead = c.ndim - 1 - len(shape)
    stretched = tuple(1 + lead + i for i, n in enumerate(shape) if n == 1 and c.shape[1 + lead + i] != 1)
    axes = (*range(1, 1 + lead), *stretched)
    return (c.sum(axis=axes) if axes else c).reshape(len(c), *shape)


def _row_by_row(node: Node, g: Array, needed: list[bool]) -> list[Array | None]:
    def cotangent(row: Array) -> Any:
        return float(row) if isinstance(node, Value) else row.astype(node.dtype)

    shares = [local_vjp(node, cotangent(row)) for row in g]
    return [
        np.stack([np.asarray(c, dtype=float) for c in column]) if n and column[0] is not None else None
        for n, column in zip(needed, zip(*shares, strict=True), strict=True)
    ]


def _matmul(i: int, g: Array, args: tuple[Array, ...], params: Any) -> Array:
    """da = g bᵀ and db = aᵀ g for each row; a vector is a row on the left, a column on the right."""
    a, b = args
    if i == 0 and b.ndim == 2:
        return np.asarray(g @ b.T)
    if i == 1 and a.ndim == 2 and b.ndim == 1:
        return np.asarray(g @ a)
    if a.ndim == 1:
        g = g[..., None, :] if b.ndim > 1 else g[..., None, None]
    elif b.ndim == 1:
        g = g[..., None]
    left, right = (a if a.ndim > 1 else a[None, :]), (b if b.ndim > 1 else b[:, None])
    c = g @ right.swapaxes(-1, -2) if i == 0 else left.swapaxes(-1, -2) @ g
    return _summed(c, (left if i == 0 else right).shape).reshape(len(c), *args[i].shape)


def _getitem(i: int, g: Array, args: tuple[Array, ...], params: Any) -> Array:
    out = np.zeros((len(g), *args[0].shape))
    out[(slice(None), *decode(params["key"], ()))] = g
    return out


def _transpose(i: int, g: Array, args: tuple[Array, ...], params: Any) -> Array:
    axes = params["axes"]
    back = sorted(range(len(axes)), key=axes.__getitem__)
    return g.transpose(0, *(1 + k for k in back))


def _reshape(i: int, g: Array, args: tuple[Array, ...], params: Any) -> Array:
    return g.reshape(len(g), *args[0].shape)


def _stack(i: int, g: Array, args: tuple[Array, ...], params: Any) -> Array:
    axis = params["axis"] % (g.ndim - 1)
    return np.asarray(g[(slice(None),) * (1 + axis) + (i,)])


def _concatenate(i: int, g: Array, args: tuple[Array, ...], params: Any) -> Array:
    axis, starts = params["axis"] % (g.ndim - 1), params["starts"]
    return np.asarray(g[(slice(None),) * (1 + axis) + (slice(starts[i], starts[i + 1]),)])


_RULES: dict[Op, Callable[[int, Array, tuple[Array, ...], Any], Array]] = {
    ops.matmul: _matmul,
    ops.getitem: _getitem,  # by a static key; an index array is a row by row matter
    ops.transpose: _transpose,
    ops.reshape: _reshape,
    ops.stack: _stack,
    ops.concatenate: _concatenate,
}
