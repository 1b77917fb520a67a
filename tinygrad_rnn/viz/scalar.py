"""level="scalar": the micro view, each Tensor taken apart into its numbers."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.scalarize import scalarize
from tinygrad_rnn.core.tree import flatten

MOST_SCALARS = 20_000


def scalar_graph(graph: Graph) -> Graph:
    """Return the equal graph of Values, with gradients where ``graph`` has them.

    Raises:
        ValueError: it would have more than 20,000 numbers and products.
    """
    if all(node.shape == () and _is_value(node) for node in graph):
        return graph
    total = sum(map(_count, graph))
    if total > MOST_SCALARS:
        raise ValueError(
            f"draw: level='scalar' would draw about {total:,} numbers and products, at most {MOST_SCALARS:,} are "
            "legal: take a smaller network or fewer steps, or level='op'"
        )
    apart = scalarize(*graph.outputs)
    _carry_gradients(graph, apart)
    return Graph.of(*dict.fromkeys(leaf for _, leaf in flatten(apart.outputs)))


def _count(node: Any) -> int:
    """Return about how many nodes and edges stand for ``node``: each number, with the products of a matrix product."""
    terms = node.parents[0].shape[-1] if node.op is not None and node.op.name == "matmul" else 1
    return int(math.prod(node.shape) * terms)


def _is_value(node: Any) -> bool:
    return type(node).__name__ == "Value"


def _carry_gradients(graph: Graph, apart: Any) -> None:
    """Differentiate the new graph where the old one was: from each output that has a gradient, by that gradient."""
    for output in graph.outputs:
        if output.has_grad:
            entries = [leaf for _, leaf in flatten(apart.of(output))]
            for entry, seed in zip(
                entries, output.grad.ravel() if output.shape else [output.grad], strict=True
            ):
                if entry.kind == "op":
                    entry.backward(float(seed))
