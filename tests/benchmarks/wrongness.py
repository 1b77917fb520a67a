"""How wrong a seeded fault is: its Jacobian beside the complex step of its forward."""

from typing import Any

import numpy as np

from tests.benchmarks.seeded_operations import Args, Seeded

STEP = 1e-30


def right_jacobian(fault: Seeded, args: Args) -> list[Any]:
    """Return d forward / d argument for each argument, (outputs, entries), by the complex step."""
    blocks = []
    for i, a in enumerate(args):
        columns = []
        for unit in np.eye(a.size):
            moved = a + 1j * STEP * unit.reshape(a.shape)
            columns.append(np.ravel(np.imag(fault.forward(*args[:i], moved, *args[i + 1 :])) / STEP))
        blocks.append(np.stack(columns, axis=1))
    return blocks


def wrong_jacobian(fault: Seeded, args: Args) -> list[Any]:
    """Return what the faulty backward makes of each unit cotangent, as :func:`right_jacobian`."""
    y = np.asarray(fault.forward(*args))
    rows = [fault.backward(unit.reshape(y.shape), *args) for unit in np.eye(y.size)]
    return [np.stack([np.broadcast_to(row[i], a.shape).ravel() for row in rows]) for i, a in enumerate(args)]


def wrongness(fault: Seeded, args: Args) -> float:
    """Return the largest error of an entry, relative to the largest of its argument."""
    pairs = zip(right_jacobian(fault, args), wrong_jacobian(fault, args), strict=True)
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(a))) for a, b in pairs)


def alike(one: Seeded, other: Seeded) -> bool:
    """Return whether two faults are the same: both their functions give the same on the same example."""
    args = one.draw(np.random.default_rng(0))
    if [a.shape for a in args] != [b.shape for b in other.draw(np.random.default_rng(0))]:
        return False
    with np.errstate(invalid="ignore"):  # the other's forward may not be defined there
        results = [np.asarray(fault.forward(*args)) for fault in (one, other)]
    if results[0].shape != results[1].shape or not np.allclose(*results):
        return False
    blocks = zip(wrong_jacobian(one, args), wrong_jacobian(other, args), strict=True)
    return all(np.allclose(a, b, rtol=1e-9, atol=0.0) for a, b in blocks)
