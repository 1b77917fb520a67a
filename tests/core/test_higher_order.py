"""Derivatives of any order: forward and reverse nested in every way, and the second order through time."""

from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr

numbers = st.floats(-1.5, 1.5)
rng = np.random.default_rng(8)
X, Y = rng.normal(size=(2, 3)), rng.normal(size=3)


def mixed(x: Any, y: Any) -> Any:
    """A scalar of a matrix and a vector, with every mixed second derivative."""
    return ((x @ y).tanh() * y[:2]).sum() + (x * y).exp().mean() + y.softmax()[0]


def close(got: Any, expected: Any, tolerance: float = 1e-12) -> None:
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0.0) <= tolerance * max(1.0, np.abs(expected).max(initial=0.0))


# --- any order


@pytest.mark.parametrize("x", [-1.3, 0.0, 0.4, 2.0])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_nth_derivative_of_tanh(order: int, x: float) -> None:
    with mpmath.workdps(40):
        expected = float(mpmath.diff(mpmath.tanh, x, order))
    reverse: Any = tr.ops.tanh
    forward: Any = tr.ops.tanh
    for _ in range(order):
        reverse = tr.grad(reverse)
        forward = (lambda f: lambda v: tr.jvp(f, v, 1.0)[1])(forward)
    assert reverse(x) == pytest.approx(expected, rel=1e-12, abs=1e-13)
    assert forward(x) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@given(numbers)
def test_forward_and_reverse_may_be_nested_in_any_order(x: float) -> None:
    def f(x: Any) -> Any:
        return (x * x).sin() * x.exp() + x.sigmoid()

    def df(g: Any) -> Any:
        return tr.grad(g)

    def dt(g: Any) -> Any:
        return lambda v: tr.jvp(g, v, 1.0)[1]

    def dv(g: Any) -> Any:
        return lambda v: tr.vjp(g, v)[1](1.0)[0]

    def dj(g: Any) -> Any:
        return tr.jacobian(g)

    found = [a(b(f))(x) for a in (df, dt, dv, dj) for b in (df, dt, dv, dj)]
    assert found == pytest.approx([found[0]] * 16, rel=1e-12, abs=1e-12)
    thirds = [
        a(b(c(f)))(x) for a, b, c in ((df, df, df), (dt, df, dt), (df, dt, df), (dt, dt, dt), (dj, dv, dt))
    ]
    assert thirds == pytest.approx([thirds[0]] * 5, rel=1e-11, abs=1e-11)


def test_hvp_and_hessian_agree_in_every_mode() -> None:
    dx, dy = rng.normal(size=X.shape), rng.normal(size=Y.shape)
    hessian = tr.hessian(mixed, argnums=(0, 1))(X, Y)
    for i in range(2):
        for j in range(2):
            block, other = hessian[i][j], hessian[j][i]
            n, m = np.size((X, Y)[i]), np.size((X, Y)[j])
            close(block.reshape(n, m), other.reshape(m, n).T)
    expected = [
        np.tensordot(hessian[i][0], dx, axes=2) + np.tensordot(hessian[i][1], dy, axes=1) for i in range(2)
    ]
    forward_over_reverse = tr.hvp(mixed, (X, Y), (dx, dy))
    reverse_over_reverse = tr.grad(
        lambda x, y: sum(
            (g * d).sum() for g, d in zip(tr.grad(mixed, argnums=(0, 1))(x, y), (dx, dy), strict=True)
        ),
        argnums=(0, 1),
    )(X, Y)
    reverse_over_forward = tr.grad(lambda x, y: tr.jvp(mixed, (x, y), (dx, dy))[1], argnums=(0, 1))(X, Y)
    for got in (forward_over_reverse, reverse_over_reverse, reverse_over_forward):
        for part, whole in zip(got, expected, strict=True):
            close(part, whole)


@given(st.integers(0, 2**32 - 1))
def test_jvp_and_vjp_are_transposes(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x, dx, g = draw.normal(size=(2, 3)), draw.normal(size=(2, 3)), draw.normal(size=(2, 2))

    def f(x: Any) -> Any:
        return (x @ x.T).tanh() * x[:, :2] + x.softmax(axis=0).cumsum(axis=1)[:, 1:]

    value, tangent = tr.jvp(f, x, dx)
    output, pull = tr.vjp(f, x)
    assert np.array_equal(value, output)
    close((g * tangent).sum(), (pull(g)[0] * dx).sum())
    close(tangent, np.tensordot(tr.jacobian(f)(x), dx, axes=2))


def test_perturbations_are_not_confused() -> None:
    """d/dx (x d/dy (x + y)) = 1, in every pair of modes (Siskind and Pearlmutter 2005)."""

    def d(f: Any) -> Any:
        return tr.grad(f)

    def t(f: Any) -> Any:
        return lambda v: tr.jvp(f, v, 1.0)[1]

    for outer in (d, t):
        for inner in (d, t):
            assert outer(lambda x, inner=inner: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
            assert outer(lambda x, inner=inner: x * inner(lambda y: x * y)(2.0))(3.0) == 6.0
            assert outer(lambda x, inner=inner: inner(lambda y: y * y * x)(x))(3.0) == 12.0


def test_the_same_node_in_two_slots_is_two_arguments() -> None:
    w = tr.Value(3.0)
    assert tr.grad(lambda a, b: a * b * b, argnums=(0, 1))(w, w) == (9.0, 18.0)
    assert tr.grad(lambda x: tr.grad(lambda a, b: a * b * b)(x, x))(3.0) == 6.0


def test_forward_mode_moves_only_the_argument_that_moves() -> None:
    still = np.array([5.0, 7.0])
    for join in (tr.ops.concatenate, tr.ops.stack):
        _, tangent = tr.jvp(
            lambda x, join=join: join([x, still, tr.constant(still)]), np.ones(2), np.array([1.0, 2.0])
        )
        assert tangent.ravel().tolist() == [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    assert tr.jvp(lambda x: tr.add_n(x, 4.0, tr.Value(3.0)) - 2.0, 1.0, 1.0) == (6.0, 1.0)
    assert tr.jvp(lambda x: tr.ops.dot([x, 2.0], [3.0, 4.0]), 1.0, 1.0) == (11.0, 3.0)


# --- second order through time


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "gru before"])
def test_the_second_derivative_through_time(kind: str) -> None:
    draw = np.random.default_rng(2)
    cells = {
        "rnn": tr.nn.RNNCell(2, 2, rng=draw),
        "lstm": tr.nn.LSTMCell(2, 2, rng=draw),
        "gru": tr.nn.GRUCell(2, 2, rng=draw),
        "gru before": tr.nn.GRUCell(2, 2, reset_after=False, rng=draw),
    }
    cell, x = cells[kind], draw.normal(size=(4, 2, 2))
    named = {name: p.data.copy() for name, p in cell.named_parameters().items()}
    direction = {name: draw.normal(size=a.shape) for name, a in named.items()}

    def loss(parameters: Any) -> Any:
        net = tr.unroll(cell.with_parameters(parameters), x)
        return tr.add_n(net.each(lambda h: (h * h * h).sum()))

    product = tr.hvp(loss, named, direction)
    again = tr.grad(lambda p: sum((g * direction[k]).sum() for k, g in tr.grad(loss)(p).items()))(named)
    step = 1e-5
    ahead, behind = (
        tr.grad(loss)({k: a + sign * step * direction[k] for k, a in named.items()}) for sign in (1, -1)
    )
    for name in named:
        close(product[name], again[name])
        close(product[name], (ahead[name] - behind[name]) / (2 * step), 1e-8)
        assert np.abs(product[name]).max() > 1e-6


def test_the_second_derivative_of_a_scalar_recurrence_by_hand() -> None:
    """h_t = w h_{t-1}: h_T = w^T h_0, so d2/dw2 = T (T - 1) w^(T-2) h_0."""

    def last(w: Any) -> Any:
        return tr.unroll(lambda x, h: w * h, [0.0] * 7, state=2.0).final_state

    assert tr.grad(tr.grad(last))(0.9) == pytest.approx(2.0 * 42 * 0.9**5, rel=1e-14)
