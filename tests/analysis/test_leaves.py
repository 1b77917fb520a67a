"""The leaves of a structure, and gradients in their owner's form."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.analysis.leaves import gradient_of, leaves_of


def test_leaves_come_in_the_order_of_the_structure() -> None:
    cell, w = tr.nn.RNNCell(1, 1), tr.Value(2.0)
    assert leaves_of("f", {"a": [w], "cell": cell}) == [w, *cell.parameters()]


def test_what_is_no_leaf_is_named_with_its_path() -> None:
    with pytest.raises(
        TypeError, match=r"f: parameters\['a'\]\[0\] must be a leaf Value or Tensor, got a node of kind const"
    ):
        leaves_of("f", {"a": [tr.constant(1.0)]})
    with pytest.raises(TypeError, match=r"f: parameters must be a leaf Value or Tensor, got float"):
        leaves_of("f", 1.0)


def test_gradients_have_the_owners_kind_and_dtype() -> None:
    w, t = tr.Value(1.0), tr.Tensor(np.zeros(2, np.float32))
    assert (gradient_of(w, None), gradient_of(w, np.array(3.0))) == (0.0, 3.0)
    shared = np.ones(2)
    own = gradient_of(t, shared)
    assert own.dtype == gradient_of(t, None).dtype == np.float32
    own[:] = 5.0
    assert shared.tolist() == [1.0, 1.0]
