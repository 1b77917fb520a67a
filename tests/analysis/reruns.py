"""Networks for the analysis by time, and the slow way to their derivatives: run the later steps again from a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn.core.tree import flatten, tree_map

KINDS = ("RNNCell", "relu", "LSTMCell", "GRUCell", "dict", "Values", "vector of Values")


@dataclass(frozen=True)
class Network:
    """A cell over ``len(xs)`` steps. ``error`` is the loss of a step by its state; ``weights`` are by name."""

    cell: Callable[[Any, Any], Any]
    xs: Any
    start: Any
    error: Callable[[Any, int], Any]
    weights: dict[str, Any]

    def unrolled(self, losses_at: set[int] | None = None) -> tuple[tr.Unrolled, list[Any]]:
        """Return the network unrolled, and its losses: None but at ``losses_at``."""
        net = tr.unroll(self.cell, self.xs, state=self.start)
        losses: list[Any] = []
        for t, scope in enumerate(net.scopes):
            with tr.scope(scope[-1]):
                some = losses_at is None or t in losses_at
                losses.append(self.error(net.states[t], t).named(f"L_{t}") if some else None)
        return net, losses

    def rerun(self, t: int, k: int, state: Any) -> Any:
        """Return S_t for another S_k."""
        for j in range(k + 1, t + 1):
            state = self.cell(self._input(j), state)
        return state

    def _input(self, j: int) -> Any:
        x = self.xs[j]
        return x.tolist() if isinstance(flatten(self.start)[0][1], (float, tr.Value)) and np.ndim(x) else x

    def gradient(self, t: int, k: int, state: Any) -> Any:
        """Return dL_t/dS_k, in the state's structure; zeros for k > t."""
        data = tree_map(lambda x: x.data, state)
        if k > t:
            return tree_map(np.zeros_like, data)
        return tr.grad(lambda S: self.error(self.rerun(t, k, S), t))(data)

    def jacobian(self, t: int, k: int, state: Any) -> np.ndarray:
        """Return dS_t/dS_k as a matrix over all entries of the state, leaf by leaf."""
        data = tree_map(lambda x: x.data, state)
        blocks = tr.jacobian(lambda S: [x for _, x in flatten(self.rerun(t, k, S))])(data)
        sizes = [int(np.size(x)) for _, x in flatten(data)]
        return np.block(
            [
                [
                    np.reshape(block, (rows, columns))
                    for (_, block), columns in zip(flatten(row), sizes, strict=True)
                ]
                for row, rows in zip(blocks, sizes, strict=True)
            ]
        )


def network(kind: str, steps: int = 4, batch: int | None = 2, seed: int = 0, hidden: int = 3) -> Network:
    """Return a small network with random weights."""
    rng = np.random.default_rng(seed)
    if "Values" in kind:
        return _of_values(rng, steps, vector=kind != "Values")
    rows = () if batch is None else (batch,)
    xs = rng.normal(size=(steps, *rows, 2))
    readout = tr.Tensor(rng.normal(size=hidden), name="readout")
    targets = rng.normal(size=(steps, *rows))
    if kind == "dict":
        cell, start, weights = _of_dicts(rng, hidden, rows)
    else:
        settings = {"nonlinearity": "relu"} if kind == "relu" else {}
        module = getattr(tr.nn, "RNNCell" if kind == "relu" else kind)(2, hidden, rng=rng, **settings)
        cell, weights = module, dict(module.named_parameters())
        start = tree_map(lambda x: rng.normal(size=x.shape), module.initial_state(xs[0]))

    def error(state: Any, t: int) -> Any:
        parts = [x for _, x in flatten(state)]
        return ((parts[0] @ readout - targets[t]) ** 2).sum() + (parts[-1] ** 2).sum() * 0.1

    return Network(cell, xs, start, error, {**weights, "readout": readout})


def _of_dicts(
    rng: np.random.Generator, hidden: int, rows: tuple[int, ...]
) -> tuple[Any, Any, dict[str, Any]]:
    """A fast and a slow part; the slow one reads the fast one of the same step, and a third is handed on as it is."""
    W = tr.Tensor(rng.normal(size=(hidden, hidden)), name="W")
    U = tr.Tensor(rng.normal(size=(2, hidden)), name="U")

    def cell(x: Any, state: Any) -> Any:
        fast = tr.ops.tanh(state["fast"] @ W + x @ U + 0.3 * state["slow"] * state["kept"])
        return {"fast": fast, "slow": 0.9 * state["slow"] + 0.1 * fast @ W, "kept": state["kept"]}

    start = {
        name: tr.Tensor(rng.normal(size=(*rows, hidden)), name=f"{name}_init")
        for name in ("fast", "slow", "kept")
    }
    return cell, start, {"W": W, "U": U}


def _of_values(rng: np.random.Generator, steps: int, vector: bool) -> Network:
    def value(name: str) -> Any:
        return tr.Value(float(rng.normal()), name=name)

    if not vector:
        w, u = value("w"), value("u")
        return Network(
            lambda x, h: (w * h + u * x).tanh(),
            rng.normal(size=steps),
            float(rng.normal()),
            lambda h, t: (h - 0.5) ** 2,
            {"w": w, "u": u},
        )
    rows = [[value(f"w{i}[{j}]") for j in range(2)] for i in range(2)]
    u = [value(f"u[{i}]") for i in range(2)]

    def cell(x: Any, h: Any) -> Any:
        return [(tr.ops.dot(row, h) + u[i] * x[i]).tanh() for i, row in enumerate(rows)]

    weights = {w.name: w for w in (*rows[0], *rows[1], *u)}
    start = [float(a) for a in rng.normal(size=2)]
    return Network(cell, rng.normal(size=(steps, 2)), start, lambda h, t: h[0] * h[1] + h[1] ** 2, weights)
