"""The arguments of a strategy, checked where it is made, so that the error stands in the line that is wrong."""

from __future__ import annotations

import math
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
    return int(value)


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
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair of numbers (low, high), got {value!r}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{name} must be finite with low < high, got ({low}, {high})")
    return low, high


def one_of(name: str, value: Any, legal: Collection[str]) -> str:
    """Return ``value`` if it is one of the names in ``legal``, else raise a ValueError that lists them."""
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
    if not value:
        raise ValueError(f"{name} must not be empty; legal are {', '.join(map(repr, legal))}")
    return tuple(one_of(f"{name}: each", item, legal) for item in value)


def extent(name: str, value: Any) -> tuple[int, ...]:
    """Return ``value`` as a shape, else raise a TypeError or ValueError."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of integers, got {value!r}")
    return tuple(whole(f"{name}: each side", side, 0) for side in value)
