"""Copying and pickling of leaves and constants; a result cannot be copied without its graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import refuse_reading
from tinygrad_rnn.core.hooks import Note
from tinygrad_rnn.core.op import CONSTANT, LEAF


def reduced(node: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a function and its arguments that make a copy of ``node``, as ``pickle`` and ``copy`` ask for.

    Raises:
        TraceError: it would leave a transformation.
        TypeError: it is the result of an operation, or has hooks.
    """
    refuse_reading(node, "copying or pickling a node")
    if node.op is not None:
        raise TypeError(
            f"{node._title()} is the result of operation {node.op.name!r}: copying or pickling it would "
            "lose its graph. Copy its .data, or the leaves (parameters), and run the forward pass again"
        )
    if isinstance(node._note, Note) and node._note.hooks:
        raise TypeError(
            f"{node._title()} has hooks, which are not copied or pickled; register them on the copy"
        )
    return _restored, (type(node), node.kind, node._raw(), node.name, node._grad)


def _restored(cls: Any, kind: str, data: Any, name: str, grad: Any) -> Any:
    if isinstance(data, np.ndarray):
        data = data.copy()
        data.flags.writeable = False
    node = cls._new(data, LEAF if kind == "leaf" else CONSTANT, name=name)
    node._grad = grad.copy() if isinstance(grad, np.ndarray) else grad
    return node
