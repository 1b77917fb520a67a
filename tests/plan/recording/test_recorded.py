"""What the recorded nodes are as a program: which are computed, which are read, which are fixed."""

import gc

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.core.draws import random
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.recording.garbage import uncollected
from tinygrad_rnn.plan.recording.trace import trace

X = np.array([0.5, -1.0, 2.0])


def kinds(fn, *args):
    """The kinds of the items; of those of kind op the operation's name."""
    return [item.op.name if item.op else item.kind for item in trace(fn, args, {}).program.items]


def test_a_result_from_before_is_fixed_as_it_is_in_an_eager_run():
    w = tr.Tensor(X)
    before = ops.tanh(w * 2.0)

    def fn(x):
        return x * before + w

    replay = compile(fn)
    np.testing.assert_array_equal(replay(X), X * np.tanh(2 * X) + X)
    w.data = X + 1
    np.testing.assert_array_equal(replay(X), X * np.tanh(2 * X) + X + 1)
    np.testing.assert_array_equal(replay(X), fn(tr.Tensor(X)).data)
    assert sorted(kinds(fn, X)) == ["add", "constant", "input", "leaf", "multiply"]


def test_a_draw_from_before_is_fixed():
    noise = random(np.random.default_rng(1), (3,))
    replay = compile(lambda x: x + noise)
    for _ in range(2):
        np.testing.assert_array_equal(replay(X), X + noise.data)
    assert kinds(lambda x: x + noise, X).count("random") == 0


def test_sources_are_told_apart():
    w, rng = tr.Tensor(X), np.random.default_rng(0)

    def fn(x, k, v):
        return x * w + v * np.arange(3) + random(rng, (3,)) + k

    found = kinds(fn, X, np.array([1, 2, 3]), 0.5)
    assert {name: found.count(name) for name in ("input", "leaf", "random", "constant")} == {
        "input": 3,
        "leaf": 1,
        "random": 1,
        "constant": 1,
    }


def test_the_items_have_names_scopes_and_arguments_before_them():
    def fn(x):
        with tr.scope("block"):
            y = ops.tanh(x).named("y")
        return y * x

    items = trace(fn, (tr.Tensor(X, name="x"),), {}).program.items
    assert [(item.name, item.scope) for item in items] == [("x", ()), ("y", ("block",)), ("", ())]
    assert all(a < i for i, item in enumerate(items) for a in item.args)


def test_a_cotangent_has_the_scope_of_what_it_is_pulled_through():
    def loss(x):
        with tr.scope("one"):
            y = ops.tanh(x)
        with tr.scope("two"):
            return (y * y).sum()

    items = trace(tr.value_and_grad(loss), (X,), {}).program.items
    assert {item.scope for item in items} == {
        (),
        ("one",),
        ("two",),
        ("backward", "one"),
        ("backward", "two"),
    }


def test_the_collector_works_again_after_all_is_made():
    assert gc.isenabled()
    compile(lambda x: x * 2.0)(X)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        compile(lambda x: 1 / 0)(X)
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
