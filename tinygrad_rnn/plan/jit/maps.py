"""Elementwise instructions as rows of integers, on windows and on entries that lie anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.instructions import Operand, Place, Scattered
from tinygrad_rnn.plan.jit.codes import (
    AXES,
    BOOL,
    DIRECT,
    FLAT,
    FLOAT32,
    FLOAT64,
    HEAD,
    INT64,
    MAP,
    OPERAND,
    SCATTERED,
    STRIDED,
)  # fmt: skip
from tinygrad_rnn.plan.jit.geometry import broadcast_strides
from tinygrad_rnn.plan.jit.rows import KINDS, Row, Rows, padded_walk

WIDTH = {FLOAT64: 8, FLOAT32: 4, BOOL: 1, INT64: 8}


def computed_in(operands: Sequence[Operand]) -> int | None:
    """Return the kind in which entries are computed, None where no kernel does."""
    kinds = [KINDS[x.dtype] for x in operands]
    if kinds[0] == INT64:
        return None
    if FLOAT64 in kinds[1:] or INT64 in kinds[1:] or FLOAT32 not in kinds[1:]:
        return FLOAT64
    return FLOAT32


def packed(params: Mapping[str, Any], kind: int) -> list[int]:
    """Return the bits of numbers as a kernel reads them."""
    bits = np.array(list(params.values()), np.float64 if kind == FLOAT64 else np.float32).tobytes()
    whole: list[int] = np.frombuffer(bits.ljust(-(-len(bits) // 8) * 8, b"\0"), np.int64).tolist()
    return whole


def map_rows(kernel: tuple[int, int], kind: int, operands: Sequence[Place], params: Sequence[int]) -> Rows:
    """Return the rows of a map of windows, the result first; ``kernel`` is its number and that of the branch."""
    shape = operands[0].shape
    if not math.prod(shape):
        return ()
    walk = padded_walk(shape, [broadcast_strides(x.shape, x.strides, shape) for x in operands])
    if walk is None:
        return None
    kinds = [KINDS[x.dtype] for x in operands]
    ready = [k == kind and s[-1] == 1 for k, s in zip(kinds, walk.strides, strict=True)]
    if all(ready) and walk.lengths[:-1] == (1,) * (AXES - 1):
        numbers = (FLAT, 9 + len(params), *kernel, walk.lengths[-1], 0, 0, 0, 0, *params)
        return (Row(numbers, tuple([(k, 5 + k) for k in range(len(operands))])),)
    told = [
        [DIRECT if r else STRIDED, k, 0, *(WIDTH[k] * t for t in s[:-1]), s[-1]]
        for r, k, s in zip(ready, kinds, walk.strides, strict=True)
    ]
    return (_row(kernel, kind, walk.lengths, told, params),)


def _row(
    kernel: tuple[int, int],
    kind: int,
    lengths: Sequence[int],
    told: Sequence[Sequence[int]],
    params: Sequence[int],
) -> Row:
    size = HEAD + OPERAND * len(told) + len(params)
    double = int(kind == FLOAT64)
    numbers = (MAP, size, *kernel, len(told) - 1, double, *lengths, *(x for o in told for x in o), *params)
    slots = [(k, HEAD + OPERAND * k + 2) for k in range(len(told)) if told[k][0] != SCATTERED]
    return Row(numbers, tuple(slots))


def scattered_row(
    kernel: tuple[int, int],
    kind: int,
    operands: Sequence[Operand],
    params: Sequence[int],
    numbered: Any,
) -> Row:
    """Return the row of a map of which some operand is scattered: all of them are read along one axis.

    Args:
        kernel: its number and that of the branch.
        kind: in which entries are computed.
        operands: the result first.
        params: as ``packed`` gives them.
        numbered: tells where the table says in which order an operand's entries are read.
    """
    shape = operands[0].shape
    told = []
    for x in operands:
        own = KINDS[x.dtype]
        stride = None if isinstance(x, Scattered) else _along(x, shape)
        if stride is None:
            told.append([SCATTERED, own, numbered(x, shape), 0, 0, 0, 1])
        else:
            direct = own == kind and stride == 1
            told.append([DIRECT if direct else STRIDED, own, 0, 0, 0, 0, stride])
    return _row(kernel, kind, (1,) * (AXES - 1) + (math.prod(shape),), told, params)


def _along(place: Place, shape: Sequence[int]) -> int | None:
    """Return the one stride with which a window is read in C order as one of ``shape``, None where it has several."""
    strides = broadcast_strides(place.shape, place.strides, shape)
    step: int | None = None
    expected = 0
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n == 1:
            continue
        if step is None:
            step = expected = s
        elif s != expected:
            return None
        expected *= n
    return 1 if step is None else step
