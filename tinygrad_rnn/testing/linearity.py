"""Tangents of linear operations in many directions at once: the operation's own value, with one more axis in front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Op

Incoming = list[Any]


def all_directions(node: Node, args: list[Any], incoming: Incoming) -> Any:
    """Return the tangents (K, *shape) of a linear operation, None where it must be run for each direction.

    Args:
        node: what the operation made.
        args: the data of its arguments.
        incoming: their tangents (K, *shape), None where one stands still.
    """
    method = _METHODS.get(node.op)
    return None if method is None else method(node, args, incoming)


def _getitem(node: Node, args: list[Any], incoming: Incoming) -> Any:
    key = node.params["key"]
    if any(part is Ellipsis for part in key):
        return None  # it would take the new axis for one of the array's own
    last = np.moveaxis(incoming[0], 0, -1)
    return np.moveaxis(node.op.forward(NUMPY, last, *args[1:], key=key), -1, 0)


def _transpose(node: Node, args: list[Any], incoming: Incoming) -> Any:
    return np.transpose(incoming[0], (0, *(axis + 1 for axis in node.params["axes"])))


def _reshape(node: Node, args: list[Any], incoming: Incoming) -> Any:
    return incoming[0].reshape(len(incoming[0]), *node.shape)


def _sum(node: Node, args: list[Any], incoming: Incoming) -> Any:
    axis, ndim = node.params["axis"], args[0].ndim
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return np.sum(incoming[0], axis=tuple(a % ndim + 1 for a in axes), keepdims=node.params["keepdims"])


def _joined(node: Node, args: list[Any], incoming: Incoming) -> Any:
    count = next(len(t) for t in incoming if t is not None)
    parts = [np.zeros((count, *a.shape)) if t is None else t for a, t in zip(args, incoming, strict=True)]
    axis = node.params["axis"] % len(node.shape) + 1
    return (np.stack if node.op is ops.stack else np.concatenate)(parts, axis=axis)


def _matmul(node: Node, args: list[Any], incoming: Incoming) -> Any:
    a, b = args
    if a.ndim > 2 or b.ndim > 2:
        return None
    total: Any = 0.0
    if incoming[0] is not None:
        total = total + np.matmul(incoming[0], b)
    if incoming[1] is not None:
        total = total + (np.matmul(a, incoming[1]) if b.ndim == 2 else np.matmul(incoming[1], a.T))
    return total


_METHODS: dict[Op | None, Callable[[Node, list[Any], Incoming], Any]] = {
    ops.getitem: _getitem,
    ops.transpose: _transpose,
    ops.reshape: _reshape,
    ops.sum: _sum,
    ops.concatenate: _joined,
    ops.stack: _joined,
    ops.matmul: _matmul,
}
