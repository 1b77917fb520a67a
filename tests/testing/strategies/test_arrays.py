"""Numbers, arrays, keys and layouts: what is drawn is legal, and what is promised occurs."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tinygrad_rnn.testing import strategies as some
from tinygrad_rnn.testing.strategies.arrays import LAYOUTS


@given(some.numbers(domain=(-0.3, 0.1), kinks=False))
def test_numbers_keep_to_their_domain_and_away_from_the_kink(x: float) -> None:
    assert -0.3 <= x <= -0.125


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0])
def test_numbers_are_often_where_rules_differ(target: float) -> None:
    assert find(some.numbers(), lambda x: x == target) == target


@given(some.arrays((2, 3), dtype=np.float32, domain=(0.1, 2)))
def test_arrays_have_the_shape_dtype_and_domain_asked_for(a: np.ndarray) -> None:
    assert (a.shape, a.dtype) == ((2, 3), np.float32)
    assert np.all((a >= np.float32(0.1)) & (a <= 2))


@pytest.mark.parametrize("wanted", [lambda a: a.ndim == 0, lambda a: a.size == 0, lambda a: a.ndim == 3])
def test_arrays_of_any_shape(wanted: Any) -> None:
    assert wanted(find(some.arrays(), wanted))


@given(some.broadcastable_tensors(count=3))
def test_broadcastable_tensors_are_leaves_that_broadcast(leaves: tuple[tr.Tensor, ...]) -> None:
    assert [leaf.kind for leaf in leaves] == ["leaf"] * 3
    y = tr.add_n(*leaves)
    y.backward(np.ones(y.shape))
    assert all(np.all(leaf.grad == y.data.size / max(leaf.data.size, 1)) for leaf in leaves)


@given(st.data())
def test_index_keys_pick_from_their_shape_as_numpy_does(data: Any) -> None:
    shape = data.draw(st.sampled_from([(3, 2), (4,), (2, 0), (1, 3, 2), ()]))
    key = data.draw(some.index_keys(shape))
    array = np.arange(float(np.prod(shape))).reshape(shape)
    x = tr.Tensor(array)
    y = x[key]
    np.testing.assert_array_equal(y.data, array[key])
    y.backward(np.ones(y.shape))
    uses = np.zeros(shape)
    np.add.at(uses, key, 1.0)
    np.testing.assert_array_equal(x.grad, uses)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda key: isinstance(key, np.ndarray) and key.dtype.kind == "i" and len(np.unique(key)) < key.size,
        lambda key: isinstance(key, np.ndarray) and key.dtype.kind == "b",
        lambda key: isinstance(key, tuple) and None in key,
        lambda key: any(
            isinstance(k, slice) and (k.step or 1) < 0 for k in (key if isinstance(key, tuple) else (key,))
        ),
    ],
    ids=["repeated entries", "mask", "new axis", "backwards"],
)
def test_every_kind_of_key_occurs(wanted: Any) -> None:
    keys = some.index_keys((3, 2)).filter(lambda key: not isinstance(key, tuple) or all(
        not isinstance(part, np.ndarray) for part in key))  # fmt: skip
    assert wanted(find(keys, wanted))


@pytest.mark.parametrize("kind", LAYOUTS)
@given(a=some.arrays())
def test_layouts_hold_equal_entries(kind: str, a: np.ndarray) -> None:
    laid = LAYOUTS[kind](a).reshape(a.shape)
    assert (laid.shape, laid.dtype) == (a.shape, a.dtype)
    np.testing.assert_array_equal(laid, a)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("Fortran", lambda a: a.flags.f_contiguous and not a.flags.c_contiguous),
        ("strided", lambda a: not a.flags.contiguous),
        ("negative strides", lambda a: a.strides[-1] < 0),
        ("read-only", lambda a: not a.flags.writeable),
        ("unaligned", lambda a: not a.flags.aligned),
    ],
)
def test_layouts_are_what_they_say(kind: str, wanted: Any) -> None:
    drawn = find(some.memory_layouts(np.arange(6.0).reshape(2, 3), kinds=[kind]), lambda a: True)
    assert wanted(drawn)


@given(some.memory_layouts(some.arrays((2, 3))))
def test_the_engine_takes_every_layout(a: np.ndarray) -> None:
    leaf = tr.Tensor(a)
    (leaf * leaf).sum().backward()
    np.testing.assert_array_equal(leaf.grad, 2 * a)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: some.numbers(domain=(0, float("inf"))), ValueError, "numbers: domain must be finite"),
        (lambda: some.numbers(domain=(-0.1, 0.1), kinks=False), ValueError, "holds nothing but the neighborhood of 0"),
        (lambda: some.arrays(dtype=int), TypeError, "arrays: dtype must be float32 or float64, got int64"),
        (lambda: some.arrays("ab"), TypeError, "arrays: shape must be a tuple of integers, got 'ab'"),
        (lambda: some.arrays((2, -1)), ValueError, "arrays: shape: each side must be at least 0, got -1"),
        (lambda: some.broadcastable_tensors(count=0), ValueError, "broadcastable_tensors: count must be at least 1"),
        (lambda: some.broadcastable_tensors(min_side=4), ValueError, "max_side must be at least 4, got 3"),
        (lambda: some.index_keys(None), TypeError, "index_keys: shape must be a tuple"),
        (lambda: some.memory_layouts(np.ones(2), kinds="C"), TypeError, "kinds must be a collection of names, got 'C'"),
        (lambda: some.memory_layouts(np.ones(2), kinds=["c"]), ValueError, "kinds: each must be one of 'C', 'Fortran'"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_testing_itself_does_not_import_hypothesis_and_says_who_needs_it() -> None:
    code = """
import sys
import tinygrad_rnn as tr
tr.testing.gradcheck
assert "hypothesis" not in sys.modules and "pytest" not in sys.modules
sys.modules["hypothesis"] = None  # as if it were not installed
try:
    tr.testing.strategies
except ImportError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert (
        run.stdout.strip()
        == 'tinygrad_rnn.testing.strategies needs Hypothesis: pip install "tinygrad_rnn[testing]"'
    )
