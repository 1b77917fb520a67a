import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinygrad_rnn.viz.explorer.numbers import Budget, cost, encoded, number

NAMES = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def decoded(found):
    """Return the array that the page reads, as the page reads it."""
    if not isinstance(found, dict):
        return NAMES.get(found, found)
    if "list" in found:
        return np.array([NAMES.get(x, x) for x in found["list"]], dtype=float).reshape(found["shape"])
    flat = np.frombuffer(base64.b64decode(found["f32"]), dtype="<f4").astype(float)
    return flat.reshape(found["shape"]) * found.get("scale", 1.0)


@given(arrays.arrays(np.float64, arrays.array_shapes(max_dims=3, max_side=5, min_side=0)))
def test_arrays_come_back(x):
    found = json.loads(json.dumps(encoded(x, Budget(10_000, 200)), allow_nan=False))
    with np.errstate(all="ignore"):
        tolerance = 0.0 if x.size <= 16 else 1e-6
        scale = np.abs(x[np.isfinite(x)]).max(initial=0.0)
        np.testing.assert_allclose(decoded(found), x, rtol=tolerance, atol=tolerance * scale)
    assert found["shape"] == list(x.shape)


@given(st.floats())
def test_numbers_come_back_exactly(x):
    back = json.loads(json.dumps(number(x), allow_nan=False))
    np.testing.assert_equal(NAMES.get(back, back), x)


@pytest.mark.parametrize("size", [1e-300, 1e-50, 1.0, 1e200])
def test_gradients_beyond_single_precision_keep_their_digits(size):
    x = size * np.linspace(-1.0, 1.0, 40)
    found = encoded(x, Budget(10_000, 200))
    np.testing.assert_allclose(decoded(found), x, rtol=1e-6, atol=1e-7 * size)
    assert found["norm"] == pytest.approx(size * np.linalg.norm(x / size), rel=1e-8)


def test_the_summary_is_of_what_was_there():
    found = encoded(np.array([[1.0, -2.0], [2.0, 4.0]]), Budget(0, 0))
    assert found == {"shape": [2, 2], "norm": 5.0, "min": -2.0, "max": 4.0}
    empty = encoded(np.zeros((0, 3)), Budget(0, 0))
    assert empty == {"shape": [0, 3], "norm": 0.0, "min": None, "max": None, "list": []}
    assert encoded(np.array([np.inf, 1.0]), Budget(0, 0))["norm"] == "Infinity"
    assert encoded(np.array([np.nan, 1.0]), Budget(0, 0)) == {
        "shape": [2], "norm": "NaN", "min": "NaN", "max": "NaN"
    }  # fmt: skip


def test_integers_and_truth_values_are_exact():
    assert encoded(np.array([1, 2**40]), Budget(100, 10))["list"] == [1.0, 2.0**40]
    assert encoded(np.array([True, False]), Budget(100, 10))["list"] == [1.0, 0.0]
    assert encoded(True, Budget(0, 0)) == 1.0


def test_a_budget_is_spent_and_then_summaries_remain():
    budget = Budget(cost(40), 64)
    assert "f32" not in encoded(np.ones(65), budget)
    assert "f32" in encoded(np.ones(40), budget)
    assert set(encoded(np.ones(1), budget)) == {"shape", "norm", "min", "max"}
