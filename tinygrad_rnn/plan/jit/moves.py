"""The compiled kernels that copy, take, scatter and reduce; each reads its own row of the code table."""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.jit.codes import ADD, BOOL, FLOAT32, FLOAT64, MAXIMUM
from tinygrad_rnn.plan.jit.machine import (
    OPTIONS,
    bytes_at,
    float32s,
    float64s,
    int32s,
    int64s,
    shifted,
)

BLOCK = 128


@njit(**OPTIONS)
def _row(out: Any, a: Any, s: int, t: int, n: int) -> None:
    if s == 1 and t == 1:
        for i in range(n):
            out[i] = a[i]
    else:
        for i in range(n):
            out[i * s] = a[i * t]


@njit(**OPTIONS)
def _convert(to: int, kind: int, out: Any, a: Any, s: int, t: int, n: int) -> None:
    """Copy a row of one kind to one of another: the pairs that ``encode.CASTS`` lists."""
    if to == kind:
        if kind == FLOAT32:
            _row(int32s(out, 0), int32s(a, 0), s, t, n)
        elif kind == BOOL:
            _row(bytes_at(out, 0), bytes_at(a, 0), s, t, n)
        else:
            _row(int64s(out, 0), int64s(a, 0), s, t, n)
    elif to == FLOAT32:
        if kind == FLOAT64:
            _row(float32s(out, 0), float64s(a, 0), s, t, n)
        else:
            _row(float32s(out, 0), bytes_at(a, 0), s, t, n)
    elif kind == FLOAT32:
        _row(float64s(out, 0), float32s(a, 0), s, t, n)
    elif kind == BOOL:
        _row(float64s(out, 0), bytes_at(a, 0), s, t, n)
    else:
        _row(float64s(out, 0), int64s(a, 0), s, t, n)


@njit(**OPTIONS)
def copied(c: Any, base: Any) -> None:
    """Row: kinds of result and source, four lengths, then start, three strides in bytes and one in entries of each."""
    for i0 in range(c[4]):
        for i1 in range(c[5]):
            for i2 in range(c[6]):
                out = bytes_at(base, c[8] + i0 * c[9] + i1 * c[10] + i2 * c[11])
                a = bytes_at(base, c[13] + i0 * c[14] + i1 * c[15] + i2 * c[16])
                _convert(c[2], c[3], out, a, c[12], c[17], c[7])


@njit(**OPTIONS)
def _zeros(out: Any, s: int, n: int) -> None:
    if s == 1:
        for i in range(n):
            out[i] = 0
    else:
        for i in range(n):
            out[i * s] = 0


@njit(**OPTIONS)
def zeroed(c: Any, base: Any) -> None:
    """Row: kind, unused, four lengths, then start and strides of the result."""
    for i0 in range(c[4]):
        for i1 in range(c[5]):
            for i2 in range(c[6]):
                out = bytes_at(base, c[8] + i0 * c[9] + i1 * c[10] + i2 * c[11])
                if c[2] == FLOAT32:
                    _zeros(int32s(out, 0), c[12], c[7])
                elif c[2] == BOOL:
                    _zeros(bytes_at(out, 0), c[12], c[7])
                else:
                    _zeros(int64s(out, 0), c[12], c[7])


@njit(**OPTIONS)
def _block_sum(a: Any, s: int, n: int) -> Any:
    """Return the sum of at most ``BLOCK`` entries in eight running sums, as numpy adds them."""
    if n < 8:
        total = a[0]
        for i in range(1, n):
            total += a[i * s]
        return total
    t0, t1, t2, t3 = a[0], a[s], a[2 * s], a[3 * s]
    t4, t5, t6, t7 = a[4 * s], a[5 * s], a[6 * s], a[7 * s]
    whole = n - n % 8
    for i in range(8, whole, 8):
        t0 += a[i * s]
        t1 += a[(i + 1) * s]
        t2 += a[(i + 2) * s]
        t3 += a[(i + 3) * s]
        t4 += a[(i + 4) * s]
        t5 += a[(i + 5) * s]
        t6 += a[(i + 6) * s]
        t7 += a[(i + 7) * s]
    total = ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7))
    for i in range(whole, n):
        total += a[i * s]
    return total


@njit(**OPTIONS)
def _sum(a: Any, s: int, n: int) -> Any:
    """Return the sum of a row, the sums of blocks added with the error of each addition carried on (Neumaier 1974)."""
    total = _block_sum(a, s, min(n, BLOCK))
    lost = total - total  # 0 of the right kind; nan where the total is not finite
    for at in range(BLOCK, n, BLOCK):
        term = _block_sum(shifted(a, at * s), s, min(BLOCK, n - at))
        together = total + term
        lost += (total - together) + term if abs(total) >= abs(term) else (term - together) + total
        total = together
    return total + lost if lost == lost else total


@njit(**OPTIONS)
def _better(which: int, x: Any, y: Any) -> Any:
    if which == ADD:
        return x + y
    if which == MAXIMUM:
        return x if x > y or x != x else y
    return x if x < y or x != x else y


@njit(**OPTIONS)
def _merge(which: int, out: Any, a: Any, s: int, t: int, n: int) -> None:
    if which == ADD and s == 1 and t == 1:
        for i in range(n):
            out[i] += a[i]
    else:
        for i in range(n):
            out[i * s] = _better(which, out[i * s], a[i * t])


@njit(**OPTIONS)
def _reduced(which: int, out: Any, a: Any, s: int, t: int, n: int, first: bool, inner: bool) -> None:
    if inner:
        if which == ADD:
            value = _sum(a, t, n)
        else:
            value = a[0]
            for i in range(1, n):
                value = _better(which, value, a[i * t])
        out[0] = value if first else _better(which, out[0], value)
    elif first:
        _row(out, a, s, t, n)
    else:
        _merge(which, out, a, s, t, n)


@njit(**OPTIONS)
def reduced(c: Any, base: Any) -> None:
    """Row: operation, kind, four lengths, result and source as of a copy, then which axes go: 1 or 0 for each."""
    inner = c[21] == 1
    for i0 in range(c[4]):
        for i1 in range(c[5]):
            for i2 in range(c[6]):
                out = bytes_at(base, c[8] + i0 * c[9] + i1 * c[10] + i2 * c[11])
                a = bytes_at(base, c[13] + i0 * c[14] + i1 * c[15] + i2 * c[16])
                first = i0 * c[18] + i1 * c[19] + i2 * c[20] == 0
                if c[3] == FLOAT64:
                    _reduced(c[2], float64s(out, 0), float64s(a, 0), c[12], c[17], c[7], first, inner)
                else:
                    _reduced(c[2], float32s(out, 0), float32s(a, 0), c[12], c[17], c[7], first, inner)


@njit(**OPTIONS)
def _added(out: Any, a: Any, s: int, t: int, n: int) -> None:
    for i in range(n):
        out[i * s] += a[i * t]


@njit(**OPTIONS)
def _block(c: Any, base: Any, there: int, here: int) -> None:
    """Copy the entries that one index names, or add them back; strides of outer axes in bytes, of inner in entries."""
    for i in range(c[7]):
        source = bytes_at(base, there + i * c[16])
        result = bytes_at(base, here + i * c[11])
        if c[2] == 0:
            _convert(c[3], c[3], result, source, c[12], c[17], c[8])
        elif c[3] == FLOAT64:
            _added(float64s(source, 0), float64s(result, 0), c[17], c[12], c[8])
        else:
            _added(float32s(source, 0), float32s(result, 0), c[17], c[12], c[8])


@njit(**OPTIONS)
def indexed(c: Any, base: Any) -> bool:
    """Return whether each index is in range; take the entries, or add them where they come from.

    Row: 0 take or 1 scatter, kind, index arrays, lengths of two index axes and two block axes, then of the indexed
    result the start, strides of index and block axes, of the source the start and strides of block axes, then for each
    index array its start, two strides in entries, the length and the stride in bytes of the axis that it indexes.
    """
    for i in range(c[5]):
        for j in range(c[6]):
            there = c[13]
            for k in range(c[4]):
                row = int64s(c, 8 * (18 + 5 * k))
                number = int64s(base, row[0] + 8 * (i * row[1] + j * row[2]))[0]
                if number < 0:
                    number += row[3]
                if number < 0 or number >= row[3]:
                    return False
                there += number * row[4]
            _block(c, base, there, c[14] + i * c[9] + j * c[10])
    return True
