"""Ridders' extrapolation reaches far beyond a single difference, and knows how far."""

import numpy as np
import pytest

from tinygrad_rnn.testing.differences import has_kink, ridders

SMOOTH = {
    "sin at 1": (lambda h: np.sin(1 + h), np.cos(1.0)),
    "exp at 3": (lambda h: np.exp(3 + h), np.exp(3.0)),
    "cube at 0": (lambda h: h**3, 0.0),
    "vector": (lambda h: np.array([np.tanh(h), 5.0, h * h + 2 * h]), np.array([1.0, 0.0, 2.0])),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_error_estimate_bounds_the_error(name):
    function, exact = SMOOTH[name]
    found, error = ridders(function, 1e-2)
    assert np.shape(found) == np.shape(exact)
    assert np.all(np.abs(found - exact) <= 10 * error + 1e-13)
    assert np.all(np.abs(found - exact) <= 1e-10)


def test_a_jump_has_a_large_error_estimate():
    found, error = ridders(lambda h: np.floor(1 + h), 1e-2)
    assert error > 0.1 * abs(found)


def test_points_outside_the_domain_are_passed_over():
    with np.errstate(invalid="ignore"):
        found, error = ridders(lambda h: np.sqrt(1e-3 + h), 1e-2)
    assert found == pytest.approx(0.5 / np.sqrt(1e-3), rel=1e-4)
    assert error <= 1e-2


@pytest.mark.parametrize("function", [abs, lambda h: max(h, 0.0), lambda h: np.array([h, 3 + abs(h) / 100])])
def test_a_kink_is_seen(function):
    assert has_kink(function, 1e-5)


@pytest.mark.parametrize(
    "function", [np.sin, lambda h: 3.0, lambda h: h * h, lambda h: np.array([np.exp(h), 1e3 * h])]
)
def test_a_smooth_function_has_none(function):
    assert not has_kink(function, 1e-5)
