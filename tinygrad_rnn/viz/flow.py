"""How much gradient passes each node and each edge: the magnitudes that a drawing colors.

Through an edge flows the cotangent that its head hands to its tail. Where a node is used once this is the node's own
gradient; where it is used several times, ``Graph.local_vjp`` of each user tells its share, at the price of one more
vector-Jacobian product for that user. Of these at most ``MOST_PRODUCTS`` are made; further edges stay uncolored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_rnn.viz.label import gradient_magnitude, magnitude
from tinygrad_rnn.viz.timeline import Timeline

MOST_PRODUCTS = 20_000


class Flow:
    """The gradient magnitudes of a graph after ``backward``; without one every answer is None."""

    def __init__(self, timeline: Timeline, wanted: bool = True) -> None:
        self._graph = timeline.graph
        self._timeline = timeline
        self._budget = MOST_PRODUCTS
        self._shares: dict[int, tuple[Any, ...]] = {}
        self._nodes: dict[int, float | None] = {}
        self.computed = wanted and any(node.has_grad for node in timeline.graph)

    def node(self, i: int) -> float | None:
        """Return the magnitude of node i's gradient, None where it was not computed."""
        if not self.computed:
            return None
        if i not in self._nodes:
            self._nodes[i] = gradient_magnitude(self._graph[i])
        return self._nodes[i]

    def edges(self, i: int) -> list[float | None]:
        """Return for each parent of node i the magnitude of the cotangent that i hands to it."""
        parents = self._graph.parent_indices[i]
        if self.node(i) is None:
            return [None] * len(parents)
        uses = self._timeline.uses
        if all(uses[p] == 1 or self._graph[p].kind == "constant" for p in parents):
            return [self.node(p) for p in parents]
        return [None if share is None else magnitude(share) for share in self._share(i)]

    def through(self, i: int, users: Sequence[int]) -> Any:
        """Return the cotangent that the nodes ``users`` together hand to node i; None where there is none."""
        parts = []
        for user in users:
            if self.node(user) is None:
                continue
            shares = zip(self._graph.parent_indices[user], self._share(user), strict=True)
            parts += [share for p, share in shares if p == i and share is not None]
        return sum(parts[1:], parts[0]) if parts else None

    def _share(self, i: int) -> tuple[Any, ...]:
        """Return the cotangents that node i hands to its parents; none once the budget is spent."""
        if i not in self._shares:
            node = self._graph[i]
            if self._budget <= 0:
                return (None,) * len(node.parents)
            self._budget -= 1
            self._shares[i] = self._graph.local_vjp(node, node.grad)
        return self._shares[i]
