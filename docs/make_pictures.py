"""Remake the pictures of the README: ``python docs/make_pictures.py`` writes them into docs/pictures.

They show the network of the README's ten lines, in three steps, and the plan of a train step.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn.plan.plan import Plan

FOLDER = Path(__file__).parent / "pictures"


def differentiated_network() -> tr.Value:
    """Return the total error of S_t = tanh(wx x_t + ws S_{t-1}) over three steps, after ``backward()``."""
    wx, ws = tr.Value(0.9, name="wx"), tr.Value(0.6, name="ws")
    net = tr.unroll(lambda x, S: (wx * x + ws * S).tanh(), [1.0, -0.5, 0.8], state=0.0)
    net.initial_state.name = "S_init"
    for t, S in enumerate(net.states):
        S.name = f"S_{t}"
    errors = net.each(lambda S, target: (S - target) ** 2, [1.0, 0.0, 1.0], name="E")
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


def make_pictures(folder: Path) -> list[Path]:
    """Write ``unrolled.svg``, ``rolled.svg`` and ``plan.svg`` into ``folder`` and return their paths."""
    total = differentiated_network()
    drawings = {"unrolled.svg": tr.draw(total, level="op"), "rolled.svg": tr.draw(total, level="rolled")}
    drawings["plan.svg"] = tr.draw(train_step_plan())
    return [Path(drawing.render(folder / name)) for name, drawing in drawings.items()]


if __name__ == "__main__":
    for path in make_pictures(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(path)
