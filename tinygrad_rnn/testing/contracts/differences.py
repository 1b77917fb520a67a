"""Central differences of a whole function: rough, and blind to nothing, since they know no graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core.transforms import grad, hvp
from tinygrad_rnn.core.tree import flatten, tree_map, unflatten
from tinygrad_rnn.testing.contracts.comparing import array
from tinygrad_rnn.testing.contracts.problem import dot

STEP = 1e-5  # need only tell a gradient from none
ENOUGH = 1e-4  # of the difference


def moved_as_told(what: str, loss: Callable[..., Any], args: tuple[Any, ...], along: tuple[Any, ...]) -> None:
    """Hold the gradient along a direction against the difference of two values.

    Raises:
        AssertionError: they differ; the message begins with ``what``.
    """

    def value(*there: Any) -> float:
        return float(array(loss(*there)))

    (expected, doubt), size = _slope(value, args, along), abs(value(*args))
    got = sum(dot(g, d) for g, d in zip(grad(loss, tuple(range(len(args))))(*args), along, strict=True))
    floor = 1e-14 / STEP * size + 1e-9
    if not abs(got - expected) <= ENOUGH * abs(expected) + doubt + floor:
        raise AssertionError(f"{what} moves the loss by {expected:g}, its gradient says {got:g}")


def every_leaf_moves_as_told(loss: Callable[..., Any], args: tuple[Any, ...], seed: int) -> None:
    """Hold the gradient of each array in ``args``, along a random direction, against the difference of two values.

    Raises:
        AssertionError: they differ; the message names the array.
    """
    rng = np.random.default_rng(seed)
    still = tree_map(np.zeros_like, args)
    leaves = [leaf for _, leaf in flatten(still)]
    for place, (path, leaf) in enumerate(flatten(args)):
        move = np.asarray(rng.normal(size=np.shape(leaf)))
        along = unflatten(still, iter([*leaves[:place], move, *leaves[place + 1 :]]))
        moved_as_told(f"argument {path}", loss, args, along)


def hessian_differences(loss: Callable[..., Any], args: tuple[Any, ...], along: tuple[Any, ...]) -> None:
    """Hold the Hessian-vector product against the difference of two gradients, which knows no graph.

    Raises:
        AssertionError: it differs by more than 1e-6 of its largest entry, and more than the difference itself may.
    """
    everything = tuple(range(len(args)))

    def gradient(*there: Any) -> np.ndarray:
        return np.concatenate([array(g).ravel() for _, g in flatten(grad(loss, everything)(*there))])

    expected, doubt = _slope(gradient, args, along)
    scale = float(np.max(np.abs(expected), initial=0.0))
    at = 0
    for path, got in flatten(hvp(loss, args, along)):
        wanted = expected[at : at + np.size(array(got))]
        at += len(wanted)
        gap = float(np.max(np.abs(array(got).ravel() - wanted), initial=0.0))
        if not gap <= 1e-6 * scale + doubt:
            raise AssertionError(
                f"the Hessian along a direction, argument {path}: off by {gap:.3g} from the difference of two "
                f"gradients, of which the largest entry is {scale:.3g}"
            )


def _slope(fn: Callable[..., Any], args: tuple[Any, ...], along: tuple[Any, ...]) -> tuple[Any, float]:
    """Return the derivative of ``fn`` along a direction, and by how much half the step changes it.

    Two central differences, the error of h² taken out (Richardson): a saturated cell bends a thousand times as much as
    others within one step.
    """
    whole, half = (
        (fn(*_moved(args, along, step)) - fn(*_moved(args, along, -step))) / (2 * step)
        for step in (STEP, STEP / 2)
    )
    return (4 * half - whole) / 3, float(np.max(np.abs(half - whole), initial=0.0))


def _moved(args: tuple[Any, ...], along: tuple[Any, ...], step: float) -> Any:
    pairs = zip(flatten(args), flatten(along), strict=True)
    return unflatten(args, iter([np.asarray(a + step * d) for (_, a), (_, d) in pairs]))
