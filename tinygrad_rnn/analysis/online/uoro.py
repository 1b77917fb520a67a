"""``UORO``: unbiased online recurrent optimization, an influence of rank one with signs drawn at random."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn.analysis.online.onestep import Cotangents, OneStep
from tinygrad_rnn.analysis.online.online import OnlineGradient


class UORO(OnlineGradient):
    """The rank-one approximation: as cheap as backpropagation, right on average, and noisy.

    As ``RTRL``, but P_t = dS_t/dtheta is replaced by the product of a column s_t (n) and a row q_t (parameters) whose
    mean over random signs nu is P_t:

        s_t = a J_t s_{t-1} + b nu,    q_t = q_{t-1} / a + nu^T (dF/dtheta) / b
        a^2 = ||q_{t-1}|| / ||J_t s_{t-1}||,    b^2 = ||nu^T dF/dtheta|| / ||nu||

    What the factors a and b balance is the noise; they do not move the mean. Each step costs one jvp and one vjp of
    the recorded step and keeps n + parameters numbers. The noise grows with the size of the state and with the length
    of memory: the mean of m draws is off by about 1/sqrt(m) of a single one.

    Args:
        cell: as for ``RTRL``; so are ``parameters`` and ``state``.
        parameters: the leaves to differentiate.
        state: the state before the first step.
        rng: draws the signs.

    Raises:
        TypeError: ``rng`` is not a Generator.

    Source: Tallec and Ollivier (2017), algorithm 1, with an exact jvp in place of their difference.
    """

    method: ClassVar[str] = "UORO"

    def __init__(self, cell: Any, parameters: Any, state: Any = None, *, rng: np.random.Generator) -> None:
        super().__init__(cell, parameters, state)
        if not isinstance(rng, np.random.Generator):
            raise TypeError(
                f"UORO: rng must be a numpy Generator (np.random.default_rng(0)), got {type(rng).__name__}"
            )
        self._rng = rng
        self._column: Any = None
        self._row: Cotangents = {}

    @property
    def carried(self) -> int:
        """The size of the column and of the row."""
        column = 0 if self._column is None else self._column.size
        return int(column) + sum(np.size(part) for part in self._row.values())

    def _through(self, cotangent: Any) -> Cotangents:
        amount = float(cotangent @ self._column)
        return {leaf: amount * part for leaf, part in self._row.items()}

    def _advance(self, recorded: OneStep) -> None:
        signs = self._rng.choice([-1.0, 1.0], recorded.size)
        _, fresh = recorded.pull_state(signs)
        column: Any = np.zeros(recorded.size)
        row: Cotangents = {}
        if self._column is not None:
            column, row = _balanced(recorded.push_state(self._column), self._row)
        own, fresh = _balanced(signs, fresh)
        for leaf, part in fresh.items():
            row[leaf] = row[leaf] + part if leaf in row else part
        self._column, self._row = column + own, row


def _balanced(column: Any, row: Cotangents) -> tuple[Any, Cotangents]:
    """Return column * r and row / r, of equal norms; where one of them is zero so is their product, and both go."""
    sizes = float(np.linalg.norm(column)), _norm(row)
    if not (sizes[0] and sizes[1]):
        return np.zeros_like(column), {}
    ratio = np.sqrt(sizes[1] / sizes[0])
    return column * ratio, {leaf: np.asarray(part) / ratio for leaf, part in row.items()}


def _norm(row: Cotangents) -> float:
    return float(np.sqrt(sum(np.sum(np.square(part)) for part in row.values())))
