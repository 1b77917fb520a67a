"""What a recurrence adds in every step, but does not need to, is added before it."""

import numpy as np

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.plan import Arena
from tinygrad_rnn.plan.rewrites.hoist import hoisted
from tinygrad_rnn.plan.rewrites.simplify import simplified

RNG = np.random.default_rng(0)


def run(bias_inside):
    def fn(x, w, u, b):
        h, total = np.zeros((2, 3)), []
        for t in range(x.shape[0]):
            inner = x[t] @ w + (h @ u + b) if bias_inside else (x[t] @ w + b) + h @ u
            h = ops.tanh(inner)
            total.append(ops.sum(h * h))
        return tr.add_n(total)

    return fn


def arguments(steps=8):
    return (RNG.normal(size=(steps, 2, 4)), *(RNG.normal(size=s) * 0.5 for s in [(4, 3), (3, 3), (3,)]))


def test_a_bias_inside_the_recurrence_costs_no_call_in_each_step():
    def growth(k):
        few, many = (len(Arena(compile(run(k)).plan(*arguments(steps))).calls) for steps in (8, 18))
        return (many - few) / 10

    assert growth(True) == growth(False) == 3  # h U, +, tanh


def test_the_numbers_are_the_same():
    for k in (True, False):
        assert_replays(tr.value_and_grad(run(k), argnums=(0, 1, 2, 3)), arguments(), arguments())


def test_an_inner_sum_that_is_used_elsewhere_stays():
    def fn(x, u, b):
        h, kept = ops.tanh(x[0]), []
        for t in range(1, 5):
            inner = h @ u + b
            h = ops.tanh(x[t] + inner)
            kept.append(ops.sum(inner * (t + 1.0)))
        return tr.add_n(kept) + ops.sum(h), kept[-1]

    calls = [(RNG.normal(size=(5, 2, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=3)) for _ in range(2)]
    assert_replays(fn, *calls)
    assert_replays(tr.value_and_grad(fn, argnums=(0, 1, 2), has_aux=True), *calls)


def test_sums_of_numbers_are_left_as_they_are():
    """Numbers run in waves, so that nothing is gained by moving them out of a recurrence."""

    def fn(h, x, u, b):
        for k in range(6):
            h = ops.tanh(x * (k + 1.0) + (ops.tanh(h * u) + b))
        return h

    program = simplified(compile(fn).plan(0.5, 1.0, 0.3, 0.1).program)
    assert hoisted(program) is program
    assert_replays(tr.value_and_grad(fn, (0, 1, 2, 3)), (0.5, 1.0, 0.3, 0.1), (-0.5, 0.2, 1.3, 0.7))
