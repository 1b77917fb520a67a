"""The payload: everything that the page knows about one graph, as plain dicts and lists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Graph
from tinygrad_rnn.nn.places import is_initial, series
from tinygrad_rnn.viz.escape import shown
from tinygrad_rnn.viz.explorer.numbers import Budget, cost, encoded
from tinygrad_rnn.viz.explorer.rules import Locals, Rules
from tinygrad_rnn.viz.explorer.shares import Shares
from tinygrad_rnn.viz.explorer.sweep import sweep
from tinygrad_rnn.viz.timeline import Timeline

LONGEST_NAME = 200  # characters
LARGEST_ON_EDGE = (64, 32, 16, 8, 4, 2, 1)  # entries of an array that an edge shows one by one, at most
LARGEST_AT_NODE = 65_536  # and a node
NODE_BYTES = 1_000_000  # of all nodes' entries together
EDGE_BYTES = 700_000  # of all edges' entries together
_ARRAYS_ON_EDGE = 3  # what is handed on, the sum, the local derivative
_KEPT_SCOPES = 8


def node_entries(timeline: Timeline, rules: Rules, grads: list[Any]) -> list[dict[str, Any]]:
    """Return what the page knows of each node, in the graph's order."""
    graph, budget = timeline.graph, Budget(NODE_BYTES, LARGEST_AT_NODE)
    values: dict[int, Any] = {}
    for i in _most_useful_first(graph):
        grad = None if grads[i] is None else encoded(grads[i], budget)
        values[i] = (encoded(graph[i].data, budget), grad)
    return [
        {
            "name": shown(node.name, LONGEST_NAME),
            "op": None if node.op is None else node.op.name,
            "symbol": "" if node.op is None else shown(node.op.symbol),
            "kind": node.kind,
            "dtype": str(node.dtype),
            "shape": list(node.shape),
            "parents": list(parents),
            "scope": [shown(part) for part in node.scope[:_KEPT_SCOPES]],
            "step": place.step,
            "lane": shown(", ".join(place.lane[:_KEPT_SCOPES])),
            "formula": shown(rules.formula(i), LONGEST_NAME),
            "value": values[i][0],
            "grad": values[i][1],
        }
        for i, (node, parents, place) in enumerate(
            zip(graph, graph.parent_indices, timeline.places, strict=True)
        )
    ]


def _most_useful_first(graph: Graph) -> list[int]:
    """Return the nodes' indices: leaves, then states and losses, then what else has a name, then the rest."""

    def rank(i: int) -> tuple[int, int, int]:
        node = graph[i]
        in_series = bool(node.name) and (series(node.name) != node.name or is_initial(node.name))
        group = 0 if node.kind == "leaf" else 1 if in_series and node.op else 2 if node.name else 3
        return (group, math.prod(node.shape) if group == 0 else 0, i)

    return sorted(range(len(graph)), key=rank)


@dataclass(frozen=True, slots=True)
class Backward:
    """The backward pass as the page knows it.

    Attributes:
        edges: in their order.
        shares: what each time step contributes to the weights.
        replaced: the nodes, by index, whose gradient is not the sum of what they were handed: a hook replaced it.
    """

    edges: list[dict[str, Any]]
    shares: dict[str, list[dict[str, Any]]]
    replaced: list[int]


def backward(timeline: Timeline, rules: Rules, grads: list[Any]) -> Backward:
    """Return the edges of the backward pass in their order, and what follows from them."""
    graph = timeline.graph
    budget, shares = _edge_budget(graph), Shares(timeline, grads)
    locals_ = Locals(graph, budget.largest)
    entries: list[dict[str, Any]] = []
    latest: dict[int, tuple[int, Any]] = {}
    for e, edge in enumerate(sweep(graph, grads)):
        local = locals_.derivative(edge.child, edge.slot)
        entries.append(
            {
                "child": edge.child,
                "slot": edge.slot,
                "parent": edge.parent,
                "rule": rules.rule(edge.child, edge.slot),
                "local": None if local is None else encoded(local, budget),
                "downstream": encoded(edge.downstream, budget),
                "sum": None if edge.first else encoded(edge.sum, budget),
                "first": edge.first,
                "last": False,
            }
        )
        shares.add(e, edge)
        latest[edge.parent] = (e, edge.sum)
    for e, _ in latest.values():
        entries[e]["last"] = True
    replaced = [i for i, (_, total) in latest.items() if not np.array_equal(total, grads[i], equal_nan=True)]
    return Backward(entries, shares.result(), sorted(replaced))


def _edge_budget(graph: Graph) -> Budget:
    """Return a budget with which either all arrays of one size are written on their edges or none."""
    sizes = [math.prod(graph[p].shape) for parents in graph.parent_indices for p in parents]
    for largest in LARGEST_ON_EDGE:
        if _ARRAYS_ON_EDGE * sum(cost(n) for n in sizes if n <= largest) <= EDGE_BYTES:
            break
    return Budget(_ARRAYS_ON_EDGE * EDGE_BYTES, largest)
