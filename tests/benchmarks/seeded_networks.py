"""Seeded faults in cells, in their unrolling and in optimizers, as pairs of plain numpy functions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.seeded_operations import Args, Seeded, normal, positive, sigmoid

B, I, H, T = 2, 2, 3, 7  # noqa: E741


def cut(a: Any, gates: int) -> list[Any]:
    return np.split(a, gates, axis=1)


# --- cells: one step of x (B, I), state (B, H) or (B, 2H) as h and c, U (gates*H, H); result (B, H) or (B, 2H)


def lstm(x: Any, s: Any, W: Any, U: Any, b: Any) -> Any:
    h, c = cut(s, 2)
    i, f, g, o = cut(x @ W.T + h @ U.T + b, 4)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return np.concatenate([sigmoid(o) * np.tanh(new), new], axis=1)


def lstm_back(fault: str) -> Callable[..., Args]:
    def backward(d: Any, x: Any, s: Any, W: Any, U: Any, b: Any) -> Args:
        h, c = cut(s, 2)
        i, f, g, o = cut(x @ W.T + h @ U.T + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new = f * c + i * g
        dh, dc = cut(d, 2)
        dc = dc + (0 if fault == "cell from h" else dh * o * (1 - np.tanh(new) ** 2))
        squashed = new if fault == "output gate" else np.tanh(new)
        parts = [
            dc * g * i * (1 - i),
            dc * (new if fault == "forget gate" else c) * f * (1 - f),
            dc * (1.0 if fault == "candidate" else i) * (1 - g**2),
            dh * squashed * o * (1 - o),
        ]
        if fault == "gate order":
            parts[1], parts[2] = parts[2], parts[1]
        a = np.concatenate(parts, axis=1)
        back = dc * (i if fault == "carry" else f)
        return a @ W, np.concatenate([a @ U, back], axis=1), a.T @ x, a.T @ h, a.sum(0)

    return backward


def gru(x: Any, h: Any, W: Any, U: Any, b: Any) -> Any:
    r, z, n = cut(x @ W.T, 3)
    p, q, m = cut(h @ U.T + b, 3)
    r, z = sigmoid(r + p), sigmoid(z + q)
    return (1 - z) * np.tanh(n + r * m) + z * h


def gru_back(fault: str) -> Callable[..., Args]:
    def backward(d: Any, x: Any, h: Any, W: Any, U: Any, b: Any) -> Args:
        r, z, n = cut(x @ W.T, 3)
        p, q, m = cut(h @ U.T + b, 3)
        r, z = sigmoid(r + p), sigmoid(z + q)
        n = np.tanh(n + r * m)
        dn = d * (1 - z) * (1 - n**2)
        dr = dn * (1.0 if fault == "reset" else m) * r * (1 - r)
        dz = d * ((n - h) if fault == "update sign" else (h - n)) * z * (1 - z)
        a = np.concatenate([dr, dz, dn], axis=1)
        own = np.concatenate([dr, dz, dn if fault == "reset not applied" else dn * r], axis=1)
        back = own @ U + (0 if fault == "direct path" else d * z)
        return a @ W, back, a.T @ x, own.T @ h, (a if fault == "bias" else own).sum(0)

    return backward


def rnn(x: Any, h: Any, W: Any, U: Any, b: Any) -> Any:
    return np.tanh(x @ W.T + h @ U.T + b)


def rnn_back(fault: str) -> Callable[..., Args]:
    def backward(d: Any, x: Any, h: Any, W: Any, U: Any, b: Any) -> Args:
        y = rnn(x, h, W, U, b)
        a = d * (1 - y if fault == "slope" else 1 - y**2)
        return a @ W, a @ (U.T if fault == "transpose" else U), a.T @ x, a.T @ h, a.sum(0)

    return backward


def cell_arguments(gates: int, states: int = 1) -> Callable[[np.random.Generator], Args]:
    return normal((B, I), (B, states * H), (gates * H, I), (gates * H, H), (gates * H,), scale=0.8)


CELLS = [
    *[(f"LSTM, {f}", lstm, lstm_back(f), cell_arguments(4, 2))
      for f in ("cell from h", "output gate", "forget gate", "candidate", "gate order", "carry")],
    *[(f"GRU, {f}", gru, gru_back(f), cell_arguments(3))
      for f in ("reset", "update sign", "reset not applied", "direct path", "bias")],
    *[(f"RNN, {f}", rnn, rnn_back(f), cell_arguments(1)) for f in ("slope", "transpose")],
]  # fmt: skip

# --- unrolling: x (T, B, I), the states of all steps as the result


def states(x: Any, h: Any, W: Any, U: Any, b: Any) -> Any:
    hs = []
    for x_t in x:
        h = rnn(x_t, h, W, U, b)
        hs.append(h)
    return np.stack(hs)


def bptt(fault: str) -> Callable[..., Args]:
    def backward(d: Any, x: Any, h: Any, W: Any, U: Any, b: Any) -> Args:
        hs = [h, *states(x, h, W, U, b)]
        dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
        dh = np.zeros_like(h)
        for t in reversed(range(len(x))):
            dh = d[t] + (0 if fault == "dh_next dropped" else dh)
            if fault == "detached after 5 steps" and t == len(x) - 6:
                dh = d[t]
            if fault == "clipped in the loop":
                dh = np.clip(dh, -0.5, 0.5)
            a = dh * (1 - hs[t if fault == "slope of the step before" else t + 1] ** 2)
            dx[t], db = a @ W, db + (a[0] if fault == "bias of the first example" else a.sum(0))
            dW = a.T @ x[t] + (0 if fault == "weight overwritten" else dW)
            dU += a.T @ hs[t + 1 if fault == "h_t for h_{t-1}" else t]
            dh = a @ U
        return dx, (0 * dh if fault == "initial state forgotten" else dh), dW, dU, db

    return backward


UNROLLING = [
    (f, states, bptt(f), normal((T, B, I), (B, H), (H, I), (H, H), (H,), scale=0.8))
    for f in (
        "dh_next dropped", "detached after 5 steps", "clipped in the loop", "slope of the step before",
        "bias of the first example", "weight overwritten", "h_t for h_{t-1}", "initial state forgotten",
    )
]  # fmt: skip

# --- optimizers: one update of p with gradient g and memory m, differentiated by all three

RATE, DECAY, EPS = 0.1, 0.9, 1e-8
V = (5,)


def adam(p: Any, g: Any, m: Any) -> Any:
    first, second = DECAY * m + (1 - DECAY) * g, 0.999 * m**2 + 0.001 * g**2
    return p - RATE * first / (np.sqrt(second) + EPS)


def adam_back(d: Any, p: Any, g: Any, m: Any) -> Args:
    """The second moment is taken for a constant."""
    second = np.sqrt(0.999 * m**2 + 0.001 * g**2) + EPS
    return d, -RATE * d * (1 - DECAY) / second, -RATE * d * DECAY / second


def clipped(g: Any) -> Any:
    return g / np.sqrt(np.sum(g * g))


OPTIMIZERS = [
    ("momentum, memory not decayed", lambda p, g, m: p - RATE * (DECAY * m + g),
     lambda d, p, g, m: (d, -RATE * d, -RATE * d), normal(V, V, V)),
    ("weight decay forgotten", lambda p, g: p - RATE * (g + 0.01 * p), lambda d, p, g: (d, -RATE * d), normal(V, V)),
    ("Adagrad, memory constant", lambda p, g, m: p - RATE * g / np.sqrt(m + g * g),
     lambda d, p, g, m: (d, -RATE * d / np.sqrt(m + g * g), RATE * d * g / 2 * (m + g * g) ** -1.5), positive(V, V, V)),
    ("Adam, second moment constant", adam, adam_back, positive(V, V, V)),
    ("clipping, norm constant", clipped, lambda d, g: (d / np.sqrt(np.sum(g * g)),), normal(V)),
    ("rate off by 1e-6", lambda p, g: p - RATE * g, lambda d, p, g: (d, -RATE * (1 + 1e-6) * d), normal(V, V)),
]  # fmt: skip

SEEDED = [
    Seeded(name, category, *rest)
    for category, table in (("cells", CELLS), ("unrolling", UNROLLING), ("optimizers", OPTIMIZERS))
    for name, *rest in table
]
