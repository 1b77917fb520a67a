"""The product of matrices: BLAS for large ones, which costs more to call than a small one takes."""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.executors.jit.codes import BY_GEMM, DGEMM, DGEMV, FLOAT64, KERNELS, LOOPS, SGEMM, SGEMV
from tinygrad_rnn.plan.executors.jit.machine import OPTIONS, bytes_at, call_kernel, dgemm, dgemv, sgemm, sgemv


@njit(**OPTIONS)
def multiplied(c: Any, base: Any, routines: Any) -> None:
    """Row: kind, method, p products of (m, k) by (k, n); starts of result, a and b; strides of their axes in entries.

    Then two letters and two leading strides for BLAS, strides in bytes from one product to the next, and the leaf.
    """
    double = c[2] == FLOAT64
    for p in range(c[4]):
        out = bytes_at(base, c[8] + p * c[21])
        a = bytes_at(base, c[9] + p * c[22])
        b = bytes_at(base, c[10] + p * c[23])
        if c[3] == LOOPS:
            call_kernel(routines[KERNELS], c[24], out, a, b, b, bytes_at(c, 0), 0)
        elif c[3] == BY_GEMM:
            if double:
                dgemm(routines[DGEMM], c[17], c[18], c[6], c[5], c[7], b, c[19], a, c[20], out, c[11])
            else:
                sgemm(routines[SGEMM], c[17], c[18], c[6], c[5], c[7], b, c[19], a, c[20], out, c[11])
        elif double:
            dgemv(routines[DGEMV], c[17], c[18], c[19], b, c[20], a, c[14], out, c[12])
        else:
            sgemv(routines[SGEMV], c[17], c[18], c[19], b, c[20], a, c[14], out, c[12])
