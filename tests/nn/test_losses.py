"""Losses and their gradients, against PyTorch's frozen numbers and, at the extremes, against mpmath."""

import itertools

import mpmath
import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.oracles import frozen

LOSSES = {
    "cross_entropy_indices": (tr.cross_entropy, "indices"),
    "cross_entropy_probabilities": (tr.cross_entropy, "probabilities"),
    "mean_squared_error": (tr.mean_squared_error, "other"),
    "binary_cross_entropy": (tr.binary_cross_entropy, "binary"),
    "binary_cross_entropy_soft": (tr.binary_cross_entropy, "soft"),
}
EVERY = list(itertools.product(LOSSES, ["plain", "masked"], ["mean", "sum", "none"]))


@pytest.mark.parametrize(("name", "variant", "reduction"), EVERY)
@pytest.mark.parametrize("as_nodes", [False, True])
def test_a_loss_and_its_gradient_are_pytorchs(name, variant, reduction, as_nodes):
    loss, targets = LOSSES[name]
    given = frozen.case("losses", "inputs")
    expected = frozen.case("losses", f"{name}/{variant}/{reduction}")
    logits = tr.Tensor(given["logits"])
    wrap = tr.constant if as_nodes else (lambda a: a)
    mask = wrap(given["mask"]) if variant == "masked" else None
    value = loss(logits, wrap(given[targets]), reduction=reduction, mask=mask)
    frozen.close(value.data, expected["value"])
    if reduction == "none":
        value.backward(given["cotangent" if value.shape == (5, 2) else "cotangents"])
    else:
        value.backward()
    frozen.close(logits.grad, expected["grad/logits"])


@pytest.mark.parametrize("shape", [(4,), (0, 4), (2, 3, 2, 4)])
def test_cross_entropy_takes_any_number_of_leading_axes(shape):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=shape), rng.integers(0, 4, size=shape[:-1])
    got = tr.cross_entropy(tr.Tensor(logits), targets, reduction="none")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    frozen.close(got.data, -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0]))


def test_indices_and_the_same_one_hot_probabilities_agree():
    rng = np.random.default_rng(0)
    logits, targets = tr.Tensor(rng.normal(size=(6, 4))), rng.integers(0, 4, size=6)
    a, b = tr.cross_entropy(logits, targets), tr.cross_entropy(logits, np.eye(4)[targets])
    frozen.close(a.data, b.data, 1e-15)


@pytest.mark.parametrize("size", [1e-300, 1.0, 20.0, 40.0, 700.0, 1e4])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("target", [0, 1])
def test_extreme_logits_are_exact_and_their_gradients_finite(size, sign, target):
    x = tr.Tensor([sign * size, 0.0])
    values = tr.cross_entropy(x, target), tr.binary_cross_entropy(x[0], target)
    with mpmath.workdps(5000):
        z = mpmath.mpf(sign * size)
        other = [z, mpmath.mpf(0)]
        entropy = mpmath.log(sum(mpmath.exp(o) for o in other)) - other[target]
        binary = mpmath.log(1 + mpmath.exp(-z if target else z))
        expected = float(entropy), float(binary)
    assert values[0].item() == pytest.approx(expected[0], rel=1e-14, abs=1e-14 * size)
    assert values[1].item() == pytest.approx(expected[1], rel=1e-14, abs=0)
    for value in values:
        value.backward()
        assert np.all(np.isfinite(x.grad))


def test_a_masked_item_counts_for_nothing_whatever_lies_under_it():
    logits = np.array([[1.0, 2.0], [3.0, 5.0], [1e300, -1e300]])
    mask = [True, True, False]
    a, b = tr.Tensor(logits), tr.Tensor(np.vstack([logits[:2], [[0.0, 0.0]]]))
    values = tr.cross_entropy(a, [0, 1, -100], mask=mask), tr.cross_entropy(b, [0, 1, 0], mask=mask)
    assert values[0].item() == values[1].item()
    for value in values:
        value.backward()
    assert np.array_equal(a.grad, b.grad)
    assert np.all(a.grad[2] == 0)


@pytest.mark.parametrize("as_node", [False, True])
def test_the_mean_over_nothing_is_zero_with_zero_gradient(as_node):
    x = tr.Tensor(np.ones((3, 2)))
    mask = np.zeros(3, bool)
    loss = tr.mean_squared_error(x, np.zeros((3, 2)), mask=tr.constant(mask) if as_node else mask)
    loss.backward()
    assert loss.item() == 0.0
    assert np.array_equal(x.grad, np.zeros((3, 2)))
    assert tr.mean_squared_error(tr.Tensor(np.ones((0, 2))), np.ones((0, 2))).item() == 0.0


def test_losses_of_float32_stay_float32():
    x = tr.Tensor(np.ones((2, 3), np.float32))
    mask = np.array([True, False])
    for kept in (None, mask, tr.constant(mask)):
        assert tr.mean_squared_error(x, np.zeros((2, 3)), mask=kept).dtype == np.float32
        assert tr.binary_cross_entropy(x, np.zeros((2, 3)), mask=kept).dtype == np.float32
        assert tr.cross_entropy(x, [0, 1], mask=kept).dtype == np.float32
        assert tr.cross_entropy(x, np.eye(3)[:2], mask=kept).dtype == np.float32


def test_the_elementwise_losses_take_values():
    a, b = tr.Value(0.5), tr.Value(2.0)
    loss = tr.mean_squared_error(a, b) + tr.binary_cross_entropy(a, 1.0)
    loss.backward()
    assert a.grad == pytest.approx(2 * (0.5 - 2.0) - 1 / (1 + np.exp(0.5)), rel=1e-14)
    assert b.grad == pytest.approx(3.0)


X = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tr.mean_squared_error(X, np.zeros(2)),
            ValueError,
            r"mean_squared_error: targets must have .* \(2, 3\), got \(2,\)",
        ),
        (
            lambda: tr.mean_squared_error(X, X, "avg"),
            ValueError,
            "reduction must be one of mean, sum, none, got 'avg'",
        ),
        (
            lambda: tr.binary_cross_entropy(X, X, mask=np.ones(2)),
            TypeError,
            "mask must be booleans, got dtype float64",
        ),
        (
            lambda: tr.binary_cross_entropy(X, X, mask=[True] * 3),
            ValueError,
            r"mask must have shape \(2, 3\) or its leading axes, got \(3,\)",
        ),
        (
            lambda: tr.cross_entropy(X, [0, 3]),
            IndexError,
            r"cross_entropy: targets must lie in 0\.\.2, got 3",
        ),
        (
            lambda: tr.cross_entropy(X, [0, -1]),
            IndexError,
            r"cross_entropy: targets must lie in 0\.\.2, got -1",
        ),
        (
            lambda: tr.cross_entropy(X, [0.0, 1.0]),
            TypeError,
            "cross_entropy: targets must be integers, got dtype float64",
        ),
        (
            lambda: tr.cross_entropy(X, [0, 1, 2]),
            ValueError,
            r"integers of shape \(2,\) or probabilities of shape \(2, 3\), got int64 of shape \(3,\)",
        ),
        (
            lambda: tr.cross_entropy(1.0, 0),
            ValueError,
            r"cross_entropy: logits must have shape \(\.\.\., K\), got \(\)",
        ),
        (
            lambda: tr.cross_entropy(["a"], 0),
            TypeError,
            "cross_entropy: logits must hold real numbers, got dtype <U1",
        ),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_targets_that_are_no_array_are_named() -> None:
    with pytest.raises(TypeError, match="cross_entropy: targets must be an array"):
        tr.cross_entropy(X, [[1.0], [1.0, 2.0]])
