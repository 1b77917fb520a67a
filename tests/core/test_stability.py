"""The stable functions and their gradients against 400-digit arithmetic, from 1e-300 to infinity."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf

import tinygrad_rnn as tr
from tinygrad_rnn import ops

POINTS = [s * x for x in (0.0, 1e-300, 1e-8, 1.0, 20.0, 40.0, 700.0, 1e4, math.inf) for s in (1, -1)]
EPS = 2.220446049250313e-16
PRECISION = 400  # 1e308 + 1 has 309 digits


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(PRECISION), np.errstate(all="ignore"):
        yield


def exact_sigmoid(x):
    return 1 / (1 + mp.exp(-x)) if math.isfinite(x) else mpf(x > 0)


def exact_softplus(x):
    if math.isinf(x):
        return mpf(x) if x > 0 else mpf(0)
    return mp.log1p(mp.exp(mpf(x)))


def exact_tanh(x):
    return mp.tanh(x) if math.isfinite(x) else mp.sign(mpf(x))


def slope_tanh(x):
    return mp.sech(x) ** 2 if math.isfinite(x) else mpf(0)


def slope_sigmoid(x):
    return exact_sigmoid(x) * exact_sigmoid(-x)


FUNCTIONS = {
    "sigmoid": (ops.sigmoid, exact_sigmoid, slope_sigmoid, 0.25),
    "tanh": (ops.tanh, exact_tanh, slope_tanh, 1.0),
    "softplus": (ops.softplus, exact_softplus, exact_sigmoid, 1.0),
}


def near(got, exact, largest_term=0.0, relative=1e-14):
    """Relative to the larger of the result and the largest term; results below 1e-300 may lose digits."""
    if mp.isinf(exact) or mp.isnan(exact):
        return got == float(exact)
    allowed = relative * max(abs(exact), largest_term, mpf(10) ** -300)
    return bool(abs(mpf(float(got)) - exact) <= allowed)


@pytest.mark.parametrize("carrier", [tr.Value, tr.Tensor])
@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_argument(name, x, carrier):
    op, exact, slope, largest_slope = FUNCTIONS[name]
    leaf = carrier(x)
    y = op(leaf)
    y.backward()
    assert near(float(y), exact(x))
    assert math.isfinite(leaf.grad)
    assert abs(mpf(float(leaf.grad)) - slope(x)) <= 4 * EPS * largest_slope


@pytest.mark.parametrize("x", [-740.0, -100.0, -37.0])
def test_the_tail_of_sigmoid_keeps_its_relative_accuracy(x):
    """At -740 the result is 4e-322: half of its digits are gone, it is not 0."""
    assert ops.sigmoid(tr.Value(x)).data == pytest.approx(
        float(exact_sigmoid(x)), rel=1e-2 if x < -708 else 1e-14
    )


ROWS = [
    [1000.0, 0.0], [-1000.0, 0.0], [1e4, 1e4, 1e4], [700.0, -700.0, 0.0], [1e-300, -1e-300], [0.0, 40.0, 20.0],
    [1e308, 1e308], [3.0], [-math.inf, 0.0, 1.0], [1.0, -2.0, 0.5, 3.5],
]  # fmt: skip


def exact_logsumexp(row):
    return mp.log(mp.fsum(mp.exp(mpf(x)) for x in row if x != -math.inf))


def largest(row):
    return max(abs(x) for x in row if x != -math.inf)


def exact_softmax(row):
    peak = max(row)
    terms = [mpf(0) if x == -math.inf else mp.exp(mpf(x) - mpf(peak)) for x in row]
    return [t / mp.fsum(terms) for t in terms]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_logsumexp(row):
    x = tr.Tensor(row)
    y = ops.logsumexp(x)
    y.backward()
    assert near(y.item(), exact_logsumexp(row))
    for got, exact in zip(x.grad, exact_softmax(row), strict=True):
        assert abs(mpf(float(got)) - exact) <= 4 * EPS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_softmax(row):
    x = tr.Tensor(row)
    y = ops.softmax(x)
    exact = exact_softmax(row)
    assert all(near(got, e) for got, e in zip(y.data, exact, strict=True))
    for k in range(len(row)):
        x.grad = None
        ops.softmax(x)[k].backward()
        for j, got in enumerate(x.grad):
            slope = exact[k] * ((j == k) - exact[j])
            assert abs(mpf(float(got)) - slope) <= 4 * EPS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_log_softmax(row):
    x = tr.Tensor(row)
    y = ops.log_softmax(x)
    normalizer, weights = exact_logsumexp(row), exact_softmax(row)
    for k, got in enumerate(y.data):
        if row[k] == -math.inf:
            assert got == -math.inf
        else:
            assert near(got, mpf(row[k]) - normalizer, largest_term=largest(row))
    y[len(row) - 1].backward()
    for j, got in enumerate(x.grad):
        assert abs(mpf(float(got)) - ((j == len(row) - 1) - weights[j])) <= 4 * EPS


@pytest.mark.parametrize("row", [r for r in ROWS if -math.inf not in r], ids=str)
def test_cross_entropy(row):
    logits = tr.Tensor(np.array([row]))
    loss = tr.cross_entropy(logits, np.array([0]))
    loss.backward()
    exact, weights = exact_logsumexp(row) - mpf(row[0]), exact_softmax(row)
    assert near(loss.item(), exact, largest_term=largest(row))
    for j, got in enumerate(logits.grad[0]):
        assert abs(mpf(float(got)) - (weights[j] - (j == 0))) <= 4 * EPS


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_binary_cross_entropy_of_logits(x, target):
    if math.isinf(x):
        return  # a probability of exactly 0 or 1 beside the other target is an infinite loss
    logits = tr.Tensor(np.array([x]))
    loss = tr.binary_cross_entropy(logits, np.array([target]))
    loss.backward()
    assert near(loss.item(), exact_softplus(-x if target else x))
    assert abs(mpf(float(logits.grad[0])) - (exact_sigmoid(x) - target)) <= 4 * EPS


def test_second_derivatives_stay_finite():
    for name, (op, *_) in FUNCTIONS.items():
        for x in POINTS:
            if math.isfinite(x):
                assert math.isfinite(tr.grad(tr.grad(op))(x)), f"{name} at {x}"


def test_masked_attention_scores_have_no_nan():
    """A row of scores some of which are -inf: neither value nor gradient is nan."""
    scores = tr.Tensor([[0.5, -math.inf, 2.0], [-math.inf, 1.0, -math.inf]])
    (ops.softmax(scores) * np.arange(3.0)).sum().backward()
    assert np.isfinite(scores.grad).all()
    assert (scores.grad[1] == 0).all()
