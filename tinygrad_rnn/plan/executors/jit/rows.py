"""Instructions on windows as rows of integers: copies, reductions, reading and adding by index, products.

All numbers but the starts of the windows depend on shapes and strides alone, which the steps of a sequence share; so a
``Row`` is made once for them all, and each instruction adds its starts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives.indexing import HERE
from tinygrad_rnn.plan.codegen.instructions import Place
from tinygrad_rnn.plan.codegen.windows import entries
from tinygrad_rnn.plan.executors.jit.codes import (
    AXES,
    BOOL,
    BY_GEMM,
    BY_GEMV,
    COPY,
    FLOAT32,
    FLOAT64,
    INDEX,
    INT64,
    LEAF,
    LOOPS,
    PRODUCT,
    REDUCE,
)  # fmt: skip
from tinygrad_rnn.plan.executors.jit.geometry import Walk, broadcast_strides, collapsed, taken_apart

KINDS = {
    np.dtype(np.float64): FLOAT64,
    np.dtype(np.float32): FLOAT32,
    np.dtype(np.bool_): BOOL,
    np.dtype(np.int64): INT64,
}
REDUCTIONS: list[Op | None] = [ops.add, ops.maximum, ops.minimum]
SMALL = 256  # multiplications; a smaller product of a row, or by a transposed matrix, is faster by loops


class Row(NamedTuple):
    """A row without its starts; ``slots[k]`` is (operand, where its start is to be added); the result is operand 0."""

    numbers: tuple[int, ...]
    slots: tuple[tuple[int, int], ...]


Rows = tuple[Row, ...] | None
"""Nothing to do where empty; None where no kernel can do it."""


def padded_walk(
    lengths: Sequence[int],
    strides: Sequence[Sequence[int]],
    axes: int = AXES,
) -> Walk | None:
    """Return the walk over all axes with as many as kernels have, None where it needs more."""
    walk = collapsed(lengths, strides)
    return None if len(walk.lengths) > axes else walk.padded(axes)


def _walked(
    leaves: tuple[int, int], kind: int, walk: Walk, sizes: tuple[int, int], rest: Sequence[int] = ()
) -> Row:
    """Return the row of a padded walk over a result and a source, whose entries have ``sizes`` in bytes."""
    (*here, s), (*there, t) = walk.strides
    outer = [0, *(x * sizes[0] for x in here), 0, *(x * sizes[1] for x in there)]
    return Row((kind, 18 + len(rest), *leaves, *walk.lengths, *outer, s, t, *rest), ((0, 8), (1, 12)))


def copy_rows(out: Place, a: Place) -> Rows:
    """Return the rows that copy ``a``, broadcast and cast, to ``out``."""
    leaf = LEAF.get(("move", KINDS[out.dtype], KINDS[a.dtype]))
    if leaf is None:
        return None
    if not math.prod(out.shape):
        return ()
    walk = padded_walk(out.shape, [out.strides, broadcast_strides(a.shape, a.strides, out.shape)])
    return None if walk is None else (_walked((leaf, 0), COPY, walk, (out.dtype.itemsize, a.dtype.itemsize)),)


def zero_rows(out: Place) -> Rows:
    """Return the rows that fill ``out`` with zeros."""
    if not math.prod(out.shape):
        return ()
    walk = padded_walk(out.shape, [out.strides, out.strides])
    if walk is None:
        return None
    kind, size = KINDS[out.dtype], out.dtype.itemsize
    return (_walked((LEAF["zeros", kind, kind], 0), COPY, walk, (size, size)),)


def reduce_rows(out: Place, a: Place, op: Op | None, axes: Sequence[int]) -> Rows:
    """Return the rows that reduce ``a`` along ``axes``, which ``out`` does not have."""
    kind = KINDS[a.dtype]
    if op not in REDUCTIONS or kind > FLOAT32 or out.dtype != a.dtype:
        return None
    if not math.prod(out.shape):
        return ()
    if not math.prod(a.shape):
        return zero_rows(out) if op is ops.add else None
    kept = iter(out.strides)
    walk = padded_walk(a.shape, [a.strides, [0 if k in axes else next(kept) for k in range(len(a.shape))]])
    if walk is None:
        return None
    there, here = walk.strides
    gone = [int(s == 0) for s in here]  # the result does not move along the axes that go
    if gone[-1]:
        leaves = LEAF["reduce_new", kind, kind], LEAF["reduce_more", kind, kind]
        here = (*here[:-1], REDUCTIONS.index(op))
    else:
        assert op is not None
        leaves = LEAF["move", kind, kind], LEAF[f"merge_{op.name}", kind, kind]
    size = a.dtype.itemsize
    return (_walked(leaves, REDUCE, Walk(walk.lengths, (here, there)), (size, size), gone[:-1]),)


def index_rows(kernel: str, out: Place, args: Sequence[Place], key: Sequence[Any]) -> Rows:
    """Return the rows that take from ``args[0]`` at a key, or scatter ``args[0]`` into ``out`` at it."""
    take = kernel == "take"
    whole, part = (args[0], out) if take else (out, args[0])
    kind = KINDS[out.dtype]
    if out.dtype != args[0].dtype or not (take or kind <= FLOAT32):
        return None
    before = () if take else zero_rows(out)
    if before is None or not math.prod(part.shape):
        return before
    if len(args) == 1:
        return _windowed(take, before, entries(whole, key), part, whole.offset)
    if any(KINDS[i.dtype] != INT64 for i in args[1:]):
        return None
    row = _indexing(take, kind, whole, part, args[1:], key)
    return None if row is None else (*before, row)


def _windowed(take: bool, before: tuple[Row, ...], inside: Place, part: Place, origin: int) -> Rows:
    """Return the copy between ``part`` and a window of the whole that begins ``origin`` entries before it."""
    copied = copy_rows(part, inside) if take else copy_rows(inside, part)
    if not copied:
        return None
    numbers = list(copied[0].numbers)
    numbers[12 if take else 8] = (inside.offset - origin) * inside.dtype.itemsize
    return (*before, copied[0]._replace(numbers=tuple(numbers)))


def _indexing(
    take: bool, kind: int, whole: Place, part: Place, indices: Sequence[Place], key: Sequence[Any]
) -> Row | None:
    apart = taken_apart(key, whole.shape, whole.strides, HERE)
    shape = np.broadcast_shapes(*[i.shape for i in indices])
    first, last = apart.place, apart.place + len(shape)
    outer = padded_walk(
        shape,
        [part.strides[first:last], *(broadcast_strides(i.shape, i.strides, shape) for i in indices)],
        axes=2,
    )
    inner_strides = part.strides[:first] + part.strides[last:]
    inner = padded_walk([n for n, _ in apart.block], [inner_strides, [s for _, s in apart.block]], axes=2)
    if outer is None or inner is None:
        return None
    size = whole.dtype.itemsize
    (part_outer, s), (whole_outer, t) = inner.strides
    leaf = LEAF["move" if take else "merge_add", kind, kind]
    numbers = [
        INDEX,
        18 + 5 * len(indices),
        int(not take),
        leaf,
        len(indices),
        *outer.lengths,
        *inner.lengths,
    ]
    numbers += [x * size for x in (*outer.strides[0], part_outer, whole_outer, apart.offset)]
    numbers += [0, *((s, t) if take else (t, s)), 0]
    for strides, (length, stride) in zip(outer.strides[1:], apart.indexed, strict=True):
        numbers += [0, *strides, length, stride * size]
    ends = (1, 13), (0, 14)
    slots = ends if take else ((0, 13), (1, 14))
    return Row(tuple(numbers), (*slots, *((k + 2, 18 + 5 * k) for k in range(len(indices)))))


def product_rows(out: Place, a: Place, b: Place) -> Rows:
    """Return the rows that multiply matrices, or stacks of them."""
    kind = KINDS[out.dtype]
    if kind > FLOAT32 or a.dtype != out.dtype or b.dtype != out.dtype:
        return None
    if not math.prod(out.shape):
        return ()
    if not math.prod(a.shape):
        return zero_rows(out)
    stack = len(out.shape) == 3
    count = out.shape[0] if stack else 1
    steps = [w.strides[0] * out.dtype.itemsize if stack else 0 for w in (out, a, b)]
    (m, n), k = out.shape[-2:], a.shape[-1]
    c, left, right = (w.strides[-2:] for w in (out, a, b))
    slots = [8, 9, 10]
    turned = n == 1 or (m > 1 and c[1] != 1)
    if turned:  # as the transposed product: it is one row, or its rows lie entry by entry
        m, n = n, m
        c, left, right = c[::-1], right[::-1], left[::-1]
        slots, steps = [8, 10, 9], [steps[0], steps[2], steps[1]]
    method = _method(m, n, k, c, left, right)
    if method is None:
        return None
    how, rest = method
    if rest[4]:
        c = (rest[4], c[1])
    leaf = LEAF["multiply", kind, kind]
    numbers = (PRODUCT, 25, kind, how, count, m, n, k, 0, 0, 0, *c, *left, *right, *rest[:4], *steps, leaf)
    return (Row(numbers, tuple(enumerate(slots))),)


def _method(
    m: int, n: int, k: int, c: Sequence[int], a: Sequence[int], b: Sequence[int]
) -> tuple[int, tuple[int, int, int, int, int]] | None:
    """Return what makes a product, and the letters and strides that BLAS asks for; the last is that of the result.

    BLAS counts columns where we count rows, so it is given the transposed product: b first.
    """
    loops = LOOPS, (0, 0, 0, 0, 0)
    second, first = _layout(b, k, n), _layout(a, m, k)
    small = m * n * k <= SMALL
    if second is None:
        return loops if small else None
    letter, lead = second
    if m == 1:
        if small or (
            n > 1 and b[1] == c[1] == 1
        ):  # as fast as BLAS, which would use threads for the larger ones
            return loops
        if (k == 1 or a[1] > 0) and (n == 1 or c[1] > 0):
            return BY_GEMV, (ord(letter), *((n, k) if letter == "N" else (k, n)), lead, 0)
        return None
    if first is None or (n > 1 and c[1] != 1) or c[0] < n or (small and letter == "T"):
        return loops if small else None
    return BY_GEMM, (ord(letter), ord(first[0]), lead, first[1], c[0])


def _layout(strides: Sequence[int], rows: int, columns: int) -> tuple[str, int] | None:
    """Return "N" and the stride of rows where rows lie entry by entry, "T" and that of columns where columns do."""
    outer, inner = strides
    if (inner == 1 or columns == 1) and (outer >= columns or rows == 1):
        return "N", outer if rows > 1 else max(1, columns)
    if (outer == 1 or rows == 1) and (inner >= rows or columns == 1):
        return "T", inner if columns > 1 else max(1, rows)
    return None
