"""``print_kernels``: the elementwise operations as the source of one numba function, printed from their records.

An operation's ``forward`` is run in the namespace that prints source. The text becomes a function of one entry; the
kernel is a chain of branches, one loop for each operation, which the compiler turns into a jump table of vector loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.namespaces import Expr, Source
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.printing import param_names
from tinygrad_rnn.plan.codegen.emitting import BELOW
from tinygrad_rnn.plan.executors.jit.codes import BOOL, FLOAT32, FLOAT64, INT64, LEAVES

MOST = 3  # arguments
_NATIVE = {
    "log": "math.log(x0)",
    "log1p": "math.log1p(x0)",
    "sqrt": "math.sqrt(x0)",
    "sin": "math.sin(x0)",
    "cos": "math.cos(x0)",
    "tan": "math.tan(x0)",
    "arctan": "math.atan(x0)",
    "sinh": "math.sinh(x0)",
    "cosh": "math.cosh(x0)",
    "power": "math.pow(x0, x1)",
    "weigh": "x0 * x1 if x0 and x1 else 0.0",
    "divide": "x0 / x1",
    "abs": "math.fabs(x0)",
    "sign": "real((x0 > 0.0) - (x0 < 0.0)) if x0 == x0 else x0",
    "maximum": "x0 if x0 > x1 or x0 != x0 else x1",
    "minimum": "x0 if x0 < x1 or x0 != x0 else x1",
}
"""The functions that a printed rule calls and that no record expresses; exp, expm1 and tanh are imported."""
_HEADER = """\
import math

import numpy as np
from numba import cfunc, njit, types

from tinygrad_rnn.plan.executors.jit.machine import OPTIONS
from tinygrad_rnn.plan.executors.jit.transcendental import {names}

inf, nan = math.inf, math.nan
real = np.{dtype}
ENTRIES = types.CPointer(types.{dtype})
SIGNATURE = types.void(types.int64, ENTRIES, ENTRIES, ENTRIES, ENTRIES, ENTRIES, types.int64)
"""
_FUNCTION = """

@njit(**OPTIONS)
def {name}({signature}):
{lines}    return {result}
"""
_KERNEL = """

@cfunc(SIGNATURE, cache=True, error_model="numpy", fastmath={"contract"})
def kernel(branch, out, a, b, c, q, n):
"""
_BRANCH = """\
    {word} branch == {number}:
        for i in range(n):
            out[i] = {function}({args})
"""


_LEAF_HEADER = """\
from numba import cfunc, types

from tinygrad_rnn.plan.executors.jit.leaves import {forms}
from tinygrad_rnn.plan.executors.jit.machine import bytes_at, float32s, float64s, int64s

BYTES = types.CPointer(types.uint8)
SIGNATURE = types.void(types.int64, BYTES, BYTES, BYTES, BYTES, BYTES, types.int64)
"""
_LEAF_BRANCH = """\
    {word} branch == {number}:
        {form}({to}(out, 0), {kind}(a, 0), {second}, int64s(q, 0), n)
"""
_READERS = {FLOAT64: "float64s", FLOAT32: "float32s", BOOL: "bytes_at", INT64: "int64s"}


class Printer(Source):
    """Source whose numbers have the dtype of the kernel."""

    @staticmethod
    def _text(item: Any) -> str:
        return item.text if isinstance(item, Expr) else f"real({float(item)!r})"


def arity(op: Op) -> int:
    """Return how many arguments an elementwise operation takes, 0 where that is not fixed."""
    if isinstance(op.partials, tuple):
        return len(op.partials)
    return 2 if op in UNDIFFERENTIABLE else 0


UNDIFFERENTIABLE = (
    ops.greater, ops.greater_equal, ops.less, ops.less_equal, ops.equal, ops.not_equal, ops.logical_and,
    ops.logical_or, BELOW,
)  # fmt: skip
"""Elementwise operations of two arguments."""
BUILTIN: tuple[Op, ...] = tuple(op for op in (*ops.ALL, BELOW) if 0 < arity(op) <= MOST)
"""The operations that every kernel knows; a branch's number is the place in this list."""


def print_function(op: Op, name: str, count: int, params: Sequence[str]) -> str:
    """Return the source of the function of one entry; raises whatever ``forward`` raises where it does not print."""
    printer = Printer()
    args = [printer.name(f"x{k}") for k in range(count)]
    y = op.forward(printer, *args, **{key: printer.name(f"q{k}") for k, key in enumerate(params)})
    result = y.text if isinstance(y, Expr) else Printer._text(y)
    return _written(name, count, len(params), printer.lines, result)


def _written(name: str, args: int, params: int, lines: Sequence[str], result: str) -> str:
    signature = ", ".join([*(f"x{k}" for k in range(args)), *(f"q{k}" for k in range(params))])
    body = "".join(f"    {line}\n" for line in lines)
    return _FUNCTION.format(name=name, signature=signature, lines=body, result=result)


def _branch(number: int, name: str, count: int, params: int) -> str:
    args = ", ".join([*(f"{'abc'[k]}[i]" for k in range(count)), *(f"q[{k}]" for k in range(params))])
    return _BRANCH.format(word="elif" if number else "if", number=number, function=name, args=args)


def _library(dtype: str) -> str:
    """Return the header and a function for each builtin operation."""
    names = ("exp", "expm1", "tanh")
    short = dtype == "float32"
    given = ", ".join(f"{name}_4 as {name}" if short else name for name in names)
    text = [_HEADER.format(dtype=dtype, names=given)]
    for name, body in _NATIVE.items():
        text.append(_written(name, 2 if "x1" in body else 1, 0, [], f"real({body})"))
    rest = [op for op in BUILTIN if op.name not in _NATIVE and op.name not in names]
    return "".join(text + [print_function(op, op.name, arity(op), param_names(op)) for op in rest])


def print_kernels(dtype: str) -> str:
    """Return the source of the module whose ``kernel`` has a branch for each of ``BUILTIN``."""
    branches = [_branch(k, op.name, arity(op), len(param_names(op))) for k, op in enumerate(BUILTIN)]
    return _library(dtype) + _KERNEL + "".join(branches)


def print_leaves() -> str:
    """Return the source of the module whose ``kernel`` has a branch for each of ``LEAVES``."""
    words = ["if", *["elif"] * (len(LEAVES) - 1)]
    branches = [
        _LEAF_BRANCH.format(
            word=word,
            number=k,
            form=form,
            to=_READERS[to],
            kind=_READERS[kind],
            second=(f"{_READERS[kind]}(b, 0)" if form == "multiply" else "b"),
        )
        for k, (word, (form, to, kind)) in enumerate(zip(words, LEAVES, strict=True))
    ]
    forms = ", ".join(sorted({form for form, _, _ in LEAVES}))
    return _LEAF_HEADER.format(forms=forms) + _KERNEL + "".join(branches)


def print_own(op: Op, dtype: str, count: int, params: Sequence[str]) -> str:
    """Return the source of the module whose ``kernel`` has one branch, for an operation that is not builtin.

    Raises:
        Exception: whatever ``forward`` raises where it calls what cannot be printed.
    """
    return (
        _library(dtype)
        + print_function(op, "own", count, params)
        + _KERNEL
        + _branch(0, "own", count, len(params))
    )
