"""``step_jacobians``: the Jacobian of every single step of a recurrence, read from the graph.

J_p = dS_p/dS_{p-1} is what step p alone makes of the state before it. Its rows are pulled back all at once. The rows of
a batch usually do not act on each other; then one pass serves all of them. That is measured, step by step, with
random cotangents for each row: what they leave in another row is exactly 0, or the whole matrix is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.chain import Chain, require_room
from tinygrad_rnn.analysis.reading.cotangents import Coordinates
from tinygrad_rnn.analysis.reading.recurrences import ABSENT, Recurrence
from tinygrad_rnn.analysis.reading.rows import Rows
from tinygrad_rnn.analysis.reading.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]


def step_jacobians(steps: Steps, recurrence: Recurrence) -> Chain:
    """Return the Jacobians (T, B, n, n) of the steps of a recurrence; the state's leaves follow each other in n.

    B is the number of rows of a batch, 1 where the rows act on each other or there is no batch.

    Raises:
        TooLargeError: they would take too much memory.
    """
    coordinates = Coordinates.of(steps, recurrence)
    batch = batch_of(coordinates)
    n = recurrence.size // batch
    require_room(
        f"the Jacobians of {len(recurrence.steps)} steps, {batch} x {n} x {n} each,",
        len(recurrence.steps) * batch * n * n,
        "take fewer steps, a smaller state, or one row of the batch",
    )
    jacobians = np.zeros((len(recurrence.steps), batch, n, n))
    units = units_of(recurrence, batch)
    for position in range(1, len(recurrence.steps)):
        jacobians[position] = pulled(coordinates, position, units, batch).swapaxes(0, 1)
    return Chain(jacobians, recurrence.steps)


def batch_of(coordinates: Coordinates) -> int:
    """Return the number of rows of the batch if no row acts on another in any step, else 1."""
    recurrence = coordinates.recurrence
    shapes = recurrence.shapes
    if any(len(shape) < 2 or shape[0] != shapes[0][0] for shape in shapes) or not recurrence.size:
        return 1
    batch = shapes[0][0]
    probes = np.zeros((batch, batch, recurrence.size // batch))
    rows = np.arange(batch)
    probes[rows, rows] = np.random.default_rng(0).normal(size=(batch, recurrence.size // batch))
    seeds = _split(probes, recurrence, batch)
    others = ~np.eye(batch, dtype=bool)
    for position in range(1, len(recurrence.steps)):
        if np.any(pulled(coordinates, position, seeds, batch)[others] != 0):
            return 1
    return batch


def units_of(recurrence: Recurrence, batch: int) -> list[Array]:
    """Return the unit vectors of a row of the state, in all rows of the batch at once, as the state's leaves."""
    n = recurrence.size // batch
    return _split(np.broadcast_to(np.eye(n)[:, None, :], (n, batch, n)), recurrence, batch)


def _split(rows: Array, recurrence: Recurrence, batch: int) -> list[Array]:
    """Return (passes, B, n) as the state's leaves, each (passes, *shape)."""
    sizes = [size // batch for size in recurrence.sizes]
    parts = np.split(rows, np.cumsum(sizes)[:-1], axis=-1)
    return [part.reshape(len(rows), *shape) for part, shape in zip(parts, recurrence.shapes, strict=True)]


def pulled(
    coordinates: Coordinates,
    position: int,
    seeds: list[Array],
    batch: int,
    nodes: tuple[int, ...] | None = None,
) -> Array:
    """Return (passes, B, n): ``seeds`` at the state of ``position`` pulled back to the state before it.

    Args:
        coordinates: the states.
        position: at least 1.
        seeds: (passes, *shape) for each leaf of the state.
        batch: B.
        nodes: what the seeds belong to, in the place of the state's own nodes.
    """
    recurrence = coordinates.recurrence
    starts = recurrence.states[position] if nodes is None else nodes
    through = coordinates.after & (coordinates.settled == position)
    through[list(coordinates.nodes(position - 1))] = True
    start = [(node, Rows(0, rows)) for node, rows in zip(starts, seeds, strict=True) if node != ABSENT]
    leaves = [np.zeros((len(seeds[0]), batch, size // batch)) for size in recurrence.sizes]
    for at, j, rows in coordinates.cotangents(start, position, through):
        if at == position - 1:
            leaves[j] += rows.array.reshape(leaves[j].shape)
    return np.concatenate(leaves, axis=-1)
