"""Which nodes are too widely used to be drawn with all their edges.

A weight of a recurrent network feeds every step. Drawn as one hub with an edge to each step it makes a layered layout
take minutes from 50 steps on, so each step that uses it gets a ghost instead: a dashed box with the same color and the
same SVG class, while the node itself is drawn once, at the side.
"""

from __future__ import annotations

from tinygrad_rnn.viz.timeline import Timeline

MOST_EDGES = 8  # a node of a graph without time steps may have so many users before it becomes a hub
_MOST_STEPS_APART = 2  # a node inside a step may feed so many other steps

Frame = tuple[str, ...]


def plan_ghosts(timeline: Timeline) -> dict[int, dict[Frame, list[int]]]:
    """Return for each hub, by index, the frames that get a ghost of it, each with the hub's users there.

    In a graph without time steps the "frame" of a user is its own index.
    """
    places, uses = timeline.places, timeline.uses
    users: dict[int, dict[Frame, list[int]]] = {}
    stepless = not timeline.steps
    for i, parents in enumerate(timeline.graph.parent_indices):
        for p in parents:
            if uses[p] > 1:
                frame = (str(i),) if stepless else places[i].frame
                here = users.setdefault(p, {}).setdefault(frame, [])
                if not here or here[-1] != i:
                    here.append(i)
    hubs = {}
    for p in sorted(users):
        frames = {f: at for f, at in users[p].items() if f and (stepless or f != places[p].frame)}
        most = MOST_EDGES if stepless else _MOST_STEPS_APART if places[p].step >= 0 else 1
        if len(frames) > most:
            hubs[p] = frames
    return hubs
