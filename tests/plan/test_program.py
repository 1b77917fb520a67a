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

    items = compile(fn).plan(np.ones(3)).program.items
    assert sorted(len(item.args) for item in items if item.op in (ops.add, ops.add_n)) == [2, 2, 3]
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


def test_a_piece_of_a_whole_can_be_read_in_another_shape():
    """Its rows lie apart in the whole, so that its entries in another shape are no view of it."""

    def fn(x):
        piece = ops.tanh(x)
        return (
            ops.concatenate([piece, x], axis=1),
            piece.reshape(6) * 2.0,
            ops.stack([piece, ops.sin(x)], axis=-1),
        )

    x = np.linspace(0.1, 1, 6).reshape(2, 3)
    assert_replays(fn, (x,), (x + 1,))


def test_a_sum_over_axes_of_length_one_is_no_operation():
    fn = lambda x: ops.sum(x[None, ..., None], axis=(0, 2)) * 2.0  # noqa: E731
    assert operations(fn, np.ones(3))[ops.sum] == 0
    assert_replays(fn, (np.ones(3),), (np.arange(3.0),))
    assert_replays(lambda x: ops.sum(x, axis=0), (np.ones((1, 3)),))
    assert operations(lambda x: ops.sum(x), np.ones((1, 2)))[ops.sum] == 1


def test_pieces_of_two_arrays_are_computed_once():
    """Both cotangents consist of the same piece and one of their own: no zeros are added up."""

    def fn(x, y):
        one, two = ops.split(x, 2), ops.split(y, 2)
        return ops.sum(ops.tanh(one[0] + two[0]) * 2.0 + ops.sin(one[1]) * ops.exp(two[1]))

    calls = [(np.linspace(0.1, k, 6), np.linspace(1, 2, 6)) for k in (1, 2)]
    found = operations(tr.grad(fn, argnums=(0, 1)), *calls[0])
    assert found[ASSEMBLE] == 2
    assert found[ops.add] + found[ops.add_n] == 1  # the arguments of tanh
    assert_replays(tr.value_and_grad(fn, argnums=(0, 1)), *calls)


def test_a_long_sum_may_be_chained_on_either_side():
    def fn(x):
        left, right = ops.sin(x[0]), ops.sin(x[0])
        for t in range(1, 9):
            left, right = left + ops.cos(x[t]), ops.cos(x[t]) + right
        return left, right

    assert operations(fn, np.ones((9, 2)))[ops.add] == 0
    assert_replays(fn, (np.arange(18.0).reshape(9, 2),))


def test_biases_are_added_up_before_they_are_spread():
    def fn(x, a, b):
        return [(x[t] + a) + b for t in range(4)] + [b + (a + x[0]) * 2.0], (x[0, :1] + a) + b

    plan = compile(fn).plan(np.ones((4, 2, 3)), np.ones(3), np.ones(3))
    small = [item for item in plan.program.items if item.op is ops.add and item.shape in ((3,), (1, 3))]
    assert len(small) == 3  # a + b; that of one row, which is not larger, stays
    rng = np.random.default_rng(0)
    assert_replays(fn, *[[rng.normal(size=s) for s in [(4, 2, 3), (3,), (3,)]] for _ in range(2)])


def test_a_sum_that_is_used_twice_is_not_made_twice():
    def fn(x, a, b):
        y = x + a
        return y + b, ops.sin(y)

    assert operations(fn, np.ones((2, 3)), np.ones(3), np.ones(3))[ops.add] == 2
    assert_replays(fn, (np.ones((2, 3)), np.arange(3.0), np.ones(3)))


def test_sums_of_sums_are_summed_up_once():
    def fn(x):
        return ops.add_n([ops.sum(ops.sin(x[t]), axis=0) for t in range(5)])

    x = np.linspace(0, 1, 30).reshape(5, 2, 3)
    assert operations(fn, x)[ops.sum] == 1
    assert_replays(fn, (x,), (x * 3,))
    mixed = lambda x: ops.add_n([ops.sum(x[0], axis=0), ops.sum(x[1], axis=0), ops.sum(x[:, 0], axis=0)])  # noqa: E731
    assert_replays(mixed, (x,))
    axes = lambda x: ops.add_n([ops.sum(f(x), axis=k) for f, k in [(ops.sin, 0), (ops.cos, 1), (ops.exp, 0)]])  # noqa: E731
    assert_replays(axes, (np.linspace(0, 1, 9).reshape(3, 3),))
    kept = lambda x: (s := [ops.sum(ops.sin(x[t]), axis=0) for t in range(3)], ops.add_n(s))  # noqa: E731
    assert operations(kept, x)[ops.sum] == 3
