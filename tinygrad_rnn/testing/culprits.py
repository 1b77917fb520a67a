"""A drawing in which the culprits are red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.testing.findings import Fault
from tinygrad_rnn.viz import draw

RED = "#c62828"
_MOST_UNFOLDED = 1_500  # nodes; a larger graph is drawn folded


def draw_culprits(graph: Graph, faults: Sequence[Fault]) -> Any:
    """Return the drawing of ``graph`` with the boxes of ``faults`` in red.

    A culprit that was folded away has no box of its own; the drawing's notices then say which it is.
    """
    drawing = draw(graph, fold=False if len(graph) <= _MOST_UNFOLDED else "auto", gradients=False)
    text = drawing.source
    for fault in faults:
        box = f"n{fault.node}"
        if f"\n{box} [" in text or f"\t{box} [" in text:
            drawing.node(box, color=RED, fontcolor="white", fillcolor=RED, style="filled", penwidth="3")
        else:
            drawing.notices = (*drawing.notices, f"folded away: {fault.place}")
    return drawing
