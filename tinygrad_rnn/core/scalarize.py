"""``scalarize``: any graph of Tensors as the equal graph of Values, the micro view of a real network.

Each operation's own ``forward`` is run over object arrays whose entries are Values: the same rule, one level down. A
matrix product becomes one ``dot`` node for each entry, a sum one ``add_n`` node. The object arrays are only a
container on the way; no graph edge is left in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.draws import RANDOM
from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.graph import RECORDING, Graph, recording, refuse_stale
from tinygrad_rnn.core.namespaces import NUMPY, below_peak
from tinygrad_rnn.core.op import CONSTANT, LEAF, Op
from tinygrad_rnn.core.value import Value


@dataclass(frozen=True, slots=True)
class Scalarized:
    """The Values that stand for the entries of Tensors.

    Attributes:
        outputs: for each output, a Value or nested lists of Values of the output's shape.
    """

    outputs: tuple[Any, ...]
    _entries: Mapping[Any, Any]

    def of(self, node: Any) -> Any:
        """Return the Values of ``node``'s entries as nested lists of the node's shape; one Value for a scalar.

        Raises:
            ValueError: the node does not belong to the graph that was scalarized.
        """
        if node not in self._entries:
            raise ValueError(f"{node!r} does not belong to the graph that was scalarized")
        return _lists(self._entries[node])


def scalarize(*outputs: Any) -> Scalarized:
    """Return the graph of ``outputs`` with a Value for each entry of each Tensor; equal in values and gradients.

    A leaf's entries are new leaves, named ``W[0, 1]``; each node keeps its scope. Run ``backward`` on the new
    outputs to see the gradients of single entries.

    Raises:
        TypeError: an output is not a Value or Tensor, or an operation of the graph cannot be taken apart.
        GraphMutationError: a leaf was assigned new data after the graph had used it.
        TraceError: called inside a transformation such as ``tr.grad``.
    """
    transforms = RECORDING.get().transforms
    if transforms:
        raise TraceError(
            f"scalarize inside {transforms[-1]}: its Values are new leaves, which the derivative would not reach. Take "
            "the graph apart outside; inside, tr.ops.item(x[i]) is the Value of one entry"
        )
    entries: dict[Any, Any] = {}
    graph = Graph.of(*outputs)
    refuse_stale(graph)
    for node in graph:
        with recording(on=True, scope=node.scope):
            entries[node] = _apart(node, [entries[p] for p in node.parents])
    return Scalarized(tuple(_lists(entries[y]) for y in outputs), entries)


def _apart(node: Any, args: list[Any]) -> Any:
    """Return an array of one Value for each entry of ``node`` (plain numbers where the dtype is not floating)."""
    if node.dtype.kind != "f" or node.data is True or node.data is False:
        return np.asarray(node._data)
    if node.op is None or node.op is RANDOM:
        return _named(_leaves(node), node)
    if node.op.vjp is not None:
        raise TypeError(
            f"scalarize: {node.op.name} is opaque (plain numpy), it cannot be taken apart into scalars"
        )
    return _named(_run(node.op, args, node.params), node)


def _leaves(node: Any) -> Any:
    call = LEAF if node.kind == "leaf" else CONSTANT
    return _array(np.shape(node._data), [Value._new(float(x), call) for x in np.ravel(node._data)])


def _run(op: Op, args: list[Any], params: Mapping[str, Any]) -> Any:
    if op is ops.getitem or op is ops.scatter_add:
        args = [args[0], *(np.asarray(a) for a in args[1:])]
    if op in _DIRECT:
        return _DIRECT[op](*args)
    if op.elementwise or not op.differentiable:
        run = np.frompyfunc(
            lambda *xs: op(*xs, **params) if _any_value(xs) else op.plain(*xs, **params), len(args), 1
        )
        return _as_array(run(*args))
    return _as_array(op.forward(OBJECTS, *args, **params))


def _any_value(items: Any) -> bool:
    return any(isinstance(x, Value) for x in items)


def _named(array: Any, node: Any) -> Any:
    if node.name:
        for index in np.ndindex(array.shape):
            entry = array[index]
            if isinstance(entry, Value) and not entry.name:
                entry.name = f"{node.name}{list(index)}" if index else node.name
    return array


def _array(shape: tuple[int, ...], items: list[Any]) -> Any:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):  # one by one: numpy must not look inside a Value
        array[i] = item
    return array.reshape(shape)


def _as_array(result: Any) -> Any:
    """Return ``result`` as an array: numpy hands out the entry where an array of no axes is computed with."""
    return result if isinstance(result, np.ndarray) else _array((), [result])


def _lists(array: Any) -> Any:
    return array.item() if array.ndim == 0 else array.tolist()


# --- numpy's functions over arrays of Values


def _real(x: Any) -> Any:
    return np.array([float(v) for v in np.ravel(x)], dtype=float).reshape(np.shape(x))


def _along(x: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """Return x as rows that run along the reduced axes, and the shape with each of those of length 1."""
    axes = (
        tuple(range(x.ndim))
        if axis is None
        else tuple(a % x.ndim for a in np.atleast_1d(axis))
        if x.ndim
        else ()
    )
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    count = int(np.prod([x.shape[a] for a in axes], dtype=int))
    rows = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim)).reshape(
        int(np.prod(kept, dtype=int)), count
    )
    return rows, kept


def _reduce(x: Any, axis: Any, keepdims: bool, join: Any) -> Any:
    rows, kept = _along(_as_array(x), axis)
    joined = _array(kept, [join(list(row)) for row in rows])
    return joined if keepdims else _as_array(np.squeeze(joined, axis=axis))


def _sum(items: list[Any]) -> Any:
    if not items:
        return Value._new(0.0, CONSTANT)
    return items[0] if len(items) == 1 else ops.add_n(*items) if _any_value(items) else sum(items)


def _extreme(items: list[Any], largest: bool) -> Any:
    """Return the mean of the entries that tie for the extreme: the published derivative of a tie."""
    numbers = [float(x) for x in items]
    best = max(numbers) if largest else min(numbers)
    tied = [x for x, number in zip(items, numbers, strict=True) if number == best] or items
    return tied[0] if len(tied) == 1 else _sum(tied) * (1.0 / len(tied))


def _matmul(a: Any, b: Any) -> Any:
    rows = a if a.ndim > 1 else a[None, :]
    columns = b if b.ndim > 1 else b[:, None]
    batch = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    rows = np.broadcast_to(rows, (*batch, *rows.shape[-2:]))
    columns = np.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    shape = (*batch, rows.shape[-2], columns.shape[-1])
    entries = [
        _dot(list(rows[(*i[:-1], slice(None))]), list(columns[(*i[:-2], slice(None), i[-1])]))
        for i in np.ndindex(shape)
    ]
    product = _array(shape, entries)
    if a.ndim == 1:
        product = product[..., 0, :]
    return _as_array(product[..., 0] if b.ndim == 1 else product)


def _dot(a: list[Any], b: list[Any]) -> Any:
    return ops.dot(a, b) if a else Value._new(0.0, CONSTANT)


def _einsum(*args: Any, subscripts: str) -> Any:
    return np.einsum(subscripts, *args, optimize=False)


def _elementwise(op: Op) -> Any:
    def run(*args: Any) -> Any:
        run_each = np.frompyfunc(lambda *xs: op(*xs) if _any_value(xs) else op.plain(*xs), len(args), 1)
        return _as_array(run_each(*map(_as_array, args)))

    return run


OBJECTS = SimpleNamespace(**vars(NUMPY))
for _op in ops.ALL:
    if (_op.elementwise or not _op.differentiable) and _op.bind is None:
        setattr(OBJECTS, _op.name, _elementwise(_op))
OBJECTS.real, OBJECTS.matmul = _real, _matmul
OBJECTS.zeros = np.zeros
OBJECTS.below_peak = lambda x, axis: below_peak(OBJECTS, x, axis)
OBJECTS.add_reduce = lambda x, axis, keepdims: _reduce(x, axis, keepdims, _sum)
OBJECTS.extremum = lambda x, axis, largest: _reduce(x, axis, True, lambda items: _extreme(items, largest))
_DIRECT: dict[Op, Any] = {
    ops.astype: lambda x: x,
    ops.item: lambda x: x.reshape(()),
    ops.linear_scan: lambda a, b: ops.linear_scan.forward(OBJECTS, a[None], b[None])[
        0
    ],  # no step is a lone entry
}
