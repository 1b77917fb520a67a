"""Tensor beside HIPS autograd: one tanh RNN in plain numpy style, run on numpy's functions and on autograd's."""

from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tests.benchmarks.contest import Row, interleaved, milliseconds, peer

H, B, T, I = 50, 20, 100, 10  # noqa: E741 - the input size
AUTOGRAD, AUTOGRAD_NUMPY = peer("autograd"), peer("autograd.numpy")
draw = np.random.default_rng(0)
X, Y = draw.normal(size=(T, B, I)), draw.normal(size=(T, B, 1))
WEIGHTS = [draw.normal(size=s) / np.sqrt(H) for s in ((I, H), (H, H), (H,), (H, 1))]


def loss(functions: Any, Wx: Any, Ws: Any, b: Any, Wy: Any) -> Any:
    """Return the sum over t of the mean squared error of y_t = S_t Wy, S_t = tanh(x_t Wx + S_{t-1} Ws + b)."""
    S = functions.zeros((B, H))
    total = 0.0
    for t in range(T):
        S = functions.tanh(functions.dot(X[t], Wx) + functions.dot(S, Ws) + b)
        total = total + functions.mean((functions.dot(S, Wy) - Y[t]) ** 2)
    return total


def eager() -> list[Any]:
    leaves = [tr.Tensor(w) for w in WEIGHTS]
    loss(np, *leaves).backward()
    return [leaf.grad for leaf in leaves]


def unrolled() -> list[Any]:
    Wx, Ws, b, Wy = leaves = [tr.Tensor(w) for w in WEIGHTS]
    net = tr.unroll(lambda x, S: tr.ops.tanh(x @ Wx + S @ Ws + b), X, state=np.zeros((B, H)))
    tr.add_n(net.each(lambda S, y: tr.mean_squared_error(S @ Wy, y), Y)).backward()
    return [leaf.grad for leaf in leaves]


def test_tanh_rnn(benchmark: Any, report: Any) -> None:
    what = f"tanh RNN, H={H} B={B} T={T}"
    ours = {"tr, the same program": eager, "tr, with unroll": unrolled}
    theirs = []
    if AUTOGRAD:
        differentiated = AUTOGRAD.grad(lambda weights: loss(AUTOGRAD_NUMPY, *weights))
        theirs = [lambda: differentiated(WEIGHTS)]
    expected = theirs[0]() if theirs else eager()
    for run in ours.values():
        for mine, other in zip(run(), expected, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
    times = interleaved(benchmark, *ours.values(), *theirs, rounds=7, updates=3)
    for who, seconds in zip(ours, times, strict=False):
        if not theirs:
            report(Row(what, who, milliseconds(seconds), "autograd: not installed"))
            continue
        ratio = times[-1] / seconds
        beside = f"autograd {milliseconds(times[-1])}"
        report(Row(what, who, milliseconds(seconds), beside, ratio, ">= 1.5x", ratio >= 1.5))
