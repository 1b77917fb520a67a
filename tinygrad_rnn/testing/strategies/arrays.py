"""Numbers and arrays to start from: kinks, domains, shapes that broadcast, keys to index by, layouts in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import DrawFn, SearchStrategy

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.nn.inputs import float_dtype, plain

DOMAIN = (-3.0, 3.0)
APART = 0.125  # how far from a kink a number keeps that must not lie on one
# Kinks (most are at 0), ties and powers of two: where rules differ.
PLAIN = (0.0, 1.0, -1.0, 2.0, 0.5, -0.25, 0.0)


def numbers(*, domain: tuple[float, float] = DOMAIN, kinks: bool = True) -> SearchStrategy[float]:
    """Return floats of an interval, among them often 0, 1, -1 and repeated ones.

    Args:
        domain: the closed interval.
        kinks: False keeps 0.125 away from 0, where ``abs``, ``relu`` and others have no derivative.

    Example:
        >>> from hypothesis import find
        >>> find(numbers(domain=(0.5, 2)), lambda x: x > 1)
        2.0
    """
    low, high = check.interval("numbers: domain", domain)
    check.truth("numbers: kinks", kinks)
    plain = [x for x in PLAIN if low <= x <= high and (kinks or x)]
    parts: list[SearchStrategy[float]] = [st.sampled_from(plain)] if plain else []
    if kinks or not low < APART or not high > -APART:
        return st.one_of(*parts, _floats(low, high))
    sides = [(max(low, APART), high), (low, min(high, -APART))]
    parts += [_floats(a, b) for a, b in sides if a <= b]
    if not parts:
        raise ValueError(
            f"numbers: domain ({low}, {high}) holds nothing but the neighborhood of 0: allow kinks"
        )
    return st.one_of(*parts)


def _floats(low: float, high: float) -> SearchStrategy[float]:
    """Numbers of half precision where they are in its range: short to print, none so small that products underflow."""
    kind: Any = np.float16 if max(abs(low), abs(high)) < 6e4 else np.float64
    a, b = kind(low), kind(high)
    a = np.nextafter(a, kind(np.inf)) if float(a) < low else a
    b = np.nextafter(b, kind(-np.inf)) if float(b) > high else b
    if not a <= b:
        return st.floats(low, high, allow_subnormal=False)
    return st.floats(float(a), float(b), width=16 if kind is np.float16 else 64, allow_subnormal=False)


def arrays(
    shape: Any = None,
    *,
    dtype: Any = np.float64,
    domain: tuple[float, float] = DOMAIN,
    kinks: bool = True,
) -> SearchStrategy[np.ndarray]:
    """Return arrays of floats.

    Args:
        shape: of the array, or a strategy for it; None draws 0 to 3 axes of 0 to 3 entries.
        dtype: float64 or float32.
        domain: where the entries lie.
        kinks: as in :func:`numbers`.
    """
    kind = float_dtype("arrays: dtype", dtype)
    if shape is None:
        shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    elif not isinstance(shape, SearchStrategy):
        shape = check.extent("arrays: shape", shape)
    elements = numbers(domain=domain, kinks=kinks).map(lambda x: float(kind.type(x)))
    return hnp.arrays(kind, shape, elements=elements, fill=st.nothing())


def broadcastable_tensors(
    *,
    count: int = 2,
    max_dims: int = 3,
    min_side: int = 0,
    max_side: int = 3,
    domain: tuple[float, float] = DOMAIN,
    kinks: bool = True,
) -> SearchStrategy[tuple[Tensor, ...]]:
    """Return tuples of leaf Tensors whose shapes broadcast against each other, size 0 and no axes included.

    Args:
        count: how many Tensors.
        max_dims: the largest number of axes.
        min_side: the shortest axis.
        max_side: the longest axis.
        domain: where the entries lie.
        kinks: as in :func:`numbers`.
    """
    who = "broadcastable_tensors"
    check.whole(f"{who}: count", count, 1)
    check.whole(f"{who}: max_dims", max_dims, 0)
    check.whole(f"{who}: max_side", max_side, check.whole(f"{who}: min_side", min_side, 0))
    shapes = hnp.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=max_side
    )
    drawn = numbers(domain=domain, kinks=kinks)
    return _tensors(shapes, lambda shape: hnp.arrays(np.float64, shape, elements=drawn, fill=st.nothing()))


@st.composite
def _tensors(
    draw: DrawFn, shapes: Any, entries: Callable[[tuple[int, ...]], SearchStrategy[np.ndarray]]
) -> tuple[Tensor, ...]:
    return tuple(draw(st.builds(Tensor, entries(shape))) for shape in draw(shapes).input_shapes)


def index_keys(shape: Sequence[int], *, advanced: bool = True) -> SearchStrategy[Any]:
    """Return keys for an array of ``shape``: integers, slices, Ellipsis, None, and arrays of integers or booleans.

    Args:
        shape: of the array to be indexed.
        advanced: whether integer and boolean arrays are among the keys; repeated entries are likely.
    """
    sides = check.extent("index_keys: shape", shape)
    check.truth("index_keys: advanced", advanced)
    basic = hnp.basic_indices(sides, allow_newaxis=True, allow_ellipsis=True)
    if not advanced or not sides:
        return basic
    masks = hnp.arrays(np.bool_, sides[:1])
    if 0 in sides:
        return st.one_of(basic, masks)
    picks = hnp.arrays(
        np.intp, hnp.array_shapes(max_dims=2, max_side=3), elements=st.integers(-sides[0], sides[0] - 1)
    )
    columns = hnp.integer_array_indices(sides, result_shape=hnp.array_shapes(max_dims=2, max_side=3))
    return st.one_of(basic, picks, masks, columns)


def _strided(a: np.ndarray) -> np.ndarray:
    return np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a


def _backwards(a: np.ndarray) -> np.ndarray:
    return a[..., ::-1].copy()[..., ::-1] if a.ndim else a


def _read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def _unaligned(a: np.ndarray) -> np.ndarray:
    """The same array one byte behind the start of its memory."""
    buffer = bytearray(a.nbytes + 1)
    moved = np.frombuffer(buffer, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "negative strides": _backwards,
    "read-only": _read_only,
    "unaligned": _unaligned,
}


def laid_out(array: Any, kind: str) -> np.ndarray:
    """Return an array equal to ``array`` that lies otherwise in memory; what :func:`memory_layouts` prints.

    Args:
        array: any array.
        kind: "C", "Fortran", "strided", "negative strides", "read-only" or "unaligned".

    Example:
        >>> laid_out([[1.0, 2.0]], "strided").strides
        (32, 16)
    """
    array = plain("laid_out: array", array)
    return LAYOUTS[check.one_of("laid_out: kind", kind, LAYOUTS)](array).reshape(array.shape)


def memory_layouts(array: Any, *, kinds: Sequence[str] = tuple(LAYOUTS)) -> SearchStrategy[np.ndarray]:
    """Return arrays equal to ``array`` that lie otherwise in memory.

    Args:
        array: an array, or a strategy for arrays.
        kinds: some of "C", "Fortran", "strided", "negative strides", "read-only", "unaligned".
    """
    names = check.some_of("memory_layouts: kinds", kinds, LAYOUTS)
    drawn = array if isinstance(array, SearchStrategy) else st.just(np.asarray(array))
    return st.builds(laid_out, drawn, st.sampled_from(names))
