"""Small tasks with a known answer, to see that training works at all."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.nn.linear import Linear
from tinygrad_rnn.nn.losses import mean_squared_error
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.train.history import History
from tinygrad_rnn.train.loop import Trainer
from tinygrad_rnn.train.optim import Adam

Pairs = tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]

XOR_UPDATES = 200
"""Within so many updates `learn_xor` converges: 10 of 10 seeds in the tests; of 200 the slowest took 107."""


def xor_pairs() -> Pairs:
    """Return (inputs (4, 2), targets (4, 1)): all pairs of two bits and whether they differ.

    >>> inputs, targets = xor_pairs()
    >>> [(*pair, target) for pair, (target,) in zip(inputs.tolist(), targets.tolist())]
    [(0.0, 0.0, 0.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)]
    """
    inputs = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return inputs, np.array([[0.0], [1.0], [1.0], [0.0]])


@final
class FeedForward(Module):
    """One hidden layer: y = W2 tanh(W1 x + b1) + b2, from (batch, inputs) to (batch, outputs)."""

    def __init__(
        self, inputs: int, hidden_size: int, outputs: int, rng: np.random.Generator | None = None
    ) -> None:
        rng = np.random.default_rng() if rng is None else rng
        self.hidden = Linear(inputs, hidden_size, rng=rng)
        self.readout = Linear(hidden_size, outputs, rng=rng)

    def __call__(self, inputs: Any) -> Any:
        """Return the outputs (batch, outputs)."""
        return self.readout(ops.tanh(self.hidden(inputs)))


def squared_error(model: FeedForward, pairs: Pairs) -> Any:
    """Return the mean squared error of the model's outputs over fixed pairs, a scalar node."""
    inputs, targets = pairs
    return mean_squared_error(model(inputs), targets)


def learn_xor(seed: int, updates: int = XOR_UPDATES, stop_below: float = 1e-3) -> tuple[FeedForward, History]:
    """Return (network, history) of learning XOR with 8 hidden units and Adam, until the loss is small."""
    check.whole("learn_xor: seed", seed, 0)
    check.whole("learn_xor: updates", updates, 0)
    check.number("learn_xor: stop_below", stop_below)
    model = FeedForward(2, 8, 1, rng=np.random.default_rng(seed))
    trainer = Trainer(model, squared_error, Adam(model, lr=0.05))
    return model, trainer.fit([xor_pairs()], updates, stop_below=stop_below, progress=False)
