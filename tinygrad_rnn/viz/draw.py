"""``draw``: any graph as a picture, at one of four levels of detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.viz.dot import Canvas
from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.flow import Cotangents, held
from tinygrad_rnn.viz.oplevel import OpLevel, Wish
from tinygrad_rnn.viz.planlevel import draw_plan
from tinygrad_rnn.viz.rolled import RolledLevel
from tinygrad_rnn.viz.scalar import scalar_graph
from tinygrad_rnn.viz.source import graph_of
from tinygrad_rnn.viz.steplevel import StepLevel
from tinygrad_rnn.viz.theme import theme_of
from tinygrad_rnn.viz.timeline import Fold, Timeline, fold_nodes, fold_steps

LEVELS = ("op", "step", "scalar", "rolled")
_SKETCHES: dict[str, Any] = {"step": StepLevel, "rolled": RolledLevel}
MOST_NODES = 2_000  # "auto" folds a larger graph that has no time steps


def draw(
    x: Any,
    level: str = "op",
    fold: Any = "auto",
    values: bool = True,
    gradients: bool | str = True,
    *,
    truncate: int | None = None,
    theme: str = "light",
) -> Drawing:
    """Return the drawing of a graph: a ``graphviz.Digraph`` that shows itself in Jupyter.

    Time runs from left to right; inputs stand below, losses above. Color is the gradient's magnitude on a logarithmic
    scale, pale where it vanishes; an edge is colored by what flows back through it. Before ``backward`` a gradient
    reads "not computed".

    Args:
        x: a Value or Tensor, a list of them, a ``Graph``, or what ``unroll`` or ``scalarize`` returned. A ``Plan`` is
            drawn in its own way, whatever the other arguments: one box for all operations that could run as one, with
            how many of them run together and how often; a frame for each recurrence; dashed what is carried from one
            of its rounds to the next; the color stands for arithmetic.
        level: ``"op"`` every operation, in a frame for each time step; ``"step"`` one box for each cell and step;
            ``"scalar"`` the same network in single numbers; ``"rolled"`` the network with its cycle and a delay.
        fold: ``"auto"`` folds the middle of a sequence of more than 8 steps; True of any of more than 4; False never;
            a number shows at most so many steps.
        values: write values, or the shape of what is too large.
        gradients: write gradients and color by them; ``"edges"``: of a small graph also how much flows back
            through each edge.
        truncate: mark what ``unroll(..., truncate=k)`` would cut: the state's edges between blocks of k steps. The
            graph and its gradients stay whole.
        theme: ``"light"``, ``"dark"``, or ``"print"``: black on white, where widths and dashes stand for colors.

    Raises:
        TypeError: ``x`` holds something else than nodes, or ``fold`` is none of these.
        ValueError: an unknown ``level`` or ``theme``; ``level="scalar"`` of a network with too many numbers.

    Example:
        >>> import tinygrad_rnn as tr
        >>> w = tr.Value(0.5, name="w")
        >>> net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 0.0, 0.0], state=0.0)
        >>> loss = tr.add_n(net.each(lambda h, target: (h - target) ** 2, [0.0, 0.5, 0.5]))
        >>> loss.backward()
        >>> tr.draw(loss)
        <Drawing at level='op' of 29 nodes; .render('graph.svg') writes it, .source is its DOT text>
    """
    check.truth("draw: values", values)
    if not isinstance(level, str) or level not in LEVELS:
        raise ValueError(f"draw: level={level!r} is unknown; legal: {', '.join(map(repr, LEVELS))}")
    if not isinstance(gradients, bool) and not (isinstance(gradients, str) and gradients == "edges"):
        raise ValueError(f"draw: gradients={gradients!r} is unknown; legal: True, False, 'edges'")
    if isinstance(x, Plan):
        return draw_plan(x, theme_of(theme))
    graph = graph_of(x)
    look = Look(values, truncate, theme, numbers=gradients == "edges")
    return draw_graph(graph, level, fold, look, held(graph) if gradients else None)


@dataclass(frozen=True, slots=True)
class Look:
    """How a drawing looks, as ``draw`` has it: ``values``, ``truncate`` and ``theme``.

    Attributes:
        numbers: write the magnitude at each edge.
        bare: leave out caption, tips and links, for a page that says these itself.
    """

    values: bool = True
    truncate: int | None = None
    theme: str = "light"
    numbers: bool = False
    bare: bool = False


def draw_graph(
    graph: Graph,
    level: str = "op",
    fold: Any = "auto",
    look: Look = Look(),
    cotangents: Cotangents | None = None,
) -> Drawing:
    """Return the drawing of a graph with the given ``cotangents``, whatever its nodes' ``.grad``; see ``draw``.

    Args:
        graph: the graph.
        level, fold: as for ``draw``.
        look: what is written, and how it looks.
        cotangents: for each node, by its index, a float or an array, or None where there is none; None: draw no
            gradients.
    """
    if level == "scalar":
        graph, cotangents = scalar_graph(graph, cotangents)
    timeline = Timeline(graph)
    steps = fold_steps(timeline.steps, fold)
    if level == "rolled":
        steps = Fold()
    nodes = Fold() if timeline.steps else fold_nodes(len(graph), fold, MOST_NODES)
    theme = theme_of(look.theme)
    wish = Wish(look.values, cotangents, steps, nodes, look.truncate, theme, look.numbers, look.bare)
    sketch = _SKETCHES.get(level, OpLevel)(timeline, wish)
    canvas = sketch.draw()
    notices = _notices(wish, sketch.flow.stale, canvas)
    drawing = Drawing("tinygrad_rnn", body=canvas.lines(notices, _computed(wish)))
    drawing.level, drawing.boxes, drawing.notices = level, canvas.boxes, tuple(notices)
    drawing.members = canvas.members
    return drawing


def _computed(wish: Wish) -> bool:
    return wish.cotangents is not None and any(g is not None for g in wish.cotangents)


def _notices(wish: Wish, stale: bool, canvas: Canvas) -> list[str]:
    """Return what the reader should know."""
    notices = []
    if wish.fold.count:
        notices.append(f"{wish.fold.count:,} steps are folded; fold=False draws them all")
    if wish.fold_nodes.count:
        notices.append(f"{wish.fold_nodes.count:,} nodes are folded; fold=False draws them all")
    if wish.cotangents is not None and not _computed(wish):
        notices.append("gradients: not computed yet (call .backward() first)")
    if wish.truncate:
        notices.append(
            f"truncation after {wish.truncate:,} steps is only marked; the gradients are those of the whole graph"
        )
    if stale:
        notices.append(
            "leaves were assigned since: their new values, the old gradients, and no flow at some edges"
        )
    if wish.numbers and not canvas.numbers:
        notices.append("too many edges to write a number at each; fold=True shows fewer")
    return notices
