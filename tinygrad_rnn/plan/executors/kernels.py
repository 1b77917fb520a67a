"""``bind``: instructions as a list of numpy calls on fixed arrays.

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
from tinygrad_rnn.core.primitives.indexing import decode
from tinygrad_rnn.plan.codegen.emitting import BELOW
from tinygrad_rnn.plan.codegen.instructions import Instruction, Operand, Place, Scattered
from tinygrad_rnn.plan.codegen.windows import mapped

PAIRWISE = {8: 1 << 20, 4: 1 << 12}  # entries; longer sums of that itemsize are added up in pairs
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


def bind(instructions: Sequence[Instruction], memory: np.ndarray, starts: Sequence[int]) -> list[Call]:
    """Return the calls that run ``instructions`` on one arena.

    Args:
        instructions: what to run.
        memory: the arena's bytes.
        starts: for each block its first byte in the arena.
    """
    binder = Binder(memory, starts)
    for instruction in instructions:
        binder.bind(instruction)
    return binder.calls


class Binder:
    """Makes calls on the windows of one arena."""

    def __init__(self, memory: np.ndarray, starts: Sequence[int]) -> None:
        self.memory, self.starts = memory, starts
        self.calls: list[Call] = []
        self._first = np.asarray(starts, np.intp)
        self._typed: dict[np.dtype[Any], np.ndarray] = {}
        self._spare: dict[tuple[int, np.dtype[Any]], np.ndarray] = {}

    def bind(self, instruction: Instruction) -> None:
        """Append the calls of one instruction."""
        kernel, out, args, op, params = instruction
        arrays = [self._read(a, k) for k, a in enumerate(args)]
        append = getattr(self, f"_{kernel}")
        if isinstance(out, Place):
            append(op, params, arrays, mapped(out, self.memory, self.starts))
            return
        spare = self._room(-1, out.shape, out.dtype)
        append(op, params, arrays, spare)
        self._do(self._whole(out.dtype).__setitem__, self._places(out), spare)

    def _do(self, f: Callable[..., Any], *args: Any) -> None:
        self.calls.append((f, args))

    # --- what is scattered

    def _read(self, operand: Operand, number: int) -> np.ndarray:
        """Return the array of an operand; what is scattered is copied by a call into room that others use as well."""
        if isinstance(operand, Place):
            return mapped(operand, self.memory, self.starts)
        room = self._room(number, operand.shape, operand.dtype)
        self._do(self._whole(operand.dtype).take, self._places(operand), None, room, "clip")
        return room

    def _whole(self, dtype: np.dtype[Any]) -> np.ndarray:
        if dtype not in self._typed:
            self._typed[dtype] = self.memory[: len(self.memory) // dtype.itemsize * dtype.itemsize].view(
                dtype
            )
        return self._typed[dtype]

    def _places(self, operand: Scattered) -> Any:
        """Return where in the whole memory each entry lies."""
        first: np.ndarray = self._first[operand.blocks] // operand.dtype.itemsize
        return operand.offsets + first.reshape(-1, *[1] * (operand.offsets.ndim - 1))

    def _room(self, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        size = math.prod(shape)
        spare = self._spare.get((number, dtype))
        if spare is None or spare.size < size:
            spare = self._spare[number, dtype] = np.empty(max(size, 64), dtype)
        return spare[:size].reshape(shape)

    # --- kernels

    def _map(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        if op in (ops.maximum, ops.minimum):
            self._do(functools.partial(UFUNCS[op], out=out), *args)  # numpy wants this out by name
        elif op in UFUNCS:
            self._do(UFUNCS[op], *args, out)
        elif op is ops.sigmoid:
            self._sigmoid(args[0], out)
        elif op is BELOW:
            self._do(_below, *args, out)
        elif op is ops.relu:
            self._do(functools.partial(np.maximum, out=out), args[0], 0.0)
        else:
            self._do(_forward, op, params, out, args)

    def _sigmoid(self, x: np.ndarray, out: np.ndarray) -> None:
        """1 / (1 + e^-x): accurate at both ends, e^-x = inf included; 1/2 + tanh(x/2)/2 loses all digits at -40."""
        self._do(np.negative, x, out)
        self._do(np.exp, out, out)
        self._do(np.add, out, 1.0, out)
        self._do(np.reciprocal, out, out)

    def _gemm(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        a, b = args
        self._do(np.dot if out.flags.c_contiguous else np.matmul, a, b, out)

    def _bmm(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        self._do(np.matmul, *args, out)

    def _reduce(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        x, axes = args[0], params["axes"]
        if op is ops.add and x.dtype.kind == "f" and x.size and self._summed_by_product(x, axes, out):
            return
        self._do(UFUNCS[op].reduce, x, axes[0] if len(axes) == 1 else axes, None, out)

    def _summed_by_product(self, x: np.ndarray, axes: tuple[int, ...], out: np.ndarray) -> bool:
        """Sum up the first or the last axes as a product with ones: several times faster than ``np.add.reduce``.

        Products add up in another order than the pairwise one; single precision may do so in short sums only.
        """
        count = math.prod(x.shape[a] for a in axes)
        if count > PAIRWISE[x.dtype.itemsize] or not (x.flags.c_contiguous and out.flags.c_contiguous):
            return False
        rank, many = x.ndim, len(axes)
        ones = np.ones(count, x.dtype)
        if axes == tuple(range(many)):
            self._do(np.dot, ones, x.reshape(count, -1), out.reshape(-1))
        elif axes == tuple(range(rank - many, rank)):
            self._do(np.dot, x.reshape(-1, count), ones, out.reshape(-1))
        else:
            return False
        return True

    def _copy(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        self._do(np.copyto, out, args[0], "unsafe")

    def _take(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        key = decode(params["key"], tuple(args[1:]))
        self._do(_read_entries, args[0], key, out)

    def _scatter(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        key = decode(params["key"], tuple(args[1:]))
        self._do(_add_entries, out, key, args[0])

    def _call(self, op: Any, params: Any, args: list[np.ndarray], out: np.ndarray) -> None:
        self._do(_forward, op, params, out, args)


def _below(x: np.ndarray, peak: np.ndarray, out: np.ndarray) -> None:
    np.subtract(x, peak, out)
    if not np.isfinite(peak).all():
        np.copyto(out, 0.0, where=x == peak)


def _forward(op: Any, params: Any, out: np.ndarray, args: list[np.ndarray]) -> None:
    np.copyto(out, op.forward(NUMPY, *args, **params))


def _read_entries(source: np.ndarray, key: Any, out: np.ndarray) -> None:
    out[...] = source[key]


def _add_entries(out: np.ndarray, key: Any, source: np.ndarray) -> None:
    out[...] = 0
    np.add.at(out, key, source)
