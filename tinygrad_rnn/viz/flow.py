"""How much gradient passes each node and each edge. Whoever draws a gradient reads it here.

The gradients are those that the nodes hold, or cotangents that are given: one for each node, by its index.

Through an edge flows the cotangent that its head hands to its tail. Where a node is used once this is the node's own
gradient; where it is used several times, ``Graph.local_vjp`` of each user tells its share, at the price of one more
vector-Jacobian product for that user. Of these at most ``MOST_PRODUCTS`` are made; further edges stay uncolored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_rnn.core.errors import GraphMutationError
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.viz.label import NOT_COMPUTED, gradient_text, magnitude, number
from tinygrad_rnn.viz.timeline import Timeline

MOST_PRODUCTS = 20_000

Cotangents = Sequence[Any]  # for each node of a graph its cotangent, None where there is none


def held(graph: Graph) -> Cotangents:
    """Return the gradients that the nodes of a graph hold, None for each that has none."""
    return [node.grad if node.has_grad else None for node in graph]


class Flow:
    """The gradients of a graph and their magnitudes.

    Args:
        timeline: the graph's steps.
        cotangents: for each node its cotangent or None; None when no gradient is to be drawn.

    Attributes:
        wanted: whether gradients are to be drawn.
        stale: whether a share could not be told, because a leaf was assigned since the graph was recorded.
    """

    def __init__(self, timeline: Timeline, cotangents: Cotangents | None) -> None:
        self._graph = timeline.graph
        self._timeline = timeline
        self._budget = MOST_PRODUCTS
        self._shares: dict[int, tuple[Any, ...]] = {}
        self._nodes: dict[int, float] = {}
        self.wanted = cotangents is not None
        self.stale = False
        self._of: Cotangents = (None,) * len(timeline.graph) if cotangents is None else cotangents

    def gradient(self, i: int) -> Any:
        """Return node i's gradient, None where it was not computed."""
        return self._of[i]

    def node(self, i: int) -> float | None:
        """Return the magnitude of node i's gradient, None where it was not computed."""
        if self._of[i] is None:
            return None
        if i not in self._nodes:
            self._nodes[i] = magnitude(self._of[i])
        return self._nodes[i]

    def lines(self, i: int) -> list[str]:
        """Return what a box says about node i's gradient: one line, or none where none is wanted or possible."""
        node = self._graph[i]
        if not self.wanted or node.kind == "constant" or node.dtype.kind != "f":
            return []
        return [NOT_COMPUTED if self._of[i] is None else gradient_text(self._of[i], node.shape)]

    def range_lines(self, members: Sequence[int]) -> list[str]:
        """Return what a box says about the gradients of several nodes that are one node of the rolled network."""
        last = self._graph[members[-1]]
        if not self.wanted or last.kind == "constant" or last.dtype.kind != "f":
            return []
        sizes = [m for m in map(self.node, members) if m is not None]
        if not sizes:
            return [NOT_COMPUTED]
        low, high = number(min(sizes)), number(max(sizes))
        return [("‖∂‖ " if last.shape else "|∂| ") + (low if low == high else f"{low} … {high}")]

    def edges(self, i: int) -> list[float | None]:
        """Return for each parent of node i the magnitude of the cotangent that i hands to it."""
        parents = self._graph.parent_indices[i]
        if self._of[i] is None:
            return [None] * len(parents)
        uses = self._timeline.uses
        if all(uses[p] == 1 or self._graph[p].kind == "constant" for p in parents):
            return [self.node(p) for p in parents]
        return [None if share is None else magnitude(share) for share in self._share(i)]

    def through(self, i: int, users: Sequence[int]) -> Any:
        """Return the cotangent that the nodes ``users`` together hand to node i; None where there is none."""
        parts = []
        for user in users:
            if self._of[user] is None:
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
            try:
                self._shares[i] = self._graph.local_vjp(node, self._of[i])
            except GraphMutationError:  # a weight was updated: the gradients still hold, the shares are lost
                self.stale = True
                self._shares[i] = (None,) * len(node.parents)
        return self._shares[i]
