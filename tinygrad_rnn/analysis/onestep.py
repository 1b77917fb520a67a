"""``OneStep``: one recorded step of a cell, cut off from the past, and the products with its Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import pullback, pushforward
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.graph import Node, ancestors, recording
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.nn.unroll import Cell, unroll

Cotangents = dict[Node, Any]


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

    def rows(self, unit: float = 1.0) -> Iterator[tuple[Any, Cotangents]]:
        """Yield, for each entry i of the state after the step, dS'_i/dS and dS'_i/dtheta, times ``unit``."""
        n = self.size
        for i in range(n):
            cotangent = np.zeros(n)
            cotangent[i] = unit
            yield self.pull_state(cotangent)

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
