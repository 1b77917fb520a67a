"""Differences of a whole function find what leaves the graph, and take no strong curvature for it."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.testing.contracts.faulty import HALF_BLIND
from tinygrad_rnn import ops
from tinygrad_rnn.testing.contracts.differences import every_leaf_moves_as_told, hessian_differences

X, V = np.array([0.3, -0.7, 0.2]), np.array([1.0, 0.5, -2.0])


def steep(x: Any) -> Any:
    """Saturated here and there: the third derivative is 10^4 times the first."""
    return ops.tanh(ops.sin(100.0 * x)).sum()


def half_cut(x: Any) -> Any:
    y = ops.tanh(x)
    return (0.5 * y + 0.5 * tr.detach(y)).sum()


def test_a_right_gradient_is_right_however_curved() -> None:
    every_leaf_moves_as_told(steep, (X,), 0)
    hessian_differences(steep, (X,), (V,))


def test_what_was_cut_is_missed() -> None:
    with pytest.raises(
        AssertionError, match=r"argument \[0\]\['w'\] moves the loss by .*, its gradient says"
    ):
        every_leaf_moves_as_told(
            lambda named: half_cut(named["w"]) + named["b"].sum(), ({"b": X, "w": X},), 0
        )


def test_a_wrong_second_derivative_is_seen() -> None:
    with pytest.raises(AssertionError, match=r"the Hessian along a direction, argument \[0\]: off by"):
        hessian_differences(lambda x: HALF_BLIND(3.0 * ops.sin(x)).sum(), (X,), (V,))
