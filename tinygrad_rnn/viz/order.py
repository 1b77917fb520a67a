"""What keeps time running from left to right in a layered layout, and keeps its hubs apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tinygrad_rnn.nn.places import Lane
from tinygrad_rnn.viz.dot import Canvas
from tinygrad_rnn.viz.timeline import Timeline

FEWEST_TERMS = 3  # an operation over so many steps is drawn as a running chain
CUT, WOULD_CUT = "no gradient", "cut"  # what stands at an edge that is cut, or would be by a truncation
SHARED = "shared by all steps"  # the title of the frame in which the weights stand
TALLEST = 8  # so many weights stand in one column


def step_of(frame: tuple[str, ...]) -> tuple[Lane, int]:
    """Return the lane and the number of a step's frame.

    Example:
        >>> step_of(("layer 0", "t=3"))
        (('layer 0',), 3)
    """
    return (frame[:-1], int(frame[-1][2:])) if frame else ((), -1)


def lay_rail(
    canvas: Canvas, timeline: Timeline, stops: Iterable[tuple[Lane, int, str]], new_id: Callable[[], str]
) -> None:
    """Keep the steps in their order: an invisible row below, a sleeper under each step.

    Without it dot leaves frames in whatever order crosses the fewest edges, such as t=2, t=0, t=1.

    Args:
        canvas: where to put it.
        timeline: tells whether all lanes share one row of steps.
        stops: lane, step and the identifier of a box at the bottom; of several for one step the first counts.
        new_id: makes identifiers.
    """
    rows: dict[Lane, dict[int, str]] = {}
    for lane, step, anchor in stops:
        rows.setdefault(timeline.lane_frame(lane), {}).setdefault(step, anchor)
    for frame, row in rows.items():
        if len(row) < 2:
            continue
        sleepers = []
        for step in sorted(row):
            sleepers.append(new_id())
            canvas.layout(f"{sleepers[-1]} [shape=point,style=invis,width=0.01]", frame)
            canvas.layout(f"{sleepers[-1]}->{row[step]} [style=invis,weight=10]")
        canvas.layout(f"{{rank=same; {'->'.join(sleepers)} [style=invis]}}", frame)


def stack(canvas: Canvas, leaves: list[str], title: str) -> None:
    """Put boxes of a frame one above the other, in columns."""
    for k in range(len(leaves) - 1):
        if (k + 1) % TALLEST:
            canvas.layout(f"{leaves[k]}->{leaves[k + 1]} [style=invis]", (title,))


def fan_ins(
    timeline: Timeline, nodes: Iterable[int], drawn: Callable[[int], bool]
) -> dict[int, list[list[int]]]:
    """Return those of ``nodes`` that stand outside of all steps and join three steps or more.

    Such a node, the total loss above all, is drawn as a running chain beside the steps: as one hub with an edge from
    each it would take a layered layout several times as long.

    Args:
        timeline: the graph's steps.
        nodes: by index.
        drawn: whether an argument has a box; a constant that is written into the label has none.

    Returns:
        for each its arguments, those of one step together, in the order of the steps.
    """
    joined = {}
    for i in nodes:
        parents = timeline.graph.parent_indices[i]
        if timeline.places[i].step >= 0 or len(parents) < FEWEST_TERMS:
            continue
        steps: dict[int, list[int]] = {}
        for p in filter(drawn, parents):
            steps.setdefault(timeline.columns[p], []).append(p)
        if len(steps) >= FEWEST_TERMS:
            joined[i] = [steps[t] for t in sorted(steps)]
    return joined


def links(terms: list[list[int]], hidden: Callable[[int], bool]) -> list[list[int]]:
    """Return the arguments that enter at each link of a chain: one link for each drawn step, one for folded steps."""
    groups: list[list[int]] = []
    folded = False
    for parents in terms:
        now = all(map(hidden, parents))
        if now and folded:
            groups[-1] += parents
        else:
            groups.append(list(parents))
        folded = now
    return groups
