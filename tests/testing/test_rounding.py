"""Rounding is allowed for what it does, and for no more."""

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing import gradcheck
from tinygrad_rnn.testing.rounding import ALLOWED, spread


def allowed_for(fn, x):
    leaf = tr.Tensor(np.asarray(x, dtype=float))
    y = fn(leaf)
    y.backward()
    return spread(y, None, leaf, default_rng(0))


@pytest.mark.parametrize("x", [3.0, 8.0, 12.0, 18.0])
def test_a_saturated_tanh_may_be_off_by_what_its_rounded_value_costs(x):
    """The rounding error of y is half a unit in the last place; 1 - y² doubles it."""
    limit = allowed_for(ops.tanh, x)
    assert ALLOWED * 1e-16 <= limit <= ALLOWED * 1e-15


def test_a_well_conditioned_gradient_is_allowed_next_to_nothing():
    four_ulps = (
        4 * 12 * 2.3e-16
    )  # one for each operation that the gradient -12 comes through, and one for itself
    assert allowed_for(lambda x: (x * x * 3.0).sum(), [1.0, -2.0]) <= ALLOWED * 1.3 * four_ulps
    assert allowed_for(lambda x: x * 0.0, 5.0) == 0.0


def test_cancellation_in_the_accumulation_is_seen():
    assert 1e-17 < allowed_for(lambda x: ops.softmax(x).sum(), [0.3, 1.0, 2.0]) < 1e-14


def test_ties_stay_ties():
    """A result that is compared with its arguments is not moved: the shares of a tie would be lost."""
    assert allowed_for(ops.max, [2.0, 2.0, 1.0]) <= ALLOWED * 1e-15
    assert allowed_for(lambda x: ops.maximum(x, 2.0).sum(), [2.0, 3.0]) <= ALLOWED * 1e-15


def test_a_rule_that_returns_zero_where_it_saturates_is_not_excused():
    lazy = tr.Op(
        name="lazy", symbol="l", forward=lambda xp, x: xp.tanh(x),
        partials=(lambda xp, y, x: xp.where(xp.greater(xp.abs(x), 6.0), 0.0, 1.0 - y * y),),
    )  # fmt: skip
    assert gradcheck(lazy, 5.0).ok
    assert not gradcheck(lazy, 7.0)
    assert not gradcheck(lazy, 17.0)
    assert gradcheck(ops.tanh, 19.0).ok  # where y has become 1, 1 - y² gives 0 as well, but moves


@pytest.mark.parametrize("x", np.linspace(6, 22, 9))
def test_the_verdict_does_not_depend_on_the_draw(x):
    assert all(gradcheck(ops.tanh, x, rng=default_rng(seed)).ok for seed in range(20))


@pytest.mark.parametrize("seed", range(10))
def test_contributions_that_cancel_may_leave_their_rounding(seed):
    """d (x / 1.1 x) / dx is 0: what is left of its two contributions is their rounding, whatever the draw."""
    x = default_rng(seed).normal(size=20)
    assert gradcheck(lambda x: x / (x * 1.1), x, rng=default_rng(seed)).ok
    assert gradcheck(lambda x: ops.tanh(x) / (ops.tanh(x) * 1.1), x, rng=default_rng(seed)).ok
    assert gradcheck(lambda x: ops.tanh(x) - ops.sinh(x) / ops.cosh(x), x, rng=default_rng(seed)).ok
    scores = 3.0 * default_rng(seed).normal(size=(4, 3))
    for draw in range(20):
        moved = scores + 0.1 * default_rng(draw).normal(size=(4, 3))
        for shifted in (
            lambda c, x: ops.softmax((c + x) @ np.ones((3, 2)), axis=0).sum(),
            lambda c, x: ops.log_softmax(ops.tan(c) + x, axis=0),
        ):
            report = gradcheck(shifted, np.array(1.0), moved, rng=default_rng(draw))
            assert report.ok, str(report)
    limit = allowed_for(lambda x: (x / (x * 1.1)).sum(), x)
    assert limit >= ALLOWED * 1e-16
    assert limit <= ALLOWED * 3e-15 / np.min(np.abs(x))
