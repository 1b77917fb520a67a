"""The local rule of each operation: as text, printed from the operation's record, and as numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as NODES
from tinygrad_rnn.core.autodiff import fit
from tinygrad_rnn.core.graph import Graph, recording
from tinygrad_rnn.core.namespaces import NUMPY, SCALAR
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.viz.explorer.formulas import FEW, applied, formula, letter
from tinygrad_rnn.viz.label import inlined

LARGEST_JACOBIAN = 16  # entries


class Rules:
    """The texts of a graph's operations, each made once for all nodes that share operation, parameters and shapes."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._texts: dict[Any, str] = {}
        self._trial: tuple[int, _Trial | None] = (-1, None)

    def formula(self, i: int) -> str:
        """Return what operation i computes from its arguments, such as ``tanh(x)``; "" for a leaf."""
        node = self._graph[i]
        if node.op is None:
            return ""
        count = len(node.parents)
        if count > FEW:
            return f"{node.op.symbol}({letter(0, count)}, …, {letter(count - 1, count)})"
        letters = [(inlined(p) or letter(k, count), 9) for k, p in enumerate(node.parents)]
        return applied(node, letters)[0]

    def rule(self, i: int, slot: int) -> str:
        """Return the cotangent that node i hands to an argument, such as ``g · (1 − y²)``.

        ``g`` is the node's own cotangent, ``y`` its value, ``x`` (or a, b, ...) its arguments; a constant is written as
        its number. The operation's rule is run on nodes and what it records is printed. "" for an opaque operation and
        what is too long to help.
        """
        node = self._graph[i]
        key = (node.op, str(sorted(node.params.items(), key=str)), slot, _kinds(node))
        if key not in self._texts:
            if self._trial[0] != i:
                self._trial = (i, None if node.op.vjp is not None else _Trial(node))
            trial = self._trial[1]
            self._texts[key] = "" if trial is None else trial.text(slot)
        return self._texts[key]


def _kinds(node: Any) -> Any:
    parents = node.parents if len(node.parents) <= FEW else node.parents[:1]
    return (type(node), node.shape, len(node.parents), *((type(p), p.shape, inlined(p)) for p in parents))


class _Trial:
    """A node's arguments as constants of their own, upon which its rules can be run one after the other."""

    def __init__(self, node: Any) -> None:
        count = len(node.parents)
        self._node = node
        with recording(on=True, scope=()):
            self._args = tuple([p.detach() for p in node.parents])
            self._g, self._y = node._leaf_like(np.ones(node.shape)), node.detach()
        pairs = enumerate(zip(self._args, node.parents, strict=True))
        self._names = {a: letter(k, count) for k, (a, p) in pairs if not inlined(p)}
        self._names |= {self._y: "y", self._g: "g"}

    def text(self, slot: int) -> str:
        op, args = self._node.op, self._args
        with recording(on=True, scope=()), np.errstate(all="ignore"):
            try:
                c = fit(op.cotangent(slot, NODES, self._g, self._y, args, self._node.params), args[slot])
            except Exception:  # a user's rule may be written for arrays alone; the text is an ornament
                return ""
            return formula(c, self._names)


class Locals:
    """The local derivatives dy/dx of a graph's operations, as numbers.

    Args:
        graph: the graph.
        largest: no array of more entries is computed.
    """

    def __init__(self, graph: Graph, largest: int) -> None:
        self._graph = graph
        self._largest = largest
        self._known: tuple[int, tuple[Any, ...]] = (-1, ())

    def derivative(self, i: int, slot: int) -> Any:
        """Return dy/dx of node i by one argument: a number or array where it is elementwise, else a tiny Jacobian.

        A Jacobian has the node's axes first, then the argument's. None where it would have more than 16 entries, or
        where the operation is opaque.
        """
        node = self._graph[i]
        if math.prod(node.shape) > self._largest:
            return None
        if node.op.elementwise:
            return self._partial(i, slot)
        return self._jacobian(i, slot)

    def _partial(self, i: int, slot: int) -> Any:
        node = self._graph[i]
        if self._known[0] != i:
            self._known = (i, tuple([p.data for p in node.parents]))
        try:
            return _partial(node.op, slot, _world(node), node.data, self._known[1], node.params)
        except ArithmeticError:  # Python's floats raise where IEEE arithmetic gives inf or nan
            args = tuple(map(np.asarray, self._known[1]))
            return _partial(node.op, slot, NUMPY, np.asarray(node.data), args, node.params)

    def _jacobian(self, i: int, slot: int) -> Any:
        node = self._graph[i]
        parent = node.parents[slot]
        rows = math.prod(node.shape)
        if node.op.vjp is not None or not 0 < rows * math.prod(parent.shape) <= LARGEST_JACOBIAN:
            return None
        units = np.eye(rows).reshape(rows, *node.shape) if node.shape else [1.0]
        found = [self._graph.local_vjp(node, unit)[slot] for unit in units]
        return np.asarray(found, dtype=float).reshape((*node.shape, *parent.shape))


def _world(node: Any) -> Any:
    bridges = bool(node.op.result)  # from Tensors to Values or back: its rule is for arrays
    return SCALAR if isinstance(node, Value) and not bridges else NUMPY


def _partial(op: Op, slot: int, xp: Any, y: Any, args: tuple[Any, ...], params: Any) -> Any:
    with np.errstate(all="ignore"):
        if isinstance(op.partials, tuple):
            rule = op.partials[slot]
            return None if rule is None else rule(xp, y, *args, **params)
        given = (args,) if op.packed else args
        return None if op.partials is None else op.partials(slot, xp, y, *given, **params)
