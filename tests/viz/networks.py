"""Small networks with known numbers for the drawing tests."""

from typing import Any

import numpy as np

import tinygrad_rnn as tr


def scalar_rnn(steps: int = 3, truncate: int | None = None, backward: bool = True) -> Any:
    """Return the total loss of h_t = tanh(w h_{t-1} + u x_t + b) over Values, a squared error at each step."""
    w, u, b = tr.Value(0.5, name="w"), tr.Value(-0.3, name="u"), tr.Value(0.1, name="b")
    xs = [0.25 * (t % 5) - 0.5 for t in range(steps)]
    net = tr.unroll(lambda x, h: (w * h + u * x + b).tanh(), xs, state=0.0, truncate=truncate)
    loss = tr.add_n(net.each(lambda h, target: (h - target) ** 2, [0.5] * steps))
    loss.name = "L"
    if backward:
        loss.backward()
    return loss


def cell_loss(kind: str, steps: int, hidden: int = 4, truncate: int | None = None, **settings: Any) -> Any:
    """Return the total loss of an nn cell with a linear readout, differentiated."""
    rng = np.random.default_rng(0)
    cell = getattr(tr.nn, kind)(3, hidden, rng=rng, **settings)
    net = tr.unroll(cell, rng.normal(size=(steps, 3)), truncate=truncate)
    return _loss(net, steps, hidden, rng)


def stack_loss(kind: str, steps: int, layers: int = 2, hidden: int = 3, **settings: Any) -> Any:
    """Return the total loss of a stacked network with a linear readout, differentiated."""
    rng = np.random.default_rng(0)
    module = getattr(tr.nn, kind)(3, hidden, num_layers=layers, rng=rng, **settings)
    net = module.unroll(rng.normal(size=(steps, 3)))
    return _loss(net, steps, net.outputs[0].shape[-1], rng)


def _loss(net: Any, steps: int, hidden: int, rng: np.random.Generator) -> Any:
    readout = tr.nn.Linear(hidden, 2, rng=rng)
    ys = net.each(readout, name="y")
    losses = net.each(lambda _, y, d: tr.mean_squared_error(y, d), ys, list(rng.normal(size=(steps, 2))))
    loss = tr.add_n(losses)
    loss.name = "L"
    loss.backward()
    return loss


def xor_loss() -> Any:
    """Return the loss of a 2-3-1 network on the four XOR pairs, differentiated; no time steps."""
    rng = np.random.default_rng(1)
    x = tr.constant(np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), name="x")
    w1, w2 = tr.Tensor(rng.normal(size=(2, 3)), name="W1"), tr.Tensor(rng.normal(size=(3, 1)), name="W2")
    y = ((x @ w1).tanh() @ w2).sigmoid()
    y.name = "y"
    loss = tr.mean_squared_error(y, np.array([[0.0], [1], [1], [0]]))
    loss.name = "L"
    loss.backward()
    return loss
