"""``Recurrence``: the states of one lane of a graph, step after step.

The state S_k is what step k hands to the next step and to whatever reads it outside of the recurrence: a readout, a
loss, another layer. Its parts (h, or h and c) are independent coordinates: dL/dc_k of an LSTM does not count the way
c_k -> h_k inside step k, because h_k is a coordinate of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.nn.places import Lane, Place, is_initial, place_of, series
from tinygrad_rnn.nn.unroll import Unrolled

ABSENT = -1  # in the place of a state's node on which nothing depends: it is not in the graph
NEVER = np.iinfo(np.int64).max  # the position of what no state is made from


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The states of one lane.

    Attributes:
        lane: where it stands: ``"layer 0"``, or ``""``.
        steps: the time steps in the order in which they were walked; a position counts along it.
        states: for each position the indices of the state's nodes in the graph, ``ABSENT`` where one is not in it.
        parts: the names of the state's parts, each with the places of its nodes in the state.
        shapes: the shapes of the state's nodes.
    """

    lane: str
    steps: tuple[int, ...]
    states: tuple[tuple[int, ...], ...]
    parts: Mapping[str, tuple[int, ...]]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of entries of each of the state's nodes."""
        return tuple(int(np.prod(shape, dtype=int)) for shape in self.shapes)

    @property
    def size(self) -> int:
        """n, the number of entries of a state."""
        return sum(self.sizes)

    @property
    def backward(self) -> bool:
        """Whether the lane walks from the last step to the first."""
        return len(self.steps) > 1 and self.steps[0] > self.steps[1]

    def places(self) -> dict[int, list[tuple[int, int]]]:
        """Return for each state's node where it is one: (position, place in the state), usually once."""
        found: dict[int, list[tuple[int, int]]] = {}
        for position, leaves in enumerate(self.states):
            for j, node in enumerate(leaves):
                if node != ABSENT:
                    found.setdefault(node, []).append((position, j))
        return found

    def settled(self, graph: Graph) -> np.ndarray[Any, Any]:
        """Return for each node the first position whose state is made from it, ``NEVER`` if there is none.

        A user of S_k belongs to what comes after step k if it is settled after position k: then the derivative by S_k
        counts it. One that is settled earlier is on the way to S_k, inside step k.
        """
        first = np.full(len(graph), NEVER)
        for position, leaves in enumerate(self.states):
            for node in leaves:
                if node != ABSENT:
                    first[node] = min(first[node], position)
        for i in range(len(graph) - 1, -1, -1):
            if first[i] != NEVER:
                for p in graph.parent_indices[i]:
                    first[p] = min(first[p], first[i])
        return first


def of_unrolled(graph: Graph, net: Unrolled) -> tuple[Recurrence, ...]:
    """Return the recurrences of an unrolled network, one for each lane, in the order of its state's leaves."""
    columns = [[x for _, x in flatten(state)] for state in net.states]
    leaves = list(zip(*columns, strict=True))
    lanes: dict[Lane, list[int]] = {}
    for j, column in enumerate(leaves):
        lanes.setdefault(_lane(column), []).append(j)
    steps = [place_of(scope).step for scope in net.scopes]
    found = []
    for lane, members in lanes.items():
        states = [tuple(graph.index(leaves[j][t]) for j in members) for t in range(len(steps))]
        names = _names([leaves[j] for j in members])
        found.append(_recurrence(graph, lane, dict(zip(steps, states, strict=True)), names))
    return tuple(found)


def _lane(column: tuple[Node, ...]) -> Lane:
    """The lane in which most of a part's nodes were made."""
    lanes = Counter(place.lane for place in map(_place, column) if place.step >= 0)
    return lanes.most_common(1)[0][0] if lanes else ()


def _place(node: Node) -> Place:
    return place_of(node.scope)


def _names(columns: list[tuple[Node, ...]]) -> list[str]:
    """What each column of nodes is called in most steps: ``h`` for h_0, h_1, ..."""
    return [Counter(series(node.name) for node in column).most_common(1)[0][0] or "h" for column in columns]


def _recurrence(
    graph: Graph, lane: Lane, states: Mapping[int, tuple[int, ...]], names: list[str]
) -> Recurrence:
    steps = sorted(states)
    if len(steps) > 1 and max(states[steps[0]]) > max(states[steps[-1]]):
        steps.reverse()  # the last step was made first
    parts: dict[str, tuple[int, ...]] = {}
    for j, name in enumerate(names):  # h[0], h[1], ... are one vector of Values
        base = name.split("[", 1)[0]
        parts[base] = (*parts.get(base, ()), j)
    shapes = tuple(graph[max(column)].shape for column in zip(*states.values(), strict=True))
    return Recurrence("/".join(lane), tuple(steps), tuple(states[t] for t in steps), parts, shapes)


def of_graph(graph: Graph) -> tuple[Recurrence, ...]:
    """Return the recurrences that the scopes of a graph tell: what a lane's step hands to its next one.

    A node is a state if another step of its lane uses it, and makes a state of it.
    """
    places = [place_of(node.scope) for node in graph]
    crossing = _crossing(graph, places)
    lanes: dict[Lane, dict[tuple[int, str], int]] = {}
    for node in sorted(crossing):
        key = (places[node].step, series(graph[node].name))
        lanes.setdefault(places[node].lane, {})[key] = node
    return tuple(_of_lane(graph, lane, nodes) for lane, nodes in lanes.items())


def _crossing(graph: Graph, places: list[Place]) -> set[int]:
    """Return the nodes that pass from one step to another of their lane on a way that goes on to further steps.

    A loss that compares y_t with y_{t-1} also reads what an earlier step made, but nothing later is made from it; nor
    is it followed by a state of the same name.
    """
    users: dict[int, list[int]] = {}
    last: dict[tuple[Lane, str], int] = {}  # the youngest node of each series
    begun: set[tuple[Lane, str]] = set()  # the series that have an initial state
    for i, parents in enumerate(graph.parent_indices):
        here = places[i]
        if here.step < 0:
            continue
        last[here.lane, series(graph[i].name)] = i
        for p in parents:
            before = places[p]
            if before.step < 0 and is_initial(graph[p].name):
                begun.add((here.lane, series(graph[p].name)))
            if graph[p].op is not None and -1 < before.step != here.step and before.lane == here.lane:
                users.setdefault(p, []).append(i)
    candidates = set(users)
    while True:
        names = begun | {(places[p].lane, series(graph[p].name)) for p in candidates}
        ends = candidates | {last[name] for name in names if name in last and name[1]}
        feeds = _feeds(graph, ends)
        kept = {p for p in candidates if any(feeds[u] for u in users[p])}
        if kept == candidates:
            return ends
        candidates = kept


def _feeds(graph: Graph, ends: set[int]) -> list[bool]:
    """Return for each node whether it is one of ``ends`` or one of them is made from it."""
    feeds = [i in ends for i in range(len(graph))]
    for i in range(len(graph) - 1, -1, -1):
        if feeds[i]:
            for p in graph.parent_indices[i]:
                feeds[p] = True
    return feeds


def _of_lane(graph: Graph, lane: Lane, nodes: dict[tuple[int, str], int]) -> Recurrence:
    """Return the recurrence of those parts that most steps have."""
    steps = sorted({step for step, _ in nodes})
    count = Counter(name for _, name in nodes)
    born = {name: min(i for (_, other), i in nodes.items() if other == name) for name in count}
    names = [name for name in sorted(count, key=born.__getitem__) if 2 * count[name] >= max(count.values())]
    states = {step: tuple(nodes.get((step, name), ABSENT) for name in names) for step in steps}
    return _recurrence(graph, lane, states, [name or "h" for name in names])
