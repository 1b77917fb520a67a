"""``Library``: what is compiled once for every graph: interpreter, elementwise kernels, the addresses of BLAS."""

from __future__ import annotations

import hashlib
import platform
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.extending import get_cython_function_address

from tinygrad_rnn.core.op import Op
from tinygrad_rnn.plan.executors.jit.cache import load
from tinygrad_rnn.plan.executors.jit.codes import FLOAT32, FLOAT64
from tinygrad_rnn.plan.executors.jit.source import (
    BUILTIN,
    MOST,
    arity,
    print_kernels,
    print_leaves,
    print_own,
)

ROUTINES = ("dgemm", "sgemm", "dgemv", "sgemv")
COMPILED = (
    "codes",
    "interpreter",
    "leaves",
    "loops",
    "machine",
    "products",
    "transcendental",
)  # what is imported
DTYPES = {FLOAT64: "float64", FLOAT32: "float32"}
_INTERPRETER = '''\
"""The interpreter, compiled; generated, to be thrown away at any time."""

from numba import njit, types

from tinygrad_rnn.plan.executors.jit.interpreter import interpret

BYTES, NUMBERS, ENTRIES = types.uint8[::1], types.int64[::1], types.int32[::1]


@njit(
    types.int64(BYTES, NUMBERS, types.int64, types.int64, ENTRIES, BYTES, NUMBERS),
    cache=True, nogil=True, error_model="numpy",
)
def run(memory, code, start, stop, index, work, addresses):
    return interpret(memory, code, start, stop, index, work, addresses)
'''


class Library:
    """Compiled code of this process; each part is loaded when it is first asked for.

    Attributes:
        run: the interpreter.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._versions = _versions()
        self._modules: list[Any] = []  # keeps the code alive to which the addresses lead
        self._numbers: dict[str, int] = {}
        self._addresses = [get_cython_function_address("scipy.linalg.cython_blas", r) for r in ROUTINES]
        self._branches = {op: k for k, op in enumerate(BUILTIN)}
        self._number("leaves", "leaves", print_leaves)  # the first kernel
        self.run: Callable[..., int] = load("interpreter", _INTERPRETER, self._versions).run

    def kernel(self, op: Op, count: int, params: Sequence[str], kind: int) -> tuple[int, int] | None:
        """Return the number of the kernel and of its branch for an operation, None where it cannot be compiled.

        Args:
            op: an elementwise operation.
            count: how many arguments it is given.
            params: the names of its static parameters, which must be numbers.
            kind: in which entries are computed.
        """
        dtype = DTYPES[kind]
        if op in self._branches and arity(op) == count:
            return self._number(
                f"elementwise_{dtype}", f"builtin {dtype}", lambda: print_kernels(dtype)
            ), self._branches[op]
        if not 0 < count <= MOST:
            return None
        try:
            text = print_own(op, dtype, count, params)
            return self._number("own", text, lambda: text), 0
        except Exception:  # run on names, a forward may raise anything, and what it prints need not compile
            return None

    def _number(self, name: str, key: str, text: Callable[[], str]) -> int:
        with self._lock:
            if key not in self._numbers:
                module = load(name, text(), self._versions)
                self._modules.append(module)
                self._addresses.append(module.kernel.address)
                self._numbers[key] = len(self._modules) - 1
            return self._numbers[key]

    def addresses(self) -> np.ndarray:
        """Return the addresses of BLAS and of the kernels loaded so far."""
        with self._lock:
            return np.array(self._addresses, np.int64)


@cache
def library() -> Library:
    """Return the library of this process.

    Raises:
        ImportError: scipy has no BLAS to lend.
    """
    return Library()


def _versions() -> str:
    """Return what decides, beside its own text, what generated source compiles to."""
    own = hashlib.sha256()
    for name in COMPILED:
        own.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return f"{platform.python_version()} {numba.__version__} {llvmlite.__version__} {np.__version__} {own.hexdigest()}"
