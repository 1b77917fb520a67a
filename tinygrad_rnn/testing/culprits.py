"""A drawing in which the culprits are red."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.testing.findings import Fault
from tinygrad_rnn.viz import draw
from tinygrad_rnn.viz.escape import shown

RED = "#c62828"
_MOST_UNFOLDED = 250  # nodes; a larger graph is drawn folded: it would be too wide to look at
_MOST_TOLD = 3


def draw_culprits(graph: Graph, faults: Sequence[Fault]) -> Any:
    """Return the drawing of ``graph`` with the boxes of ``faults`` in red.

    A culprit that was folded away has no box of its own; that of the folded steps is red and tells its name.
    """
    drawing = draw(graph, fold=False if len(graph) <= _MOST_UNFOLDED else "auto", gradients=False)
    text = drawing.source
    hidden: dict[str, list[Fault]] = {}
    for fault in faults:
        box = f"n{fault.node}"
        if f"\n{box} [" in text or f"\t{box} [" in text:
            _redden(drawing, box)
        else:
            hidden.setdefault(_fold_of(drawing.members, fault.node), []).append(fault)
    for box, folded in hidden.items():
        drawing.notices = (*drawing.notices, *(f"folded away: {fault.place}" for fault in folded))
        if box:
            _redden(drawing, box, label="\n".join(_told(len(drawing.members[box]), folded)))
    return drawing


def _redden(drawing: Any, box: str, **more: str) -> None:
    drawing.node(box, color=RED, fontcolor="white", fillcolor=RED, style="filled", penwidth="3", **more)


def _fold_of(members: Mapping[str, Sequence[int]], node: int) -> str:
    """Return the box that stands for many nodes and for this one among them, ``""`` where there is none."""
    return next((box for box, nodes in members.items() if len(nodes) > 1 and node in nodes), "")


def _told(count: int, folded: Sequence[Fault]) -> list[str]:
    more = len(folded) - _MOST_TOLD
    places = [shown(fault.place).replace("\\", "\\\\") for fault in folded[:_MOST_TOLD]]
    return [f"… {count:,} folded nodes …", *places, *([f"and {more:,} more"] if more > 0 else [])]
