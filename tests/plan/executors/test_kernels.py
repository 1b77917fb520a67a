"""Every operation of the library, replayed: alone, differentiated, and in a batch of several."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, SAMPLES, cases
from tests.plan.agreement import assert_replays, changed
from tinygrad_rnn import ops
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.plan.compiled import compile

DIFFERENTIABLE = cases(SAMPLES)
ALL = DIFFERENTIABLE + cases(NOT_DIFFERENTIABLE)


def parametrize(table):
    return pytest.mark.parametrize(("op", "call", "args"), [c[:3] for c in table], ids=[c[3] for c in table])


def loss(op, call):
    def number(*args):
        y = ops.sin(call(op, *args) * 0.7)
        return y.sum() if y.shape else y

    return number


@parametrize(ALL)
def test_an_operation_replays(op, call, args):
    assert_replays(lambda *a: call(op, *[ops.multiply(x, 1.1) for x in a]), args, changed(args))


@parametrize(DIFFERENTIABLE)
def test_its_gradient_and_second_derivative_replay(op, call, args):
    f = loss(op, call)
    numbers = tuple(range(len(args)))
    assert_replays(lambda *a: tr.value_and_grad(f, numbers)(*a), args, changed(args))
    direction = tuple(np.full_like(x, 0.3) for x in args)
    assert_replays(lambda *a: tr.hvp(f, a, direction), args, changed(args))


@parametrize(ALL)
def test_several_of_it_in_one_program_replay(op, call, args):
    def several(*sets):
        return [call(op, *[ops.tanh(x) * 1.3 if i % 2 else x * 1.1 for i, x in enumerate(a)]) for a in sets]

    sets = [changed(args, seed) for seed in range(5)]
    assert_replays(several, sets, sets[::-1])


SPECIAL = np.array(
    [0.0, -0.0, 1e-310, 1e-20, -40.0, 40.0, -800.0, 800.0, 1e300, -1e300, np.inf, -np.inf, np.nan]
)
UNARY = [
    op for op in SAMPLES if len(SAMPLES[op][0][1]) == 1 and op.partials is not None and op is not ops.item
]


@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_special_values_and_small_results_are_those_of_the_eager_run(op):
    """Relative to each entry: log(sigmoid(-40)) needs all digits of 4e-18."""
    fn = lambda x: op(x)  # noqa: E731
    slope = lambda x: tr.vjp(fn, x)[1](np.ones_like(SPECIAL))[0]  # noqa: E731
    with np.errstate(all="ignore"):
        for f in (fn, slope):
            replay, expected = compile(f), f(tr.Tensor(SPECIAL))
            for _ in range(2):
                np.testing.assert_allclose(replay(SPECIAL), plain(expected), rtol=1e-13, atol=1e-323)


BINARY = [
    ops.add, ops.subtract, ops.multiply, ops.divide, ops.power, ops.maximum, ops.minimum, ops.weigh, ops.greater,
    ops.greater_equal, ops.less, ops.less_equal, ops.equal, ops.not_equal, ops.logical_and, ops.logical_or,
]  # fmt: skip


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.name)
def test_special_values_of_two_arguments(op):
    with np.errstate(all="ignore"):
        expected = plain(op(tr.Tensor(SPECIAL[:, None]), tr.Tensor(SPECIAL)))
        found = compile(lambda a, b: op(a, b))(SPECIAL[:, None], SPECIAL)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-323)


def test_operands_of_several_dtypes_are_never_cast_in_a_batch():
    single, double = (
        np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3),
        np.linspace(-1, 1, 9).reshape(3, 3) / 3,
    )

    def fn(a, b):
        greater = [x > x * 1.5 for x in (a, b, a * 2, b * 2)]
        casts = [x.astype(np.float64) for x in (a * 3, b * 3, a * 4, b * 4)]
        product = ops.add_n([a @ b, b @ b, a @ (b * 2), b @ (b * 3), b @ a])
        return greater, casts, product, ops.tanh(b + (a * a + a))

    assert_replays(fn, (single, double), (single.T, double.T))


def test_numbers_that_single_precision_cannot_tell_apart_are_compared_in_double():
    """Comparisons of inputs give bools whatever they compare: the dtypes alone keep them out of one batch."""
    single = np.linspace(-1, 1, 6, dtype=np.float32)
    double = np.linspace(1, 2, 6)
    other = double + 1e-12 * np.array([1, -1, 1, -1, 0, 1])
    fn = lambda a, b, c, d: [a > b, c > d, b > a, d > c, ops.where(a > b, c, d)]  # noqa: E731
    assert_replays(fn, (single, single[::-1], double, other), (single[::-1], single, other, double))


def test_products_written_into_parts_of_a_larger_array():
    rng = np.random.default_rng(0)

    def fn(x, h):
        first = ops.add_n([x[t].T @ h[t] for t in range(4)])
        second = ops.add_n([x[t].T @ (h[t] * 2.0) for t in range(4)])
        return ops.concatenate([first, second, x[0].T @ h[1]], axis=1), ops.stack(
            [first * 1.0, second], axis=-1
        )

    calls = [(rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, 5))) for _ in range(2)]
    assert_replays(fn, *calls)


def test_pieces_that_overlap_are_added():
    def fn(x):
        parts = [ops.sin(x[0:3]), ops.cos(x[2:5]), x[4:1:-1] * 2.0, x[::2] * x[::2]]
        return ops.add_n([ops.sum(p) * (k + 1.0) for k, p in enumerate(parts)])

    calls = [(np.linspace(0, 1, 5),), (np.linspace(1, 3, 5),)]
    assert_replays(tr.value_and_grad(fn), *calls)
    assert_replays(tr.hessian(fn), *calls)


@pytest.mark.parametrize(
    "key", [np.s_[0], np.s_[1:], np.s_[..., 0], np.s_[:, ::-1], np.s_[None, 1], np.s_[::2, 1]]
)
def test_a_value_that_is_put_in_several_places(key):
    """One array is a piece of two assembled ones, and a result besides."""

    def fn(x):
        y = ops.tanh(x)
        return (
            y,
            ops.stack([y, y]),
            ops.concatenate([y, x, y]),
            y[key] * 2.0,
            ops.stack([y[key], x[key]]),
            y[key],
        )

    calls = [(np.linspace(0, 1, 9).reshape(3, 3),), (np.linspace(1, 2, 9).reshape(3, 3),)]
    assert_replays(fn, *calls)
    assert_replays(tr.grad(lambda x: ops.add_n([ops.sum(ops.sin(p)) for p in fn(x)])), *calls)


def test_an_operation_of_the_user_runs_as_it_is():
    cube = tr.Op(
        name="cube", symbol="^3", forward=lambda xp, x: x * x * x, partials=(lambda xp, y, x: 3 * x * x,)
    )
    opaque = tr.Op(
        name="twice", symbol="2x", forward=lambda xp, x: np.asarray(x) * 2, vjp=lambda g, y, x: (g * 2,)
    )
    calls = [(np.linspace(0, 1, 4),), (np.linspace(1, 2, 4),)]
    assert_replays(lambda x: [cube(x), cube(x * 2.0), cube(x[0])], *calls)
    assert_replays(tr.hessian(lambda x: ops.sum(cube(x) * x)), *calls)
    assert_replays(lambda x: opaque(x * 2.0), *calls)


def test_members_that_lie_in_different_ways_are_gathered_and_scattered_right():
    """Transposed, strided, inside a larger array, and plain ones, in one batch."""
    rng = np.random.default_rng(0)

    def fn(x, y):
        rows = [x[0], x[1].T, y[1:3, ::2][:, :2], ops.stack([x[0, 0], x[1, 1]], axis=1), ops.tanh(x[1])]
        squares = [ops.sin(r) for r in rows]
        whole = ops.concatenate([squares[3], squares[0], squares[2]], axis=1)
        return squares, whole, [ops.sin(s.T) for s in squares], [r @ x[0] for r in rows]

    calls = [(rng.normal(size=(2, 2, 2)), rng.normal(size=(4, 5))) for _ in range(2)]
    assert_replays(fn, *calls)
    total = lambda x, y: ops.add_n([ops.sum(ops.sin(v)) for v in fn(x, y)[0] + fn(x, y)[2] + fn(x, y)[3]])  # noqa: E731
    assert_replays(tr.value_and_grad(total, (0, 1)), *calls)
