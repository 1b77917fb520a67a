"""One backward pass over a recorded network, step by step, that can be made to go wrong in a chosen way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.nn.places import is_initial, place_of, series

BEFORE = -1  # the step of what stands before the first one


class Cotangents(dict[Node, Any]):
    """The cotangent of each node.

    Attributes:
        carried: of a state the part that comes back from the step after it, such as ``dh_next``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.carried: dict[Node, Any] = {}


Contribution = Callable[[Node, int, Any], Any]


def _unchanged(node: Node, g: Any) -> Any:
    return g


@dataclass(frozen=True, slots=True)
class Edit:
    """How a backward pass goes wrong; what is left out stays right.

    Attributes:
        cotangent: from a node and its complete cotangent to what is used in its place.
        contribution: from a node, the number of a parent and the node's cotangent to what is handed to that parent;
            ``NotImplemented`` for what the rule says.
        edge: from a node, a parent and what is handed over to what arrives; None cuts the edge.
        carry: from a state and all that comes back to it from the next step to what is used in its place.
    """

    cotangent: Callable[[Node, Any], Any] = _unchanged
    contribution: Contribution = field(default=lambda node, i, g: NotImplemented)
    edge: Callable[[Node, Node, Any], Any] = field(default=lambda node, parent, c: c)
    carry: Callable[[Node, Any], Any] = _unchanged


RIGHT = Edit()


class Tape:
    """A recorded loss with its nodes by time step.

    Attributes:
        loss: the node that is differentiated.
        graph: its graph.
        last: the last step, ``BEFORE`` where no steps were recorded.
    """

    def __init__(self, loss: Node) -> None:
        self.loss = loss
        self.graph = Graph.of(loss)
        self._steps = {node: place_of(node._scope).step for node in self.graph}
        for node in self.graph:
            if is_initial(node.name):
                self._steps[node] = BEFORE
        self.last = max(self._steps.values(), default=BEFORE)
        self._named: dict[tuple[str, int], Node] = {}
        self._initial: dict[Node, str] = {}
        for node in self.graph:
            if is_initial(node.name):
                self._initial[node] = series(node.name)
            if node.name and (self._steps[node] >= 0 or is_initial(node.name)):
                self._named[series(node.name), self._steps[node]] = node
        self._find_initial()

    def _find_initial(self) -> None:
        """Find states before the first step that have another name: they stand in step 0 where states do in step 1."""
        first, second = ([n for n in self.graph if self._steps[n] == t and n.op is not None] for t in (0, 1))
        if [n.op for n in first] != [n.op for n in second]:
            return
        for a, b in zip(first, second, strict=True):
            for p, q in zip(a.parents, b.parents, strict=True):
                if q.name and self._steps[q] == 0 and self._steps[p] == BEFORE and p is not q:
                    self._initial.setdefault(p, series(q.name))
                    self._named.setdefault((series(q.name), BEFORE), p)

    def step(self, node: Node) -> int:
        """Return the step in which a node was made, ``BEFORE`` of what stands outside of all steps."""
        return self._steps[node]

    def at(self, name: str, t: int) -> Node | None:
        """Return the node called ``name`` in step ``t`` (``BEFORE``: the initial one), None if there is none."""
        return self._named.get((name, t))

    def names(self) -> list[str]:
        """Return what nodes are called in every step, such as ``["h", "x"]``."""
        return list(dict.fromkeys(name for name, _ in self._named))

    def called(self, node: Node) -> str:
        """Return what a node is called in every step; of an initial state, what the later ones are called."""
        return self._initial.get(node) or series(node.name)

    def is_initial(self, node: Node) -> bool:
        """Return whether a node is a state before the first step."""
        return node in self._initial

    def crosses(self, node: Node, parent: Node) -> bool:
        """Return whether the edge leads into a step from the one before: ``parent`` is a state that it was given."""
        t = self.step(node)
        if t <= 0 or self.is_initial(parent):
            return t == 0 and self.is_initial(parent)
        return parent.op is not None and self.step(parent) == t - 1

    def states(self) -> list[str]:
        """Return what the states are called that are handed from step to step, such as ``["h", "c"]``."""
        pairs = ((node, parent) for node in self.graph for parent in node.parents)
        names = dict.fromkeys(self.called(p) for node, p in pairs if self.crosses(node, p))
        return [name for name in names if name]

    def positions(self) -> list[tuple[int, tuple[Node, ...]]]:
        """Return what stands at one place in every step: (1, the first sigmoid of each), (2, the second of each)."""
        found: dict[tuple[tuple[str, ...], int], list[Node]] = {}
        counts: dict[tuple[tuple[str, ...], int], int] = {}
        inner = [node for node in self.graph if node.op is not None and self._steps[node] >= 0]
        for node in sorted(inner, key=lambda node: node._stamp):
            place = place_of(node._scope)
            kind = (*place.lane, *place.path[len(place.frame) :], node.op.name)
            count = counts[kind, place.step] = counts.get((kind, place.step), -1) + 1
            found.setdefault((kind, count), []).append(node)
        return [(count + 1, tuple(nodes)) for (_, count), nodes in found.items()]

    def backward(self, edit: Edit = RIGHT) -> Cotangents:
        """Return the cotangent of every node, in a pass that goes wrong as ``edit`` says."""
        found = Cotangents()
        sums: dict[Node, Any] = {self.loss: np.ones(self.loss.shape)}
        with np.errstate(all="ignore"):
            for node in reversed(self.graph.nodes):
                if node in found.carried:
                    c = found.carried[node] = edit.carry(node, found.carried[node])
                    sums[node] = c + sums.get(node, 0.0)
                if node not in sums:
                    continue
                found[node] = g = np.asarray(edit.cotangent(node, np.asarray(sums[node])))
                for parent, c in self._handed(node, g, edit):
                    into = found.carried if self.crosses(node, parent) else sums
                    into[parent] = c + into.get(parent, 0.0)
        return found

    @staticmethod
    def _handed(node: Node, g: Any, edit: Edit) -> Iterator[tuple[Node, Any]]:
        """Yield each parent with what is handed to it."""
        if node.op is None:
            return
        right = node._local_vjp(g if node.shape else float(g))
        for i, (parent, c) in enumerate(zip(node.parents, right, strict=True)):
            chosen = edit.contribution(node, i, g) if c is not None else None
            c = c if chosen is NotImplemented else chosen
            c = None if c is None else edit.edge(node, parent, np.asarray(c, dtype=float))
            if c is not None:
                yield parent, c

    def parts(self, leaf: Node, found: Mapping[Node, Any]) -> list[tuple[str, Any]]:
        """Return what each step adds to the cotangent of ``leaf``, from the last step to the first."""
        sums: dict[int, Any] = {}
        for node in reversed(self.graph.nodes):
            if node not in found or not any(parent is leaf for parent in node.parents):
                continue
            g = found[node]
            for parent, c in zip(node.parents, node._local_vjp(g if node.shape else float(g)), strict=True):
                if parent is leaf and c is not None:
                    t = self.step(node)
                    sums[t] = sums.get(t, 0.0) + np.asarray(c, dtype=float)
        return [(f"t={t}" if t >= 0 else "what is outside of all steps", c) for t, c in sums.items()]


def rule(node: Node, i: int, g: Any, data: Mapping[int, Any], y: Any = None) -> Any:
    """Return what ``node``'s rule hands to parent ``i`` when it is given wrong numbers.

    Args:
        node: the node.
        i: which parent.
        g: its cotangent.
        data: other numbers in the place of some parents' data.
        y: another number in the place of its own result.
    """
    parents = node.parents
    args = tuple(np.asarray(data.get(k, p._data)) for k, p in enumerate(parents))
    result = np.asarray(node._data if y is None else y)
    c = node.op.cotangent(i, NUMPY, np.asarray(g), result, args, node.params)
    return None if c is None else ops.sum_to(NUMPY, np.asarray(c), parents[i].shape)
