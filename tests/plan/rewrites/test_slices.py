"""Operations on parts of an array are done once on what the parts span."""

from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile

X = np.linspace(-2, 2, 24).reshape(2, 12)


def items_of(fn, *args):
    return [item for item in compile(fn).plan(*args).program.items if item.op is not None]


def shapes_of(op, fn, *args):
    return sorted(item.shape for item in items_of(fn, *args) if item.op is op)


def test_most_of_an_array_is_done_as_a_whole():
    def fn(x):
        a, b, _, d = ops.split(x, 4, axis=-1)
        return ops.sigmoid(a), ops.sigmoid(b) * 2.0, ops.sigmoid(d)

    assert shapes_of(ops.sigmoid, fn, X) == [(2, 12)]
    assert_replays(fn, (X,), (X[::-1] * 0.5,))


def test_neighbors_are_done_together_and_the_rest_is_left_alone():
    def fn(x):
        a, b, c, _, _, _ = ops.split(x, 6, axis=-1)
        return ops.tanh(b) - ops.tanh(c) + a

    assert shapes_of(ops.tanh, fn, X) == [(2, 4)]
    assert_replays(fn, (X,), (X + 1,))


def test_parts_far_apart_stay_apart():
    def fn(x):
        parts = ops.split(x, 6, axis=-1)
        return ops.tanh(parts[0]) * ops.tanh(parts[5])

    assert shapes_of(ops.tanh, fn, X) == [(2, 2), (2, 2)]
    assert_replays(fn, (X,))


def test_a_chain_of_operations_on_two_arrays_stays_on_the_whole():
    """As the gates of a recurrent unit: parts of two arrays added up, squashed, and the slopes of that."""

    def fn(x, y):
        r, z = (ops.sigmoid(x[:, k : k + 4] + y[:, k : k + 4]) for k in (0, 4))
        return ops.sum(r * z * x[:, 8:])

    kept = [
        item.op.name for item in items_of(tr.grad(fn, argnums=(0, 1)), X, X + 1) if item.op is not ops.getitem
    ]
    assert Counter(kept)["sigmoid"] == 2  # of x + y and of its negative
    assert Counter(kept)["negative"] == 1
    assert_replays(tr.value_and_grad(fn, argnums=(0, 1)), (X, X + 1), (X * 0.3, X[::-1]))


def test_parts_of_another_place_are_not_mixed():
    def fn(x, y):
        return [x[:, a : a + 6] * y[:, b : b + 6] for a, b in [(0, 6), (6, 0), (0, 0)]]

    assert len(shapes_of(ops.multiply, fn, X, X)) == 3
    assert_replays(fn, (X, X + 1.0))


def test_numbers_beside_parts_must_be_the_same():
    def fn(x, s, t):
        return x[0] * s, x[1] * s, ops.sin(x[0] * t), ops.sin(x[1] * s)

    assert shapes_of(ops.multiply, fn, X, 2.0, 3.0) == [(2, 12), (12,)]
    assert_replays(fn, (X, 2.0, 3.0), (X, -1.0, 0.5))


def test_rows_of_different_shapes_broadcast_as_they_did():
    fn = lambda x, y: [x[k] * y[k] for k in range(2)]  # noqa: E731  # y[k] has one entry only
    assert_replays(fn, (X, X[:, :1]), (X + 1, X[:, 2:3]))


@pytest.mark.parametrize(
    "keys", [(slice(None, 5), slice(5, None)), (slice(-4, None), slice(0, 8)), (1, slice(2, 12))]
)
def test_any_form_of_a_key(keys):
    def fn(x):
        return [ops.tanh(x[:, k]) for k in keys] + [
            ops.tanh(x[k % 2 if isinstance(k, int) else 0]) for k in keys
        ]

    assert_replays(fn, (X,), (X - 1,))
    assert_replays(lambda x: [ops.tanh(x[0:1, k]) * 2.0 for k in (slice(2, 5), slice(5, 9))], (X,))


@pytest.mark.parametrize(
    "keys",
    [((-9, -5), (-5, -2)), ((-9, -5), (2, 6)), ((0, -6), (2, -4)), ((3, 30), (1, 4)), ((5, 2), (1, 4))],
)
def test_bounds_that_count_from_the_end_or_lie_beyond(keys):
    def fn(x):
        return [ops.tanh(x[:, a:b]) * 3.0 for a, b in keys] + [ops.sin(x[:, 4:6])]

    assert_replays(fn, (X,), (X - 1,))
    assert_replays(tr.grad(lambda x: ops.add_n([ops.sum(y) for y in fn(x)])), (X,), (X - 1,))


def test_arrays_of_different_shapes_are_read_at_the_same_place_only():
    wide = np.arange(28.0).reshape(2, 14)
    fn = lambda x, y: [x[:, a : a + 6] * y[:, a : a + 6] for a in (0, 6)]  # noqa: E731
    assert_replays(fn, (X, wide), (X + 1, wide * 0.5))


def test_what_only_some_parts_undergo_is_not_done_to_all():
    def fn(x):
        a, b, c = (ops.tanh(x[:, k : k + 4]) for k in (0, 4, 8))
        return ops.sin(a), ops.sin(b), c

    assert shapes_of(ops.tanh, fn, X) == [(2, 12)]
    assert_replays(fn, (X,), (X + 1,))


def test_keys_of_different_lengths():
    def fn(x):
        rows = ops.tanh(x[0]), ops.tanh(x[1, :6]), ops.tanh(x[1, 6])
        return *rows, ops.tanh(x[:, 2:]), ops.tanh(x[:, :2])

    assert_replays(fn, (X,), (X + 1,))
    assert_replays(lambda x: [ops.sin(x[k]) for k in (slice(0, 1), (slice(1, 2), slice(0, 12)))], (X,))
