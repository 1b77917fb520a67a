"""Two nested results held against each other, with an error that says which entry differs and by how much."""

from __future__ import annotations

import random
import unittest
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.core.variable import Variable

DOUBLE = (
    "NumPy makes float64 arrays unless told x.dtype; if single precision is not promised, set float32 = False"
)


def array(x: Any) -> np.ndarray:
    """Return the entries of a node, number or array."""
    return np.asarray(x.data if isinstance(x, Variable) else x)


def close(what: str, got: Any, expected: Any, tolerance: float) -> None:
    """Do nothing if every entry agrees to ``tolerance`` times the largest expected entry of its array.

    Raises:
        AssertionError: an entry differs; the message begins with ``what``.
    """
    first, second = flatten(got), flatten(expected)
    if [path for path, _ in first] != [path for path, _ in second]:
        raise AssertionError(
            f"{what}: got the parts {[p for p, _ in first]}, expected {[p for p, _ in second]}"
        )
    for (path, a), (_, b) in zip(first, second, strict=True):
        one, other = (x.astype(float) if x.dtype.kind == "b" else x for x in (array(a), array(b)))
        _close(f"{what}{path}", one, other, tolerance)


def _close(what: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: got shape {got.shape}, expected {expected.shape}")
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    scale = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(got - expected))
    if np.all(gap <= tolerance * scale):  # false for nan
        return
    worst = np.unravel_index(np.argmax(np.nan_to_num(gap, nan=np.inf)), gap.shape)
    at = f"[{', '.join(map(str, worst))}]" if worst else ""
    raise AssertionError(
        f"{what}{at}: got {float(got[worst]):.17g}, expected {float(expected[worst]):.17g}; "
        f"they may differ by {tolerance:g} times {scale:.3g}, the largest entry"
    )


def identical(what: str, got: Any, expected: Any) -> None:
    """Do nothing if both hold the same bits, else raise an AssertionError as :func:`close` does."""
    close(what, got, expected, 0.0)


def without_dice(what: str, run: Callable[[], Any]) -> Any:
    """Return ``run()``, during which nothing may touch the global generators of ``random`` and ``numpy.random``.

    Raises:
        AssertionError: it draws from one of them, or seeds it.
    """
    kept = random.getstate(), np.random.get_state()
    try:
        random.seed(0)
        np.random.seed(20)
        before = repr(random.getstate()), np.random.bytes(4)
        np.random.seed(20)
        result = run()
        if (repr(random.getstate()), np.random.bytes(4)) != before:
            raise AssertionError(
                f"{what} draws from the global generator of random or numpy.random, or seeds it"
            )
        return result
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])


def skip(reason: str) -> NoReturn:
    """Leave a test out, and say why; pytest knows this exception as its own."""
    raise unittest.SkipTest(reason)


def refused(what: str, call: Any, *errors: type[Exception]) -> None:
    """Do nothing if ``call()`` raises one of ``errors``, else raise an AssertionError."""
    try:
        call()
    except errors:
        return
    raise AssertionError(f"{what}: no error was raised")


def unless_opaque(loss: Any) -> None:
    """Leave the test out if a graph holds an operation in plain NumPy, which has a gradient and nothing else."""
    found = next((node.op for node in Graph.of(loss).nodes if node.op is not None and node.op.vjp), None)
    if found is not None:
        skip(
            f"{found.name} is opaque (its vjp is plain NumPy): no forward mode, second derivative or scalar view"
        )
