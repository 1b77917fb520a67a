"""Angle and relative error of gradients, at hand-made numbers and at the edges."""

import math

import numpy as np
import pytest

from tinygrad_rnn.analysis.agreement import cosine, relative_error, vector


def test_structures_are_one_vector() -> None:
    assert vector([{"a": 1.0}, (np.array([[2.0], [3.0]]),)]).tolist() == [1.0, 2.0, 3.0]
    assert vector([]).tolist() == []


def test_angle_and_error_by_hand() -> None:
    exact, estimate = {"w": np.array([3.0, 0.0]), "b": 4.0}, {"w": np.array([3.0, 5.0]), "b": 4.0}
    assert cosine(estimate, exact) == pytest.approx(25 / (5 * math.sqrt(50)))
    assert relative_error(estimate, exact) == pytest.approx(1.0)
    assert relative_error(exact, estimate) == pytest.approx(5 / math.sqrt(50))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_scale_does_not_matter(scale: float) -> None:
    exact, estimate = [np.array([1.0, 2.0]) * scale], [np.array([2.0, 1.0]) * scale]
    assert cosine(estimate, exact) == pytest.approx(0.8)
    assert relative_error(estimate, exact) == pytest.approx(math.sqrt(2 / 5))
    assert cosine([-exact[0]], exact) == pytest.approx(-1.0)


def test_a_gradient_of_zeros() -> None:
    zero, one = [np.zeros(2)], [np.ones(2)]
    assert math.isnan(cosine(zero, one))
    assert (relative_error(zero, zero), relative_error(one, zero)) == (0.0, math.inf)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must have the same shapes"):
        cosine([np.zeros(2)], [np.zeros((2, 1))])
