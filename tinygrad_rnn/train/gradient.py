"""``Gradient``: the loss and its gradient for one batch, replayed from a plan wherever that can be done."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.graph import Node
from tinygrad_rnn.core.op import Carrier
from tinygrad_rnn.core.tree import tree_map
from tinygrad_rnn.plan.compiled import compile

Loss = Callable[[Any, Any], tuple[Any, Any]]


class Gradient:
    """Computes a loss, and sets the gradients of some parameters.

    Args:
        loss: `loss(batch, state)` -> (scalar node, state).
        params: the leaves to differentiate.
        eager: record and differentiate anew for each batch. Otherwise the loss is recorded once for each kind of
            batch (see `tr.compile`); one that cannot be is run eagerly all the same, with a warning that says why.
    """

    def __init__(self, loss: Loss, params: Sequence[Node], eager: bool) -> None:
        self._loss, self._params = loss, list(params)
        self._replay = None if eager else compile(self._recorded)

    def __call__(self, batch: Any, state: Any) -> tuple[float, Any]:
        """Return the loss as a number and the state as plain arrays; the gradients are in the parameters' `.grad`."""
        if self._replay is not None:
            try:
                value, state, gradients = self._replay(batch, state)
            except TraceError as error:
                warnings.warn(f"Trainer runs the loss eagerly, it cannot be replayed: {error}", stacklevel=2)
                self._replay = None
            else:
                for param, gradient in zip(self._params, gradients, strict=True):
                    param.grad = gradient
                return float(value), state
        loss, state = self._loss(batch, state)
        value = float(loss)
        if np.isfinite(value):
            for param in self._params:
                param.grad = None
            loss.backward()
        return value, tree_map(plain, state)

    def _recorded(self, batch: Any, state: Any) -> tuple[Any, Any, list[Any]]:
        """Return the loss, the state and the gradients as nodes."""
        loss, state = self._loss(batch, state)
        if not isinstance(loss, Carrier):
            raise TraceError(f"the loss is a {type(loss).__name__}, which depends on nothing")
        one = loss._constant_like(np.ones(loss.shape, loss.dtype))  # type: ignore[attr-defined]
        found = pullback((loss,), (one,), stop=frozenset(self._params), record=True)
        return loss, state, [found[p] if p in found else np.zeros(p.shape, p.dtype) for p in self._params]
