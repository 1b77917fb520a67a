"""What happens inside one small Tensor operation: its scalar graph, laid out once for all nodes that are alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.core.graph import Graph, recording
from tinygrad_rnn.core.scalarize import scalarize
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.viz.draw import Look, draw_graph
from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.explorer.formulas import letter
from tinygrad_rnn.viz.explorer.layout import layouts
from tinygrad_rnn.viz.explorer.numbers import number

LARGEST = 48  # entries of a node and its arguments together
MOST_NUMBERS = 16_000  # of all scalar graphs together
MOST_PATTERNS = 40
_WIDE = -1.234e-05  # drawn in the place of each gradient, so that the box has room for any


class Patterns:
    """The scalar graphs of a graph's small operations.

    Inside one operation the gradients are those that come through it: those of its arguments' entries are what this
    use hands to them, not their total.

    Attributes:
        drawings: one for each pattern.
        boxes: for each pattern, which of its scalars each box shows.
        nodes: for each node, by index as text, its pattern and the numbers of its scalars.
    """

    def __init__(self, graph: Graph, grads: list[Any]) -> None:
        self.drawings: list[Drawing] = []
        self.boxes: list[dict[str, int]] = []
        self.nodes: dict[str, dict[str, Any]] = {}
        self._known: dict[Any, int] = {}
        left = MOST_NUMBERS
        for i in _small(graph):
            scalars = _taken_apart(graph[i])
            if scalars is None or left < len(scalars):
                continue
            found = _cotangents(scalars, graph[i], grads[i])
            pattern = self._pattern(scalars, found)
            if pattern is not None:
                left -= len(scalars)
                values = [number(node.data) for node in scalars]
                shown = [None if g is None else number(g) for g in found]
                self.nodes[str(i)] = {"pattern": pattern, "values": values, "grads": shown}

    def entries(self) -> list[dict[str, Any]]:
        """Return the patterns with their pictures."""
        pictures = layouts(self.drawings)
        return [{"svg": picture, "boxes": boxes} for picture, boxes in zip(pictures, self.boxes, strict=True)]

    def _pattern(self, scalars: Graph, grads: list[Any]) -> int | None:
        signature = tuple(
            (node.name, node.kind, node.op, parents, grad is None)
            for node, parents, grad in zip(scalars, scalars.parent_indices, grads, strict=True)
        )
        if signature not in self._known:
            if len(self._known) == MOST_PATTERNS:
                return None
            self._known[signature] = len(self._known)
            wide = [g if g is None else _WIDE for g in grads]
            drawing = draw_graph(scalars, fold=False, look=Look(bare=True), cotangents=wide)
            self.drawings.append(drawing)
            self.boxes.append({box: of[0] for box, of in drawing.members.items()})
        return self._known[signature]


def _small(graph: Graph) -> Iterator[int]:
    for i, node in enumerate(graph):
        if node.op is None or node.op.vjp is not None or not node.parents or node.dtype.kind != "f":
            continue
        shapes = [node.shape, *(p.shape for p in node.parents)]
        if any(shapes) and 0 < sum(map(math.prod, shapes)) <= LARGEST:
            yield i


def _taken_apart(node: Any) -> Graph | None:
    """Return the operation upon arguments of its own as a graph of Values; None where nothing happens inside."""
    count = len(node.parents)
    with recording(on=True, scope=()), np.errstate(all="ignore"):
        args = [
            p._leaf_like(p.data) if p.kind != "constant" and p.dtype.kind == "f" else p._constant_like(p.data)
            for p in node.parents
        ]
        for k, arg in enumerate(args):
            arg.name = letter(k, count)
        y = args[0]._apply(node.op, tuple(args), node.params)
        y.name = "y"
        try:
            entries = [leaf for _, leaf in flatten(scalarize(y).outputs[0])]
        except (TypeError, ValueError):  # a user's rule that is written for arrays alone
            return None
    if any(getattr(entry, "op", None) is None for entry in entries):
        return None
    scalars = Graph.of(*entries)
    for each in scalars:
        if each.op is None and not each.name:
            each.name = "constant"  # a box of its own: its number differs from node to node
    return scalars


def _cotangents(scalars: Graph, node: Any, grad: Any) -> list[Any]:
    if grad is None:
        return [None] * len(scalars)
    found = pullback(scalars.outputs, [float(g) for g in np.ravel(grad)])
    return [found.get(each) for each in scalars]
