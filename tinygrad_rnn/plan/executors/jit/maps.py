"""Elementwise instructions as rows of integers, on windows and on entries that lie anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.plan.codegen.instructions import Operand, Place, Scattered
from tinygrad_rnn.plan.executors.jit.codes import (
    AXES,
    BOOL,
    DIRECT,
    FLAT,
    FLOAT32,
    FLOAT64,
    HEAD,
    INT64,
    LEAF,
    MAP,
    OPERAND,
)
from tinygrad_rnn.plan.executors.jit.geometry import broadcast_strides
from tinygrad_rnn.plan.executors.jit.rows import KINDS, Row, Rows, padded_walk


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
        _window(x, kind, s, result=k == 0)
        for k, (x, s) in enumerate(zip(operands, walk.strides, strict=True))
    ]
    return None if None in told else (_row(kernel, walk.lengths, told, params, range(len(told))),)


def _leaf(form: str, own: int, kind: int, result: bool) -> int | None:
    """Return the leaf that moves entries between an operand and a tile, None where there is none."""
    if result:
        return LEAF.get((f"{form}_truth".removeprefix("move_") if own == BOOL else form, own, kind))
    return LEAF.get((form, kind, own))


def _window(x: Place, kind: int, strides: Sequence[int], result: bool) -> list[int] | None:
    """Return what tells of an operand that is a window; ``kind``: of the kernel's entries."""
    own, size = KINDS[x.dtype], x.dtype.itemsize
    *outer, inner = strides
    leaf = DIRECT if own == kind and inner == 1 else _leaf("move", own, kind, result)
    steps = [inner, 1] if result else [1, inner]
    return None if leaf is None else [leaf, inner * size, 0, *(s * size for s in outer), *steps]


def _row(
    kernel: tuple[int, int],
    lengths: Sequence[int],
    told: Sequence[Sequence[int] | None],
    params: Sequence[int],
    windows: Iterable[int],
) -> Row:
    """Return the row of a map; ``windows``: the operands of which the start is to be added."""
    size = HEAD + OPERAND * len(told) + len(params)
    operands = [x for o in told for x in o or ()]
    numbers = (MAP, size, *kernel, len(told) - 1, 0, *lengths, *operands, *params)
    return Row(numbers, tuple([(k, HEAD + OPERAND * k + 2) for k in windows]))


def scattered_row(
    kernel: tuple[int, int],
    kind: int,
    operands: Sequence[Operand],
    params: Sequence[int],
    numbered: Callable[[Operand, Sequence[int]], int],
) -> Row | None:
    """Return the row of a map of which some operand is scattered: all of them are read along one axis.

    Args:
        kernel: its number and that of the branch.
        kind: in which entries are computed.
        operands: the result first.
        params: as ``packed`` gives them.
        numbered: tells where the table says in which order an operand's entries are read.
    """
    shape = operands[0].shape
    told: list[list[int] | None] = []
    windows = []
    for k, x in enumerate(operands):
        stride = None if isinstance(x, Scattered) else _along(x, shape)
        if stride is not None:
            told.append(_window(x, kind, [0] * (AXES - 1) + [stride], result=k == 0))  # type: ignore[arg-type]
            windows.append(k)
            continue
        leaf = _leaf("spread" if k == 0 else "collect", KINDS[x.dtype], kind, result=k == 0)
        told.append(None if leaf is None else [leaf, 0, 0, numbered(x, shape), 0, 0, 1, 1])
    lengths = (1,) * (AXES - 1) + (math.prod(shape),)
    return None if None in told else _row(kernel, lengths, told, params, windows)


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
