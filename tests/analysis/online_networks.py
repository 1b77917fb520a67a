"""Networks whose gradient is found both online and through time: every cell, and cells of one's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr


@dataclass(frozen=True)
class Network:
    """``build(parameters)`` gives (cell, state, loss) over the given parameters; the rest are numbers."""

    parameters: Any
    build: Callable[[Any], tuple[Any, Any, Any]]
    inputs: Any
    targets: Any

    def through_time(self) -> Any:
        """The gradient of the summed losses by backpropagation through time."""

        def total(parameters: Any) -> Any:
            cell, state, loss = self.build(parameters)
            losses = tr.unroll(cell, self.inputs, state).each(loss, self.targets)
            return tr.add_n([loss for loss in losses if loss is not None])

        return tr.grad(total)(self.parameters)

    def online(self, method: Callable[..., Any] = tr.RTRL, **options: Any) -> Any:
        """The method's run over the sequence."""
        cell, state, loss = self.build(self.parameters)
        return method(cell, self.parameters, state, **options).run(self.inputs, loss, self.targets)


def of_cell(
    make: Callable[[np.random.Generator], Any], steps: int = 6, batch: tuple[int, ...] = (2,)
) -> Network:
    """A cell (3 -> 4) with a Linear readout outside of it, which the loss uses."""
    rng = np.random.default_rng(5)
    model = {"cell": make(rng), "readout": tr.nn.Linear(4, 2, rng=rng)}

    def build(model: Any) -> tuple[Any, Any, Any]:
        return model["cell"], None, lambda h, y: tr.mean_squared_error(model["readout"](h), y)

    return Network(model, build, rng.normal(size=(steps, *batch, 3)), rng.normal(size=(steps, *batch, 2)))


def values() -> Network:
    """Three Values in a dict, a nested state of Values, a loss at the last step only."""
    p = {"w": tr.Value(0.8), "u": tr.Value(-0.6), "v": tr.Value(0.3)}

    def build(p: Any) -> tuple[Any, Any, Any]:
        def cell(x: Any, state: Any) -> Any:
            a = tr.ops.tanh(p["w"] * state["a"] + p["v"] * state["b"][0] + x)
            return a * p["u"], {"a": a, "b": (tr.ops.sigmoid(state["b"][0] * p["u"] + a),)}

        def loss(y: Any, target: Any) -> Any:
            return None if target is None else (y - target) ** 2

        return cell, {"a": 0.1, "b": (0.2,)}, loss

    return Network(p, build, [0.5, -1.0, 0.25, 0.75, 1.5], [None, None, None, None, 0.7])


def learned_state() -> Network:
    """The first state is a function of parameters; the output has parts; an integer counts the steps."""
    rng = np.random.default_rng(6)
    p = [
        tr.Tensor(rng.normal(size=(3,))),
        tr.Tensor(rng.normal(size=(3, 3)) / 2),
        tr.Tensor(rng.normal(size=(3, 2))),
    ]

    def build(p: Any) -> tuple[Any, Any, Any]:
        def cell(x: Any, state: Any) -> Any:
            h = tr.ops.tanh(p[1] @ state["h"] + p[2] @ x + 0.1 * state["count"])
            return (h, h * h), {"h": h, "count": state["count"] + np.array(1)}

        def loss(y: Any, target: Any) -> Any:
            return ((y[0] - target) * y[1]).sum() + (p[0] * y[0]).sum()

        return cell, {"h": tr.ops.sigmoid(p[0]), "count": np.array(0)}, loss

    return Network(p, build, rng.normal(size=(5, 2)), rng.normal(size=(5, 3)))


def stacked() -> Network:
    """Two layers of different cells as one cell, and an embedding within."""
    rng = np.random.default_rng(7)
    model = {
        "e": tr.nn.Embedding(5, 3, rng=rng),
        "one": tr.nn.LSTMCell(3, 2, rng=rng),
        "two": tr.nn.GRUCell(2, 4, rng=rng),
    }

    def build(model: Any) -> tuple[Any, Any, Any]:
        def cell(symbol: Any, state: Any) -> Any:
            below = model["one"](model["e"](symbol), state["below"])
            above = model["two"](below[0], state["above"])
            return above, {"below": below, "above": above}

        zeros = np.zeros((1, 2))
        return cell, {"below": (zeros, zeros), "above": np.zeros((1, 4))}, lambda h, y: tr.cross_entropy(h, y)

    symbols = np.array([[0], [3], [3], [1], [4], [0]])
    return Network(model, build, symbols, np.roll(symbols, -1) % 4)


NETWORKS = {
    "rnn tanh": lambda: of_cell(lambda rng: tr.nn.RNNCell(3, 4, rng=rng)),
    "rnn relu": lambda: of_cell(lambda rng: tr.nn.RNNCell(3, 4, "relu", rng=rng)),
    "rnn without bias": lambda: of_cell(lambda rng: tr.nn.RNNCell(3, 4, bias=False, rng=rng)),
    "lstm": lambda: of_cell(lambda rng: tr.nn.LSTMCell(3, 4, rng=rng)),
    "gru": lambda: of_cell(lambda rng: tr.nn.GRUCell(3, 4, rng=rng)),
    "gru reset before": lambda: of_cell(lambda rng: tr.nn.GRUCell(3, 4, reset_after=False, rng=rng)),
    "one example": lambda: of_cell(lambda rng: tr.nn.LSTMCell(3, 4, rng=rng), batch=()),
    "values": values,
    "learned state": learned_state,
    "stacked": stacked,
}  # fmt: skip


def entries(gradient: Any) -> Any:
    """All entries of a nested gradient as one vector."""
    from tinygrad_rnn.core.tree import flatten

    return np.concatenate([np.ravel(part) for _, part in flatten(gradient)])
