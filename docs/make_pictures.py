"""Remake the README's pictures: ``python -m docs.make_pictures`` writes them into docs/pictures.

They show the network of the README's ten lines, in three steps; the same network in six steps, cut into blocks; how far
the gradient reaches in an RNN and in an LSTM; and the plan of a train step.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn.plan.plan import Plan

FOLDER = Path(__file__).parent / "pictures"
INPUTS, TARGETS = [1.0, -0.5, 0.8, 0.3, -0.9, 0.4], [1.0, 0.0, 1.0, 0.0, -1.0, 0.0]


def differentiated_network(steps: int = 3) -> tr.Value:
    """Return the total error of S_t = tanh(wx x_t + ws S_{t-1}) over some steps, after ``backward()``."""
    wx, ws = tr.Value(0.9, name="wx"), tr.Value(0.6, name="ws")
    net = tr.unroll(lambda x, S: (wx * x + ws * S).tanh(), INPUTS[:steps], state=0.0)
    net.initial_state.name = "S_init"
    for t, S in enumerate(net.states):
        S.name = f"S_{t}"
    errors = net.each(lambda S, target: (S - target) ** 2, TARGETS[:steps], name="E")
    total: tr.Value = tr.add_n(errors).named("E")
    total.backward()
    return total


def train_step_plan() -> Plan:
    """Return the plan of a train step of an RNN on 20 steps of 4 examples, with the mean square as its loss."""

    def loss(model: tr.nn.RNN, xs: Any) -> Any:
        outputs, _ = model(xs)
        return (outputs**2).mean()

    model = tr.nn.RNN(3, 8, rng=np.random.default_rng(0))
    return tr.compile(tr.value_and_grad(loss)).plan(model, np.zeros((20, 4, 3)))


def flow_of(cell: Any) -> Any:
    """Return how the gradient of a loss in each of 40 steps reaches the states before it."""
    net = tr.unroll(cell, np.random.default_rng(1).normal(size=(40, 3)))
    last = cell.hidden_size
    return tr.gradient_flow(
        net, net.each(lambda state: ((state[0] if isinstance(state, tuple) else state) ** 2).sum() / last)
    )


def make_flow(folder: Path) -> Path:
    """Write ``flow.svg``, the heat maps of an RNN and of an LSTM whose forget gates stand open, and return its path."""
    from docs.make_plots import pyplot, save

    plt = pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    rnn = tr.nn.RNNCell(3, 32, rng=np.random.default_rng(0))
    lstm = tr.nn.LSTMCell(3, 32, rng=np.random.default_rng(0))
    bias = lstm.bias_ih.data.copy()
    bias[32:64] = 2.0  # sigmoid(2) = 0.88: the memory fades slowly
    lstm.bias_ih.data = bias
    flow_of(rnn).plot(left)
    flow_of(lstm).parts["c"].plot(right)
    left.set_title(f"RNN, {left.get_title()}", fontsize=10)
    right.set_title(f"LSTM, {right.get_title()}", fontsize=10)
    path = folder / "flow.svg"
    save(plt, figure, path)
    return path


def make_pictures(folder: Path) -> list[Path]:
    """Write the drawings of graphs into ``folder`` and return their paths; those for a dark page end in ``-dark``."""
    total, longer = differentiated_network(), differentiated_network(6)
    drawings = {"plan.svg": tr.draw(train_step_plan())}
    for theme, ending in (("light", ""), ("dark", "-dark")):
        drawings[f"unrolled{ending}.svg"] = tr.draw(total, theme=theme)
        drawings[f"rolled{ending}.svg"] = tr.draw(total, level="rolled", theme=theme)
        drawings[f"truncated{ending}.svg"] = tr.draw(longer, level="step", truncate=3, theme=theme)
    return [Path(drawing.render(folder / name)) for name, drawing in drawings.items()]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for path in [*make_pictures(folder), make_flow(folder)]:
        print(path)
