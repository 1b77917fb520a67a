"""``slope``: the derivative of a nonlinearity where it stands, unit by unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Op

# The largest slope of each nonlinearity of a recurrence, gamma in Pascanu, Mikolov and Bengio (2013).
STEEPEST: dict[Op, float] = {
    ops.tanh: 1.0,
    ops.relu: 1.0,
    ops.sigmoid: 0.25,
    ops.softplus: 1.0,
    ops.arctan: 1.0,
    ops.sin: 1.0,
    ops.cos: 1.0,
}
_NO_UNITS = frozenset(ops.ALL.values() if isinstance(ops.ALL, dict) else ops.ALL)


def is_nonlinearity(node: Node) -> bool:
    """Return whether a node is what a unit's activation goes through: tanh, relu, ..., or such an operation of a user.

    It acts on each entry of one argument alone and is not linear. exp, log, square and the like are not counted:
    they do not saturate.
    """
    op = node.op
    if (
        op is None
        or op.partials is None
        or op.linear
        or len(node.parents) != 1
        or not isinstance(op.partials, tuple)
    ):
        return False
    return op in STEEPEST or op is ops.leaky_relu or op not in _NO_UNITS


def steepest(node: Node) -> float:
    """Return the largest slope that the nonlinearity can have, inf where that is not known (an operation of a user)."""
    if node.op is ops.leaky_relu:
        return max(1.0, abs(float(node.params["slope"])))
    return STEEPEST.get(node.op, math.inf)


def slope(node: Node) -> np.ndarray[Any, Any]:
    """Return phi'(x) for each entry of a nonlinearity's argument."""
    op, x = node.op, np.asarray(node.parents[0]._data)
    rule = op.partials[0]
    with np.errstate(all="ignore"):
        partial = rule(NUMPY, np.asarray(node._data), x, **node.params)
    return np.broadcast_to(np.asarray(partial, dtype=float), x.shape)
