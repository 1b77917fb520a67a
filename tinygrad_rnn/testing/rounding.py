"""How far rounding alone can move a gradient: backward passes in which numbers are moved by one unit in the last place.

Reverse mode is run three times with each cotangent, and each result that a rule reads, moved up or down by 1 ulp at
random. 1 - tanh(8)² computed from a rounded tanh is off by 3e-10 and moves by as much; a rule that returns zero there
does not move, so it is not excused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import local_vjp
from tinygrad_rnn.core.graph import Graph, Node
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.variable import Variable

PASSES = 3
ALLOWED = 10.0  # times the spread over the passes
_EPS = float(np.finfo(np.float64).eps)
_TERMS: dict[Op | None, Callable[[Any, Any], Any]] = {  # of y and the size of g, in rules where they cancel
    ops.softmax: lambda y, size: np.abs(y) * size,  # y g - y sum(y g)
    ops.log_softmax: lambda y, size: size,  # g - softmax sum(g)
}
_COMPARES_ITS_RESULT = (ops.max, ops.min)  # to move y would undo the ties that their rules look for


def spread(output: Node, cotangent: Any, leaf: Node, rng: np.random.Generator) -> float:
    """Return ``ALLOWED`` times the largest distance by which any entry of the leaf's gradient moves.

    Where the contributions of its uses cancel it may move by the rounding of each, whether or not three draws show it.
    """
    nodes = Graph.of(output).nodes
    still, sizes = _moved_pass(nodes, output, cotangent, None)
    samples = [_moved_pass(nodes, output, cotangent, rng)[0].get(leaf, 0.0) for _ in range(PASSES)]
    distance = max(float(np.max(np.abs(g - still.get(leaf, 0.0)), initial=0.0)) for g in samples)
    distance = max(distance, _EPS * float(np.max(sizes.get(leaf, 0.0), initial=0.0)))
    return ALLOWED * distance if np.isfinite(distance) else 0.0


def _moved_pass(
    nodes: tuple[Node, ...], output: Node, cotangent: Any, rng: np.random.Generator | None
) -> tuple[dict[Node, Any], dict[Node, Any]]:
    """Return each node's moved cotangent (without ``rng`` it is not moved), and what its contributions amount to.

    It adds up by itself, so that a wrong accumulation of the engine is not taken for rounding. A sum whose terms cancel
    is moved by what their last places amount to: that is what is left of it.
    """
    seed = np.asarray(output._seed(cotangent), dtype=float)
    sums: dict[Node, Any] = {output: seed}
    sizes: dict[Node, Any] = {output: np.abs(seed)}
    with np.errstate(all="ignore"):
        for node in reversed(nodes):
            g = sums.get(node)
            if g is None:
                continue
            moved = g if rng is None else g + _ulp(g, sizes[node], rng) * _signs(g, rng)
            g = node._run_hooks(node._admit(moved))
            sums[node] = np.asarray(g, dtype=float)
            if node._call.op is None or not node._call.active:
                continue
            handed = local_vjp(node if rng is None else _stand_in(node, rng), g)
            for parent, c, size in zip(node._parents, handed, _sizes(node, sizes[node], handed), strict=True):
                if c is not None:
                    c = np.asarray(c, dtype=float)
                    sums[parent] = c if parent not in sums else sums[parent] + c
                    sizes[parent] = size + sizes.get(parent, 0.0)
    return sums, sizes


def _sizes(node: Node, size: Any, handed: list[Any]) -> list[Any]:
    """Return how large the terms are that a rule adds up by itself, over broadcast axes or as softmax does."""
    plain = [None if c is None else np.abs(np.asarray(c, dtype=float)) for c in handed]
    terms = _TERMS.get(node.op)
    if terms is not None:
        return [None if c is None else np.maximum(c, terms(np.asarray(node._data), size)) for c in plain]
    if node.op.vjp is not None or all(c is None or np.shape(c) == np.shape(size) for c in handed):
        return plain
    positive = local_vjp(node, node._admit(size))
    return [
        None if a is None else np.maximum(a, np.abs(np.asarray(b)))
        for a, b in zip(plain, positive, strict=True)
    ]


def _ulp(total: Any, size: Any, rng: np.random.Generator) -> Any:
    """Return one unit in the last place of a sum; of one that cancelled, about two of its terms.

    Each term was rounded a few times, and what is left of them is a whole number of such units: a move by one could
    undo it, as could two moves of one size at two nodes.
    """
    few = rng.uniform(1.4, 2.9, np.shape(total))
    return _EPS * np.where(2.0 * np.abs(total) >= size, np.abs(total), few * size)


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
    return np.asarray(data * (1.0 + _EPS * _signs(data, rng)))


def _signs(data: Any, rng: np.random.Generator) -> Any:
    return rng.choice([-1.0, 1.0], np.shape(data))
