"""Right gradients, drawn: recurrent networks of up to 400 steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn import ops

LONGEST, SHORT, FEW = 400, 20, 4
GAINS = (0.1, 0.5, 1.0, 1.5, 2.0, 2.5)
GATED = ("LSTM", "GRU")
KINDS = ("tanh", "relu", *GATED, "Values")
LAST, EVERY, ENTROPY = "squares at the end", "squares at every step", "cross-entropy at every step"


@dataclass(frozen=True)
class Draw:
    """A network with its inputs; what is differentiated are its weights, its first state and some of its inputs.

    Attributes:
        kind: a cell over Tensors, or "Values": one tanh unit over scalars.
        gain: the recurrent weights are this times what keeps the size of a state.
        losses: what is summed.
        x: all inputs, (T, B, I).
        moving: the steps whose inputs are differentiated: all of a short sequence, ``FEW`` of a long one.
        targets: a class for each step and example.
        cell: the weights; of Values a triple of floats.
        state: the first state, (B, H), of an LSTM a pair.
    """

    kind: str
    gain: float
    losses: str
    x: Any
    moving: list[int]
    targets: Any
    cell: Any
    state: Any

    @property
    def args(self) -> tuple[Any, Any, Any]:
        """The arguments of :meth:`loss`."""
        if self.kind == "Values":
            return self.cell, [float(self.x[t, 0, 0]) for t in self.moving], float(self.state[0, 0])
        return self.cell, self.x[self.moving], self.state

    @property
    def long(self) -> bool:
        """Whether it has more than 20 steps."""
        return len(self.x) > SHORT

    @property
    def what(self) -> str:
        T, B, I = self.x.shape  # noqa: E741
        H = self.targets.shape[2]
        return f"{self.kind}, T={T}, B={B}, I={I}, H={H}, gain {self.gain}, {self.losses}"

    def network(self, cell: Any, x: Any, state: Any) -> tr.Unrolled:
        """Return the network over the inputs ``x`` at the steps that move and the constant ones at the others."""
        scalar = self.kind == "Values"
        items = [float(x_t[0, 0]) for x_t in self.x] if scalar else list(self.x)
        for k, t in enumerate(self.moving):
            items[t] = x[k]
        step = (lambda x_t, h: ops.tanh(cell[0] * h + cell[1] * x_t + cell[2])) if scalar else cell
        return tr.unroll(step, items, state=state)

    def loss(self, cell: Any, x: Any, state: Any) -> Any:
        """Return the loss, over Tensors or Values."""
        net = self.network(cell, x, state)
        if self.losses == LAST:
            return _squares(net.outputs[-1])
        if self.losses == EVERY:
            return tr.add_n(net.each(_squares))
        if self.kind == "Values":
            return tr.add_n(net.each(lambda h: ops.log(1.0 + ops.exp(-h))))
        classes = list(self.targets.argmax(2))
        return tr.add_n(net.each(lambda h, c: tr.cross_entropy(h, c, reduction="sum"), classes))


def _squares(h: Any) -> Any:
    return (h * h).sum() if h.shape else h * h


def draw(rng: np.random.Generator, long: float = 0.04) -> Draw:
    """Return a random network. The share ``long`` of them has 21 to 400 steps, the others 1 to 20, mostly few.

    One in twenty starts from nothing: no biases, no first input and state, so that a relu begins at its kink.
    """
    kind, gain = str(rng.choice(KINDS)), float(rng.choice(GAINS))
    losses = str(rng.choice([LAST, EVERY, ENTROPY]))
    is_long = rng.random() < long
    T = int(rng.integers(SHORT, LONGEST) + 1 if is_long else np.exp(rng.uniform(0, np.log(SHORT + 0.99))))
    least = 2 if losses == ENTROPY else 1
    H, I, B = (1, 1, 1) if kind == "Values" else map(int, rng.integers([least, 1, 1], 5))  # noqa: E741
    x, h, c = rng.normal(size=(T, B, I)), rng.normal(size=(B, H)), rng.normal(size=(B, H))
    cell = _cell(kind, I, H, gain, rng)
    if rng.random() < 0.05:
        x[0], h, c = 0.0, 0.0 * h, 0.0 * c
        cell = (*cell[:2], 0.0) if kind == "Values" else _without_biases(cell)
    return Draw(
        kind=kind,
        gain=gain,
        losses=losses,
        x=x,
        moving=sorted(rng.choice(T, FEW, replace=False).tolist()) if is_long else list(range(T)),
        targets=np.eye(H)[rng.integers(H, size=(T, B))],
        cell=cell,
        state=(h, c) if kind == "LSTM" else h,
    )


def _cell(kind: str, I: int, H: int, gain: float, rng: np.random.Generator) -> Any:  # noqa: E741
    if kind == "Values":
        return gain * rng.choice([-1.0, 1.0]), rng.normal(), rng.normal()
    if kind in ("tanh", "relu"):
        cell: Any = tr.nn.RNNCell(I, H, nonlinearity=kind, rng=rng)
    else:
        cell = (tr.nn.LSTMCell if kind == "LSTM" else tr.nn.GRUCell)(I, H, rng=rng)
    cell.weight_hh.data = gain * rng.normal(size=cell.weight_hh.shape) / np.sqrt(H)
    return cell


def _without_biases(cell: Any) -> Any:
    cell.bias_ih.data, cell.bias_hh.data = 0.0 * cell.bias_ih.data, 0.0 * cell.bias_hh.data
    return cell
