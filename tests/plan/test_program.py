"""What the rewrites leave of a program."""

from collections import Counter

import numpy as np

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.program import ASSEMBLE, SUM_OF_MATMULS


def test_equal_operations_are_done_once():
    def fn(x):
        return ops.add_n([ops.tanh(x) * ops.tanh(x), ops.tanh(x * 1.0) + 0.0 * ops.exp(x), ops.tanh(x)])

    names = Counter(item.op.name for item in compile(fn).plan(np.ones(3)).program.items if item.op)
    assert names["tanh"] <= 2


def test_what_no_result_needs_is_not_computed():
    plan = compile(lambda x: (ops.exp(x) * 2.0, ops.tanh(x))[1]).plan(np.ones(3))
    assert [item.op.name for item in plan.program.items if item.op] == ["tanh"]


def test_constants_are_folded_and_leaves_are_not():
    w = tr.Tensor(np.ones(3))
    table = np.arange(3.0)
    plan = compile(lambda x: x * ops.exp(ops.multiply(tr.constant(table), 2.0)) + ops.exp(w)).plan(np.ones(3))
    assert Counter(item.op.name for item in plan.program.items if item.op)["exp"] == 1


def operations(fn, *args):
    return Counter(item.op for item in compile(fn).plan(*args).program.items if item.op is not None)


def test_a_sum_of_products_is_one_product():
    calls = [
        (np.linspace(0, 1, 24).reshape(4, 2, 3), np.linspace(1, 2, 16).reshape(4, 2, 2) ** k) for k in (1, 2)
    ]
    fn = lambda x, h: ops.add_n([x[t].T @ h[t] for t in range(4)])  # noqa: E731
    assert operations(fn, *calls[0])[SUM_OF_MATMULS] == 1
    assert operations(fn, *calls[0])[ops.matmul] == 0
    assert_replays(fn, *calls)


def test_a_product_that_is_a_result_too_is_kept():
    x = np.linspace(0, 1, 8).reshape(2, 2, 2)

    def fn(x):
        one, two = x[0] @ x[1], x[1] @ x[0]
        return one + two + one, one, two

    assert_replays(fn, (x,), (x + 1,))


def test_what_is_stacked_is_computed_in_place():
    fn = lambda x: ops.stack([ops.tanh(x), ops.sin(x)])  # noqa: E731
    assert operations(fn, np.ones(3)) == {ops.tanh: 1, ops.sin: 1, ASSEMBLE: 1}
    assert_replays(fn, (np.ones(3),), (np.zeros(3),))


def test_long_sums_are_flat():
    fn = lambda x: ((ops.sin(x) + ops.cos(x)) + ops.tanh(x)) + (ops.exp(x) + x)  # noqa: E731
    assert operations(fn, np.ones(3))[ops.add] == 0
    assert operations(fn, np.ones(3))[ops.add_n] == 1
    assert_replays(fn, (np.ones(3),), (np.zeros(3),))


def test_a_partial_sum_that_is_a_result_too_is_kept():
    def fn(x):
        a = ops.sin(x) + ops.cos(x)
        b = a + ops.tanh(x)
        return a, b, b + a + b, b * a

    assert_replays(fn, (np.ones(3),), (np.zeros(3),))


def test_a_result_may_be_an_input_a_constant_or_given_twice():
    c = tr.constant(np.arange(3.0))
    assert_replays(
        lambda x, n: (x, x, n, c, c * 2.0, x.T, x[0], x.reshape(3, 1)), (np.ones(3), 2.0), (np.zeros(3), 3.0)
    )


def test_a_program_without_any_operation():
    assert_replays(lambda x: {}, (np.ones(3),))
    assert_replays(lambda x: x, (np.ones(3),), (np.zeros(3),))
    assert_replays(lambda: tr.constant(np.ones(2)) * 2.0, ())
