"""Plain arguments, checked where they are given, so that the error names them and stands in the line that is wrong."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection
from typing import Any

import numpy as np


def whole(name: str, value: Any, least: int) -> int:
    """Return ``value`` as an int.

    Raises:
        TypeError: it is no integer.
        ValueError: it lies below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if value > sys.maxsize:
        raise ValueError(f"{name} is larger than any memory")
    return int(value)


def number(name: str, value: Any, least: float = -math.inf, *, finite: bool = True) -> float:
    """Return ``value``, a number that is not nan.

    Raises:
        TypeError: it is no real number.
        ValueError: it is nan, lies below ``least``, or is infinite though ``finite`` is asked for.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError(f"{name} is too large for a float")
    value = value if isinstance(value, int) else float(value)  # a float32 would have to hold the limits
    top: float = sys.float_info.max if finite else math.inf
    if not max(least, -top) <= value <= top:
        legal = [
            word
            for word in ("finite" if finite else "", f"at least {least:g}" if least > -math.inf else "")
            if word
        ]
        raise ValueError(f"{name} must be {' and '.join(legal) or 'a number'}; it is {value}")
    return float(value)


def generator(name: str, rng: Any) -> np.random.Generator:
    """Return ``rng`` if it is a Generator, else raise a TypeError."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{name} must be a numpy.random.Generator, got {type(rng).__name__}")
    return rng


def seeded(name: str, rng: Any) -> np.random.Generator:
    """Return ``rng``, or a Generator with a fixed seed for None, else raise a TypeError."""
    return np.random.default_rng(0) if rng is None else generator(name, rng)


def items(name: str, value: Any) -> list[Any]:
    """Return ``value`` as a list, else raise a TypeError; a text is one thing."""
    try:
        if not isinstance(value, (str, bytes)):
            return list(value)
    except TypeError:
        pass
    raise TypeError(f"{name} must be a collection, got {type(value).__name__}")


def text(name: str, value: Any) -> str:
    """Return ``value`` if it is a text, else raise a TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}")
    return value


def path(name: str, value: Any) -> str:
    """Return the name of a file, given as a text or as a path object, else raise a TypeError."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a str or a path, got {type(value).__name__}")
    return str(os.fspath(value))


def truth(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False, else raise a TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def interval(name: str, value: Any) -> tuple[float, float]:
    """Return ``value`` as the two ends of a finite interval.

    Raises:
        TypeError: it is no pair of numbers.
        ValueError: an end is not finite, or the interval is empty.
    """
    try:
        low, high = (number(f"{name}: each end", end, finite=False) for end in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair of numbers (low, high), got {value!r}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{name} must be finite with low < high, got ({low}, {high})")
    return low, high


def one_of(name: str, value: Any, legal: Collection[str]) -> str:
    """Return ``value`` if it is one of the names in ``legal``, else raise an error that lists them."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(map(repr, legal))}, got {type(value).__name__}")
    if value not in legal:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, legal))}, got {value!r}")
    return str(value)


def some_of(name: str, value: Any, legal: Collection[str]) -> tuple[str, ...]:
    """Return ``value`` as a tuple of names, at least one, all in ``legal``.

    Raises:
        TypeError: it is a single text or no collection.
        ValueError: it is empty or holds an unknown name.
    """
    if isinstance(value, str) or not isinstance(value, Collection):
        raise TypeError(f"{name} must be a collection of names, got {value!r}")
    value = items(name, value)
    if not value:
        raise ValueError(f"{name} must not be empty; legal are {', '.join(map(repr, legal))}")
    return tuple(one_of(f"{name}: each", item, legal) for item in value)


def extent(name: str, value: Any, axes: int | None = None) -> tuple[int, ...]:
    """Return ``value`` as a shape, of so many axes if that is said, else raise a TypeError or ValueError."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of integers, got {value!r}")
    if axes is not None and len(value) != axes:
        raise ValueError(f"{name} must hold {axes} integers, got {value!r}")
    return tuple(whole(f"{name}: each side", side, 0) for side in value)
