"""Kinks within reach of a point: where a derivative jumps, so that the rules can only follow a convention.

The complex step needs no room: it differentiates the branch that was taken. So a kink counts where rounding alone could
have taken another branch; one that is only near is worth a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node, ancestors
from tinygrad_rnn.core.op import Op

REACH = 1e-12  # of the largest number that is compared: some thousand roundings
NEAR = 1e-6

_COMPARISONS = frozenset([ops.greater, ops.greater_equal, ops.less, ops.less_equal])


@dataclass(frozen=True, slots=True)
class Kink:
    """An entry that lies on the edge between two branches.

    Attributes:
        op: the operation's name.
        name: the node's name, or ``""``.
        scope: the scopes in which it was recorded.
        index: which entry of it.
        distance: how far from the edge, in the operation's own argument.
    """

    op: str
    name: str
    scope: tuple[str, ...]
    index: tuple[int, ...]
    distance: float

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        where = f" ({', '.join(self.scope)})" if self.scope else ""
        name = f" {self.name}" if self.name else ""
        off = "at its kink" if self.distance == 0 else f"{self.distance:.2g} from its kink"
        return f"{self.op}{name}{at}{where} is {off}"


def kinks(
    nodes: Sequence[Node],
    cotangents: Mapping[Node, Any],
    tangents: Mapping[Node, Any],
    reach: float = REACH,
) -> Iterator[Kink]:
    """Yield the entries of ``nodes`` that lie within ``reach`` of a kink which the gradient can feel.

    Args:
        nodes: a graph's nodes.
        cotangents: what flows back to each node; where that is 0 a kink does not matter.
        tangents: how each node moves along some generic direction; nor does it where both sides move alike.
        reach: relative to the largest number that is compared.
    """
    for node in nodes:
        measure = _DISTANCES.get(node.op)
        g = cotangents.get(node)
        if measure is None or g is None or not node._call.active:
            continue
        at, distance, scale = measure(node, np.asarray(g), tangents)
        for index in np.argwhere((distance <= reach * scale) & np.isfinite(distance)):
            place = tuple(int(i) for i in index)
            yield Kink(at.op.name, at.name, at._scope, place, float(distance[place]))


Tangents = Mapping[Node, Any]
Measured = tuple[Node, Any, float]


def _arrays(node: Node) -> list[Any]:
    return [np.asarray(parent._data, dtype=float) for parent in node.parents]


def _moves(node: Node, tangents: Tangents) -> Any:
    return np.asarray(tangents.get(node, 0.0))


def _felt(distance: Any, g: Any, moves: Any) -> Any:
    """Return ``distance``, infinite where nothing moves or no cotangent arrives."""
    return np.where((g != 0) & (np.asarray(moves) != 0), np.broadcast_to(distance, g.shape), np.inf)


def _largest(*arrays: Any) -> float:
    return max((float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0)) for a in arrays), default=0.0)


def _from_zero(node: Node, g: Any, tangents: Tangents) -> Measured:
    (x, *_) = _arrays(node)
    return node, _felt(np.abs(x), g, _moves(node.parents[0], tangents)), _largest(x)


def _from_the_pole(node: Node, g: Any, tangents: Tangents) -> Measured:
    """Return the distance from a place without derivative that counts only when it is hit."""
    return (*_from_zero(node, g, tangents)[:2], 0.0)


def _from_the_divisor(node: Node, g: Any, tangents: Tangents) -> Measured:
    """Return the distance of a divisor from 0, the pole."""
    divisor = np.abs(_arrays(node)[1])
    return node, _felt(divisor, g, np.broadcast_to(divisor == 0, g.shape)), 0.0


def _from_the_branch_point(node: Node, g: Any, tangents: Tangents) -> Measured:
    """Return the distance of a power's base from 0, where it has a slope only if the exponent is 1 or more."""
    base, exponent = _arrays(node)
    steep = np.broadcast_to((exponent < 1) & (exponent != 0), g.shape)
    distance = np.where(steep, np.abs(base), np.inf)
    return node, _felt(distance, g, _moves(node.parents[0], tangents)), 0.0


def _from_each_other(node: Node, g: Any, tangents: Tangents) -> Measured:
    a, b = _arrays(node)
    moves = _moves(node.parents[0], tangents) - _moves(node.parents[1], tangents)
    return node, _felt(np.abs(a - b), g, moves), _largest(a, b)


def _from_bounds(node: Node, g: Any, tangents: Tangents) -> Measured:
    x, low, high = _arrays(node)
    nearest = np.minimum(np.abs(x - low), np.abs(x - high))
    return node, _felt(nearest, g, _moves(node.parents[0], tangents)), _largest(x)


def _from_the_second(node: Node, g: Any, tangents: Tangents) -> Measured:
    """Return how far the extreme entry is from the next one, over the axes of a reduction."""
    (x,) = _arrays(node)
    axis = node.params.get("axis")
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    kept = [k for k in range(x.ndim) if k not in {a % x.ndim for a in axes}]
    rows = np.transpose(x, [*kept, *(k for k in range(x.ndim) if k not in kept)])
    rows = rows.reshape(*rows.shape[: len(kept)], -1)
    if rows.shape[-1] < 2:
        return node, np.full(node.shape, np.inf), 0.0
    ordered = np.sort(rows, axis=-1)
    gap = ordered[..., -1] - ordered[..., -2] if node.op is ops.max else ordered[..., 1] - ordered[..., 0]
    return node, _felt(gap.reshape(node.shape), g, 1.0), _largest(x)


def _from_the_origin(node: Node, g: Any, tangents: Tangents) -> Measured:
    return node, _felt(np.abs(np.asarray(node._data)), g, 1.0), _largest(*_arrays(node))


def _from_the_condition(node: Node, g: Any, tangents: Tangents) -> Measured:
    """Return how far the numbers are apart whose comparison chose the branches of ``where``."""
    nearest: Measured = (node, np.full(node.shape, np.inf), 0.0)
    if not np.any(g != 0):
        return nearest
    for condition in ancestors([node.parents[0]]):
        if condition.op not in _COMPARISONS:
            continue
        a, b = _arrays(condition)
        moves = _moves(condition.parents[0], tangents) - _moves(condition.parents[1], tangents)
        apart = _felt(np.abs(a - b), np.ones(condition.shape), moves)
        if np.min(apart, initial=np.inf) < np.min(nearest[1], initial=np.inf):
            nearest = (condition, apart, _largest(a, b))
    return nearest


_DISTANCES: dict[Op | None, Callable[[Node, Any, Tangents], Measured]] = {
    ops.abs: _from_zero,
    ops.sign: _from_zero,
    ops.relu: _from_zero,
    ops.leaky_relu: _from_zero,
    ops.sqrt: _from_the_pole,
    ops.log: _from_the_pole,
    ops.power: _from_the_branch_point,
    ops.divide: _from_the_divisor,
    ops.maximum: _from_each_other,
    ops.minimum: _from_each_other,
    ops.clip: _from_bounds,
    ops.max: _from_the_second,
    ops.min: _from_the_second,
    ops.norm: _from_the_origin,
    ops.where: _from_the_condition,
}
