"""``Examples``: what stands for results while a function is traced: their shape and dtype, without the numbers.

A plan needs no number that depends on an input, and none may be read. So each kind of operation is computed once, on
blanks; whatever has the same operation, parameters, shapes and dtypes gets the same blank as its result, an array that
takes 8 bytes whatever its shape. Tracing 10,000 steps then costs no more memory than the nodes themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.namespaces import NUMPY
from tinygrad_rnn.core.op import Op

_OWN = frozenset(ops.ALL)


class NumbersNeeded(BaseException):
    """A user's operation is traced: it may not take blanks, so that the function is traced again with numbers."""


class Examples:
    """The blanks of one trace."""

    __slots__ = ("_blanks", "_ids", "_known")

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._blanks: dict[Hashable, Any] = {}
        self._ids: dict[int, tuple[Any, ...]] = {}  # of blanks: their shape and dtype

    def result(self, op: Op, nodes: tuple[Node, ...], params: Mapping[str, Any]) -> Any:
        """Return a blank for the result of an operation, None where it depends on nothing that may change.

        Raises:
            NumbersNeeded: the operation is a user's own.
        """
        depends, kinds, blanks = False, [], self._ids
        for node in nodes:
            data = node._data
            kind: Any = blanks.get(id(data))
            if kind is not None:
                depends = True
            elif data.__class__ is not np.ndarray:
                return None  # Values: what they cost is not their numbers
            else:
                kind = data.shape, data.dtype
                depends = depends or node._call.active
            kinds.append(kind)
        if not depends:
            return None
        if op not in _OWN:
            raise NumbersNeeded
        key = op, tuple(params.items()) if params else (), *kinds
        try:
            found = self._known.get(key)
        except TypeError:  # parameters that cannot be hashed
            return self._blank(op, nodes, params)
        if found is None:
            found = self._known[key] = self._blank(op, nodes, params)
        return found

    def _blank(self, op: Op, nodes: tuple[Node, ...], params: Mapping[str, Any]) -> Any:
        with np.errstate(all="ignore"):
            result = np.asarray(op.forward(NUMPY, *[node._data for node in nodes], **params))
        kind = result.shape, result.dtype
        if kind not in self._blanks:
            blank = self._blanks[kind] = np.broadcast_to(np.zeros((), result.dtype), result.shape)
            self._ids[id(blank)] = kind
        return self._blanks[kind]
