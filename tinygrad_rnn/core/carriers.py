"""From plain numbers to nodes and back, and the bridge between Values and Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rnn.core.arrays import taken_in
from tinygrad_rnn.core.hooks import twin
from tinygrad_rnn.core.op import CONSTANT, LEAF, Carrier
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.tree import tree_map
from tinygrad_rnn.core.value import Value, real_number
from tinygrad_rnn.core.variable import Variable


def constant(data: Any, name: str = "") -> Any:
    """Return a node that is not differentiable: a Value for a number, a Tensor for an array (of any number type).

    Args:
        data: a number, an array or nested lists of numbers.
        name: what drawings and reports call it.

    Raises:
        TypeError: ``data`` holds no numbers.
    """
    return _wrapped("constant", data, name, leaf=False)


def leaf(what: str, data: Any) -> Any:
    """Return a new differentiable node for a number or an array; ``what`` names it in an error."""
    return _wrapped(what, data, "", leaf=True)


def _wrapped(what: str, data: Any, name: str, *, leaf: bool) -> Any:
    call = LEAF if leaf else CONSTANT
    if not isinstance(name, str):
        raise TypeError(f"{what}: name must be a str, got {type(name).__name__}")
    if isinstance(data, (int, float, np.number)) and not isinstance(data, bool):
        return Value._new(real_number(what, data), call, name=name)
    if isinstance(data, (np.ndarray, list, tuple, bool, np.bool_)):
        data = np.asarray(data) if isinstance(data, (bool, np.bool_)) else data
        return Tensor._new(taken_in(what, data, leaf=leaf), call, name=name)
    if isinstance(data, Carrier):
        raise TypeError(
            f"{what}: already a {type(data).__name__}; use detach() for its value without a gradient"
        )
    raise TypeError(f"{what}: needs a number or an array of numbers, got {type(data).__name__}")


def detach(tree: Any) -> Any:
    """Return ``tree`` with each node replaced by a constant of the same value, which holds no history alive.

    This is how a state is carried from one chunk of a sequence to the next (truncated BPTT).

    Args:
        tree: a node, or nested dicts, lists and tuples of nodes, arrays and numbers.
    """
    return tree_map(lambda x: x.detach() if isinstance(x, Variable) else x, tree)


def plain(node: Any) -> Any:
    """Return a node's data as the float or writable array that a user gets; anything else as it is."""
    if isinstance(node, Value):
        return float(node._data)
    return np.array(node._data) if isinstance(node, Tensor) else node


def copied(node: Variable) -> Any:
    """Return a new leaf with the data, name and hooks of ``node``."""
    other = node._new(node._data, LEAF)
    other._note = twin(node._note)
    return other
