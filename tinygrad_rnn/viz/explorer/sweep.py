"""The backward pass edge by edge: what each use of a node hands to it, and the running sum at a fan-out.

The gradients come from one pullback of the engine. The edges are then walked again in the engine's order, children
from the youngest, arguments from the first, each by ``Graph.local_vjp``, and added up as the engine adds: so the last
sum at a node is the node's gradient, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.core.value import Value


@dataclass(frozen=True, slots=True)
class Edge:
    """One use of a node, passed backward.

    Attributes:
        child: the index of the node whose cotangent is handed on.
        slot: which of the child's arguments receives it.
        parent: the index of that argument.
        downstream: what it receives: local derivative times the child's cotangent.
        sum: the parent's total so far, this edge included; ``downstream`` itself at the parent's first use.
        first: whether this is the first contribution to the parent.
    """

    child: int
    slot: int
    parent: int
    downstream: Any
    sum: Any
    first: bool


def gradients(graph: Graph) -> list[Any]:
    """Return dL/d(node) for every node of the graph of one loss, by index; None where no gradient reaches it.

    No ``.grad`` is read or changed. Hooks run, once, as in ``backward`` and ``tr.grad``: a gradient that a hook
    replaces is the replacement.

    Raises:
        GraphMutationError: a leaf was assigned new data after the graph had used it.
    """
    (loss,) = graph.outputs
    seed = 1.0 if isinstance(loss, Value) else np.ones(loss.shape, dtype=loss.dtype)
    found = pullback((loss,), (seed,))
    return [found.get(node) for node in graph]


def sweep(graph: Graph, grads: list[Any]) -> Iterator[Edge]:
    """Yield the edges through which a gradient passes, in the order of the backward pass.

    Args:
        graph: of one loss.
        grads: what ``gradients`` returned. What a hook replaced is what its node hands on.
    """
    sums: dict[int, Any] = {}
    for child in reversed(range(len(graph))):
        node = graph[child]
        if node.op is None or grads[child] is None:
            continue
        parts = graph.local_vjp(node, grads[child])
        for slot, (parent, part) in enumerate(zip(graph.parent_indices[child], parts, strict=True)):
            if part is None:
                continue
            before = sums.get(parent)
            sums[parent] = part if before is None else _added(before, part)
            yield Edge(child, slot, parent, part, sums[parent], first=before is None)
        sums.pop(child, None)


def _added(before: Any, part: Any) -> Any:
    return before + part if part.__class__ is float else np.asarray(before + part)
