"""Gradient clipping against PyTorch's numbers, extreme sizes, and refusals."""

import math
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.train import clip

VECTORS = Path(__file__).parents[1] / "data" / "optimizers.npz"
with np.load(VECTORS, allow_pickle=False) as file:
    FROZEN = {key: file[key] for key in file.files if key.startswith("clip/")}


def with_gradients(**gradients):
    params = {name: tr.Tensor(np.ones_like(gradient)) for name, gradient in gradients.items()}
    for name, gradient in gradients.items():
        (params[name] * gradient).sum().backward()
    return params


@pytest.mark.parametrize("limit", [0.5, 2.0, 100.0])
def test_clip_by_norm_as_pytorch(limit):
    params = with_gradients(W=FROZEN["clip/before_W"], b=FROZEN["clip/before_b"])
    norm = clip.clip_grad_norm(params, limit)
    assert norm == pytest.approx(float(FROZEN[f"clip/norm_{limit}/total"]), rel=1e-13)
    for name, param in params.items():
        np.testing.assert_allclose(param.grad, FROZEN[f"clip/norm_{limit}/{name}"], rtol=1e-12)


@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_clip_by_value_as_pytorch(limit):
    params = with_gradients(W=FROZEN["clip/before_W"], b=FROZEN["clip/before_b"])
    clip.clip_grad_value(params, limit)
    for name, param in params.items():
        np.testing.assert_array_equal(param.grad, FROZEN[f"clip/value_{limit}/{name}"])


def test_a_small_gradient_is_left_alone_bit_for_bit():
    params = with_gradients(w=np.array([0.3, 0.4]))
    assert clip.clip_grad_norm(params, 1.0) == pytest.approx(0.5, rel=1e-15)
    assert params["w"].grad.tolist() == [0.3, 0.4]


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
def test_the_norm_neither_overflows_nor_vanishes(size):
    norm = clip.gradient_norm({"v": np.array([3.0 * size]), "w": np.array([4.0 * size])})
    assert norm == pytest.approx(5.0 * size, rel=1e-14)


def test_the_norm_of_float32_gradients_does_not_overflow():
    assert clip.gradient_norm({"w": np.array([3e30, 4e30], np.float32)}) == pytest.approx(5e30, rel=1e-6)


def test_no_gradients_have_norm_zero():
    assert clip.clip_grad_norm([tr.Tensor([1.0])], 1.0) == 0.0
    assert clip.gradient_norm({"empty": np.zeros((0, 3))}) == 0.0


def test_values_are_clipped_as_floats():
    x = tr.Value(1.0)
    (x * 3.0).backward()
    clip.clip_grad_value([x], 2.0)
    assert x.grad == 2.0
    assert type(x.grad) is float
    clip.clip_grad_norm([x], 1.0)
    assert x.grad == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("call", [clip.clip_grad_norm, clip.clip_grad_value])
def test_non_finite_gradients_are_named_and_kept(call, bad):
    params = with_gradients(good=np.array([10.0]), bad=np.array([1.0, bad, bad]))
    with pytest.raises(clip.NonFiniteGradientError, match="'bad' is not finite in 2 of 3"):
        call(params, 1.0)
    assert params["good"].grad.tolist() == [10.0]


@pytest.mark.parametrize("call", [clip.clip_grad_norm, clip.clip_grad_value])
@pytest.mark.parametrize("limit", [-1.0, math.nan])
def test_wrong_limits_are_refused(call, limit):
    with pytest.raises(ValueError, match="must be at least 0"):
        call([tr.Tensor([1.0])], limit)


@pytest.mark.parametrize("limit", [0.5, 2.0, 100.0])
def test_the_pure_function_clips_by_norm_alike(limit):
    gradients = {
        "W": FROZEN["clip/before_W"],
        "b": FROZEN["clip/before_b"],
        "none": np.zeros((0, 3)),
        "c": 0.0,
    }
    given = {name: np.copy(gradient) for name, gradient in gradients.items()}
    clipped, norm = clip.clipped_by_norm(gradients, limit)
    assert norm == pytest.approx(float(FROZEN[f"clip/norm_{limit}/total"]), rel=1e-13)
    for name in ("W", "b"):
        np.testing.assert_allclose(clipped[name], FROZEN[f"clip/norm_{limit}/{name}"], rtol=1e-12)
        np.testing.assert_array_equal(gradients[name], given[name])
    assert clipped["none"].shape == (0, 3)


@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_the_pure_function_clips_by_value_alike(limit):
    clipped = clip.clipped_by_value({name: FROZEN[f"clip/before_{name}"] for name in ("W", "b")}, limit)
    for name, gradient in clipped.items():
        np.testing.assert_array_equal(gradient, FROZEN[f"clip/value_{limit}/{name}"])


def test_the_pure_function_survives_extreme_sizes():
    for dtype, size in ((np.float64, 1e200), (np.float64, 1e-200), (np.float32, 1e25), (np.float32, 1e-25)):
        gradients = {"a": np.full(3, size, dtype), "b": np.full((2, 2), -2 * size, dtype)}
        clipped, norm = clip.clipped_by_norm(gradients, size)
        assert norm == pytest.approx(size * math.sqrt(3 + 16), rel=1e-6)
        assert clipped["b"].dtype == dtype
        if size > 1:
            np.testing.assert_allclose(clipped["b"], -2 * size / math.sqrt(19), rtol=1e-6)


def test_the_pure_function_of_nothing_at_all_and_of_zeros():
    assert clip.clipped_by_norm({}, 1.0) == ({}, 0.0)
    clipped, norm = clip.clipped_by_norm({"a": np.zeros(2)}, 1.0)
    assert norm == 0.0
    assert clipped["a"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_shows_in_the_norm_and_in_all_gradients(bad):
    with np.errstate(invalid="ignore"):
        clipped, norm = clip.clipped_by_norm({"a": np.array([1.0, bad]), "b": np.ones(1)}, 1.0)
    assert np.isnan(norm)
    assert all(np.isnan(gradient).all() for gradient in clipped.values())
