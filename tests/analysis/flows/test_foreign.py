"""Jacobians of functions that nobody knows: which way of finding them is believed, and how exact it is."""

from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.analysis.flows.foreign import COMPLEX, DIFFERENCES, measure

W = np.random.default_rng(0).normal(size=(4, 4))
POINT = np.random.default_rng(1).normal(size=4)


def tanh(h: Any) -> Any:
    return np.tanh(W @ h)


def jacobian(h: Any) -> Any:
    return (1 - np.tanh(W @ h) ** 2)[:, None] * W


def test_the_complex_step_is_exact() -> None:
    found = measure("f", tanh, POINT, "auto")
    assert (found.method, found.uncertainty) == (COMPLEX, 0.0)
    np.testing.assert_allclose(found.jacobian, jacobian(POINT), rtol=1e-13, atol=1e-16)
    np.testing.assert_array_equal(found.value, tanh(POINT))


def test_differences_are_nearly_so_and_say_how_nearly() -> None:
    found = measure("f", tanh, POINT, "differences")
    off = np.max(np.abs(found.jacobian - jacobian(POINT)))
    assert found.method == DIFFERENCES
    assert 0 < off < 1e-9
    assert off <= found.uncertainty * np.max(np.abs(found.jacobian)) < 1e-7


def test_single_precision_is_differenced_in_its_own_steps() -> None:
    w = W.astype(np.float32)

    def step(h: Any) -> Any:
        return np.tanh(w @ h.astype(np.float32))

    found = measure("f", step, POINT.astype(np.float32), "auto")
    assert found.method == DIFFERENCES
    np.testing.assert_allclose(found.jacobian, jacobian(POINT), atol=2e-4)
    assert np.max(np.abs(found.jacobian - jacobian(POINT))) <= found.uncertainty * np.max(
        np.abs(found.jacobian)
    )


def casts(h: Any) -> Any:
    return tanh(h.astype(float))


def casts_quietly(h: Any) -> Any:
    return tanh(np.real(h)) + 0 * h


def takes_a_size(h: Any) -> Any:
    return tanh(h) * np.abs(h)


def takes_half_of_it(h: Any) -> Any:
    return tanh(np.concatenate([h[:2], np.real(h[2:])]))


def refuses(h: Any) -> Any:
    if np.iscomplexobj(h):
        raise RuntimeError("expected Double but found ComplexDouble")
    return tanh(h)


def branches_on_the_kind(h: Any) -> Any:
    return tanh(h) if np.isrealobj(h) else 2 * tanh(h)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (casts, "it raised ComplexWarning"),
        (casts_quietly, "its imaginary part is not its slope"),
        (takes_a_size, "its imaginary part is not its slope"),
        (takes_half_of_it, "its imaginary part is not its slope"),
        (refuses, "it raised RuntimeError: expected Double but found ComplexDouble"),
        (branches_on_the_kind, "its real part is not its value"),
    ],
)
def test_what_does_not_bear_complex_numbers_is_differenced(step: Any, why: str) -> None:
    found = measure("f", step, POINT, "auto")
    assert found.method == DIFFERENCES
    columns = [(step(POINT + 1e-6 * e) - step(POINT - 1e-6 * e)) / 2e-6 for e in np.eye(4)]
    np.testing.assert_allclose(found.jacobian, np.stack(columns, 1), atol=1e-8)
    with pytest.raises(ValueError, match=f"f cannot be trusted with complex numbers: {why}"):
        measure("f", step, POINT, "complex")


def test_a_kinked_function_has_the_slope_of_its_side() -> None:
    found = measure("f", lambda h: np.maximum(W @ h, 0), POINT, "auto")
    assert found.method == COMPLEX
    np.testing.assert_allclose(found.jacobian, (W @ POINT > 0)[:, None] * W, atol=1e-15)


def test_a_function_may_change_what_it_is_given() -> None:
    def step(h: Any) -> Any:
        h[:] = np.tanh(W @ h)
        return h

    point = POINT.copy()
    np.testing.assert_allclose(
        measure("f", step, point, "auto").jacobian, jacobian(POINT), rtol=1e-13, atol=1e-16
    )
    np.testing.assert_array_equal(point, POINT)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scales_do_not_matter(scale: float) -> None:
    for method in ("complex", "differences"):
        found = measure("f", lambda h: np.sin(h) * scale, POINT, method)
        np.testing.assert_allclose(
            found.jacobian, np.diag(np.cos(POINT)) * scale, rtol=1e-9, atol=1e-10 * scale
        )


def test_functions_that_are_none_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="f gave another result when it was run again"):
        measure("f", lambda h: h + rng.normal(size=4), POINT, "auto")
    with pytest.raises(
        ValueError, match=r"f must return a state of shape \(4,\), as it was given, got \(2,\)"
    ):
        measure("f", lambda h: h[:2], POINT, "auto")
    with pytest.raises(ValueError, match="f must return real numbers, got dtype complex128"):
        measure("f", lambda h: h + 0j, POINT, "auto")
