"""Which edges truncated backpropagation through time would cut, for a drawing that marks them in the whole graph.

``unroll(..., truncate=k)`` detaches the state that enters step k, 2k, 3k, ...: the gradient stays within blocks of k
steps. Here the same is told of a graph that is not truncated: an edge is cut when it carries the state of a sequence
from one block into another.
"""

from __future__ import annotations

from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.nn.places import Lane, series
from tinygrad_rnn.viz.timeline import Fold, Timeline


class Cuts:
    """The edges that blocks of ``truncate`` steps would cut; none where it is None.

    Raises:
        TypeError, ValueError: ``truncate`` is no whole number, or below 1.
    """

    def __init__(self, timeline: Timeline, truncate: Any) -> None:
        _check(truncate)
        self._places = timeline.places
        self._block: int = truncate or 0
        self._last: dict[Lane, int] = {}
        self._backward_lanes: set[Lane] = set()
        for place in self._places if truncate else ():
            self._last[place.lane] = max(place.step, self._last.get(place.lane, -1))
        self._recurrent = self._find(timeline.graph) if truncate else frozenset()

    def between(self, p: int, *users: int) -> bool:
        """Return whether the edge from node p to one of its users would be cut."""
        return any(i in self._recurrent and self._crosses(p, i) and self._divided(p, i) for i in users)

    def inside(self, lane: Lane, fold: Fold) -> int:
        """Return how many cuts lie between the folded steps of a sequence."""
        if not (self._block and fold.count):
            return 0
        first, last = self._number(lane, fold.first), self._number(lane, fold.last - 1)
        return abs(last // self._block - first // self._block)

    def _divided(self, p: int, i: int) -> bool:
        lane = self._places[p].lane
        before, after = (self._number(lane, self._places[k].step) for k in (p, i))
        return before // self._block != after // self._block

    def _number(self, lane: Lane, step: int) -> int:
        """Return the how-manieth step it is, counted from where the sequence begins."""
        return self._last[lane] - step if lane in self._backward_lanes else step

    def _crosses(self, p: int, i: int) -> bool:
        a, b = self._places[p], self._places[i]
        return a.lane == b.lane and a.step != b.step and a.step >= 0 and b.step >= 0

    def _find(self, graph: Graph) -> frozenset[int]:
        """Return the nodes from which a step makes its state: a loss that looks at an older state is none of them."""
        found, families = set(), set()
        for i, parents in enumerate(graph.parent_indices):
            for p in parents:
                if self._crosses(p, i):
                    found.add(p)
                    families.add((self._places[p].lane, series(graph[p].name)))
                    if self._places[p].step > self._places[i].step:
                        self._backward_lanes.add(self._places[p].lane)
        for i, (place, node) in enumerate(zip(self._places, graph, strict=True)):
            family = series(node.name)
            if place.frame and family != node.name and (place.lane, family) in families:
                found.add(i)
        for i in reversed(range(len(graph))):
            if i in found:
                here = self._places[i].frame
                found.update(p for p in graph.parent_indices[i] if self._places[p].frame == here)
        return frozenset(found)


def _check(truncate: Any) -> None:
    if truncate is None:
        return
    if isinstance(truncate, bool) or not isinstance(truncate, int):
        raise TypeError(f"draw: truncate must be a number of steps or None, got {truncate!r}")
    if truncate < 1:
        raise ValueError(f"draw: truncate must be at least 1, got {truncate}")
