"""Right gradients for every checker: one recurrent network as plain numpy functions and over the engine's graph."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks.checkers import Checker
from tests.benchmarks.seeded_networks import gru, gru_back, lstm, lstm_back, rnn, rnn_back
from tests.benchmarks.seeded_operations import Args

NO_FAULT = ""
STEPS: dict[str, tuple[type[tr.nn.Cell], int, Callable[..., Any], Callable[..., Args]]] = {
    "tanh": (tr.nn.RNNCell, 1, rnn, rnn_back(NO_FAULT)),
    "LSTM": (tr.nn.LSTMCell, 2, lstm, lstm_back(NO_FAULT)),
    "GRU": (tr.nn.GRUCell, 1, gru, gru_back(NO_FAULT)),
}


@dataclass(frozen=True)
class Network:
    """A network whose loss is the sum of the squares of all its states, or of the last one.

    Attributes:
        kind: tanh, LSTM or GRU.
        every: whether each state is in the loss.
        x: the inputs, (T, B, I), which are constants.
        args: first state (B, H), of an LSTM h and c side by side, W, U and b: what is differentiated.
    """

    kind: str
    every: bool
    x: Any
    args: Args

    def states(self, s: Any, *weights: Any) -> list[Any]:
        """Return the state before the first step and after each."""
        found = [s]
        for x_t in self.x:
            found.append(STEPS[self.kind][2](x_t, found[-1], *weights))
        return found

    def forward(self, *args: Any) -> Any:
        """Return the loss."""
        counted = self.states(*args)[1 if self.every else -1 :]
        return sum(np.sum(s * s) for s in counted)

    def backward(self, g: Any, s: Any, *weights: Any) -> Args:
        """Return the gradients, by backpropagation through time."""
        states = self.states(s, *weights)
        ds, total = 0.0 * s, [0.0 * w for w in weights]
        for t in reversed(range(len(self.x))):
            if self.every or t == len(self.x) - 1:
                ds = ds + 2 * g * states[t + 1]
            _, ds, *parts = STEPS[self.kind][3](ds, self.x[t], states[t], *weights)
            total = [a + b for a, b in zip(total, parts, strict=True)]
        return ds, *total

    def check(self) -> tr.testing.GradientReport:
        """Return the check of the same network over the engine's graph."""
        make, parts, *_ = STEPS[self.kind]
        s, W, U, b = self.args
        cell = make(W.shape[1], U.shape[1], rng=np.random.default_rng(0))
        cell.load_state_dict({"weight_ih": W, "weight_hh": U, "bias_ih": 0.0 * b, "bias_hh": b})
        state = tuple(np.split(s, parts, axis=1)) if parts > 1 else s

        def loss(cell: Any, state: Any) -> Any:
            net = tr.unroll(cell, self.x, state=state)
            counted = net.states if self.every else net.states[-1:]
            return tr.add_n([(h * h).sum() for s in counted for h in (s if parts > 1 else (s,))])

        return tr.testing.gradcheck(loss, cell, state)


def network(rng: np.random.Generator, steps: tuple[int, int], gain: float) -> Network:
    """Return a random network of a length within ``steps``; half of them are tanh networks of 16 units."""
    kind = str(rng.choice(["tanh", "tanh", "LSTM", "GRU"]))
    make, parts, *_ = STEPS[kind]
    H = 16 if kind == "tanh" else 4
    rows = make.gates * H
    x = rng.normal(size=(int(rng.integers(*steps, endpoint=True)), 1, 2))
    U = gain * rng.normal(size=(rows, H)) / np.sqrt(H)
    args = rng.normal(size=(1, parts * H)), 0.5 * rng.normal(size=(rows, 2)), U, 0.5 * rng.normal(size=rows)
    return Network(kind, bool(rng.integers(2)), x, args)


Report = Callable[[Network], str]


def reports(checkers: dict[str, Checker]) -> dict[str, Report]:
    """Return for each checker what it says of a network, "PASS" where it calls it right.

    ``gradcheck`` is shown the network over its own graph; ``gradcheck_external`` and the peers its plain functions.
    """
    found: dict[str, Report] = {
        "gradcheck": lambda n: str(n.check().verdict),
        "external": lambda n: str(tr.testing.gradcheck_external(n.forward, n.backward, *n.args).verdict),
    }
    for name, check in checkers.items():
        found.setdefault(name, lambda n, c=check: "PASS" if c(n.forward, n.backward, n.args) else "FAIL")
    return found


GROUPS = {
    "T 1 to 20, gain 0.5": ((1, 20), 0.5),
    "T 100 to 400, gain 0.5": ((100, 400), 0.5),
    "T 100 to 400, gain 2.5": ((100, 400), 2.5),
}


def called(group: str, says: dict[str, Report], networks: int) -> dict[str, Counter[str]]:
    """Return how often each checker said what of the right networks of one group."""
    found: dict[str, Counter[str]] = {name: Counter() for name in says}
    for k in range(networks):
        case = network(np.random.default_rng([2, k]), *GROUPS[group])
        for name, say in says.items():
            found[name][say(case)] += 1
    return found
