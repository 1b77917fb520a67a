"""Which nodes of different steps are the same node of the rolled network.

Two nodes are of one kind when they stand in the same lane and inner scope, do the same operation and have arguments of
the same kinds; what comes from another step (or from before the first) counts as "the state" whatever it is, so that a
first step which starts from a constant is of the same kind as the others. A node named for its step (``h_3``) is known
by that name alone.
"""

from __future__ import annotations

from typing import Any

from tinygrad_rnn.nn.places import series
from tinygrad_rnn.viz.timeline import Timeline

OUTSIDE = -1


class Kinds:
    """A graph's nodes by kind.

    Attributes:
        of: for each node the number of its kind, ``OUTSIDE`` for a node outside of all steps.
        members: for each kind its nodes, by index.
    """

    def __init__(self, timeline: Timeline, hubs: set[int]) -> None:
        self._timeline = timeline
        self._hubs = hubs
        self.of: list[int] = []
        self.members: list[list[int]] = []
        known: dict[Any, int] = {}
        taken: dict[Any, int] = {}
        for i, place in enumerate(timeline.places):
            if not place.frame:
                self.of.append(OUTSIDE)
                continue
            key = self._key(i)
            again = taken[place.frame, key] = taken.get((place.frame, key), -1) + 1
            kind = known.setdefault((key, again), len(self.members))
            if kind == len(self.members):
                self.members.append([])
            self.members[kind].append(i)
            self.of.append(kind)

    def _key(self, i: int) -> Any:
        node, place = self._timeline.graph[i], self._timeline.places[i]
        inner = place.path[len(place.frame) :]
        family = series(node.name)
        what = node.op.name if node.op is not None else node.kind
        if what == "detach":
            return (place.lane, inner, what, family)
        if family != node.name:
            return (place.lane, inner, "named", family)
        arguments = tuple(self._argument(i, p) for p in self._timeline.graph.parent_indices[i])
        return (place.lane, inner, what, family, arguments)

    def _argument(self, i: int, p: int) -> Any:
        """Return what argument ``p`` of node ``i`` is known as: a weight, a kind in this step, or the state."""
        if p in self._hubs:
            return ("shared", p)
        parent = self._timeline.graph[p]
        same_step = self._timeline.places[p].step == self._timeline.places[i].step
        if not same_step or (parent.op is not None and parent.op.name == "detach"):
            return "state"
        return self.of[p]
