"""Sums of products of numbers: one multiplication and one sum, whatever the number of them."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays, changed


def unrolled(weights, inputs):
    h = [0.1 * w[0] for w in weights]
    loss = 0.0
    for x in inputs:
        h = [tr.ops.tanh(tr.ops.dot(w, [*x, *h])) for w in weights]
        loss = loss + tr.ops.dot(h, h)
    return loss


@pytest.fixture
def args():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 5)).tolist(), rng.normal(size=(4, 2)).tolist()


def test_they_replay_with_their_derivatives(args):
    assert_replays(tr.value_and_grad(unrolled, argnums=(0, 1)), args, changed(args))


def test_one_alone_replays():
    xs = [1.5, -2.0, 0.25], [0.5, 3.0, 1e3]
    assert_replays(lambda a, b: tr.ops.dot(a, b), xs, changed(xs))
    assert_replays(lambda a, b: tr.ops.dot(a[:1], b[:1]), xs, changed(xs))


def test_none_is_left_to_the_operation_itself(args):
    plan = tr.compile(tr.value_and_grad(unrolled)).plan(*args)
    assert "call" not in {i.kernel for i in plan.instructions}
    sums = [i for i in plan.instructions if i.kernel == "reduce" and i.params["axes"] == (1,)]
    assert len(sums) <= 2 * len(args[1])  # the three of a step are one
