"""How far rounding alone can move a gradient: backward passes in which numbers are moved by one unit in the last place.

Reverse mode is run three times with each cotangent, and each result that a rule reads, moved up or down by 1 ulp at
random. 1 - tanh(8)² computed from a rounded tanh is off by 3e-10 and moves by as much; a rule that returns zero there
does not move, so it is not excused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import Ledger
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.variable import Variable

PASSES = 3
ALLOWED = 10.0  # times the spread over the passes
_EPS = float(np.finfo(np.float64).eps)
_COMPARES_ITS_RESULT = (ops.max, ops.min)  # to move y would undo the ties that their rules look for


def spread(output: Node, cotangent: Any, leaf: Node, gradient: Any, rng: np.random.Generator) -> float:
    """Return ``ALLOWED`` times the largest distance by which any entry of the leaf's ``gradient`` moves.

    Where the contributions of its uses cancel it may move by the rounding of each, whether or not three draws show it.
    """
    nodes = Graph.of(output).nodes
    passes = [_moved_pass(nodes, output, cotangent, rng) for _ in range(PASSES)]
    samples = [np.asarray(found.get(leaf, 0.0), dtype=float) for found in passes]
    distance = max(float(np.max(np.abs(g - gradient), initial=0.0)) for g in samples)
    distance = max(distance, _EPS * _uncancelled(nodes, passes[0], leaf))
    return ALLOWED * distance if np.isfinite(distance) else 0.0


def _uncancelled(nodes: tuple[Node, ...], found: dict[Node, Any], leaf: Node) -> float:
    """Return the largest entry of the sum of the magnitudes of what the uses of ``leaf`` contribute."""
    total: Any = 0.0
    for node in nodes:
        if node in found and any(parent is leaf for parent in node.parents):
            g = found[node]
            for parent, c in zip(node.parents, node._local_vjp(g), strict=True):
                if parent is leaf and c is not None:
                    total = total + np.abs(np.asarray(c, dtype=float))
    return float(np.max(total, initial=0.0))


def _moved_pass(
    nodes: tuple[Node, ...], output: Node, cotangent: Any, rng: np.random.Generator
) -> dict[Node, Any]:
    ledger = Ledger()
    found = ledger.sums
    ledger.add(output, output._seed(cotangent))
    with np.errstate(all="ignore"):
        for node in reversed(nodes):
            g = found.get(node)
            if g is None:
                continue
            found[node] = g = node._run_hooks(node._admit(_moved(g, rng)))
            if node._call.pull is not None:
                node._call.pull(_stand_in(node, rng), g, found, ledger)
    return found


def _stand_in(node: Node, rng: np.random.Generator) -> Node:
    """Return a node of the same operation and parents whose own result is moved."""
    if node.op in _COMPARES_ITS_RESULT:
        return node
    twin = object.__new__(type(node))
    for slot in Variable.__slots__:
        if slot != "__weakref__":
            setattr(twin, slot, getattr(node, slot))
    moved = _moved(node._data, rng)
    twin._data = float(moved) if isinstance(node._data, float) else moved
    return twin


def _moved(data: Any, rng: np.random.Generator) -> Any:
    return np.asarray(data * (1.0 + _EPS * rng.choice([-1.0, 1.0], np.shape(data))))
