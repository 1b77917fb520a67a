"""``explore``: the graph of a loss as one page of HTML, to be stepped through without a server or a kernel."""

from __future__ import annotations

import html
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_rnn.core.files import replace_file
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.viz.escape import shown
from tinygrad_rnn.viz.explorer.document import document
from tinygrad_rnn.viz.explorer.flows import flows
from tinygrad_rnn.viz.explorer.patterns import Patterns
from tinygrad_rnn.viz.explorer.payload import Backward, backward, node_entries
from tinygrad_rnn.viz.explorer.rules import Rules
from tinygrad_rnn.viz.explorer.sweep import gradients
from tinygrad_rnn.viz.explorer.views import views
from tinygrad_rnn.viz.timeline import Timeline

FORMAT = 1  # of the payload
MOST_NODES = 100_000
_MOST_NAMES = 5  # that a notice lists
_HEIGHT = 720  # of the frame in a notebook, in pixels


@dataclass(frozen=True, slots=True, repr=False)
class Explorer:
    """What ``tr.explore`` returns: a page that shows itself in Jupyter and can be saved as one file.

    Attributes:
        title: the heading of the page.
        nodes: how many nodes the graph has.
        edges: how many edges a gradient passes.
        notices: what the reader should know, such as that a view was too large to lay out.
    """

    title: str
    nodes: int
    edges: int
    notices: tuple[str, ...]
    _json: str

    @property
    def payload(self) -> dict[str, Any]:
        """What the page knows, as plain dicts and lists; a fresh copy each time."""
        found: dict[str, Any] = json.loads(self._json)
        return found

    def html(self) -> str:
        """Return the whole page as text: styles, scripts and numbers in it, nothing fetched from anywhere."""
        return document(self.title, self._json)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page to ``path`` and return that path; folders are made, an older page is replaced in one step.

        Raises:
            OSError: it cannot be written; an older page is then unchanged.
        """
        target = Path(path)
        content = self.html().encode("utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, lambda file: file.write(content))
        return str(target)

    def __repr__(self) -> str:
        return (
            f"<Explorer of {self.nodes:,} node{'s' * (self.nodes != 1)}; .save('graph.html') writes the page>"
        )

    def _repr_html_(self) -> str:
        page = html.escape(self.html(), quote=True)
        return (
            f'<iframe sandbox="allow-scripts" title="{html.escape(self.title, quote=True)}" srcdoc="{page}" '
            f'style="width:100%;height:{_HEIGHT}px;border:1px solid #a9b4bd" allowfullscreen></iframe>'
        )


def explore(loss: Any) -> Explorer:
    """Return the page of a loss: its graph, its forward pass node by node, its backward pass edge by edge.

    The gradients are those of one backward pass from ``loss`` with cotangent 1, made here: the ``.grad`` of no node is
    read or changed. Hooks run once, as in ``backward``.

    Args:
        loss: a Value, or a Tensor of one entry.

    Raises:
        TypeError: ``loss`` is not a Value or Tensor.
        ValueError: it has more than one entry, or none; or its graph has more than 100,000 nodes.
        GraphMutationError: a leaf was assigned new data after the graph had used it.
        LayoutProgramNotFound: no program was found that can lay out a graph.

    Example:
        >>> import tinygrad_rnn as tr
        >>> w = tr.Value(0.5, name="w")
        >>> net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 0.0, 0.0], state=0.0)
        >>> tr.explore((net.final_state - 1.0) ** 2)
        <Explorer of 18 nodes; .save('graph.html') writes the page>
    """
    _check(loss)
    graph = Graph.of(loss)
    if len(graph) > MOST_NODES:
        raise ValueError(
            f"explore: the graph has {len(graph):,} nodes, at most {MOST_NODES:,} are legal; explore fewer steps"
        )
    timeline, rules = Timeline(graph), Rules(graph)
    grads = gradients(graph)
    passed = backward(timeline, rules, grads)
    pictures, start = views(timeline, grads)
    patterns = Patterns(graph, grads)
    title, notices = f"Explorer of {shown(loss.name) or 'a graph'}", _notices(graph, grads, passed)
    payload = {
        "format": FORMAT,
        "title": title,
        "notices": notices,
        "loss": graph.index(loss),
        "nodes": node_entries(timeline, rules, grads),
        "edges": passed.edges,
        "shares": passed.shares,
        "flows": flows(loss) if passed.edges else [],
        "views": pictures,
        "start": start,
        "scalar": patterns.entries(),
        "scalarOf": patterns.nodes,
    }
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    notices += [f"{view['title']}: {view['notice']}" for view in pictures if view["notice"]]
    return Explorer(title, len(graph), len(passed.edges), tuple(notices), text)


def _notices(graph: Graph, grads: list[Any], passed: Backward) -> list[str]:
    if all(g is None for g in grads):
        return ["Nothing here can be differentiated: there is no backward pass."]
    if not passed.replaced:
        return []
    names = [shown(graph[i].name or f"node {i}") for i in passed.replaced[:_MOST_NAMES]]
    more = ", …" if len(passed.replaced) > _MOST_NAMES else ""
    return [
        f"A hook replaced the gradient of {', '.join(names)}{more}: what is handed on is the replacement."
    ]


def _check(loss: Any) -> None:
    if not isinstance(loss, Variable):
        raise TypeError(
            f"explore: needs the loss, a Value or a Tensor of one entry, got {type(loss).__name__}; of several losses "
            "explore their sum, tr.add_n(losses)"
        )
    if math.prod(loss.shape) != 1:
        raise ValueError(
            f"explore: needs a loss of one entry, got shape {loss.shape}; explore its sum or one entry of it"
        )
