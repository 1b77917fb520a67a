"""``Coordinates``: the cotangents of a recurrence's states, each state a coordinate of its own.

dL/dS_k is the derivative of L as a function of S_k: what steps k+1, k+2, ... and the readouts and losses make of it.
So of all edges into a state's node those count whose child comes after position k; an edge that stays inside
step k (c_k -> h_k of an LSTM) is on the way to S_k and does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.recurrences import ABSENT, NEVER, Recurrence
from tinygrad_rnn.analysis.reading.rows import SEED, Rows, Seed, sweep
from tinygrad_rnn.analysis.reading.steps import Steps
from tinygrad_rnn.core.graph import Graph

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Coordinates:
    """The states of a recurrence as places in a graph.

    Attributes:
        graph: the graph.
        recurrence: its states.
        places: for each state's node the (position, place in the state) that it has; several if a cell hands on a node
            as it is.
        settled: for each node the first position whose state is made from it.
        read: for each node the position up to which it reads, as its time step tells: where a node stays the state
            for several steps, a reader in step j reads S_j.
        after: for each node whether some state is on the way to it, so that cotangents need to pass it.
    """

    graph: Graph
    recurrence: Recurrence
    places: dict[int, list[tuple[int, int]]]
    settled: Array
    read: Array
    after: Array

    @classmethod
    def of(cls, steps: Steps, recurrence: Recurrence) -> Coordinates:
        """Return the coordinates of a recurrence of the graph of ``steps``."""
        graph, places = steps.graph, recurrence.places()
        position = {step: p for p, step in enumerate(recurrence.steps)}
        read = np.array([position.get(column, NEVER) for column in steps.columns])
        return cls(graph, recurrence, places, recurrence.settled(graph), read, descendants(graph, places))

    def cotangents(
        self, seeds: Iterable[Seed], position: int = NEVER, through: Array | None = None
    ) -> Iterator[tuple[int, int, Rows]]:
        """Yield (position, place in the state, dL/dS there), each when it is complete.

        Args:
            seeds: where the sweep starts.
            position: that of the state whose nodes are seeded, for a derivative of that state; by default the seeds
                are readers from outside, such as losses.
            through: the nodes that may be passed; ``after`` by default.
        """
        arrived: dict[tuple[int, int], Rows] = {}

        def edge(child: int, parent: int, rows: Rows) -> Rows:
            places = self.places[parent]
            reader = position if child == SEED else self.settled[child]
            for place in places:
                held = len(places) > 1 and child != SEED and reader == NEVER and self.read[child] < place[0]
                if reader > place[0] and not held:
                    arrived[place] = arrived[place] + rows if place in arrived else rows
            return rows

        through = self.after if through is None else through
        for node in sweep(self.graph, seeds, through, self.places.keys(), edge):
            for place in self.places[node]:
                if place in arrived:
                    yield (*place, arrived.pop(place))

    def nodes(self, position: int) -> tuple[int, ...]:
        """Return the nodes of the state at ``position`` that are in the graph."""
        return tuple(i for i in self.recurrence.states[position] if i != ABSENT)


def descendants(graph: Graph, sources: Iterable[int]) -> Array:
    """Return for each node whether it is one of ``sources`` or is made from one."""
    found = np.zeros(len(graph), bool)
    found[list(sources)] = True
    for i, parents in enumerate(graph.parent_indices):
        if not found[i]:
            found[i] = any(found[p] for p in parents)
    return found
