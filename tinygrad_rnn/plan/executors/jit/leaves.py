"""The innermost loops that move, reduce and multiply entries: small functions of typed pointers.

All take ``(out, a, b, q, n)``: what to write and to read, then, as each says, a second array or the order of entries,
numbers of the row, and how many entries. They become the branches of one kernel, so that no other code has loops.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from tinygrad_rnn.plan.executors.jit.machine import OPTIONS, SUMMING, int32s, shifted

ADD, MAXIMUM, MINIMUM = range(3)
BLOCK = 128


@njit(**OPTIONS)
def move(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Copy and cast; q: the strides of result and source."""
    s, t = q[0], q[1]
    if s == 1 and t == 1:
        for i in range(n):
            out[i] = a[i]
    elif s == 1 and t == 0:
        first = a[0]
        for i in range(n):
            out[i] = first
    else:
        for i in range(n):
            out[i * s] = a[i * t]


@njit(**OPTIONS)
def truth(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Write which entries are not 0; q as of ``move``."""
    for i in range(n):
        out[i * q[0]] = a[i * q[1]] != 0


@njit(**OPTIONS)
def collect(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Read the entries that b numbers."""
    order = int32s(b, 0)
    for i in range(n):
        out[i] = a[order[i]]


@njit(**OPTIONS)
def spread(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Write the entries that b numbers."""
    order = int32s(b, 0)
    for i in range(n):
        out[order[i]] = a[i]


@njit(**OPTIONS)
def spread_truth(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Write which entries are not 0 to those that b numbers."""
    order = int32s(b, 0)
    for i in range(n):
        out[order[i]] = a[i] != 0


@njit(**OPTIONS)
def zeros(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Write zeros; q: the stride."""
    s = q[0]
    if s == 1:
        for i in range(n):
            out[i] = 0
    else:
        for i in range(n):
            out[i * s] = 0


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
def _larger(x: Any, y: Any) -> Any:
    return x if x > y or x != x else y


@njit(**OPTIONS)
def _smaller(x: Any, y: Any) -> Any:
    return x if x < y or x != x else y


@njit(**OPTIONS)
def _reduced(a: Any, which: int, s: int, n: int) -> Any:
    if which == ADD:
        return _sum(a, s, n)
    best = a[0]
    for i in range(1, n):
        best = _larger(best, a[i * s]) if which == MAXIMUM else _smaller(best, a[i * s])
    return best


@njit(**OPTIONS)
def reduce_new(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Reduce a row to one entry; q: the operation, the stride."""
    out[0] = _reduced(a, q[0], q[1], n)


@njit(**OPTIONS)
def reduce_more(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Reduce a row and the entry that is there to one."""
    value = _reduced(a, q[0], q[1], n)
    old = out[0]
    out[0] = old + value if q[0] == ADD else _larger(old, value) if q[0] == MAXIMUM else _smaller(old, value)


@njit(**OPTIONS)
def merge_add(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Add a row to another, entry by entry; q as of ``move``."""
    s, t = q[0], q[1]
    if s == 1 and t == 1:
        for i in range(n):
            out[i] += a[i]
    else:
        for i in range(n):
            out[i * s] += a[i * t]


@njit(**OPTIONS)
def merge_maximum(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Keep the larger entries."""
    for i in range(n):
        out[i * q[0]] = _larger(out[i * q[0]], a[i * q[1]])


@njit(**OPTIONS)
def merge_minimum(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """Keep the smaller entries."""
    for i in range(n):
        out[i * q[0]] = _smaller(out[i * q[0]], a[i * q[1]])


@njit(**SUMMING)
def _rows(out: Any, a: Any, b: Any, n: int, k: int, s: int, t: int) -> None:
    """One row of a product as a sum of rows of b, four at a time: out is written a quarter as often."""
    for j in range(n):
        out[j] = 0
    whole = k - k % 4
    for p in range(0, whole, 4):
        x0, x1, x2, x3 = a[p * s], a[(p + 1) * s], a[(p + 2) * s], a[(p + 3) * s]
        b0, b1 = shifted(b, p * t), shifted(b, (p + 1) * t)
        b2, b3 = shifted(b, (p + 2) * t), shifted(b, (p + 3) * t)
        for j in range(n):
            out[j] += (x0 * b0[j] + x1 * b1[j]) + (x2 * b2[j] + x3 * b3[j])
    for p in range(whole, k):
        x0 = a[p * s]
        row = shifted(b, p * t)
        for j in range(n):
            out[j] += x0 * row[j]


@njit(**SUMMING)
def _dots(out: Any, a: Any, b: Any, q: Any, s: int, t: int) -> None:
    """One row of a product, each entry that of a row of a and a column of b; q as of ``multiply``."""
    n, k = q[6], q[7]
    for j in range(n):
        column = shifted(b, j * q[16])
        total = a[0] * column[0]
        for p in range(1, k):
            total += a[p * s] * column[p * t]
        out[j * q[12]] = total


@njit(**OPTIONS)
def multiply(out: Any, a: Any, b: Any, q: Any, n: int) -> None:
    """A product of small matrices; b: the second one, of the same kind; q: the row of the product."""
    for i in range(q[5]):
        row, left = shifted(out, i * q[11]), shifted(a, i * q[13])
        if q[16] == 1 and q[12] == 1:
            _rows(row, left, b, q[6], q[7], q[14], q[15])
        elif q[15] == 1 and q[14] == 1:
            _dots(row, left, b, q, 1, 1)
        else:
            _dots(row, left, b, q, q[14], q[15])
