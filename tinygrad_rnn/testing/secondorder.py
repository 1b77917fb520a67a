"""A gradient as a function that can be checked itself: the check of second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.core.graph import Graph, recording
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.testing.trial import Path, Trial


class GradientTrial(Trial):
    """Runs ``fn`` and differentiates one random mix of its outputs, recorded: its outputs are that gradient.

    The derivatives of a gradient are the second derivatives, and they pass through the same rules, run over nodes.

    Attributes:
        detached: whether ``fn`` itself detaches something; a rule that does so has no such licence.
    """

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__(fn, args)
        self._weights: list[Any] | None = None
        self.detached = False

    def run(self, shift: Sequence[Any] | None = None) -> tuple[list[Any], list[Path]]:
        """Return the leaves, and the gradient by each of them."""
        leaves, outputs = super().run(shift)
        nodes: list[Any] = [y for _, y in outputs if isinstance(y, Variable) and y.dtype.kind == "f"]
        self.detached = any(node.op is ops.detach for node in (Graph.of(*nodes) if nodes else ()))
        if self._weights is None:
            rng = np.random.default_rng(5)
            self._weights = [rng.standard_normal(y.shape) for y in nodes]
        with recording(on=True, scope=(), transforms=("gradcheck",)):
            pairs = zip(nodes, self._weights, strict=True)
            seeds = [y._constant_like(w if y.shape else float(w)) for y, w in pairs]
            found = pullback(nodes, seeds, stop=frozenset(leaves), record=True)
            gradients = [found.get(x, x._constant_like(np.zeros(x.shape))) for x in leaves]
        return leaves, [(f"gradient of {p}", g) for p, g in zip(self.paths, gradients, strict=True)]
