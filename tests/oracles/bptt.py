"""Recurrent networks and their gradients by hand, in plain numpy: one loop forward in time, one back.

Nothing here comes from the library. A run keeps what the backward loop needs; gradients are those of
sum(outputs * cotangent) + sum(final state * its cotangent). One layer, one direction; arrays are (T, B, ...).
An example of length n takes its first n steps: later its state stays, its outputs are 0, and nothing flows
back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Arrays = dict[str, np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))


@dataclass
class Weights:
    """W (gates*H, I), U (gates*H, H), bx and bh (gates*H,): the input's and the state's biases."""

    W: np.ndarray
    U: np.ndarray
    bx: np.ndarray
    bh: np.ndarray
    grad: Arrays = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.grad = {name: np.zeros_like(getattr(self, name)) for name in ("W", "U", "bx", "bh")}

    def backward(self, x: np.ndarray, h: np.ndarray, dx_side: np.ndarray, dh_side: np.ndarray) -> Arrays:
        """Cotangents of x and h from those of (W x + bx) and (U h + bh); the weights' own are added up."""
        self.grad["W"] += dx_side.T @ x
        self.grad["bx"] += dx_side.sum(0)
        self.grad["U"] += dh_side.T @ h
        self.grad["bh"] += dh_side.sum(0)
        return {"x": dx_side @ self.W, "h": dh_side @ self.U}


def rnn_forward(w: Weights, x: np.ndarray, s: Arrays) -> tuple[Arrays, Arrays]:
    return {"h": np.tanh(x @ w.W.T + w.bx + s["h"] @ w.U.T + w.bh)}, {}


def rnn_backward(w: Weights, x: np.ndarray, s: Arrays, new: Arrays, kept: Arrays, d: Arrays) -> Arrays:
    da = d["h"] * (1 - new["h"] ** 2)
    return w.backward(x, s["h"], da, da)


def irnn_forward(w: Weights, x: np.ndarray, s: Arrays) -> tuple[Arrays, Arrays]:
    return {"h": np.maximum(x @ w.W.T + w.bx + s["h"] @ w.U.T + w.bh, 0)}, {}


def irnn_backward(w: Weights, x: np.ndarray, s: Arrays, new: Arrays, kept: Arrays, d: Arrays) -> Arrays:
    da = d["h"] * (new["h"] > 0)
    return w.backward(x, s["h"], da, da)


def lstm_forward(w: Weights, x: np.ndarray, s: Arrays) -> tuple[Arrays, Arrays]:
    n = w.U.shape[1]
    a = x @ w.W.T + w.bx + s["h"] @ w.U.T + w.bh
    i, f, o = sigmoid(a[:, :n]), sigmoid(a[:, n : 2 * n]), sigmoid(a[:, 3 * n :])
    g = np.tanh(a[:, 2 * n : 3 * n])
    c = f * s["c"] + i * g
    return {"h": o * np.tanh(c), "c": c}, {"i": i, "f": f, "g": g, "o": o}


def lstm_backward(w: Weights, x: np.ndarray, s: Arrays, new: Arrays, kept: Arrays, d: Arrays) -> Arrays:
    i, f, g, o = (kept[name] for name in "ifgo")
    squashed = np.tanh(new["c"])
    dc = d["c"] + d["h"] * o * (1 - squashed**2)
    da = np.concatenate(
        [
            dc * g * i * (1 - i),
            dc * s["c"] * f * (1 - f),
            dc * i * (1 - g**2),
            d["h"] * squashed * o * (1 - o),
        ],
        axis=1,
    )
    return w.backward(x, s["h"], da, da) | {"c": dc * f}


def gru_forward(w: Weights, x: np.ndarray, s: Arrays) -> tuple[Arrays, Arrays]:
    n_units = w.U.shape[1]
    a, b = x @ w.W.T + w.bx, s["h"] @ w.U.T + w.bh
    r = sigmoid(a[:, :n_units] + b[:, :n_units])
    z = sigmoid(a[:, n_units : 2 * n_units] + b[:, n_units : 2 * n_units])
    q = b[:, 2 * n_units :]
    n = np.tanh(a[:, 2 * n_units :] + r * q)
    return {"h": (1 - z) * n + z * s["h"]}, {"r": r, "z": z, "n": n, "q": q}


def gru_backward(w: Weights, x: np.ndarray, s: Arrays, new: Arrays, kept: Arrays, d: Arrays) -> Arrays:
    r, z, n, q = (kept[name] for name in "rznq")
    dn = d["h"] * (1 - z) * (1 - n**2)
    dr, dz = dn * q * r * (1 - r), d["h"] * (s["h"] - n) * z * (1 - z)
    back = w.backward(x, s["h"], np.concatenate([dr, dz, dn], 1), np.concatenate([dr, dz, dn * r], 1))
    back["h"] += d["h"] * z
    return back


Step = Callable[..., tuple[Arrays, Arrays]]
CELLS: dict[str, tuple[int, tuple[str, ...], Step, Callable[..., Arrays]]] = {
    "rnn_tanh": (1, ("h",), rnn_forward, rnn_backward),
    "rnn_relu": (1, ("h",), irnn_forward, irnn_backward),
    "lstm": (4, ("h", "c"), lstm_forward, lstm_backward),
    "gru": (3, ("h",), gru_forward, gru_backward),
}


@dataclass
class Result:
    """Outputs (T, B, H), the final state, and the gradients of x, the first state and W, U, bx, bh."""

    outputs: np.ndarray
    final: Arrays
    grad: Arrays


def run(
    kind: str,
    weights: Weights,
    x: np.ndarray,
    state: Arrays,
    lengths: np.ndarray,
    cotangents: Arrays,
) -> Result:
    """Forward and backward through time; cotangents of "outputs" (T, B, H) and of each part of the state."""
    _, _, forward, backward = CELLS[kind]
    steps = len(x)
    outputs = np.zeros((*x.shape[:2], weights.U.shape[1]))
    history = []
    for t in range(steps):
        on = (t < lengths)[:, None]
        new, kept = forward(weights, x[t], state)
        history.append((state, new, kept, on))
        state = {name: np.where(on, new[name], state[name]) for name in state}
        outputs[t] = np.where(on, new["h"], 0)
    d = {name: cotangents[name].copy() for name in state}
    dx = np.zeros_like(x)
    for t in reversed(range(steps)):
        before, new, kept, on = history[t]
        inside = {name: d[name] * on for name in d}
        inside["h"] = inside["h"] + cotangents["outputs"][t] * on
        back = backward(weights, x[t], before, new, kept, inside)
        dx[t] = back.pop("x")
        d = {name: back[name] + d[name] * ~on for name in d}
    return Result(outputs, state, {"x": dx} | d | weights.grad)
