"""The compiled product of matrices: BLAS for large ones, loops of its own for small ones.

A call of BLAS costs more than a small product. Sums may be taken in any order here, as in BLAS, and only here.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.jit.codes import BY_GEMM, DGEMM, DGEMV, FLOAT64, LOOPS, SGEMM, SGEMV
from tinygrad_rnn.plan.jit.machine import (
    OPTIONS,
    SUMMING,
    bytes_at,
    dgemm,
    dgemv,
    float32s,
    float64s,
    sgemm,
    sgemv,
    shifted,
)


@njit(**SUMMING)
def _rows(out: Any, a: Any, b: Any, n: int, k: int, s: int, t: int) -> None:
    """One row of the result as a sum of rows of b, four at a time: out is written a quarter as often."""
    for j in range(n):
        out[j] = 0
    whole = k - k % 4
    for p in range(0, whole, 4):
        x0, x1, x2, x3 = a[p * s], a[(p + 1) * s], a[(p + 2) * s], a[(p + 3) * s]
        b0, b1, b2, b3 = (
            shifted(b, p * t),
            shifted(b, (p + 1) * t),
            shifted(b, (p + 2) * t),
            shifted(b, (p + 3) * t),
        )
        for j in range(n):
            out[j] += (x0 * b0[j] + x1 * b1[j]) + (x2 * b2[j] + x3 * b3[j])
    for p in range(whole, k):
        x0 = a[p * s]
        row = shifted(b, p * t)
        for j in range(n):
            out[j] += x0 * row[j]


@njit(**SUMMING)
def _dots(out: Any, a: Any, b: Any, n: int, k: int, s: int, t: int) -> None:
    """One row of the result, each entry the product of a row of a and a column of b that lies entry by entry."""
    for j in range(n):
        column = shifted(b, j * t)
        total = a[0] * column[0]
        for p in range(1, k):
            total += a[p] * column[p]
        out[j * s] = total


@njit(**SUMMING)
def _any(out: Any, a: Any, b: Any, n: int, k: int, c: Any) -> None:
    for j in range(n):
        total = a[0] * b[j * c[16]]
        for p in range(1, k):
            total += a[p * c[14]] * b[p * c[15] + j * c[16]]
        out[j * c[12]] = total


@njit(**OPTIONS)
def _loops(out: Any, a: Any, b: Any, c: Any) -> None:
    m, n, k = c[5], c[6], c[7]
    for i in range(m):
        row, left = shifted(out, i * c[11]), shifted(a, i * c[13])
        if c[16] == 1 and c[12] == 1:
            _rows(row, left, b, n, k, c[14], c[15])
        elif c[15] == 1 and c[14] == 1:
            _dots(row, left, b, n, k, c[12], c[16])
        else:
            _any(row, left, b, n, k, c)


@njit(**OPTIONS)
def multiplied(c: Any, base: Any, blas: Any) -> None:
    """Row: kind, method, p products of (m, k) by (k, n); starts of result, a and b; strides of their axes in entries.

    After the method's two letters and two leading strides, the strides in bytes from one product to the next.
    """
    double = c[2] == FLOAT64
    for p in range(c[4]):
        out = bytes_at(base, c[8] + p * c[21])
        a = bytes_at(base, c[9] + p * c[22])
        b = bytes_at(base, c[10] + p * c[23])
        if c[3] == LOOPS:
            if double:
                _loops(float64s(out, 0), float64s(a, 0), float64s(b, 0), c)
            else:
                _loops(float32s(out, 0), float32s(a, 0), float32s(b, 0), c)
        elif c[3] == BY_GEMM:
            if double:
                dgemm(blas[DGEMM], c[17], c[18], c[6], c[5], c[7], b, c[19], a, c[20], out, c[11])
            else:
                sgemm(blas[SGEMM], c[17], c[18], c[6], c[5], c[7], b, c[19], a, c[20], out, c[11])
        elif double:
            dgemv(blas[DGEMV], c[17], c[18], c[19], b, c[20], a, c[14], out, c[12])
        else:
            sgemv(blas[SGEMV], c[17], c[18], c[19], b, c[20], a, c[14], out, c[12])
