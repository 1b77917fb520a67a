"""Numbers and arrays as JSON can hold them: scalars and short lists exactly, larger arrays while a budget lasts."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

MOST_EXACT = 16  # entries of an array that are written out in full precision
_EXACT_BYTES, _SINGLE_BYTES = 11, 6  # of an entry, compressed and in base64
_SINGLE = np.finfo(np.float32)
_DIGITS = 9  # of a norm, a least and a largest entry


class Budget:
    """How many bytes of the page arrays may still take; what does not fit is summarized.

    Args:
        size: at the start, in bytes.
        largest: no array of more entries is written.
    """

    __slots__ = ("_left", "largest")

    def __init__(self, size: int, largest: int) -> None:
        self._left = size
        self.largest = largest

    def take(self, entries: int) -> bool:
        """Return whether an array of so many entries may be written; if so its bytes are spent."""
        if entries > self.largest or cost(entries) > self._left:
            return False
        self._left -= cost(entries)
        return True


def cost(entries: int) -> int:
    """Return about how many bytes an array takes on the page, compressed."""
    return entries * (_EXACT_BYTES if entries <= MOST_EXACT else _SINGLE_BYTES)


def number(x: Any) -> float | str:
    """Return a number for JSON: itself, or the name of what JSON has no number for.

    Example:
        >>> number(0.1), number(float("-inf")), number(True)
        (0.1, '-Infinity', 1.0)
    """
    plain = float(x)
    if math.isfinite(plain):
        return plain
    return "NaN" if plain != plain else "Infinity" if plain > 0 else "-Infinity"


def encoded(x: Any, budget: Budget) -> Any:
    """Return a number or an array as the page reads it.

    A number of shape ``()`` is itself. An array is its shape, Euclidean norm, least and largest entry, with at most 16
    entries as ``"list"``, in C order and exact, or with ``"f32"``: little-endian float32 in base64, each to be
    multiplied by ``"scale"`` where there is one (a gradient of 1e-50 is 0 in single precision).

    Example:
        >>> encoded(np.array([3.0, -4.0]), Budget(100, 64))
        {'shape': [2], 'norm': 5.0, 'min': -4.0, 'max': 3.0, 'list': [3.0, -4.0]}
    """
    array = np.asarray(x)
    if array.ndim == 0:
        return number(array)
    flat = array.ravel()
    found: dict[str, Any] = {"shape": list(array.shape), **_summary(flat)}
    if not budget.take(flat.size):
        return found
    return found | ({"list": list(map(number, flat))} if flat.size <= MOST_EXACT else _single(flat))


def _summary(flat: Any) -> dict[str, Any]:
    if not flat.size:
        return {"norm": 0.0, "min": None, "max": None}
    flat = flat.astype(float)
    low, high = float(flat.min()), float(flat.max())
    largest = max(-low, high)
    with np.errstate(all="ignore"):  # scaled, so that no square overflows or vanishes
        scaled = flat / largest if 0 < largest < math.inf else flat
        norm = float(np.sqrt(np.dot(scaled, scaled))) * (largest if scaled is not flat else 1.0)
    return {"norm": _brief(norm), "min": _brief(low), "max": _brief(high)}


def _brief(x: float) -> float | str:
    return number(float(f"{x:.{_DIGITS}g}"))


def _single(flat: Any) -> dict[str, Any]:
    """Return the entries in single precision, scaled where the largest finite one would not be a normal number."""
    finite = np.abs(flat[np.isfinite(flat)])
    largest = float(finite.max()) if finite.size else 0.0
    fits = largest == 0.0 or float(_SINGLE.tiny) * 1e6 < largest <= float(_SINGLE.max)
    with np.errstate(all="ignore"):
        entries = np.asarray(flat if fits else flat / largest, dtype="<f4")
    found: dict[str, Any] = {"f32": base64.b64encode(entries.tobytes()).decode("ascii")}
    return found if fits else {**found, "scale": largest}
