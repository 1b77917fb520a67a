"""``OneStep``: one recorded step of a cell, cut off from the past, and the products with its Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.analysis.reading.rows import Rows, Seed, run, sweep
from tinygrad_rnn.core.autodiff import pullback, pushforward
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import Graph, Node, ancestors, recording
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.nn.unroll import Cell, unroll

Array = np.ndarray[Any, np.dtype[Any]]
Cotangents = dict[Node, Any]
MOST_ROWS = 64  # of a block: enough to make a step's overhead small, and few enough to hold


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of the Jacobians of a step.

    Attributes:
        first: the first of the rows: an entry of the state after the step.
        state: (rows, n), by the state before.
        parameters: (rows, size) by each leaf that these entries depend on.
    """

    first: int
    state: Array
    parameters: dict[Node, Array]


class OneStep:
    """The graph of ``S' = F(x, S; theta)``, where S are fresh leaves: it holds no earlier step alive.

    The state counts as one vector of n numbers: the float leaves of its structure, raveled one after the other. Parts
    of another dtype (a counter) are constants.

    Attributes:
        output: what the cell returns as its output, as ``unroll`` tells it.
        after: the state after the step, nodes in the state's structure.
        parameters: the leaves theta.
    """

    __slots__ = ("_before", "after", "output", "parameters")

    def __init__(self, before: Sequence[Node], after: Any, output: Any, parameters: Sequence[Node]) -> None:
        self._before = tuple(before)
        self.after = after
        self.output = output
        self.parameters = tuple(parameters)

    @classmethod
    def record(cls, cell: Cell, x: Any, state: Any, parameters: Sequence[Node]) -> OneStep:
        """Return the step of ``cell`` from a state of plain numbers and arrays, or of nodes that are cut off here."""
        fresh = tree_map(_fresh, state)
        with recording(on=True):
            net = unroll(cell, [x], fresh)
        before = [node for _, node in flatten(fresh) if node.kind == "leaf"]
        return cls(before, net.final_state, net.outputs[0], parameters)

    @property
    def size(self) -> int:
        """The number n of entries of the state after the step."""
        return sum(int(np.prod(node.shape)) for node in self._moving())

    def pull(self, output: Node, cotangent: Any) -> tuple[Any, Cotangents]:
        """Return the cotangents of the state before, one vector, and of each parameter that the output depends on.

        Args:
            output: a node made from this step, such as a loss.
            cotangent: of its shape.
        """
        return self._pulled([output], [_as_cotangent(output, cotangent)])

    def pull_state(self, cotangent: Any) -> tuple[Any, Cotangents]:
        """Return what :meth:`pull` gives for the whole state after the step and one vector of n cotangents."""
        outputs, seeds, start = self._moving(), [], 0
        for node in outputs:
            size = int(np.prod(node.shape))
            seeds.append(_as_cotangent(node, np.reshape(cotangent[start : start + size], node.shape)))
            start += size
        return self._pulled(outputs, seeds)

    def blocks(self, unit: float = 1.0, most: int = MOST_ROWS) -> Iterator[Block]:
        """Yield dS'/dS and dS'/dtheta, times ``unit``, some rows at a time: all rows of a block in one sweep."""
        outputs = self._moving()
        if not outputs:
            return
        graph = Graph.of(*outputs)
        ends = {graph.index(node): node for node in (*self._before, *self.parameters) if node in graph}
        through = _between(graph, ends)
        for first in range(0, self.size, most):
            entered = _swept(graph, _units(graph, outputs, first, most, unit), through, ends)
            rows = min(most, self.size - first)
            yield self._block(first, rows, entered)

    def _block(self, first: int, rows: int, entered: dict[Node, Rows]) -> Block:
        def whole(node: Node) -> Array:
            found = np.zeros((rows, int(np.prod(node.shape))))
            if node in entered:
                at = entered[node].first
                found[at : at + len(entered[node].array)] = entered[node].array.reshape(-1, found.shape[1])
            return found

        state = np.concatenate([np.zeros((rows, 0)), *(whole(node) for node in self._before)], axis=1)
        return Block(first, state, {p: whole(p) for p in dict.fromkeys(self.parameters) if p in entered})

    def push_state(self, tangent: Any) -> Any:
        """Return the tangent of the state after the step, given that of the state before; both are vectors."""
        start, at = {}, 0
        for leaf in self._before:
            size = int(np.prod(leaf.shape))
            start[leaf] = _as_cotangent(leaf, np.reshape(tangent[at : at + size], leaf.shape))
            at += size
        outputs = self._moving()
        found = pushforward(ancestors(outputs, stop=frozenset(self._before)), start)
        return _joined(outputs, found)

    def _moving(self) -> list[Node]:
        return [node for _, node in flatten(self.after) if node.dtype.kind == "f"]

    def _pulled(self, outputs: list[Node], cotangents: list[Any]) -> tuple[Any, Cotangents]:
        stop = frozenset((*self._before, *self.parameters))
        found = pullback(outputs, cotangents, stop=stop)
        return _joined(self._before, found), {p: found[p] for p in self.parameters if p in found}


def _between(graph: Graph, ends: Mapping[int, Node]) -> Array:
    """Return for each node whether a derivative passes through it on its way to one of ``ends``."""
    through = np.zeros(len(graph), dtype=bool)
    for i, (node, parents) in enumerate(zip(graph, graph.parent_indices, strict=True)):
        through[i] = i in ends or (bool(parents) and node.op.differentiable and through[list(parents)].any())
    return through


def _units(graph: Graph, outputs: Sequence[Node], first: int, most: int, unit: float) -> list[Seed]:
    """Return the unit vectors ``first`` ... of the state as seeds, numbered from 0 for ``first``."""
    seeds, at = [], 0
    for node in outputs:
        size = int(np.prod(node.shape))
        low, high = max(first - at, 0), min(first + most - at, size)
        if low < high:
            rows = np.zeros((high - low, size))
            rows[np.arange(high - low), np.arange(low, high)] = unit
            seeds.append((graph.index(node), Rows(at + low - first, rows.reshape(-1, *node.shape))))
        at += size
    return seeds


def _swept(graph: Graph, seeds: list[Seed], through: Array, ends: Mapping[int, Node]) -> dict[Node, Rows]:
    """Return what arrives at each of the ``ends``."""
    entered: dict[Node, Rows] = {}

    def edge(child: int, parent: int, rows: Rows) -> None:
        node = ends[parent]
        entered[node] = entered[node] + rows if node in entered else rows

    run(sweep(graph, seeds, through, ends.keys(), edge))
    return entered


def start(cell: Cell, x: Any, state: Any, parameters: Sequence[Node]) -> OneStep:
    """Return the state before the first input ``x`` as a step from nothing: a learned one depends on parameters.

    Raises:
        TypeError: there is no state, and the cell has no ``initial_state``.
    """
    if state is None:
        make: Callable[[Any], Any] | None = getattr(cell, "initial_state", None)
        if make is None:
            raise TypeError(
                "state is None and the cell has no initial_state(x); give the state before the first step"
            )
        state = make(x)
    with recording(on=True):
        net = unroll(cell, [], state)
    return OneStep((), net.initial_state, None, parameters)


def numbers(tree: Any) -> Any:
    """Return the data of nested nodes: floats and arrays in the same structure."""
    return tree_map(lambda node: node.data if isinstance(node, Value) else np.array(node.data), tree)


def _fresh(part: Any) -> Node:
    """Return a new leaf for a float or an array of floats, a constant for anything else."""
    if isinstance(part, float):
        return Value(part)
    return Tensor(part) if part.dtype.kind == "f" else constant(part)


def _as_cotangent(node: Node, entries: Any) -> Any:
    if isinstance(node, Value):
        return float(entries)
    return np.array(entries, dtype=node.dtype)  # pullback makes it read-only


def _joined(nodes: Sequence[Node], found: Cotangents) -> Any:
    """Return the entries that belong to ``nodes`` as one vector, zeros where there are none."""
    if not nodes:
        return np.zeros(0)
    parts = [np.zeros(node.shape) if (g := found.get(node)) is None else np.asarray(g) for node in nodes]
    return np.concatenate([part.ravel() for part in parts])
