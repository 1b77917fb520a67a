"""Does the result depend on an argument in a way that the recorded graph does not know of?

Both derivatives that are compared are read from the graph, so a number that left it (``float(x)``, ``x.data``) would go
unseen by them. Here the whole function is differenced along one direction. Where that is not accurate, at a kink or
in chaos, it has no say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.testing.differences import has_kink, ridders
from tinygrad_rnn.testing.trial import Trial, data_of
from tinygrad_rnn.testing.truth import SMALLEST, ForwardTruth

RESOLVED = 1e-5  # a difference with a larger relative error has no say
APART = 1e-3  # slopes further apart than this part of them disagree
NOISE = 1e-9  # of the result's size: what rounding may do to a difference


@np.errstate(all="ignore")
def leaks(trial: Trial, leaves: list[Any]) -> list[str]:
    """Return a sentence if a number leaves the graph on its way to the result, an empty list otherwise."""
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal(data.shape) for data in _results(trial, None)]
    for signs in _signs([leaf.shape for leaf in leaves], rng):
        # By unequal amounts: between equal ones the kinks of two entries can mirror each other into a straight line.
        pairs = zip(signs, leaves, strict=True)
        shifts = [s * rng.uniform(0.5, 1.0, s.shape) * _reach(leaf) for s, leaf in pairs]
        if not _moves_unseen(trial, shifts, weights):
            return []
    return [
        "the result moves where the recorded graph does not: a number left the graph (float(x), x.data, x.item()), or "
        "another way leads from an argument to the result"
    ]


def _signs(shapes: list[tuple[int, ...]], rng: np.random.Generator) -> Iterator[list[Any]]:
    """Yield signs at random, then those that a leak has to be seen with, too.

    Two kinks near the point can hide each other where their entries move alike, or where they move against each other.
    By the binary digits of their numbers any two entries do the one in some direction and the other in another.
    """
    sizes = [math.prod(shape) for shape in shapes]
    numbers = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    yield [rng.choice([-1.0, 1.0], shape) for shape in shapes]
    for digit in range(sum(sizes).bit_length() + 1):
        yield [1.0 - 2.0 * (n >> digit & 1).reshape(shape) for n, shape in zip(numbers, shapes, strict=True)]


def _moves_unseen(trial: Trial, shifts: list[Any], weights: list[Any]) -> bool:
    """Return whether the results, along one direction, have another slope than the graph's."""
    size = np.zeros(len(weights))  # of what is subtracted

    def along(h: float) -> Any:
        found = _results(trial, [h * shift for shift in shifts])
        if [data.shape for data in found] != [w.shape for w in weights]:
            raise ValueError("the results change their shapes")
        terms = [w * data for w, data in zip(weights, found, strict=True)]
        np.maximum(size, [np.sum(np.abs(term)) for term in terms], out=size)
        return np.asarray([np.sum(term) for term in terms])

    try:
        slope, error = ridders(along, first=1e-3, rows=6)
        kink = has_kink(along, 1e-5)
    except (ArithmeticError, ValueError, TypeError, IndexError):  # not defined beside this point
        return False
    if kink or not weights:
        return False
    recorded = _recorded_slopes(trial, shifts, weights)
    scale = np.abs(slope) + np.abs(recorded)
    resolved = error < RESOLVED * scale
    return bool(np.any(resolved & (np.abs(slope - recorded) > APART * scale + NOISE * size + SMALLEST)))


def _reach(leaf: Any) -> Any:
    return 0.1 * np.maximum(np.abs(data_of(leaf)), 0.1)


def _results(trial: Trial, shifts: list[Any] | None) -> list[Any]:
    return [data for data in map(data_of, (y for _, y in trial.run(shifts)[1])) if data.dtype.kind == "f"]


def _recorded_slopes(trial: Trial, shifts: list[Any], weights: list[Any]) -> Any:
    leaves, outputs = trial.run()
    real = [y for _, y in outputs if data_of(y).dtype.kind == "f"]
    start = {leaf: np.asarray(shift)[None] for leaf, shift in zip(leaves, shifts, strict=True)}
    found = ForwardTruth([y for y in real if isinstance(y, Variable)]).push(start)
    slopes = []
    for y, w in zip(real, weights, strict=True):
        tangent = found.get(y) if isinstance(y, Variable) else None
        slopes.append(0.0 if tangent is None else float(np.sum(w * tangent[0])))
    return np.asarray(slopes)
