"""What a module does with an argument before it makes any node: its carrier, its dtype, its shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import RECORDING, Node
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.value import Value

Axis = str | tuple[str, int]
Shape = tuple[int, ...]


def real(argument: str, item: Any, dtype: np.dtype[Any]) -> Tensor | np.ndarray:
    """Return a Tensor as it is and anything else as an array of ``dtype``; makes no node.

    Raises:
        TypeError: a Value, or something that holds no real numbers.
    """
    if isinstance(item, Tensor):
        return item
    if isinstance(item, Value):
        raise TypeError(
            f"{argument} must be a Tensor or an array, got a Value; stack([...]) makes a Tensor of Values"
        )
    array = plain(argument, item)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}")
    return array.astype(dtype, copy=False)


def plain(argument: str, item: Any) -> np.ndarray:
    """Return ``item`` as an array, whatever it holds.

    Raises:
        TypeError: it is a node, or numpy makes no array of it.
    """
    try:
        return np.asarray(item)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument} must be an array: {error}") from None


def carry(item: Tensor | np.ndarray, dtype: np.dtype[Any]) -> Node:
    """Return ``item`` as a node of ``dtype``: an array becomes a constant, another Tensor is cast."""
    if not isinstance(item, Tensor):
        return constant(item)
    return item if item.dtype == dtype else ops.astype(item, dtype)


def require_shape(argument: str, shape: Shape, *expected: tuple[Axis, ...]) -> None:
    """Raise a ValueError unless ``shape`` fits one of those expected.

    Args:
        argument: who asks for what, such as ``"RNNCell: x"``.
        shape: the shape that was given.
        expected: each axis is a name, or a name with its size.

    Example:
        >>> require_shape("RNN: x", (7, 2, 3), ("T", "B", ("I", 4)), ("T", ("I", 4)))
        Traceback (most recent call last):
        ValueError: RNN: x must have shape (T, B, I=4) or (T, I=4), got (7, 2, 3)
    """
    if not any(_fits(shape, axes) for axes in expected):
        legal = " or ".join(_printed(axes) for axes in expected)
        raise ValueError(f"{argument} must have shape {legal}, got {shape}")


def _require_range(indices: np.ndarray, size: int, what: str, error: type[Exception]) -> None:
    if not indices.size:
        return
    low, high = (
        np.minimum.reduce(indices, None),
        np.maximum.reduce(indices, None),
    )  # at half the price of .min()
    if low < 0 or high >= size:
        raise error(f"{what} must lie in 0..{size - 1}, got {high if high >= size else low}")


def _bounded(xp: Any, indices: Any, size: int, what: str) -> Any:
    _require_range(indices, size, what, IndexError)
    return indices


BOUNDED = Op(
    name="bounded",
    symbol="0 ≤ i < n",
    forward=_bounded,
    bind=lambda indices, size, what: ((indices,), {"size": int(size), "what": str(what)}),
    doc="indices, after a check that each lies in 0 ... size - 1; an IndexError otherwise",
)


def require_indices(argument: str, indices: Any, size: int, error: type[Exception] = IndexError) -> Any:
    """Return ``indices``, a node or an array, if it holds integers from 0 to size - 1, else raise ``error``.

    While a function is traced the check of a node is recorded, and made at each replay.
    """
    if indices.dtype.kind not in "iu" and indices.size:
        raise TypeError(f"{argument} must be integers, got dtype {indices.dtype}")
    if isinstance(indices, Tensor) and RECORDING.get().inputs is not None:
        return BOUNDED(indices, size, argument)
    array = indices._data if isinstance(indices, Tensor) else indices
    _require_range(array, size, argument, error)
    return indices


def state_parts(
    who: str, names: tuple[str, ...], state: Any, dtype: np.dtype[Any], shape: tuple[Axis, ...]
) -> list[Tensor | np.ndarray]:
    """Return the parts of a state, checked: itself, or where it has several names those of the tuple."""
    if len(names) > 1 and not (isinstance(state, (tuple, list)) and len(state) == len(names)):
        raise TypeError(f"{who}: state must be the tuple ({', '.join(names)}), got {type(state).__name__}")
    given = state if len(names) > 1 else (state,)
    parts = [real(f"{who}: {name}", part, dtype) for name, part in zip(names, given, strict=True)]
    for name, part in zip(names, parts, strict=True):
        require_shape(f"{who}: {name}", part.shape, shape)
    return parts


def _fits(shape: Shape, axes: tuple[Axis, ...]) -> bool:
    return len(shape) == len(axes) and all(
        isinstance(axis, str) or axis[1] == size for axis, size in zip(axes, shape, strict=True)
    )


def _printed(axes: tuple[Axis, ...]) -> str:
    texts = [axis if isinstance(axis, str) else f"{axis[0]}={axis[1]}" for axis in axes]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def positive(argument: str, size: int) -> int:
    """Return ``size`` if it is an integer of at least 1, else raise."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise TypeError(f"{argument} must be an integer, got {type(size).__name__}")
    return check.whole(argument, size, 1)


def generator(argument: str, rng: Any) -> np.random.Generator:
    """Return ``rng``, or a fresh Generator for None, else raise a TypeError."""
    return np.random.default_rng() if rng is None else check.generator(argument, rng)


def float_dtype(argument: str, dtype: Any) -> np.dtype[Any]:
    """Return ``dtype`` as numpy's float32 or float64, else raise a TypeError."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{argument} must be float32 or float64, got {str(dtype)[:60]}") from None
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{argument} must be float32 or float64, got {found}")
    return found
