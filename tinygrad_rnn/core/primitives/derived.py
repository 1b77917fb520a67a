"""numpy's functions that are other operations in disguise: each returns what a few primitives record.

They take nodes or arrays, as the primitives do, and carry numpy's names and arguments.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from tinygrad_rnn.core.op import Carrier, raise_named
from tinygrad_rnn.core.primitives.elementwise import multiply, sqrt, square, sum_of_products
from tinygrad_rnn.core.primitives.indexing import getitem
from tinygrad_rnn.core.primitives.products import einsum, matmul
from tinygrad_rnn.core.primitives.reductions import mean
from tinygrad_rnn.core.primitives.shaping import concatenate, reshape, transpose

F = TypeVar("F", bound=Callable[..., Any])


def _named(function: F) -> F:
    """Return ``function`` such that an error of Python's or numpy's own names it."""

    @functools.wraps(function)
    def called(*args: Any, **params: Any) -> Any:
        try:
            return function(*args, **params)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise_named(function.__name__, error, args)

    return called  # type: ignore[return-value]


def _axis(name: str, axis: Any, ndim: int) -> int:
    k = operator.index(axis)
    if not -ndim <= k < ndim:
        raise ValueError(f"{name}: axis {k} is out of bounds for an array of {ndim} axes")
    return k % ndim


@_named
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Return x with two axes exchanged."""
    ndim = len(x.shape)
    order = list(range(ndim))
    a, b = _axis("swapaxes", axis1, ndim), _axis("swapaxes", axis2, ndim)
    order[a], order[b] = b, a
    return transpose(x, tuple(order))


@_named
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Return x with axes moved from ``source`` to ``destination`` (integers or sequences of them)."""
    ndim = len(x.shape)
    sources = [_axis("moveaxis", a, ndim) for a in np.atleast_1d(source)]
    places = [_axis("moveaxis", a, ndim) for a in np.atleast_1d(destination)]
    if len(sources) != len(places) or len(set(sources)) < len(sources) or len(set(places)) < len(places):
        raise ValueError(
            f"moveaxis: source {source} and destination {destination} must pair up distinct axes"
        )
    order = [a for a in range(ndim) if a not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, tuple(order))


@_named
def expand_dims(x: Any, axis: Any) -> Any:
    """Return x with a new axis of length 1 at each place of ``axis`` in the result."""
    places = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = len(x.shape) + len(places)
    at = {_axis("expand_dims", a, ndim) for a in places}
    rest = iter(x.shape)
    return reshape(x, tuple(1 if i in at else next(rest) for i in range(ndim)))


@_named
def squeeze(x: Any, axis: Any = None) -> Any:
    """Return x without its axes of length 1, or without those named."""
    ndim = len(x.shape)
    if axis is None:
        return reshape(x, tuple(n for n in x.shape if n != 1))
    gone = {_axis("squeeze", a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))}
    for a in gone:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} of shape {x.shape} has length {x.shape[a]}, not 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


@_named
def ravel(x: Any) -> Any:
    """Return the entries of x in C order along one axis."""
    return reshape(x, (-1,))


@_named
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Return the parts of x along ``axis``: equal sections, or cut before the indices given."""
    k = _axis("split", axis, len(x.shape))
    n = x.shape[k]
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
        if sections <= 0 or n % sections:
            raise ValueError(
                f"split: axis {axis} of length {n} does not divide into {sections} equal sections"
            )
        cuts = [n // sections * i for i in range(1, sections)]
    else:
        cuts = [operator.index(i) for i in indices_or_sections]
    key = (slice(None),) * k
    edges = zip([0, *cuts], [*cuts, n], strict=True)
    return [getitem(x, (*key, slice(a, b))) for a, b in edges]


@_named
def take(x: Any, indices: Any, axis: Any = None) -> Any:
    """Return the entries of x at ``indices`` along ``axis`` (of the flattened array when None)."""
    if axis is None:
        return getitem(ravel(x), (indices,))
    return getitem(x, ((slice(None),) * _axis("take", axis, len(x.shape)) + (indices,)))


@_named
def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    """Return x with each entry along ``axis`` repeated ``repeats`` times (one number, or one per entry)."""
    source = ravel(x) if axis is None else x
    k = 0 if axis is None else _axis("repeat", axis, len(source.shape))
    return take(source, np.repeat(np.arange(source.shape[k]), repeats), k)


@_named
def dot(a: Any, b: Any) -> Any:
    """Return numpy's dot of two arrays, or of two lists of Values their sum of products as one node.

    Raises:
        ValueError: two lists differ in length or are empty.
    """
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b) or not a:
            raise ValueError(f"dot: needs two lists of one length, at least 1, got {len(a)} and {len(b)}")
        if any(isinstance(x, Carrier) for x in (*a, *b)):
            return sum_of_products(*a, *b)
        a, b = np.asarray(a), np.asarray(b)
    if not np.shape(a) or not np.shape(b):
        return multiply(a, b)
    if len(b.shape) <= 2:
        return matmul(a, b)
    left = "abcdefghijklm"[: len(a.shape) - 1]
    right = "nopqrstuvwxy"[: len(b.shape) - 1]
    return einsum(f"{left}z,{right[:-1]}z{right[-1]}->{left}{right}", a, b)


@_named
def inner(a: Any, b: Any) -> Any:
    """Return the sum of products over the last axes of a and b."""
    if not np.shape(a) or not np.shape(b):
        return multiply(a, b)
    return tensordot(a, b, axes=(-1, -1))


@_named
def outer(a: Any, b: Any) -> Any:
    """Return the matrix of all products of entries of a and b, both flattened."""
    return multiply(reshape(a, (-1, 1)), reshape(b, (1, -1)))


@_named
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Return the sum of products over the paired ``axes``: a number of axes, or a pair of (lists of) axes."""
    if isinstance(axes, (int, np.integer)):
        pair = list(range(len(a.shape) - int(axes), len(a.shape))), list(range(int(axes)))
    else:
        pair = tuple(list(np.atleast_1d(x)) for x in axes)  # type: ignore[assignment]
    on_a = [_axis("tensordot", k, len(a.shape)) for k in pair[0]]
    on_b = [_axis("tensordot", k, len(b.shape)) for k in pair[1]]
    free_a = [k for k in range(len(a.shape)) if k not in on_a]
    free_b = [k for k in range(len(b.shape)) if k not in on_b]
    n = int(np.prod([a.shape[k] for k in on_a], dtype=int))
    shape = tuple(a.shape[k] for k in free_a) + tuple(b.shape[k] for k in free_b)
    rows = int(np.prod([a.shape[k] for k in free_a], dtype=int))
    columns = int(np.prod([b.shape[k] for k in free_b], dtype=int))
    left = reshape(transpose(a, tuple(free_a + on_a)), (rows, n))
    right = reshape(transpose(b, tuple(on_b + free_b)), (n, columns))
    return reshape(matmul(left, right), shape)


@_named
def vstack(arrays: Sequence[Any]) -> Any:
    """Return arrays joined along the first axis, vectors as rows."""
    return concatenate([x if len(x.shape) > 1 else reshape(x, (1, -1)) for x in arrays], axis=0)


@_named
def hstack(arrays: Sequence[Any]) -> Any:
    """Return arrays joined along the second axis, vectors along their only one."""
    items = [x if len(x.shape) > 0 else reshape(x, (1,)) for x in arrays]
    return concatenate(items, axis=0 if len(items[0].shape) == 1 else 1)


@_named
def var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """Return the mean squared distance from the mean over ``axis``, with n - ddof in the denominator."""
    centered = x - mean(x, axis=axis, keepdims=True)
    squares = mean(square(centered), axis=axis, keepdims=keepdims)
    n = np.prod(np.shape(x), dtype=float) / max(np.prod(squares.shape, dtype=float), 1.0)
    return squares * float(n / (n - ddof)) if ddof else squares


@_named
def std(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """Return the square root of ``var``; like sqrt it has an infinite derivative at 0, so 0 times it stays 0."""
    return sqrt(var(x, axis=axis, ddof=ddof, keepdims=keepdims))
