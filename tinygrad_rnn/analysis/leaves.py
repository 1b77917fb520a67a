"""The leaves that a gradient is asked for, and the gradient in the form that their owner gets."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.core.variable import Variable


def leaves_of(who: str, parameters: Any) -> list[Node]:
    """Return the leaves of a Module or of nested dicts, lists and tuples, in the order of the structure.

    Raises:
        TypeError: one of them is not a leaf Value or Tensor; ``who`` begins the message.
    """
    leaves: list[Node] = []
    for path, leaf in flatten(parameters):
        if not isinstance(leaf, Variable) or leaf.kind != "leaf":
            got = f"a node of kind {leaf.kind}" if isinstance(leaf, Variable) else type(leaf).__name__
            raise TypeError(f"{who}: parameters{path} must be a leaf Value or Tensor, got {got}")
        leaves.append(leaf)
    return leaves


def gradient_of(leaf: Node, cotangent: Any) -> Any:
    """Return a float for a Value, a new array of the leaf's own dtype for a Tensor; zeros for None."""
    if isinstance(leaf, Value):
        return 0.0 if cotangent is None else float(np.asarray(cotangent).item())
    return np.zeros(leaf.shape, leaf.dtype) if cotangent is None else np.array(cotangent, dtype=leaf.dtype)
