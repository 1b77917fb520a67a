"""An argument that does not fit is refused by an error that names the operation, whoever noticed it first."""

import contextlib
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn import ops

X = tr.Tensor([[0.5, 0.25, 0.75], [1.0, 1.5, 2.0]])
ENORMOUS = 10**5000  # more digits than Python prints


class Foreign:
    """Someone else's object."""


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.softmax([1.0, 2.0]), TypeError, "softmax: arguments must be nodes, arrays or numbers, got list"),
        (lambda: ops.mean(2.0), TypeError, "mean: arguments must be nodes, arrays or numbers, got float"),
        (lambda: ops.tanh(Foreign()), TypeError, "tanh"),
        (lambda: ops.add(X, "a"), TypeError, "add: operand: dtype <U1 is not supported"),
        (lambda: ops.add(X, [[1.0], [1.0, 2.0]]), TypeError, "add: operand: not an array of numbers"),
        (lambda: ops.sum(X, "a"), TypeError, "sum: "),
        (lambda: ops.getitem({"a": 1.0}, 0), TypeError, "getitem: arguments must be nodes, arrays or numbers, got "),
        (lambda: ops.split(None, 3), TypeError, "split: arguments must be nodes, arrays or numbers, got NoneType, int"),
        (lambda: ops.split(X, Foreign(), 1), TypeError, "split: 'Foreign' object is not iterable"),
        (lambda: ops.take(X, 0, "a"), TypeError, "take: 'str' object cannot be interpreted as an integer"),
        (lambda: ops.vstack([Foreign()]), TypeError, "vstack: "),
        (lambda: ops.dot([1.0], "ab"), (TypeError, ValueError), "dot: "),
        (lambda: tr.Value(ENORMOUS), OverflowError, "the integer is too large for a float"),
        (lambda: tr.Value(1.0) + ENORMOUS, OverflowError, "int too large to convert to float"),
        (lambda: (X * 2.0).backward([[1.0], [1.0, 2.0]]), TypeError, "cotangent: needs an array of real numbers"),
        (lambda: tr.jvp("f", 1.0, 1.0), TypeError, "jvp: fn must be callable, got str"),
    ],
)  # fmt: skip
def test_it_is_named(call: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_numpys_own_kinds_of_error_become_builtin_ones() -> None:
    with pytest.raises(TypeError, match="ufunc 'multiply' did not") as caught:
        ops.multiply(np.array(["a"]), np.array(["b"]))
    assert type(caught.value) is TypeError


def test_an_attribute_that_a_rule_lacks_is_the_rules_own_error() -> None:
    wrong = tr.Op(
        name="wrong", symbol="w", forward=lambda xp, x: xp.no_such_function(x), vjp=lambda g, y, x: g
    )
    with pytest.raises(AttributeError, match="no_such_function"):
        wrong(X)


def test_errors_of_ours_pass_as_they_are() -> None:
    def refuses(xp: Any, x: Any) -> Any:
        raise tr.GraphMutationError("mine")

    with pytest.raises(tr.GraphMutationError, match=r"^mine$"):
        tr.Op(name="refuses", symbol="r", forward=refuses, vjp=lambda g, y, x: g)(X)


def test_the_first_error_can_be_looked_at() -> None:
    with pytest.raises(TypeError) as caught:
        ops.split(X, Foreign(), 1)
    assert isinstance(caught.value.__cause__, TypeError)
    assert "split" not in str(caught.value.__cause__)


@pytest.mark.parametrize("carrier", [tr.Value, tr.Tensor])
@pytest.mark.parametrize(
    ("low", "high", "y", "slopes"),
    [
        (np.nan, 2.0, np.nan, (0.0, 0.0, 0.0)), (0.0, np.nan, np.nan, (0.0, 0.0, 0.0)),
        (None, None, 1.0, (1.0,)), (2.0, None, 2.0, (0.0, 1.0)), (0.0, 2.0, 1.0, (1.0, 0.0, 0.0)),
    ],
)  # fmt: skip
def test_a_bound_of_clip_that_is_nan_is_not_taken_for_none(
    carrier: type, low: Any, high: Any, y: float, slopes: Any
) -> None:
    leaves = [carrier(1.0), *(carrier(bound) for bound in (low, high) if bound is not None)]
    bounds = iter(leaves[1:])
    clipped = ops.clip(leaves[0], *(None if bound is None else next(bounds) for bound in (low, high)))
    np.testing.assert_equal(float(clipped.data), y)
    clipped.backward()
    assert tuple(float(leaf.grad) for leaf in leaves) == slopes


@pytest.mark.parametrize(
    "wrong", [lambda x: ops.sum(x, axes=0), lambda x: ops.squeeze(x, axis=1.5)], ids=["operation", "function"]
)
def test_an_error_that_is_named_holds_no_graph_alive(wrong):
    """Neither in a cycle that only the collector could take apart."""
    gc.disable()
    try:
        x = tr.Tensor(np.ones(3)) * 2.0
        alive = weakref.ref(x)
        with contextlib.suppress(TypeError, ValueError):
            wrong(x)
        del x
        assert alive() is None
    finally:
        gc.enable()
