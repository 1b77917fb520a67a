"""Reading entries by a key, and its transpose, adding them back where they came from.

A key is split: what is static (integers, slices, None, ellipsis) goes into the parameters, index arrays and masks
are arguments, so that they may change between replays.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.op import Carrier, Op


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice that can be hashed."""

    start: int | None
    stop: int | None
    step: int | None


class Here:
    """Marks the place of an index array in a key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "array"


HERE = Here()


def _encode(part: Any, arrays: list[Any]) -> Any:
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        bounds = (part.start, part.stop, part.step)
        return Slice(*(None if b is None else operator.index(b) for b in bounds))
    if isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_)):
        return int(part)
    if not isinstance(part, Carrier):
        part = (
            np.asarray(part) if len(np.shape(part)) == 0 or np.size(part) else np.asarray(part, dtype=np.intp)
        )
    if part.dtype.kind not in "iub":
        raise IndexError(
            f"getitem: an index must be an integer, slice, None, ... or an integer or boolean array, not {part.dtype}"
        )
    arrays.append(part)
    return HERE


def _bind_getitem(x: Any, key: Any) -> Any:
    arrays: list[Any] = []
    parts = tuple(_encode(part, arrays) for part in (key if isinstance(key, tuple) else (key,)))
    return (x, *arrays), {"key": parts}


def decode(key: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the key that numpy understands."""
    rest = iter(arrays)
    return tuple(
        next(rest)
        if part is HERE
        else slice(part.start, part.stop, part.step)
        if isinstance(part, Slice)
        else part
        for part in key
    )


def _scatter(xp: Any, g: Any, *indices: Any, key: Any, shape: Any) -> Any:
    out = np.zeros(shape, dtype=np.asarray(g).dtype)
    if indices:
        np.add.at(out, decode(key, indices), g)  # an index may occur twice
    else:
        out[decode(key, ())] = g
    return out


def _getitem_rule(i: int, xp: Any, g: Any, y: Any, args: Any, key: Any) -> Any:
    return xp.scatter_add(g, *args[1:], key=key, shape=args[0].shape) if i == 0 else None


def _scatter_rule(i: int, xp: Any, g: Any, y: Any, args: Any, key: Any, shape: Any) -> Any:
    return xp.getitem(g, decode(key, args[1:])) if i == 0 else None


getitem = Op(
    name="getitem",
    symbol="[ ]",
    forward=lambda xp, x, *indices, key: x[decode(key, indices)],
    transpose=_getitem_rule,
    packed=True,
    linear="each",
    bind=_bind_getitem,
    doc="x[key] for integers, slices, None, ellipsis, index arrays and masks, as numpy",
)


scatter_add = Op(
    name="scatter_add",
    symbol="scatter",
    forward=_scatter,
    transpose=_scatter_rule,
    packed=True,
    linear="each",
    bind=lambda g, *indices, key, shape: ((g, *indices), {"key": key, "shape": tuple(shape)}),
    doc="zeros of a shape with g added at key: the transpose of getitem",
)
