"""``reference``: every value of a program, computed one item after the other by the operations' own forward rules.

Slow and plain, so that it can be believed: no batches, no layout, no shared memory. What a plan computes is held
against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.plan.program import Item, Program, drawn, generator_of

PASSES = 2
MOVED = 16.0  # units in the last place by which each result is moved
ALLOWED = 256.0  # times the distance by which a value moves then


def values(
    program: Program, inputs: Sequence[Any], rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Return the value of each item for the data of the inputs; random draws are made in the recorded order.

    Args:
        program: any; its generators are advanced as by a run.
        inputs: the leaves of the arguments.
        rng: where given, each result of an operation is moved by some units in the last place, up or down at random.

    Raises:
        ValueError: an operation gives another shape than the program says.
    """
    found: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        for i, item in enumerate(program.items):
            y = source_of(item, inputs)
            if y is None:
                assert item.op is not None
                y = np.asarray(item.op.forward(NUMPY, *[found[a] for a in item.args], **item.params))
                if y.shape != item.shape:
                    raise ValueError(f"{described(program, i)} has shape {y.shape}")
                y = y.astype(item.dtype, copy=False)
                if rng is not None and item.dtype.kind == "f":
                    y = _moved(y, rng)
            found.append(y)
    return found


def source_of(item: Item, inputs: Sequence[Any]) -> np.ndarray | None:
    """Return the data of an input, leaf, constant or draw; None of an operation."""
    if item.kind == "op":
        return None
    if item.kind == "random":
        return np.asarray(drawn(item, inputs))
    data = item.source if item.kind == "constant" else item.source._data if item.kind == "leaf" else None
    if item.kind == "input":
        given = inputs[item.source]
        data = given._data if isinstance(given, Carrier) else given  # type: ignore[attr-defined]
    return np.asarray(data, dtype=item.dtype)


def allowances(program: Program, inputs: Sequence[Any], found: Sequence[np.ndarray]) -> list[float]:
    """Return for each item how far rounding may take its entries from ``found``, whatever the order of summation.

    The program is run again with each result moved by a few units in the last place; what cancels or is chaotic moves
    far, and as far it may be off. Integers and masks move only where a comparison hangs on the last place.
    """
    limits = [_least(item, y) for item, y in zip(program.items, found, strict=True)]
    for seed in range(PASSES):
        with restored(generators(program, inputs)):
            moved = values(program, inputs, np.random.default_rng(seed))
        for i, (y, z) in enumerate(zip(found, moved, strict=True)):
            limits[i] = max(limits[i], ALLOWED * deviation(z, y))
    return limits


def _least(item: Item, y: np.ndarray) -> float:
    if item.dtype.kind != "f":
        return 0.0
    finite = np.abs(y[np.isfinite(y)])
    return ALLOWED * float(np.finfo(item.dtype).eps) * float(finite.max(initial=0.0))


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest distance between entries; inf where one is nan or inf and the other is not the same."""
    if found.shape != expected.shape:
        return np.inf
    if found.dtype.kind == "b":  # a byte that is neither 0 nor 1 is no truth value
        found, expected = found.view(np.uint8), expected.view(np.uint8)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(same, 0.0, np.abs(a - b))
    return float(np.nan_to_num(distance, nan=np.inf, posinf=np.inf).max(initial=0.0))


def _moved(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor = 1.0 + MOVED * np.finfo(y.dtype).eps * rng.choice([-1.0, 1.0], y.shape)
    return np.asarray(y * factor, dtype=y.dtype)


def generators(program: Program, inputs: Sequence[Any]) -> list[np.random.Generator]:
    """Return the generators that a program draws from, each once."""
    found = {}
    for item in program.items:
        if item.kind == "random":
            generator = generator_of(item, inputs)
            found[id(generator)] = generator
    return list(found.values())


@contextmanager
def restored(drawn_from: Sequence[np.random.Generator]) -> Iterator[None]:
    """Put the generators back to where they were, so that another run makes the same draws."""
    states = [generator.bit_generator.state for generator in drawn_from]
    try:
        yield
    finally:
        for generator, state in zip(drawn_from, states, strict=True):
            generator.bit_generator.state = state


def described(program: Program, i: int) -> str:
    """Return an item as text: ``%12 h_3 = tanh(%11) float64[2, 4] in t=3``."""
    item = program.items[i]
    name = f" {item.name}" if item.name else ""
    made = item.kind
    if item.op is not None:
        params = "".join(f", {key}={value}" for key, value in item.params.items())
        shown = [f"%{a}" for a in item.args]
        if len(shown) > 8:
            shown[4:-2] = [f"... {len(shown) - 6} more ..."]
        made = f"{item.op.name}({', '.join(shown)}{params})"
    where = f" in {', '.join(item.scope)}" if item.scope else ""
    return f"%{i}{name} = {made} {item.dtype}{list(item.shape)}{where}"
