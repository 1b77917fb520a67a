"""Other readings of a window of memory: transposed, reshaped, indexed, and several side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.core.primitives.indexing import Slice
from tinygrad_rnn.plan.codegen.instructions import Place


def window(block: int, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Place:
    """Return a contiguous window."""
    return Place(block, offset, shape, contiguous_strides(shape), dtype)


def mapped(place: Place, memory: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """Return the array of a window in the bytes of an arena, in which block k begins at ``starts[k]``."""
    block, offset, shape, strides, dtype = place
    size = dtype.itemsize
    return np.ndarray(shape, dtype, memory, starts[block] + offset * size, [s * size for s in strides])


def grid(place: Place) -> np.ndarray:
    """Return the distance of each entry from the first, in entries."""
    steps = [s * np.arange(n) for n, s in zip(place.shape, place.strides, strict=True)]
    distances: np.ndarray = sum(np.ix_(*steps), np.zeros((), np.int64))
    return distances


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of an array in C order, in entries."""
    if len(shape) < 2:
        return (1,) * len(shape)
    strides = [1]
    for length in shape[:0:-1]:
        strides.append(strides[-1] * length)
    return tuple(strides[::-1])


def is_contiguous(place: Place) -> bool:
    """Return whether the entries lie one behind the other, in C order."""
    expected = 1
    for length, stride in zip(reversed(place.shape), reversed(place.strides), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True


def transposed(place: Place, axes: Sequence[int]) -> Place:
    """Return the window with its axes in another order."""
    return place._replace(
        shape=tuple([place.shape[a] for a in axes]), strides=tuple([place.strides[a] for a in axes])
    )


def reshaped(place: Place, shape: tuple[int, ...]) -> Place | None:
    """Return the same entries in another shape, None where strides cannot say it."""
    if place.shape == shape:
        return place
    if is_contiguous(place) or not math.prod(shape):
        return place._replace(shape=shape, strides=contiguous_strides(shape))
    old = [(n, s) for n, s in zip(place.shape, place.strides, strict=True) if n != 1]
    strides: list[int] = []
    i = 0
    for group in _groups([n for n, _ in old], shape):
        mine = old[i : i + group[0]]
        i += group[0]
        if any(s != next_s * next_n for (_, s), (next_n, next_s) in pairwise(mine)):
            return None
        step = mine[-1][1] if mine else 1
        for length in reversed(group[1]):
            group_stride = step
            strides.append(group_stride)
            step *= length
        strides[len(strides) - len(group[1]) :] = strides[len(strides) - len(group[1]) :][::-1]
    return place._replace(shape=shape, strides=tuple(strides))


def _groups(old: list[int], new: tuple[int, ...]) -> list[tuple[int, list[int]]]:
    """Return pairs (how many old axes, lengths of new axes) with equal products, in order."""
    groups: list[tuple[int, list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        count = 0
        lengths: list[int] = []
        left = right = 1
        while (left != right or not lengths) and (i < len(old) or j < len(new)):
            if (left < right or j == len(new)) and i < len(old):
                left *= old[i]
                i, count = i + 1, count + 1
            else:
                right *= new[j]
                lengths.append(new[j])
                j += 1
                if left == right == 1 and count == 0:
                    break  # axes of length 1 stand alone
        groups.append((count, lengths))
    return groups


def entries(place: Place, key: Sequence[Any]) -> Place:
    """Return the window that a key of integers, slices, None and an ellipsis reads."""
    taken = sum(part is not None and part is not Ellipsis for part in key)
    rest = len(place.shape) - taken
    parts: list[Any] = []
    for part in key:
        parts += [Slice(None, None, None)] * rest if part is Ellipsis else [part]
    if Ellipsis not in key:
        parts += [Slice(None, None, None)] * rest
    offset, shape, strides, axis = place.offset, [], [], 0
    for part in parts:
        if part is None:
            shape.append(1)
            strides.append(0)
            continue
        length, stride = place.shape[axis], place.strides[axis]
        axis += 1
        if isinstance(part, Slice):
            start, stop, step = slice(part.start, part.stop, part.step).indices(length)
            count = len(range(start, stop, step))
            offset += start * stride if count else 0
            shape.append(count)
            strides.append(step * stride)
        else:
            offset += (part + length if part < 0 else part) * stride
    return place._replace(offset=offset, shape=tuple(shape), strides=tuple(strides))


def collapsed(out: Place, args: Sequence[Place]) -> list[Place]:
    """Return windows that broadcast to the shape of the first, with as few axes as strides can say.

    Axes of length 1 go, one that no window walks forwards is turned round, and neighboring axes that every window walks
    in one stride become one: a bias added to one row is a call on two vectors, which numpy dispatches three times as
    fast. The order of the entries may change, in all windows alike.
    """
    operands = [out, *args]
    offsets = [p.offset for p in operands]
    rank = len(out.shape)
    # for each window its stride along each axis that stays; 0 where it is repeated
    steps: list[list[int]] = [[] for _ in operands]
    lengths: list[int] = []
    for axis in range(-rank, 0):
        length = out.shape[axis]
        if length == 1:
            continue
        mine = [p.strides[axis] if len(p.shape) >= -axis and p.shape[axis] != 1 else 0 for p in operands]
        if length and min(mine) < 0 >= max(mine):
            offsets = [o + m * (length - 1) for o, m in zip(offsets, mine, strict=True)]
            mine = [-m for m in mine]
        if lengths and all(s[-1] == m * length for s, m in zip(steps, mine, strict=True)):
            lengths[-1] *= length
            for s, m in zip(steps, mine, strict=True):
                s[-1] = m
            continue
        lengths.append(length)
        for s, m in zip(steps, mine, strict=True):
            s.append(m)
    result = [Place(out.block, offsets[0], tuple(lengths), tuple(steps[0]), out.dtype)]
    for place, offset, strides in zip(args, offsets[1:], steps[1:], strict=True):
        shape = tuple([n if s else 1 for n, s in zip(lengths, strides, strict=True)])
        if not any(strides):
            shape, strides = (), []
        result.append(Place(place.block, offset, shape, tuple(strides), place.dtype))
    return result


def joined(places: Sequence[Place]) -> Place | None:
    """Return windows at a constant distance in one block as one, with a new first axis; else None."""
    first = places[0]
    block, offset, shape, strides, dtype = first
    step = places[1].offset - offset if len(places) > 1 else 0
    before = offset - step
    for place in places:
        if (
            place.offset - before != step
            or place.block != block
            or place.strides != strides
            or place.shape != shape
        ):
            return None
        before = place.offset
    return Place(block, offset, (len(places), *shape), (step, *strides), dtype)


def runs(places: Sequence[Place]) -> list[tuple[int, Place]]:
    """Return the windows in as few pieces as lie side by side: where each begins, and its windows joined."""
    found: list[tuple[int, Place]] = []
    start = 0
    while start < len(places):
        stop = start + 1
        if stop < len(places):
            step = places[stop].offset - places[start].offset
            while stop < len(places) and _follows(places[stop - 1], places[stop], step):
                stop += 1
        piece = joined(places[start:stop])
        assert piece is not None
        found.append((start, piece))
        start = stop
    return found


def _follows(a: Place, b: Place, step: int) -> bool:
    return b.offset - a.offset == step and a.block == b.block and a.strides == b.strides


def members(stack: Place, start: int, count: int) -> Place:
    """Return the window of ``count`` members of a stack, from member ``start`` on."""
    return stack._replace(offset=stack.offset + start * stack.strides[0], shape=(count, *stack.shape[1:]))


def aligned(place: Place, rank: int) -> Place:
    """Return a stack with axes of length 1 behind the first, so that its members broadcast as they did."""
    missing = rank - len(place.shape)
    if missing <= 0:
        return place
    shape, strides = place.shape, place.strides
    return place._replace(
        shape=(shape[0], *(1,) * missing, *shape[1:]), strides=(strides[0], *(0,) * missing, *strides[1:])
    )


def dropped(place: Place, axes: Sequence[int]) -> Place:
    """Return the window without axes of length 1."""
    kept = [a for a in range(len(place.shape)) if a not in axes]
    return transposed(place, kept)
