"""``Binder``: the batches of a program as a list of calls on fixed arrays.

Each call is a function and its arguments, results included: ``for f, args in calls: f(*args)`` is the whole replay.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.primitives.indexing import HERE
from tinygrad_rnn.nn.inputs import BOUNDED
from tinygrad_rnn.plan.arena import operands, side_by_side
from tinygrad_rnn.plan.program import SUM_OF_MATMULS, Item, Program
from tinygrad_rnn.plan.schedule import Batch

SMALL = 64  # entries; arrays up to this size are gathered and scattered by index, all in one call
Call = tuple[Callable[..., Any], tuple[Any, ...]]

UFUNCS: dict[Any, Any] = {
    op: getattr(np, op.name)
    for op in (
        ops.add, ops.subtract, ops.multiply, ops.divide, ops.power, ops.negative, ops.exp, ops.expm1, ops.log,
        ops.log1p, ops.sqrt, ops.square, ops.sin, ops.cos, ops.tan, ops.arctan, ops.sinh, ops.cosh, ops.tanh,
        ops.maximum, ops.minimum, ops.sign, ops.greater, ops.greater_equal, ops.less, ops.less_equal, ops.equal,
        ops.not_equal, ops.logical_and, ops.logical_or, ops.abs,
    )
}  # fmt: skip


class Binder:
    """Turns batches into calls on the arrays of one arena."""

    def __init__(self, program: Program, arrays: list[np.ndarray]) -> None:
        self.program, self.arrays = program, arrays
        self.calls: list[Call] = []

    def bind(self, batch: Batch) -> None:
        """Append the calls of one batch: of all its members together, or one by one where that takes fewer calls."""
        start = len(self.calls)
        if len(batch.members) > 1 and self._batched(self.program.items[batch.members[0]], batch):
            if len(self.calls) - start <= len(batch.members):
                return
            together, self.calls[start:] = self.calls[start:], []
            self._one_by_one(batch)
            if len(together) <= len(self.calls) - start:
                self.calls[start:] = together
            return
        self._one_by_one(batch)

    def _one_by_one(self, batch: Batch) -> None:
        for m in batch.members:
            item = self.program.items[m]
            if item.op is SUM_OF_MATMULS:
                self._sum_of_matmuls(item, self.arrays[m])
            else:
                self._single(item, [self.arrays[a] for a in item.args], self.arrays[m])

    def _call(self, f: Callable[..., Any], *args: Any) -> None:
        self.calls.append((f, args))

    def _stacked(self, items: Sequence[int]) -> np.ndarray:
        """Return the values of ``items`` as one array, gathered by calls where they do not lie so."""
        arrays = [self.arrays[i] for i in items]
        together = side_by_side(arrays)
        if together is not None:
            return together
        buffer = np.empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
        if arrays[0].size <= SMALL:
            self._gather(arrays, buffer)
            return buffer
        for slot, a in zip(buffer, arrays, strict=True):
            self._call(np.copyto, slot, a)
        return buffer

    def _gather(self, arrays: list[np.ndarray], buffer: np.ndarray) -> None:
        """Copy small arrays out of the arena in one call, entry by entry."""
        memory = _memory(arrays[0])
        self._call(memory.take, _places(memory, arrays), None, buffer, "clip")

    def _single(self, item: Item, args: list[np.ndarray], out: np.ndarray) -> None:
        op = item.op
        if op in (ops.maximum, ops.minimum):
            self._call(functools.partial(UFUNCS[op], out=out), *args)  # numpy wants this out by name
        elif op in UFUNCS:
            self._call(UFUNCS[op], *args, out)
        elif op is ops.matmul:
            self._product(args[0], args[1], out)
        elif op is ops.add_n:
            self._sum(args, out)
        elif op in (ops.sum, ops.mean):
            self._reduce(item, args[0], out, item.params["axis"])
        elif op is ops.sigmoid:
            self._sigmoid(args[0], out)
        elif op is ops.relu:
            self._call(functools.partial(np.maximum, out=out), args[0], 0.0)
        elif op in (ops.broadcast_to, ops.alias):
            self._call(np.copyto, out, args[0])
        else:
            self._call(_forward, op, item.params, out, args)

    def _product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        if b.ndim == 2 and a.ndim >= 2 and out.flags.c_contiguous:
            rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
            if np.shares_memory(rows, a) or not a.size:
                self._call(np.dot, rows, b, out.reshape(len(rows), b.shape[1]))
                return
        self._call(np.matmul, a, b, out)

    def _sigmoid(self, x: np.ndarray, out: np.ndarray) -> None:
        """1 / (1 + e^-x): accurate at both ends, e^-x = inf included; 1/2 + tanh(x/2)/2 loses all digits at -40."""
        self._call(np.negative, x, out)
        self._call(np.exp, out, out)
        self._call(np.add, out, 1.0, out)
        self._call(np.reciprocal, out, out)

    def _sum(self, args: list[np.ndarray], out: np.ndarray) -> None:
        together = side_by_side(args) if len(args) > 2 else None
        if together is None and len(args) > 3 and not args[0].ndim:
            together = np.empty(len(args), out.dtype)
            self._gather(args, together)
        if together is not None:
            self._call(np.add.reduce, together, 0, None, out)
            return
        self._call(np.add, args[0], args[1], out)
        for a in args[2:]:
            self._call(np.add, out, a, out)

    def _reduce(self, item: Item, x: np.ndarray, out: np.ndarray, axis: Any) -> None:
        self._call(np.add.reduce, x, axis, None, out, item.params["keepdims"])
        if item.op is ops.mean:
            self._call(np.multiply, out, 1.0 / max(1, x.size // max(1, out.size)), out)

    def _sum_of_matmuls(self, item: Item, out: np.ndarray) -> None:
        """One product: [a_1 ... a_n] times b_1 ... b_n one below the other."""
        half = len(item.args) // 2
        a, b = self._stacked(item.args[:half]), self._stacked(item.args[half:])
        n, m, k = a.shape
        left = a.transpose(0, 2, 1).reshape(n * k, m)
        if not np.shares_memory(left, a):
            rows = a.transpose(0, 2, 1)
            left = np.empty((n * k, m), a.dtype)
            self._call(np.copyto, left.reshape(n, k, m), rows)
        right = b.reshape(n * k, b.shape[2])
        if not np.shares_memory(right, b):
            right = np.empty((n * k, b.shape[2]), b.dtype)
            self._call(np.copyto, right.reshape(b.shape), b)
        self._call(np.dot if out.flags.c_contiguous else np.matmul, left.T, right, out)

    # --- several members at once

    def _batched(self, item: Item, batch: Batch) -> bool:
        """Append the calls of a batch of several; False if the operation has no batched form."""
        lists = operands(self.program, batch)
        form = self._form(item, lists, batch)
        if form is None:
            return False
        together = side_by_side([self.arrays[m] for m in batch.members])
        out = np.empty((len(batch.members), *item.shape), item.dtype) if together is None else together
        form(out)
        if together is None:
            self._scatter(batch, out)
        return True

    def _scatter(self, batch: Batch, out: np.ndarray) -> None:
        arrays = [self.arrays[m] for m in batch.members]
        if arrays[0].size <= SMALL:
            memory = _memory(arrays[0])
            self._call(memory.__setitem__, _places(memory, arrays), out)
            return
        for a, slot in zip(arrays, out, strict=True):
            self._call(np.copyto, a, slot)

    def _form(self, item: Item, lists: list[list[int]], batch: Batch) -> Callable[[np.ndarray], None] | None:
        op = item.op
        assert op is not None
        if op in UFUNCS or op in (ops.sigmoid, ops.relu, ops.where, ops.weigh):
            return lambda out: self._elementwise(item, lists, out)
        if op is ops.add_n:
            return lambda out: self._sum([_aligned(self._stacked(items), out.ndim) for items in lists], out)
        if op is ops.matmul:
            return lambda out: self._products(lists, out)
        if op in (ops.sum, ops.mean):
            axes = _shifted(item.params["axis"], len(self.program.items[lists[0][0]].shape))
            return lambda out: self._reduce(item, self._stacked(lists[0]), out, axes)
        if op in (ops.broadcast_to, ops.alias):
            return lambda out: self._call(np.copyto, out, _aligned(self._stacked(lists[0]), out.ndim))
        if op in (ops.softmax, ops.log_softmax, ops.logsumexp, ops.max, ops.min, ops.norm):
            rank = len(self.program.items[lists[0][0]].shape)
            moved = dict(item.params) | {"axis": _shifted(item.params["axis"], rank)}
            if isinstance(item.params["axis"], int):
                moved["axis"] = moved["axis"][0]
            return lambda out: self._call(_forward, op, moved, out, [self._stacked(lists[0])])
        if op is BOUNDED:
            return lambda out: self._call(_forward, op, item.params, out, [self._stacked(lists[0])])
        if op in (ops.getitem, ops.scatter_add) and all(part is HERE for part in item.params["key"]):
            indices = [self.program.items[items[0]] for items in lists[1:]]
            if any(index.dtype.kind == "b" for index in indices):
                return None  # a mask takes another number of entries from each member
            return lambda out: self._indexed(op, lists, out)
        return None

    def _elementwise(self, item: Item, lists: list[list[int]], out: np.ndarray) -> None:
        args = []
        for items in lists:
            shared = len(set(items)) == 1
            args.append(self.arrays[items[0]] if shared else _aligned(self._stacked(items), out.ndim))
        self._single(item, args, out)

    def _products(self, lists: list[list[int]], out: np.ndarray) -> None:
        left_shared, right_shared = (len(set(items)) == 1 for items in lists)
        if right_shared and not left_shared and self.arrays[lists[1][0]].ndim == 2:
            a, b = self._stacked(lists[0]), self.arrays[lists[1][0]]
            rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
            result = out.reshape(math.prod(out.shape[:-1]), out.shape[-1])
            if np.shares_memory(rows, a) and np.shares_memory(result, out) and result.flags.c_contiguous:
                self._call(np.dot, rows, b, result)
                return
        a = self.arrays[lists[0][0]] if left_shared else self._stacked(lists[0])
        b = self.arrays[lists[1][0]] if right_shared else self._stacked(lists[1])
        vector = a.ndim - (not left_shared) == 1, b.ndim - (not right_shared) == 1
        if vector[0]:
            a = a[..., None, :]
        if vector[1]:
            b = b[..., :, None]
        rank = max(a.ndim + left_shared, b.ndim + right_shared)
        a = a if left_shared else _aligned(a, rank)
        b = b if right_shared else _aligned(b, rank)
        if vector[0]:
            out = out[..., None, :] if not vector[1] else out[..., None, None]
        elif vector[1]:
            out = out[..., None]
        self._call(np.matmul, a, b, out)

    def _indexed(self, op: Any, lists: list[list[int]], out: np.ndarray) -> None:
        source = self._stacked(lists[0])
        indices = [self._stacked(items) for items in lists[1:]]
        rank = max(i.ndim for i in indices)
        members = np.arange(len(out)).reshape(-1, *[1] * (rank - 1))
        key = (members, *(_aligned(i, rank) for i in indices))
        if op is ops.getitem:
            self._call(_take, source, key, out)
        else:
            self._call(_add_at, out, key, source)


def _places(memory: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
    """Return where in ``memory`` each entry of each array lies."""
    origin = memory.__array_interface__["data"][0]
    starts = [(a.__array_interface__["data"][0] - origin) // memory.itemsize for a in arrays]
    if not arrays[0].ndim:
        return np.array(starts)
    inside = {a.strides: a for a in arrays}  # one of each: they may lie in different ways
    grids = {strides: _grid(a, memory.itemsize) for strides, a in inside.items()}
    return np.stack([start + grids[a.strides] for start, a in zip(starts, arrays, strict=True)])


def _grid(array: np.ndarray, itemsize: int) -> np.ndarray:
    """Return the distance of each entry from the first, in entries."""
    grid = np.zeros(array.shape, np.intp)
    for axis, length in enumerate(array.shape):
        steps = np.arange(length) * (array.strides[axis] // itemsize)
        grid += steps.reshape(-1, *[1] * (array.ndim - axis - 1))
    return grid


def _memory(array: np.ndarray) -> np.ndarray:
    """Return the arena that an array of it reads."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return base


def _aligned(stacked: np.ndarray, rank: int) -> np.ndarray:
    """Return a stack with axes of length 1 behind the first, so that its members broadcast as they did."""
    return stacked[(slice(None), *(None,) * (rank - stacked.ndim))] if stacked.ndim < rank else stacked


def _shifted(axis: Any, rank: int) -> tuple[int, ...]:
    axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % rank + 1 for a in axes)


def _forward(op: Any, params: Any, out: np.ndarray, args: list[np.ndarray]) -> None:
    np.copyto(out, op.forward(NUMPY, *args, **params))


def _take(source: np.ndarray, key: Any, out: np.ndarray) -> None:
    out[...] = source[key]


def _add_at(out: np.ndarray, key: Any, source: np.ndarray) -> None:
    out[...] = 0
    np.add.at(out, key, source)
