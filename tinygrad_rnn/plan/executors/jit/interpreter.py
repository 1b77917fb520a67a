"""``interpret``: the loop that runs a code table; one compiled function for every graph.

An instruction is a row of integers: what to do, how many integers it has, and what its kernel asks for.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.executors.jit.codes import COPY, FLAT, KERNELS, MAP, PRODUCT, REDUCE
from tinygrad_rnn.plan.executors.jit.loops import copied, flat, indexed, mapped, reduced
from tinygrad_rnn.plan.executors.jit.machine import OPTIONS, bytes_of, int64s
from tinygrad_rnn.plan.executors.jit.products import multiplied


@njit(**OPTIONS)
def interpret(memory: Any, code: Any, start: int, stop: int, index: Any, work: Any, addresses: Any) -> int:
    """Return where in the code a row failed, -1 where none did.

    Args:
        memory: the bytes of an arena.
        code: the code table.
        start: where in the table to begin.
        stop: where to end.
        index: where the entries of scattered operands lie.
        work: bytes for the tiles.
        addresses: the routines of BLAS, the kernel of leaves, then the elementwise ones.
    """
    base, table, entries, tiles = bytes_of(memory), bytes_of(code), bytes_of(index), bytes_of(work)
    routines = int64s(bytes_of(addresses), 0)
    kernels = int64s(bytes_of(addresses), 8 * KERNELS)
    at = start
    while at < stop:
        c = int64s(table, 8 * at)
        kind = c[0]
        if kind == FLAT:
            flat(c, base, kernels)
        elif kind == MAP:
            mapped(c, base, entries, tiles, kernels)
        elif kind == PRODUCT:
            multiplied(c, base, routines)
        elif kind == COPY:
            copied(c, base, kernels)
        elif kind == REDUCE:
            reduced(c, base, kernels)
        elif not indexed(c, base, kernels):
            return at
        at += c[1]
    return -1
