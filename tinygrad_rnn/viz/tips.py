"""What a drawing says where the pointer rests: all about a box, and what flows back through an edge."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.viz.flow import Flow
from tinygrad_rnn.viz.label import NOT_COMPUTED, magnitude

Lines = tuple[str, ...]


class Tips:
    """The texts of one drawing, lines of plain text; whoever writes them out escapes them."""

    def __init__(self, graph: Graph, flow: Flow) -> None:
        self._graph = graph
        self._flow = flow

    def node(self, i: int, what: str = "") -> Lines:
        """Return all about node i: name, operation and formula, shape, value, gradient, where it was recorded.

        Args:
            i: its index.
            what: a first line that says what the box is to the node, such as a ghost of it.
        """
        node = self._graph[i]
        lines = [
            what,
            self.name(i),
            *self.formula(i),
            f"shape {node.shape}, {node.dtype}" if node.shape else "",
        ]
        lines.append(f"value: {statistics(node.data)}")
        if self._flow.wanted and node.kind != "constant" and node.dtype.kind == "f":
            gradient = self._flow.gradient(i)
            told = NOT_COMPUTED if gradient is None else f"gradient: {statistics(gradient, norm=True)}"
            lines.append(told)
        lines.append(f"in {', '.join(node.scope)}" if node.scope else "")
        return tuple(filter(None, lines))

    def share(self, i: int, share: Any) -> Lines:
        """Return what the ghost of node i says: ``share`` of its gradient comes from here."""
        here = () if share is None else (f"gradient from here: {statistics(share, norm=True)}",)
        return (*self.node(i, "shared; drawn again where it is used"), *here)

    def edge(self, p: int, i: int, size: float | None) -> Lines:
        """Return what flows from node p to its user i, and back."""
        flows = "" if size is None else f"flows back: {size:.4g}"
        return tuple(filter(None, (f"{self.name(p)} → {self.name(i)}", *self.formula(i), flows)))

    def name(self, i: int) -> str:
        """Return the node's name, its operation's, or its kind."""
        node = self._graph[i]
        what = node.kind if node.op is None else node.op.name
        return f"{node.name} ({what})" if node.name else what

    def formula(self, i: int) -> list[str]:
        """Return the first line of the operation's documentation: its formula and its derivative."""
        op = self._graph[i].op
        return [] if op is None or not op.doc else [str(op.doc).strip().split("\n", 1)[0].strip()]


def statistics(x: Any, norm: bool = False) -> str:
    """Return a number, or of an array its smallest, mean and largest entry, with its norm where asked for.

    Example:
        >>> statistics(np.array([3.0, -4.0]), norm=True)
        'norm 5, from -4 to 3, mean -0.5'
    """
    array = np.asarray(x)
    if array.ndim == 0:
        return f"{array.item():.8g}" if array.dtype.kind == "f" else str(array.item())
    if not array.size:
        return "no entries"
    size = f"norm {magnitude(array):.4g}, " if norm else ""
    with np.errstate(all="ignore"):
        text = f"{size}from {array.min():.4g} to {array.max():.4g}, mean {array.mean():.4g}"
    wrong = array.size - int(np.isfinite(array).sum())
    return f"{text}, {wrong:,} of {array.size:,} not finite" if wrong else text
