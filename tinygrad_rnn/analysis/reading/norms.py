"""``state_norms``: how large the gradient of each step's loss is at each state, ||dL_t/dS_k||."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.chain import require_room
from tinygrad_rnn.analysis.reading.cotangents import Coordinates
from tinygrad_rnn.analysis.reading.recurrences import Recurrence
from tinygrad_rnn.analysis.reading.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]
MOST_ENTRIES = 1 << 24  # of the cotangents that are held at one time: 128 MB


@dataclass(frozen=True, slots=True)
class StateNorms:
    """The norms of one part of one lane's state.

    Attributes:
        lane: ``"layer 0"``, or ``""``.
        part: ``"h"``.
        losses: t of each row.
        steps: k of each column.
        norms: (rows, columns), ||dL_t/dS_k||; 0 where L_t does not depend on S_k, as for k > t.
        nodes: for each column the indices of the part's nodes in the graph: one, or one for each Value of a vector.
        loss_nodes: for each row the indices of the nodes where L_t begins: usually L_t itself.
    """

    lane: str
    part: str
    losses: tuple[int, ...]
    steps: tuple[int, ...]
    norms: Array
    nodes: tuple[tuple[int, ...], ...]
    loss_nodes: tuple[tuple[int, ...], ...]


def state_norms(steps: Steps) -> list[StateNorms]:
    """Return the norms for each lane and each part of its state; none where the graph has no time steps.

    Example:
        >>> import tinygrad_rnn as tr
        >>> from tinygrad_rnn.analysis.reading.steps import of_loss
        >>> w = tr.Value(0.5, name="w")
        >>> net = tr.unroll(lambda x, h: w * h + x, [1.0, 1.0, 1.0], state=0.0)
        >>> found, = state_norms(of_loss(tr.add_n(net.each(lambda h: 2 * h))))
        >>> found.norms.tolist()
        [[2.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.5, 1.0, 2.0]]
    """
    found = []
    rows = tuple(steps.losses)
    for recurrence in steps.recurrences:
        order = np.argsort(recurrence.steps)
        norms = leaf_norms(steps, recurrence)[list(rows)][..., order]
        for part, members in recurrence.parts.items():
            found.append(
                StateNorms(
                    recurrence.lane,
                    part,
                    rows,
                    tuple(int(recurrence.steps[p]) for p in order),
                    np.hypot.reduce(norms[:, list(members)], axis=1),
                    tuple(tuple(recurrence.states[p][j] for j in members) for p in order),
                    tuple(tuple(node for node, _ in steps.losses[t]) for t in rows),
                )
            )
    return found


def leaf_norms(steps: Steps, recurrence: Recurrence) -> Array:
    """Return (T, nodes of the state, positions): the norm of dL_t by each node of the state at each position.

    Raises:
        TooLargeError: so many steps that a number for each pair of them does not fit.
    """
    shape = (steps.length, len(recurrence.shapes), len(recurrence.steps))
    require_room(
        f"the norms of {shape[0]} losses at {shape[2]} states", 4 * math.prod(shape), "take fewer steps"
    )
    norms = np.zeros(shape)
    coordinates = Coordinates.of(steps, recurrence)
    for first, last in chunks(steps):
        for position, j, rows in coordinates.cotangents(steps.seeds(first, last)):
            start = first + rows.first
            norms[start : start + len(rows.array), j, position] = row_norms(rows.array)
    return norms


def chunks(steps: Steps) -> list[tuple[int, int]]:
    """Return ranges of losses that can be followed at one time without holding too much."""
    largest = max(int(np.prod(node.shape, dtype=int)) for node in steps.graph)
    rows = max(1, MOST_ENTRIES // max(1, largest))
    return [(t, min(t + rows, steps.length)) for t in range(0, steps.length, rows)]


def row_norms(rows: Array) -> Array:
    """Return the Euclidean norm of each row, right also where the squares would leave the range of floats."""
    flat = rows.reshape(len(rows), -1)
    largest = np.abs(flat).max(axis=1, initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(all="ignore"):
        return np.asarray(scale * np.linalg.norm(flat / scale[:, None], axis=1))
