"""The page's pictures: the same nodes rolled, by steps, folded and unrolled, each laid out when the page is made."""

from __future__ import annotations

from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.viz.draw import draw
from tinygrad_rnn.viz.timeline import Timeline

_READABLE = 150  # boxes that a reader can take in at once


def views(timeline: Timeline, grads: list[Any]) -> tuple[list[dict[str, Any]], str]:
    """Return the views in the order of their tabs, and which one to begin with."""
    graph = timeline.graph
    wanted: list[tuple[str, str, dict[str, Any]]] = []
    if timeline.steps:
        wanted = [
            ("rolled", "Rolled", {"level": "rolled"}),
            ("steps", "Steps", {"level": "step", "fold": False}),
            ("folded", "Folded", {"fold": True}),
        ]
    wanted.append(("unrolled", "Unrolled", {"fold": False}))
    found, boxes = [], 0
    for key, title, how in wanted:
        drawing = draw(Graph.of(*graph.outputs), gradients=False, **how)
        boxes = drawing.boxes
        found.append(
            {
                "key": key,
                "title": title,
                "svg": drawing.pipe("svg", encoding="utf-8"),
                "notice": "",
                "members": {f"n{i}": [i] for i in range(len(graph))},
            }
        )
    return found, "unrolled" if boxes <= _READABLE or len(found) == 1 else "folded"
