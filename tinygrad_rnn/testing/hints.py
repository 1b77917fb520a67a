"""Known patterns of wrong gradients: what kind of mistake turns the expected array into the one that was got."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

ALIKE = 1e-6  # of the largest entry; a mistake is recognized by its form, not by its last digits
RIGHT = 1e-10  # an entry this close is right
_FEW = 4  # of fewer entries it says nothing that some are right
_MOST_PLACES = 3
_LARGEST_DENOMINATOR = 1000
_MOST_COMPLEX = 100  # numerator times denominator of what counts as a fraction
_CHANCE = 12  # numerator times denominator of a ratio of two single numbers that is taken for a factor

Parts = Sequence[tuple[str, Any]]


def hint(
    expected: Any, got: Any, *, parts: Parts = (), sizes: Mapping[str, int] | None = None, of: str = ""
) -> str:
    """Return a sentence that names the mistake, ``""`` where no pattern fits.

    Args:
        expected: the right gradient.
        got: the one under test; its shape may differ.
        parts: what the right gradient is the sum of: a label (such as ``"t=3"``) and an array for each use.
        sizes: named lengths (``{"T": 7, "batch": 4}``), which a lost factor is explained by.
        of: what the gradient belongs to; a name such as ``h0`` or ``h_init`` marks an initial state.

    Example:
        >>> hint(np.array([1.0, -2.0]), np.array([-1.0, 2.0]))
        'the sign is wrong: got is -1 times expected'
    """
    expected, got = np.asarray(expected, dtype=float), np.asarray(got, dtype=float)
    if not np.all(np.isfinite(expected)) or not np.all(np.isfinite(got)) or not expected.size:
        return ""
    if expected.shape != got.shape:
        return _of_shapes(expected, got)
    if alike(got, expected):  # all patterns would fit, as far as they can tell
        return _places(expected, got) or _slightly(expected, got)
    for pattern in (
        _zero(of),
        _factor(sizes or {}),
        _transposed,
        _of_parts(parts),
        _shifted,
        _clipped,
        _places,
    ):
        found = pattern(expected, got)
        if found:
            return found
    return ""


def of_jacobians(expected: Any, got: Any) -> str:
    """Return what two square Jacobians tell that single gradients do not, ``""`` where that is nothing."""
    if expected.shape != got.shape or expected.shape != expected.shape[::-1] or len(expected) < 2:
        return ""
    if alike(got, expected) or not alike(got, expected.T):
        return ""
    return "transposed: the Jacobian is the transpose of the expected one (W where W.T is wanted?)"


def alike(a: Any, b: Any) -> bool:
    """Return whether two arrays are equal but for ``ALIKE`` of the largest entry of ``b``."""
    if np.shape(a) != np.shape(b):
        return False
    scale = float(np.max(np.abs(b), initial=0.0))
    return bool(np.max(np.abs(np.subtract(a, b)), initial=0.0) <= ALIKE * scale)


def _of_shapes(expected: Any, got: Any) -> str:
    shapes = f"shape {got.shape} instead of {expected.shape}"
    extra = got.ndim - expected.ndim
    axes = tuple(range(max(extra, 0)))
    if got.ndim == expected.ndim:
        axes = tuple(k for k, n in enumerate(expected.shape) if n == 1 and got.shape[k] != 1)
    if (axes and got.shape[max(extra, 0) :] == expected.shape) or (axes and not extra):
        sure = alike(got.sum(axes, keepdims=not extra), expected)
        more = "" if sure else "; even so it would not be right"
        return f"broadcast, and not summed over axis {', '.join(map(str, axes))}: {shapes}{more}"
    if got.shape == expected.shape[::-1]:
        return f"transposed: {shapes}{'' if alike(got.T, expected) else '; even so it would not be right'}"
    if got.size == expected.size and alike(np.ravel(got), np.ravel(expected)):
        return f"the right numbers in the wrong shape: {shapes}"
    return f"{shapes}: summed over the wrong axis?"


def _zero(of: str) -> Callable[[Any, Any], str]:
    def pattern(expected: Any, got: Any) -> str:
        if np.any(got):
            return ""
        last = of.rpartition("'")[0].rpartition("'")[2] or of
        if "init" in last or last in ("h0", "c0", "hprev", "h", "s0", "state", "hx", "cx"):
            return "it is zero: the initial state is forgotten; what comes back through the first step is its gradient"
        return "it is zero: no gradient arrives here (forgotten, detached, or overwritten)"

    return pattern


def _factor(sizes: Mapping[str, int]) -> Callable[[Any, Any], str]:
    def pattern(expected: Any, got: Any) -> str:
        place = np.unravel_index(int(np.argmax(np.abs(expected))), expected.shape)
        if not expected[place]:
            return ""
        k = float(got[place] / expected[place])
        if not k or not alike(got, k * expected):
            return ""
        simple = nice(k)
        if np.count_nonzero(expected) == 1:  # any two numbers have a ratio
            telling = simple is not None and abs(simple.numerator * simple.denominator) <= _CHANCE
            if expected.size > 1 or not telling:
                return ""
        if abs(k + 1) <= ALIKE:
            return "the sign is wrong: got is -1 times expected"
        return f"a factor is wrong: got is {text_of(k)} times expected{_explained(k, sizes)}"

    return pattern


def nice(k: float) -> Fraction | None:
    """Return the simple fraction that ``k`` is close to, None where there is none."""
    found = Fraction(k).limit_denominator(_LARGEST_DENOMINATOR)
    simple = (
        found.numerator in (1, -1)
        or found.denominator == 1
        or abs(found.numerator * found.denominator) <= 100
    )
    return found if found and simple and abs(float(found) - k) <= ALIKE * abs(k) else None


def text_of(k: float) -> str:
    """Return a factor as a fraction where it is one."""
    found = nice(k)
    return f"{k:.6g}" if found is None else str(found)


def _explained(k: float, sizes: Mapping[str, int]) -> str:
    for name, n in sizes.items():
        if n > 1 and abs(k * n - 1) <= ALIKE:
            return f" = 1/{name}: averaged where the loss is a sum"
        if n > 1 and abs(k / n - 1) <= ALIKE:
            return f" = {name}: the loss is averaged, the gradient is not"
    return ""


def _transposed(expected: Any, got: Any) -> str:
    if expected.ndim != 2 or expected.shape[0] != expected.shape[1]:
        return ""
    return "transposed: got is the transpose of expected" if alike(got, expected.T) else ""


def _of_parts(parts: Parts) -> Callable[[Any, Any], str]:
    def pattern(expected: Any, got: Any) -> str:
        shown = [(label, np.asarray(p, dtype=float)) for label, p in parts]
        shown = [(label, p) for label, p in shown if p.shape == got.shape and np.any(p)]
        if len(shown) < 2:
            return ""
        for label, part in shown:
            if alike(got, part):
                return f"overwritten instead of accumulated: only the contribution of {label} is there"
        for label, part in shown:
            if alike(got, expected - part):
                first = label == "t=0"
                more = ": the initial state is forgotten, or the loop ends a step too early" if first else ""
                return f"the contribution of {label} is missing{more}"
        return ""

    return pattern


def _shifted(expected: Any, got: Any) -> str:
    if not expected.ndim or len(expected) < 3:
        return ""
    if np.count_nonzero(expected[:-1]) > 1 and alike(got[1:], expected[:-1]):
        return "off by one time step: got[t] is expected[t - 1]"
    if np.count_nonzero(expected[1:]) > 1 and alike(got[:-1], expected[1:]):
        return "off by one time step: got[t] is expected[t + 1]"
    return ""


def _clipped(expected: Any, got: Any) -> str:
    limit = clipped_at(expected, got)
    if limit is None:
        return ""
    at = np.abs(np.abs(got) - limit) <= RIGHT * limit
    others = np.count_nonzero(got[~at])
    return f"clipped at {limit:.6g}" if np.count_nonzero(at) >= (2 if others else _FEW) else ""


def clipped_at(expected: Any, got: Any) -> float | None:
    """Return the magnitude at which clipping ``expected`` gives ``got``, None where there is none."""
    limit = float(np.max(np.abs(got), initial=0.0))
    beyond = np.any(np.abs(expected) > limit * (1 + ALIKE))
    return limit if limit and beyond and alike(got, np.clip(expected, -limit, limit)) else None


def _slightly(expected: Any, got: Any) -> str:
    """Name a constant factor that is close to 1."""
    big = np.abs(expected) > 1e-3 * float(np.max(np.abs(expected)))
    off = got[big] / expected[big] - 1.0
    if not np.all(off) or np.max(np.abs(off - off[0])) > 1e-3 * abs(off[0]):
        return ""
    return f"a factor is wrong: got is {1.0 + float(off[0]):.10g} times expected"


def _places(expected: Any, got: Any) -> str:
    """Name the entries that are wrong, where most are right."""
    wrong = np.abs(got - expected) > RIGHT * float(np.max(np.abs(expected)))
    count = int(np.sum(wrong))
    if not 0 < count <= wrong.size / 2 or wrong.size < _FEW:
        return ""
    for axis in range(expected.ndim):
        others = tuple(k for k in range(expected.ndim) if k != axis)
        rows = np.flatnonzero(np.any(wrong, axis=others))
        if len(rows) == 1 and expected.shape[axis] > 2 and expected.ndim > 1:
            return f"only index {rows[0]} of axis {axis} is wrong, {count} of {wrong.size} entries"
    places = [f"[{', '.join(map(str, place))}]" for place in np.argwhere(wrong)[:_MOST_PLACES].tolist()]
    more = ", ..." if count > _MOST_PLACES else ""
    return f"{count} of {wrong.size} entries are wrong, the others right: {', '.join(places)}{more}"
