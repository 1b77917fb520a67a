"""``RTRL``: real-time recurrent learning, the exact gradient in forward mode."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn.analysis.online.onestep import Cotangents, OneStep
from tinygrad_rnn.analysis.online.online import OnlineGradient
from tinygrad_rnn.core.tree import flatten, unflatten


class RTRL(OnlineGradient):
    """The exact gradient of each step's loss, online, in memory that does not grow with the sequence.

    Beside the state S_t of n numbers it carries its influence matrix P_t = dS_t/dtheta (n x parameters):

        P_t = J_t P_{t-1} + dF/dtheta,    J_t = dF/dS_{t-1},    S_t = F(x_t, S_{t-1}; theta)

    and dL_t/dtheta = (dL_t/dS_{t-1}) P_{t-1} + the immediate part, which step t itself and the readout give. J_t and
    dF/dtheta are n vjps of the one recorded step, run together, so any cell will do. Summed over a sequence the
    gradients are those of backpropagation through time, at a price in time: n^2 times the number of parameters for each
    step. Rows of a batch count as parts of one state, so RTRL is best run with few of them.

    When weights are assigned between steps (online learning), P_t still holds derivatives at the earlier weights: the
    gradient is then the usual approximation of real-time recurrent learning, good for small learning rates. What is
    fed back from one step to the next has to be part of the state: ``.output`` and ``.state`` are plain numbers.

    Source: Williams and Zipser (1989), eq. 8 to 10.

    Example:
        >>> import numpy as np, tinygrad_rnn as tr
        >>> rng = np.random.default_rng(0)
        >>> cell, xs, ys = tr.nn.GRUCell(2, 3, rng=rng), rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
        >>> online = tr.RTRL(cell, cell).run(xs, tr.mean_squared_error, ys)
        >>> def through_time(cell):
        ...     return tr.add_n(tr.unroll(cell, xs).each(tr.mean_squared_error, ys))
        >>> bptt = tr.grad(through_time)(cell)
        >>> all(np.allclose(online.gradient[name], bptt[name], rtol=1e-12) for name in bptt)
        True
    """

    method: ClassVar[str] = "RTRL"

    def __init__(self, cell: Any, parameters: Any, state: Any = None) -> None:
        super().__init__(cell, parameters, state)
        self._influence: Cotangents = {}  # a matrix (n, entries) for each leaf that ever had influence
        self._size = 0

    @property
    def carried(self) -> int:
        """The number of entries of P: n times those of the parameters that have influence on the state."""
        return sum(block.size for block in self._influence.values())

    @property
    def influence(self) -> Any:
        """P_t = dS_t/dtheta in the structure of the parameters: (n, *shape) for each leaf, zeros without influence."""
        leaves = [leaf for _, leaf in flatten(self._parameters)]
        blocks = [np.zeros((self._size, *leaf.shape), leaf.dtype) for leaf in leaves]
        for leaf, block in zip(leaves, blocks, strict=True):
            if leaf in self._influence:
                block[:] = self._influence[leaf].reshape(block.shape)
        return unflatten(self._parameters, iter(blocks))

    def _through(self, cotangent: Any) -> Cotangents:
        return {leaf: cotangent @ block for leaf, block in self._influence.items()}

    def _advance(self, recorded: OneStep) -> None:
        n = recorded.size
        blocks = list(recorded.blocks())
        state = np.concatenate([block.state for block in blocks]) if blocks else np.zeros((0, 0))
        fresh: Cotangents = {}
        for leaf, block in self._influence.items():
            fresh[leaf] = state.astype(block.dtype, copy=False) @ block
        for block in blocks:
            for leaf, rows in block.parameters.items():
                if leaf not in fresh:
                    fresh[leaf] = np.zeros((n, rows.shape[1]), leaf.dtype)
                fresh[leaf][block.first : block.first + len(rows)] += rows
        self._influence, self._size = fresh, n
