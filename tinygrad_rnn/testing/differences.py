"""Derivatives from values alone: central differences, extrapolated to step 0, with an estimate of their error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SHRINK = 1.6
SETTLED = 0.1  # of the last one: how far the last difference quotients may be apart
MIDDLE = 1.5  # between the slopes of a right and of a wrong derivative
EPS = float(np.finfo(np.float64).eps)


@np.errstate(all="ignore")
def ridders(
    function: Callable[[float], Any], first: float, rows: int = 10, eps: float = EPS
) -> tuple[Any, Any]:
    """Return d function / d h at h = 0 and an estimate of its error, both arrays of the function's shape.

    The central difference (f(h) - f(-h)) / 2h has an error in even powers of h; a Neville table over shrinking h
    takes these out one by one, and its neighbouring entries tell how well that went (Ridders 1982).

    Args:
        function: gives an array for a step; nan outside its domain is passed over.
        first: the first and largest step.
        rows: how many steps are tried, each smaller by ``SHRINK``.
        eps: to what part of itself the function is rounded.
    """
    previous: list[Any] = []
    best, error = np.asarray(np.nan), np.asarray(np.inf)
    for i in range(rows):
        h = first / SHRINK**i
        after, before = np.asarray(function(h)), np.asarray(function(-h))
        size = np.maximum(np.abs(after), np.abs(before))
        noise = eps * size / h  # equal numbers are equal by rounding, too
        row = [(after - before) / (2 * h)]
        for j in range(1, i + 1):
            factor = SHRINK ** (2 * j)
            row.append((factor * row[j - 1] - previous[j - 1]) / (factor - 1))
            apart = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - previous[j - 1])) + noise
            better = apart < error
            best, error = np.where(better, row[j], best), np.where(better, apart, error)
        previous = row
    return best, error


@np.errstate(all="ignore")
def has_kink(function: Callable[[float], Any], step: float) -> bool:
    """Return whether ``function`` bends abruptly near 0: there its one-sided slopes differ however small the step.

    For a smooth function |f(h) - 2 f(0) + f(-h)| / h shrinks with h; at a kink it does not.
    """

    def bend(h: float) -> Any:
        return np.abs(function(h) - 2 * np.asarray(function(0.0)) + function(-h)) / h

    wide, narrow = bend(step), bend(step / 16)
    slope = np.abs(function(step) - np.asarray(function(-step))) / (2 * step)
    return bool(np.any((narrow > 0.25 * wide) & (narrow > 1e-7 * (slope + narrow))))


@np.errstate(all="ignore")
def turns_at(function: Callable[[float], Any], step: float) -> bool:
    """Return whether ``function`` has a kink at 0 itself: its one-sided slopes differ by the same at every scale."""
    middle = np.asarray(function(0.0))

    def bend(h: float) -> Any:
        return (function(h) - 2 * middle + function(-h)) / h

    bends = np.asarray([np.ravel(bend(step / 8**k)) for k in range(4)])
    slope = np.max(np.abs(function(step) - np.asarray(function(-step))) / (2 * step), initial=0.0)
    steady = np.max(np.abs(bends - bends[0]), axis=0) <= 0.05 * np.abs(bends[0])
    return bool(np.any(steady & (np.abs(bends[0]) > 1e-6 * (slope + np.abs(bends[0])))))


@np.errstate(all="ignore")
def taylor_slopes(
    function: Callable[[float], float], slope: float, first: float, halvings: int = 8, eps: float = EPS
) -> tuple[float, float]:
    """Return the least and the largest slope of log |f(h) - f(0) - h slope| against log h, over the smallest steps.

    By Taylor's theorem the remainder is O(h²) if ``slope`` is f'(0), and O(h) if it is not. Steps count as long as
    the remainder stands out of what rounding does to f and to its argument. Both are inf where it never does, which
    is so for a linear function; where ``slope`` has no visible part in it; and where f is too wild for its steps, whose
    difference quotients do not settle: the remainder then is h times ``slope``, right or wrong.

    Args:
        function: of a step; a step of 1 moves its argument by about a tenth of itself.
        slope: the derivative in question.
        first: the first and largest step; it is halved until rounding hides the remainder.
        halvings: over how many halvings the slopes are judged.
        eps: to what part of itself the function is rounded.
    """
    start = float(function(0.0))
    noise = max(abs(float(function(j * 1e-15)) - start) for j in range(1, 9)) + eps * abs(start)
    found: list[tuple[float, float]] = []  # remainder and difference quotient
    h = first
    while h > 1e-13:
        rise = float(function(h)) - start
        remainder = abs(rise - h * slope)
        if remainder <= 30 * noise:
            break
        if np.isfinite(remainder):
            found.append((remainder, rise / h))
        else:
            found.clear()
        h /= 2
    if len(found) < 3:
        return float("inf"), float("inf")
    tail, quotients = np.asarray(found[-halvings - 1 :]).T
    slopes = np.log2(tail[:-1] / tail[1:])
    unseen = 2 * h * abs(slope) < tail[-1]
    unsettled = np.ptp(quotients[-3:]) > SETTLED * abs(quotients[-1])
    if (np.min(slopes) > MIDDLE and unseen) or (np.max(slopes) <= MIDDLE and unsettled):
        return float("inf"), float("inf")
    return float(np.min(slopes)), float(np.max(slopes))
