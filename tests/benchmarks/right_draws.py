"""Right gradients, drawn: recurrent networks of up to 400 steps, and how well they agree with the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn.testing.recorded import RecordedComparison
from tinygrad_rnn.testing.trial import Trial

LONGEST, SHORT = 400, 20
GAINS = (0.1, 0.5, 1.0, 1.5, 2.5)
SMALLEST = 1e-290
KINDS: dict[str, Callable[..., Any]] = {
    "tanh": lambda i, h, rng: tr.nn.RNNCell(i, h, rng=rng),
    "relu": lambda i, h, rng: tr.nn.RNNCell(i, h, nonlinearity="relu", rng=rng),
    "LSTM": lambda i, h, rng: tr.nn.LSTMCell(i, h, rng=rng),
    "GRU": lambda i, h, rng: tr.nn.GRUCell(i, h, rng=rng),
}


@dataclass(frozen=True)
class Draw:
    """A loss with its arguments, and what it is in words."""

    what: str
    loss: Callable[..., Any]
    args: tuple[Any, ...]


def draw(rng: np.random.Generator, longest: int = LONGEST) -> Draw:
    """Return a random network: cell, size, length, gain, loss. One in ten is longer than 20 steps.

    The inputs are differentiated where they are few; longer sequences of them are constants.
    """
    kind = str(rng.choice(list(KINDS)))
    bounds = (SHORT, longest) if rng.random() < 0.1 and longest > SHORT else (1, min(SHORT, longest))
    steps = int(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1] + 0.99))))
    hidden, inputs, batch = (int(n) for n in rng.integers(1, 5, size=3))
    gain = float(rng.choice(GAINS))
    every = bool(rng.integers(2))
    cell = KINDS[kind](inputs, hidden, rng)
    cell.weight_hh.data = gain * rng.normal(size=cell.weight_hh.shape) / np.sqrt(hidden)
    x = rng.normal(size=(steps, batch, inputs))

    def loss(cell: Any, x: Any = x) -> Any:
        net = tr.unroll(cell, x)
        if every:
            return tr.add_n(net.each(lambda h: (h * h).sum()))
        last = net.final_state
        return ((last[0] if isinstance(last, tuple) else last) ** 2).sum()

    what = f"{kind}, T={steps}, H={hidden}, B={batch}, gain {gain}, {'every loss' if every else 'last loss'}"
    return Draw(what, loss, (cell, x) if steps <= SHORT else (cell,))


def disagreement(case: Draw, rng: np.random.Generator) -> list[float]:
    """Return, for each argument whose gradient is above 1e-290, its largest error relative to its largest entry."""
    trial = Trial(case.loss, case.args)
    leaves, outputs = trial.run()
    check = RecordedComparison(leaves, trial.paths, outputs, 1e-10, rng)
    found = []
    for number in range(len(leaves)):
        pair = check.of_output(0, np.ones(()), number)
        if pair is None:
            continue
        expected, got = pair
        scale = float(np.max(np.abs(expected), initial=0.0))
        if scale > SMALLEST and np.isfinite(scale):
            found.append(float(np.max(np.abs(got - expected))) / scale)
    return found
