"""The choice of an executor: both replay the same programs, and a wrong choice is told at once."""

import importlib.util

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_same, changed


def test_an_unknown_executor_is_an_error_that_names_the_legal_ones():
    with pytest.raises(ValueError, match="executor must be one of 'numpy', 'numba', got 'jax'"):
        tr.compile(lambda x: x, executor="jax")


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'needs numba: pip install "tinygrad_rnn\[jit\]"'):
        tr.compile(lambda x: x, executor="numba")


def _loss(kind, carrier):
    rng = np.random.default_rng(0)
    dtype = np.dtype(carrier)
    make = {"rnn": tr.nn.RNN, "lstm": tr.nn.LSTM, "gru": tr.nn.GRU}[kind]
    net, head = make(3, 5, rng=rng, dtype=dtype), tr.nn.Linear(5, 4, rng=rng, dtype=dtype)
    x, y = rng.normal(size=(6, 2, 3)).astype(dtype), rng.integers(0, 4, size=(6, 2))
    return (lambda n, h, x, y: tr.cross_entropy(h(n(x)[0]), y)), (net, head, x, y)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_network_trains_alike_on_both(kind, dtype):
    pytest.importorskip("numba", reason="the numba executor needs the extra [jit]")
    fn, args = _loss(kind, dtype)
    step = tr.value_and_grad(fn, argnums=(0, 1))
    replay = tr.compile(step, executor="numba")
    assert_same(replay(*args), step(*args))
    moved = (*args[:2], changed(args[2]), args[3][::-1])
    assert_same(replay(*moved), step(*moved))


def test_a_graph_of_values_replays_on_both():
    pytest.importorskip("numba", reason="the numba executor needs the extra [jit]")

    def fn(xs, w):
        h = 0.1
        for x in xs:
            h = tr.ops.tanh(x * w[0] + h * w[1]) + tr.ops.maximum(h * x, w[0])
        return h * h

    step = tr.value_and_grad(fn, argnums=(0, 1))
    args = [0.3 * k - 1 for k in range(9)], [0.7, -1.2]
    replay = tr.compile(step, executor="numba")
    assert_same(replay(*args), step(*args))
    assert_same(replay(*changed(args)), step(*changed(args)))
