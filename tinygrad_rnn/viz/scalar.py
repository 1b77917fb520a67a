"""level="scalar": the micro view, each Tensor taken apart into its numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.scalarize import Scalarized, scalarize
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.viz.flow import Cotangents

MOST_SCALARS = 20_000


def scalar_graph(graph: Graph, cotangents: Cotangents | None = None) -> tuple[Graph, Cotangents | None]:
    """Return the equal graph of Values, and the cotangents of its nodes.

    Args:
        graph: of Tensors or Values.
        cotangents: of its nodes.

    Raises:
        ValueError: it would have more than 20,000 numbers and products.
    """
    if all(node.shape == () and _is_value(node) for node in graph):
        return graph, cotangents
    total = sum(map(_count, graph))
    if total > MOST_SCALARS:
        raise ValueError(
            f"draw: level='scalar' would draw about {total:,} numbers and products, at most {MOST_SCALARS:,} are "
            "legal: take a smaller network or fewer steps, or level='op'"
        )
    apart = scalarize(*graph.outputs)
    scalars = Graph.of(*dict.fromkeys(leaf for _, leaf in flatten(apart.outputs)))
    return scalars, None if cotangents is None else _carried(graph, cotangents, apart, scalars)


def _count(node: Any) -> int:
    """Return about how many nodes and edges stand for ``node``: each number, with the products of a matrix product."""
    terms = node.parents[0].shape[-1] if node.op is not None and node.op.name == "matmul" else 1
    return int(math.prod(node.shape) * terms)


def _is_value(node: Any) -> bool:
    return type(node).__name__ == "Value"


def _carried(graph: Graph, cotangents: Cotangents, apart: Scalarized, scalars: Graph) -> Cotangents:
    """Return the cotangents in the new graph: of a Tensor's numbers its own, of what stands between pulled back."""
    found: dict[Node, Any] = {}
    for node, cotangent in zip(graph, cotangents, strict=True):
        if cotangent is not None:
            entries = (leaf for _, leaf in flatten(apart.of(node)))
            for entry, g in zip(entries, np.ravel(cotangent).tolist(), strict=True):
                found.setdefault(entry, g)  # an entry of a view is one of the viewed, which knows all uses
    given = set(found)
    for node in reversed(scalars.nodes):
        if node in found and node.op is not None and not given.issuperset(node.parents):
            for parent, share in zip(node.parents, scalars.local_vjp(node, found[node]), strict=True):
                if share is not None and parent not in given:
                    found[parent] = found.get(parent, 0.0) + share
    return [found.get(node) for node in scalars]
