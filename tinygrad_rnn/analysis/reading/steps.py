"""``Steps``: a graph read by time: its recurrences, what each time step's loss is, which weights its steps share.

This is the one place that does so; what an analysis says about time it says in these terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.recurrences import Recurrence, of_graph, of_unrolled
from tinygrad_rnn.analysis.reading.rows import Rows, Seed, run, sweep
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.nn.places import place_of
from tinygrad_rnn.nn.unroll import Unrolled

BEFORE = -1  # the column of what no time step has made
MIXED = -2  # and of what is made, outside of all steps, from several of them


@dataclass(frozen=True, slots=True)
class Steps:
    """A graph by time.

    The loss of a network is sum_t L_t (+ what depends on no step). For one number that was made from several steps,
    L_t is what it takes from step t: the gradient enters the recurrence there. For the sum of the losses of all
    steps this is the loss of step t itself.

    Attributes:
        graph: the graph.
        recurrences: the states, lane by lane.
        losses: for each step t that has a loss the nodes where its gradient starts, with the cotangent of each.
        columns: for each node its step: where it stands, or of what was made outside of all steps the only step that
            it is made from; ``BEFORE`` without one, ``MIXED`` with several.
        loss: the index of the one loss that was given, None where there was one for each step.
    """

    graph: Graph
    recurrences: tuple[Recurrence, ...]
    losses: Mapping[int, tuple[tuple[int, np.ndarray[Any, Any]], ...]]
    columns: tuple[int, ...]
    loss: int | None

    def __repr__(self) -> str:
        lanes = ", ".join(r.lane or "one lane" for r in self.recurrences)
        return f"<Steps of {lanes}: {self.length} steps, {len(self.losses)} with a loss>"

    @property
    def length(self) -> int:
        """T: one more than the last step that has a state or a loss."""
        return 1 + max((*self.losses, *(max(r.steps) for r in self.recurrences)), default=-1)

    @property
    def leaves(self) -> Mapping[str, int]:
        """The leaves by name; where several have one name, or none, the index tells them apart."""
        found: dict[str, int] = {}
        for i, node in enumerate(self.graph):
            if node.kind == "leaf":
                name = node.name or f"leaf {i}"
                found[f"{name} ({i})" if name in found else name] = i
        return found

    def seeds(self, first: int = 0, last: int | None = None) -> list[Seed]:
        """Return the seeds of L_first ... L_{last-1}, each as a row of its own, numbered from 0 for ``first``."""
        last = self.length if last is None else last
        return [
            (node, Rows(t - first, cotangent[None]))
            for t, nodes in self.losses.items()
            if first <= t < last
            for node, cotangent in nodes
        ]

    def total(self) -> list[Seed]:
        """Return the seeds of the sum of all losses, as one row."""
        return [
            (node, Rows(0, cotangent[None])) for nodes in self.losses.values() for node, cotangent in nodes
        ]


def of_losses(net: Unrolled, losses: Any) -> Steps:
    """Return an unrolled network with its losses by time.

    Args:
        net: the network.
        losses: one for each step, None where there is none; or one number made from the network.

    Raises:
        TypeError: a loss is not a Value or Tensor.
        ValueError: a number of losses that is not that of the steps, a loss of several numbers, one that does not
            depend on the network, or no steps.
    """
    if not isinstance(net, Unrolled):
        raise TypeError(
            f"gradient_flow: needs an Unrolled (of tr.unroll or .unroll), got {type(net).__name__}"
        )
    if not len(net):
        raise ValueError(
            "gradient_flow: the network was unrolled over no steps, so there is nothing to follow"
        )
    single = isinstance(losses, Carrier)
    given = _single(losses) if single else _each(net, losses)
    states = [x for state in net.states for _, x in flatten(state)]
    graph = Graph.of(*given.values(), *states)
    _require_use(graph, given, states)
    columns = _columns(graph)
    recurrences = of_unrolled(graph, net)
    if single:
        loss = graph.index(given[0])
        return Steps(graph, recurrences, _starts(graph, columns, loss), columns, loss)
    starts = {t: ((graph.index(node), _one(node)),) for t, node in given.items()}
    return Steps(graph, recurrences, starts, columns, None)


def of_loss(loss: Any) -> Steps:
    """Return the graph of one number by time, as far as its scopes (``"t=3"``) and names tell it.

    Raises:
        TypeError: the loss is not a Value or Tensor.
        ValueError: it holds several numbers.
    """
    node = _single(loss)[0]
    graph = Graph.of(node)
    columns = _columns(graph)
    last = len(graph) - 1
    return Steps(graph, of_graph(graph), _starts(graph, columns, last), columns, last)


def _single(loss: Any) -> dict[int, Node]:
    _require_number("gradient_flow: the loss", loss)
    return {0: loss}


def _each(net: Unrolled, losses: Any) -> dict[int, Node]:
    """Return the losses that there are, by step. A constant has no gradient, so it counts as none."""
    if not isinstance(losses, Sequence) or isinstance(losses, str):
        raise TypeError(
            f"gradient_flow: losses must be a list with one loss for each step, or one Value or Tensor, got "
            f"{type(losses).__name__}"
        )
    if len(losses) != len(net):
        raise ValueError(
            f"gradient_flow: {len(losses)} losses for {len(net)} steps; give one for each step, None where there is "
            "none, or one number"
        )
    given: dict[int, Node] = {}
    for scope, loss in zip(net.scopes, losses, strict=True):
        step = place_of(scope).step
        if loss is not None:
            _require_number(f"gradient_flow: the loss of step {step}", loss)
            if loss.kind != "constant":
                given[step] = loss
    return given


def _require_number(what: str, loss: Any) -> None:
    if not isinstance(loss, Carrier):
        raise TypeError(f"{what} must be a Value or Tensor, got {type(loss).__name__}")
    shape = loss.shape  # type: ignore[attr-defined]
    if np.prod(shape, dtype=int) != 1:
        raise ValueError(f"{what} must be one number, got shape {shape}; reduce it (.sum() or .mean())")


def _require_use(graph: Graph, losses: Mapping[int, Node], states: list[Node]) -> None:
    """Refuse a loss that no state is on the way to: it belongs to another network."""
    made = [False] * len(graph)
    for state in states:
        made[graph.index(state)] = True
    for i, parents in enumerate(graph.parent_indices):
        made[i] = made[i] or any(made[p] for p in parents)
    for t, loss in losses.items():
        if not made[graph.index(loss)]:
            raise ValueError(
                f"gradient_flow: the loss {loss.name or loss!r} (step {t}) is not of this network: it depends on none "
                "of its states. Make the losses from the same Unrolled, with its .each(...) or from its .outputs"
            )


def _columns(graph: Graph) -> tuple[int, ...]:
    columns: list[int] = []
    for node, parents in zip(graph, graph.parent_indices, strict=True):
        step = place_of(node.scope).step if parents else BEFORE
        if step < 0 and parents:
            made = {columns[p] for p in parents} - {BEFORE}
            step = BEFORE if not made else made.pop() if len(made) == 1 else MIXED
        columns.append(step)
    return tuple(columns)


def _one(node: Node) -> np.ndarray[Any, Any]:
    return np.ones(node.shape)


def _starts(
    graph: Graph, columns: tuple[int, ...], loss: int
) -> dict[int, tuple[tuple[int, np.ndarray[Any, Any]], ...]]:
    """Return where the gradient of one loss enters the time steps, and with which cotangent.

    From the loss the sweep goes back through what is made of several steps (a sum, a mean, a vectorized loss) and
    stops at the first node of each single step that it meets. A sum on the way is passed: what else it adds, such as
    a penalty on the weights, belongs to no step.
    """
    inside = entries(graph, columns)
    if loss in inside:
        return {columns[loss]: ((loss, _one(graph[loss])),)}
    entered: dict[int, Rows] = {}

    def edge(child: int, parent: int, rows: Rows) -> None:
        entered[parent] = entered[parent] + rows if parent in entered else rows

    run(sweep(graph, [(loss, Rows(0, _one(graph[loss])[None]))], np.ones(len(graph), bool), inside, edge))
    found: dict[int, tuple[tuple[int, np.ndarray[Any, Any]], ...]] = {}
    for node in sorted(entered):
        found[columns[node]] = (*found.get(columns[node], ()), (node, entered[node].array[0]))
    return dict(sorted(found.items()))


def entries(graph: Graph, columns: Sequence[int]) -> frozenset[int]:
    """Return the nodes at which what comes from a loss enters a time step: all of one step but sums outside of it."""
    sums = (ops.add, ops.subtract, ops.add_n)
    return frozenset(
        i
        for i, (node, column) in enumerate(zip(graph, columns, strict=True))
        if column >= 0 and not (node.op in sums and place_of(node.scope).step < 0)
    )
