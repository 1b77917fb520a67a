"""What ``tr.draw`` accepts: a node, several, a Graph, an Unrolled network, a Scalarized one."""

from __future__ import annotations

from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.scalarize import Scalarized
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.nn.unroll import Unrolled


def graph_of(x: Any) -> Graph:
    """Return the graph that ``x`` stands for.

    Args:
        x: a Value or Tensor; a list, tuple or dict of them, nested; a ``Graph``; what ``unroll`` or ``scalarize``
            returned.

    Raises:
        TypeError: anything else, or nothing at all.
    """
    if isinstance(x, Graph):
        return x
    if isinstance(x, Unrolled):
        x = (x.outputs, x.final_state)
    elif isinstance(x, Scalarized):
        x = x.outputs
    found = [leaf for _, leaf in flatten(x)]
    for leaf in found:
        if not isinstance(leaf, Carrier):
            raise TypeError(
                "draw: needs a Value or Tensor, a list of them, a Graph, a Plan, or what unroll or scalarize returned; "
                f"got {type(leaf).__name__}"
            )
    if not found:
        raise TypeError("draw: there is no node to draw in an empty list")
    return Graph.of(*dict.fromkeys(found))
