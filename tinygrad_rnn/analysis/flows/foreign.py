"""The Jacobian of a function that is not made of our operations, from its values alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Function = Callable[[Array], Any]
COMPLEX, DIFFERENCES = "complex step", "differences"
STEP = 1e-30  # of the complex step: nothing is subtracted, so it may be as small as this
AGREES = 1e-5  # how close the complex step must come to differences along one direction


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A Jacobian and how it was found.

    Attributes:
        value: the function's value, of the argument's shape.
        jacobian: (n, n), entries raveled.
        method: ``"complex step"`` (exact but for rounding) or ``"differences"``.
        uncertainty: estimated error of the largest entry's size; 0 for the complex step.
    """

    value: Array
    jacobian: Array
    method: str
    uncertainty: float


def measure(what: str, function: Function, at: Array, method: str) -> Measured:
    """Return the Jacobian at a point of a function from arrays to arrays of the same shape.

    The complex step, imag f(x + ih) / h, is exact for whatever is analytic (Squire and Trapp 1998), but many a program
    drops imaginary parts, or refuses them. So it is believed where its real part is the value, and where it agrees with
    differences along one direction in which all entries move.

    Args:
        what: begins every error message.
        function: is never given the same array twice, and may keep or change what it is given.
        at: a float array.
        method: ``"auto"``, ``"complex"`` (an error where it is not to be believed) or ``"differences"``.

    Raises:
        ValueError: the function gives another shape, something that is not real, or another value when run again.
    """
    value = _real(what, function(at.copy()), at)
    if not np.array_equal(value, _real(what, function(at.copy()), at), equal_nan=True):
        raise ValueError(
            f"{what} gave another result when it was run again: fix its randomness (dropout, a Generator)"
        )
    if method != "differences":
        found, doubt = _complex_jacobian(function, at, value)
        if found is not None:
            return Measured(value, found, COMPLEX, 0.0)
        if method == "complex":
            raise ValueError(
                f'{what} cannot be trusted with complex numbers: {doubt}; use method="differences"'
            )
    columns = [_difference(what, function, at, unit, value) for unit in np.eye(at.size)]
    jacobian = np.stack([column for column, _ in columns], axis=1) if columns else np.zeros((0, 0))
    error = max((float(np.max(e, initial=0.0)) for _, e in columns), default=0.0)
    largest = float(np.max(np.abs(jacobian), initial=0.0))
    return Measured(value, jacobian, DIFFERENCES, error / largest if largest else 0.0)


def _real(what: str, result: Any, like: Array) -> Array:
    array = np.asarray(result)
    if array.shape != like.shape:
        raise ValueError(
            f"{what} must return a state of shape {like.shape}, as it was given, got {array.shape}"
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{what} must return real numbers, got dtype {array.dtype}")
    return array


def _complex_jacobian(function: Function, at: Array, value: Array) -> tuple[Array | None, str]:
    """Return the Jacobian by the complex step, or None and why it is not believed."""
    point = at.astype(np.complex128)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", np.exceptions.ComplexWarning
            )  # an imaginary part that is thrown away
            plain = np.asarray(function(point.copy()))
            columns = [
                np.asarray(function(point + 1j * STEP * unit.reshape(at.shape))) for unit in np.eye(at.size)
            ]
    except Exception as error:  # it is code of anyone's, and complex numbers were not asked of it
        return None, f"it raised {type(error).__name__}: {error}"
    if any(c.shape != at.shape or c.dtype.kind != "c" for c in (plain, *columns)):
        return None, "its result is not complex"
    same = 1e4 * _eps(value) * float(np.max(np.abs(value), initial=0.0))
    if not np.allclose(plain.real, value, rtol=0, atol=same, equal_nan=True):
        return None, "its real part is not its value"
    jacobian = np.stack([c.imag.ravel() / STEP for c in columns], axis=1) if columns else np.zeros((0, 0))
    direction = np.random.default_rng(0).choice([-1.0, 1.0], at.size) * (1 + np.arange(at.size) % 3)
    slope, doubt = _difference("", function, at, direction, value)
    off = np.abs(jacobian @ direction - slope)
    allowed = 10 * doubt + AGREES * np.max(np.abs(slope), initial=0.0)
    return (jacobian, "") if np.all(off <= allowed) else (None, "its imaginary part is not its slope")


def _difference(
    what: str, function: Function, at: Array, direction: Array, value: Array
) -> tuple[Array, Array]:
    """Return the derivative along a direction and its estimated error, both (n,).

    Two central differences, at steps h and h/2, are extrapolated to the fourth order (Richardson 1911).
    """
    moves = direction.reshape(at.shape)
    size = max(1.0, float(np.max(np.abs(at) * (moves != 0), initial=0.0))) / float(np.max(np.abs(direction)))
    step = _eps(value, at) ** 0.2 * size

    def central(h: float) -> Array:
        ahead, behind = (at + h * moves).astype(at.dtype), (at - h * moves).astype(at.dtype)
        k = int(np.argmax(np.abs(direction)))
        apart = (float(ahead.flat[k]) - float(behind.flat[k])) / direction[k]  # as the dtype has rounded it
        after, before = (_real(what, function(x), at).astype(np.float64) for x in (ahead, behind))
        return np.asarray((after - before) / apart).ravel()

    wide, narrow = central(step), central(step / 2)
    found = (4 * narrow - wide) / 3
    return found, np.abs(found - narrow) / 16 + _eps(value, at) * np.abs(value).ravel() / step


def _eps(*arrays: Array) -> float:
    """Return the rounding unit of the coarsest of the arrays."""
    return max(float(np.finfo(a.dtype if a.dtype.kind == "f" else np.float64).eps) for a in arrays)
