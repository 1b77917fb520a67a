"""Tangents found from values alone, against derivatives known in closed form."""

import numpy as np
import pytest
from mpmath import mp, mpf

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing.truth import ForwardTruth


def slope(fn, x, tangent=1.0):
    leaf = tr.Value(x) if isinstance(x, float) else tr.Tensor(x)
    y = fn(leaf)
    return ForwardTruth([y]).push({leaf: np.asarray(tangent)[None]})[y][0]


CLOSED = {
    "tanh": (ops.tanh, [0.0, 0.3, 8.0, 20.0, 300.0], lambda x: mp.sech(x) ** 2),
    "sigmoid": (ops.sigmoid, [0.0, -0.5, 40.0, -40.0, -700.0], lambda x: 1 / (2 + mp.exp(x) + mp.exp(-x))),
    "softplus": (ops.softplus, [0.0, 30.0, -30.0], lambda x: 1 / (1 + mp.exp(-x))),
    "log": (ops.log, [1e-200, 1.0, 1e200], lambda x: 1 / x),
    "sqrt": (ops.sqrt, [1e-200, 2.0, 1e200], lambda x: 1 / (2 * mp.sqrt(x))),
    "exp": (ops.exp, [-700.0, 0.0, 700.0], mp.exp),
    "arctan": (ops.arctan, [-3.0, 1e-9, 1e6], lambda x: 1 / (1 + x * x)),
    "cube": (lambda x: x**3, [-2.0, 0.0, 1e90], lambda x: 3 * x * x),
    "power": (lambda x: 2.5**x, [-3.0, 7.0], lambda x: mp.power("2.5", x) * mp.log("2.5")),
    "square": (ops.square, [2.4e-253, -1e-140, 3.0, 0.0], lambda x: 2 * x),
    "cosh": (ops.cosh, [3.2e-189, 0.5], mp.sinh),
    "cube of tiny": (lambda x: x**3, [1e-90, 1e-250], lambda x: 3 * x * x if x > 1e-150 else mpf(0)),
    "1 / x": (lambda x: 1 / x, [-1e-100, 3.0], lambda x: -1 / (x * x)),
    "abs": (ops.abs, [-2.0, 2.0], lambda x: mp.sign(x)),
    "x - tanh x, which cancels": (lambda x: x - ops.tanh(x), [1e-3], None),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name):
    fn, points, exact = CLOSED[name]
    for x in points:
        got = slope(fn, x)
        expected = float(exact(mpf(x))) if exact else float(mp.tanh(mpf(x)) ** 2)
        assert got == pytest.approx(expected, rel=1e-13 if exact else 1e-8, abs=1e-290)


def test_the_real_part_is_never_recomputed():
    """In a chaotic map a second evaluation would end elsewhere; the tangent is that of the recorded orbit."""
    x = tr.Value(0.3)
    y, expected = x, 1.0
    for _ in range(100):
        expected *= 4 * (1 - 2 * y.data)
        y = 4 * (y * (1 - y))
    got = ForwardTruth([y]).push({x: np.ones(1)})[y][0]
    assert abs(expected) > 1e25
    assert got == pytest.approx(expected, rel=1e-10)


def test_directions_are_pushed_together():
    rng = np.random.default_rng(0)
    W, x = tr.Tensor(rng.normal(size=(3, 4))), tr.Tensor(rng.normal(size=4))
    y = ops.tanh(W @ x)
    rows = rng.normal(size=(5, 3, 4))
    together = ForwardTruth([y]).push({W: rows})[y]
    assert together.shape == (5, 3)
    for k in range(5):
        expected = (1 - y.data**2) * (rows[k] @ x.data)
        np.testing.assert_allclose(together[k], expected, rtol=1e-13)


def test_a_cut_is_counted():
    x = tr.Value(2.0)
    y = x * ops.detach(x)
    truth = ForwardTruth([y])
    assert truth.push({x: np.ones(1)})[y] == [2.0]
    assert truth.cuts == 1


def test_a_foreign_operation_that_misbehaves_is_differenced():
    conjugate = tr.Op(
        name="power2", symbol="|x|²", forward=lambda xp, x: np.real(x * np.conj(x)), partials=(None,)
    )
    x = tr.Tensor([3.0, -1.0])
    y = conjugate(x)
    truth = ForwardTruth([y])
    np.testing.assert_allclose(truth.push({x: np.eye(2)})[y], np.diag([6.0, -2.0]), atol=1e-9)
    assert truth.differenced == {"power2"}
    assert 0 <= truth.uncertainty < 1e-7


def test_nothing_flows_to_what_does_not_depend_on_the_start():
    a, b = tr.Value(1.0), tr.Value(2.0)
    y = ops.tanh(b)
    assert y not in ForwardTruth([y]).push({a: np.ones(1)})
