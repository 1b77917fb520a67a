"""How windows of memory are walked: the fewest axes that visit the same entries, the shortest steps innermost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Walk(NamedTuple):
    """Axes, outermost first.

    Attributes:
        lengths: of the axes.
        strides: for each operand the distance of neighbors along each axis, in entries.
    """

    lengths: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    def padded(self, rank: int) -> Walk:
        """Return the same walk with axes of length 1 in front."""
        more = (0,) * (rank - len(self.lengths))
        lengths = (1,) * len(more) + self.lengths
        return Walk(lengths, tuple([more + s for s in self.strides]))


def broadcast_strides(shape: Sequence[int], strides: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """Return the strides with which a window of ``shape`` is read as one of shape ``target``."""
    missing = len(target) - len(shape)
    own = [s if n == m else 0 for s, n, m in zip(strides, shape, target[missing:], strict=True)]
    return (0,) * missing + tuple(own)


def collapsed(lengths: Sequence[int], strides: Sequence[Sequence[int]]) -> Walk:
    """Return the walk over all axes in the order of the first operand's strides, neighbors merged where they can be.

    Args:
        lengths: of the axes.
        strides: for each operand, along each axis.
    """
    axes = [k for k, n in enumerate(lengths) if n != 1]
    axes.sort(key=lambda k: -abs(strides[0][k]))  # stable: equal strides stay in order
    merged: list[tuple[int, list[int]]] = []
    for k in axes:
        steps = [s[k] for s in strides]
        if merged and merged[-1][1] == [s * lengths[k] for s in steps]:
            merged[-1] = merged[-1][0] * lengths[k], steps
        else:
            merged.append((lengths[k], steps))
    if not merged:
        merged = [(1, [1] * len(strides))]
    by_operand = tuple(tuple(steps[i] for _, steps in merged) for i in range(len(strides)))
    return Walk(tuple(n for n, _ in merged), by_operand)


class Indexing(NamedTuple):
    """A key with index arrays, taken apart.

    Attributes:
        offset: what integers and slices skip, in entries of the source.
        indexed: for each index array the length and the stride of its axis of the source.
        block: the lengths and strides of the axes of the source that are taken as they are.
        place: before how many of those axes the axes of the index arrays come in the result.
    """

    offset: int
    indexed: tuple[tuple[int, int], ...]
    block: tuple[tuple[int, int], ...]
    place: int


def taken_apart(
    key: Sequence[object], shape: Sequence[int], strides: Sequence[int], here: object
) -> Indexing:
    """Return what a key of integers, ``Slice`` records, None, ... and index arrays (``here``) means for a window."""
    used = sum(part is not None and part is not Ellipsis for part in key)
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    arrays = any(part is here for part in key)
    offset, axis = 0, 0
    indexed: list[tuple[int, int]] = []
    block: list[tuple[int, int]] = []
    places: list[int] = []  # the position of each advanced part
    for position, part in enumerate(key):
        if part is Ellipsis:
            rest = len(shape) - used
            block += zip(shape[axis : axis + rest], strides[axis : axis + rest], strict=True)
            axis += rest
            continue
        if part is None:
            block.append((1, 0))
            continue
        length, stride = shape[axis], strides[axis]
        axis += 1
        if part is here or isinstance(part, int):
            if not places:
                place = len(block)
            if arrays:
                places.append(position)
            if part is here:
                indexed.append((length, stride))
            else:
                assert isinstance(part, int)
                offset += (part + length if part < 0 else part) * stride
            continue
        first, stop, step = slice(part.start, part.stop, part.step).indices(length)  # type: ignore[attr-defined]
        block.append((len(range(first, stop, step)), step * stride))
        offset += first * stride if block[-1][0] else 0
    together = bool(places) and places[-1] - places[0] == len(places) - 1
    return Indexing(offset, tuple(indexed), tuple(block), place if together else 0)
