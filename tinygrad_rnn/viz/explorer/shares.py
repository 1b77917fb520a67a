"""What each time step contributes to the gradient of a weight: the sum over time of BPTT, taken apart again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.viz.explorer.numbers import number
from tinygrad_rnn.viz.explorer.sweep import Edge
from tinygrad_rnn.viz.ghosts import plan_ghosts
from tinygrad_rnn.viz.label import magnitude
from tinygrad_rnn.viz.timeline import Timeline


class Shares:
    """Collects, edge by edge, the shares of every leaf that is used more than once, and of every other hub.

    The share of a step is the sum of what the uses in it hand to the leaf. Its part is ``<share, G> / <G, G>`` with the
    leaf's gradient G: the parts sum up to 1. An array is held only while its step is being passed, so T steps of a
    large weight cost no more memory than one.

    Args:
        timeline: the graph's steps.
        grads: the gradient of each node.
    """

    def __init__(self, timeline: Timeline, grads: list[Any]) -> None:
        self._timeline = timeline
        self._grads = grads
        graph = timeline.graph
        self._squares = {
            i: _dot(grads[i], grads[i])
            for i, (node, uses) in enumerate(zip(graph, timeline.uses, strict=True))
            if grads[i] is not None and node.kind == "leaf" and uses > 1
        }
        self._squares |= {i: _dot(grads[i], grads[i]) for i in plan_ghosts(timeline) if grads[i] is not None}
        self._open: dict[tuple[int, int], Any] = {}
        self._left = self._count_uses()
        self._found: dict[int, dict[int, dict[str, Any]]] = {i: {} for i in sorted(self._squares)}

    def _count_uses(self) -> dict[tuple[int, int], int]:
        left: dict[tuple[int, int], int] = {}
        for i, parents in enumerate(self._timeline.graph.parent_indices):
            if self._grads[i] is not None:
                for p in parents:
                    if p in self._squares:
                        at = (p, self._timeline.places[i].step)
                        left[at] = left.get(at, 0) + 1
        return left

    def add(self, e: int, edge: Edge) -> None:
        """Take in edge number ``e``."""
        if edge.parent not in self._squares:
            return
        step = self._timeline.places[edge.child].step
        at = (edge.parent, step)
        before = self._open.get(at)
        self._open[at] = edge.downstream if before is None else before + edge.downstream
        entry = self._found[edge.parent].setdefault(step, {"edges": [], "step": step})
        entry["edges"].append(e)
        self._left[at] -= 1
        if not self._left[at]:
            entry |= self._closed(at)

    def _closed(self, at: tuple[int, int]) -> dict[str, Any]:
        share, square = self._open.pop(at), self._squares[at[0]]
        with np.errstate(all="ignore"):
            part = _dot(share, self._grads[at[0]]) / square if square else 0.0
        return {"norm": number(magnitude(share)), "part": number(part)}

    def result(self) -> dict[str, list[dict[str, Any]]]:
        """Return for each leaf, by index as text, its shares in the order of the steps."""
        for at in list(self._open):  # a use may have handed on nothing
            self._found[at[0]][at[1]] |= self._closed(at)
        return {str(i): [steps[t] for t in sorted(steps)] for i, steps in self._found.items() if steps}


def _dot(a: Any, b: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.dot(np.ravel(a), np.ravel(b)))
