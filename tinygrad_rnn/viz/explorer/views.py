"""The page's pictures: the same nodes rolled, by steps, folded and unrolled, each laid out when the page is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygrad_rnn.viz.draw import MOST_NODES, Look, draw_graph
from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.explorer.layout import layouts
from tinygrad_rnn.viz.label import inlined
from tinygrad_rnn.viz.timeline import MOST_STEPS, Timeline

READABLE = 200  # boxes that a reader can take in at once
MOST_BOXES = 12_000  # more are not laid out; a browser would not move them either


@dataclass(frozen=True, slots=True)
class View:
    """A picture that the page can show, before it is laid out."""

    key: str
    title: str
    how: dict[str, Any] = field(default_factory=dict)


ROLLED = View("rolled", "Rolled", {"level": "rolled"})
STEPS = View("steps", "Steps", {"level": "step", "fold": False})
FOLDED = View("folded", "Folded", {"fold": True})
UNROLLED = View("unrolled", "Unrolled", {"fold": False})


def views(timeline: Timeline, grads: list[Any]) -> tuple[list[dict[str, Any]], str]:
    """Return the views in the order of their tabs, and the key of the one to begin with.

    A view of more than 12,000 boxes, or one whose layout takes too long, has no picture but a notice.

    Args:
        timeline: the graph's steps.
        grads: the gradient of each node.
    """
    wanted = _wanted(timeline)
    bare = Look(bare=True)
    drawings = [draw_graph(timeline.graph, look=bare, cotangents=grads, **view.how) for view in wanted]
    small = [drawing for drawing in drawings if drawing.boxes <= MOST_BOXES]
    pictures = dict(zip(map(id, small), layouts(small), strict=True))
    found = [
        _entry(view, drawing, pictures.get(id(drawing)), timeline)
        for view, drawing in zip(wanted, drawings, strict=True)
    ]
    boxes = {view.key: drawing.boxes for view, drawing in zip(wanted, drawings, strict=True)}
    return found, _start(found, boxes)


def _wanted(timeline: Timeline) -> list[View]:
    if not timeline.steps:
        return [UNROLLED] if len(timeline.graph) <= MOST_NODES else [FOLDED, UNROLLED]
    folded = [FOLDED] if len(timeline.steps) > MOST_STEPS // 2 else []
    return [ROLLED, STEPS, *folded, UNROLLED]


def _entry(view: View, drawing: Drawing, picture: str | None, timeline: Timeline) -> dict[str, Any]:
    notice = "" if picture is not None else f"{drawing.boxes:,} boxes are too many to be laid out here."
    return {
        "key": view.key,
        "title": view.title,
        "svg": picture,
        "notice": notice,
        "members": {} if picture is None else _members(drawing, timeline),
    }


def _members(drawing: Drawing, timeline: Timeline) -> dict[str, list[int]]:
    """Return what each box stands for, its own nodes first, then the constants that are written into it.

    A box that stands for the one node whose index it bears is left out.
    """
    constants = {i for i, node in enumerate(timeline.graph) if inlined(node) is not None}
    ordered = {
        box: sorted(members, key=lambda i: (i in constants, i)) for box, members in drawing.members.items()
    }
    return {box: members for box, members in ordered.items() if members != [int(box[1:])]}


def _start(found: list[dict[str, Any]], boxes: dict[str, int]) -> str:
    """Return the most detailed view that can be read, else the first that has a picture."""
    drawn = [view["key"] for view in found if view["svg"] is not None]
    readable = [key for key in drawn if boxes[key] <= READABLE]
    best = [key for key in ("unrolled", "folded", "steps", "rolled") if key in readable]
    return str((best or drawn or [found[-1]["key"]])[0])
