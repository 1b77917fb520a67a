"""What scales the pieces of an array lies as they do."""

import math
from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile

RNG = np.random.default_rng(0)


def gated(steps, batch, width):
    """A step of a state through three gates, in shapes too large to be gathered entry by entry, and its gradient."""

    def fn(x, h, u):
        for t in range(steps):
            a, b, c = ops.split(h @ u + x[t], 3, axis=-1)
            h = ops.tanh(a) * ops.sin(b) + ops.cos(c)
        return ops.sum(h * h)

    shapes = [(steps, batch, 3 * width), (batch, width), (width, 3 * width)]
    return tr.value_and_grad(fn, (0, 1, 2)), tuple(RNG.normal(size=s) / width**0.5 for s in shapes)


def products(steps):
    """How many entries each product of a plan has."""
    fn, args = gated(steps, 4, 40)
    plan = compile(fn).plan(*args)
    assert not any(k.kernel == "copy" and math.prod(k.out.shape) == 160 for k in plan.instructions)
    return Counter(math.prod(k.out.shape) for k in plan.instructions if k.op is ops.multiply)


def test_one_product_makes_the_cotangents_of_all_gates():
    few, many = products(10), products(20)
    assert many[3 * 160] - few[3 * 160] == 10  # dh times the slopes of a, b and c
    assert many[160] - few[160] == 10  # tanh a times sin b, on the way forth
    fn, args = gated(10, 4, 40)
    assert_replays(fn, args, tuple(0.5 * a for a in args))


def test_slopes_are_computed_for_all_steps_at_once():
    assert sum(n for entries, n in products(20).items() if entries >= 18 * 160) >= 3


@pytest.mark.parametrize(
    "scale", [lambda x, t: (ops.sin(x[t]), ops.sin(x[t])), lambda x, t: (x[t], x[t + 1])]
)
def test_factors_that_are_one_or_are_given_are_not_copied(scale):
    def fn(x, h, u):
        for t in range(8):
            a, b = scale(x, t)
            h = ops.tanh(ops.concatenate([(h @ u) * a, (h @ u.T) * b], axis=0)[1:3])
        return ops.sum(h)

    args = RNG.normal(size=(9, 2, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3))
    assert not any(item.op is ops.alias for item in compile(fn).plan(*args).program.items)
    assert_replays(fn, args)
    assert_replays(tr.value_and_grad(fn, (0, 1, 2)), args)
