from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr


def test_a_hook_sees_the_complete_cotangent_once_a_pass() -> None:
    x = tr.Value(2.0)
    y = x * 3.0
    seen: list[float] = []
    y.register_hook(seen.append)
    loss = y * y + y + y.tanh() * 0.0
    loss.backward()
    assert seen == [2 * 6.0 + 1.0]
    loss.backward()
    assert seen == [13.0, 13.0]  # this pass's own, not the sum of both


def test_a_hook_on_a_tensor_sees_the_sum_of_all_uses() -> None:
    w = tr.Tensor([1.0, 2.0])
    y = w * 2.0
    seen: list[np.ndarray] = []
    y.register_hook(seen.append)
    ((y * y).sum() + y[0] + tr.ops.concatenate([y, y]).sum()).backward()
    assert [g.tolist() for g in seen] == [[2 * 2 + 1 + 2, 2 * 4 + 2]]


@pytest.mark.parametrize("leaf", [True, False])
def test_a_replacement_holds_for_all_that_lies_before(leaf: bool) -> None:
    w = tr.Tensor([1.0, 2.0])
    y = w * 3.0
    (w if leaf else y).register_hook(lambda g: g * 0 + np.array([10.0, 20.0]))
    (y * 5.0).sum().backward()
    assert w.grad.tolist() == ([10.0, 20.0] if leaf else [30.0, 60.0])
    assert y.grad.tolist() == ([5.0, 5.0] if leaf else [10.0, 20.0])


def test_hooks_run_in_the_order_of_registration_each_on_the_last_ones_result() -> None:
    x = tr.Value(1.0)
    x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: None)
    x.register_hook(lambda g: g * 10.0)
    (x * 4.0).backward()
    assert x.grad == 50.0


def test_a_clipping_hook_accumulates_each_pass_for_itself() -> None:
    x = tr.Value(1.0)
    x.register_hook(lambda g: min(g, 1.0))
    loss = x * 4.0
    loss.backward()
    loss.backward()
    assert x.grad == 2.0


def test_the_cotangent_is_read_only_and_stays_as_it_was_shown() -> None:
    w = tr.Tensor([1.0, 2.0])
    seen: list[np.ndarray] = []
    w.register_hook(seen.append)
    loss = (w * 2.0).sum()
    loss.backward()
    loss.backward()
    w.grad[:] = 99.0
    assert [g.tolist() for g in seen] == [[2.0, 2.0], [2.0, 2.0]]

    def write(g: np.ndarray) -> None:
        g[0] = 5.0

    w.register_hook(write)
    with pytest.raises(ValueError, match="read-only"):
        loss.backward()


@pytest.mark.parametrize("replacement", [np.ones(3), np.ones((1, 2)), 1.0])
def test_a_replacement_of_another_shape_names_the_node(replacement: Any) -> None:
    w = tr.Tensor([1.0, 2.0], name="w")
    w.register_hook(lambda g: replacement)
    with pytest.raises(ValueError, match=r"hook on w of shape \(2,\) returned a cotangent of shape"):
        (w * 2.0).sum().backward()
    assert not w.has_grad


def test_a_hook_must_be_callable() -> None:
    with pytest.raises(TypeError, match="hook must be callable, got int"):
        tr.Value(1.0).register_hook(3)


def test_registering_returns_the_hook_and_keeps_the_name() -> None:
    x = tr.Value(1.0, name="x")

    @x.register_hook
    def double(g: float) -> float:
        return 2.0 * g

    assert x.name == "x"
    x.name = "renamed"
    (x * 1.0).backward()
    assert (x.name, x.grad) == ("renamed", 2.0)


def test_a_hook_on_what_the_loss_does_not_need_is_not_called() -> None:
    x, z = tr.Value(1.0), tr.Value(1.0)
    seen: list[float] = []
    z.register_hook(seen.append)
    (x * 2.0).backward()
    assert seen == []


# --- inside the functions of functions

CALLS: dict[str, Callable[[Any, float], Any]] = {
    "grad": lambda fn, at: tr.grad(fn)(at),
    "value_and_grad": lambda fn, at: tr.value_and_grad(fn)(at)[1],
    "vjp": lambda fn, at: tr.vjp(fn, at)[1](1.0)[0],
    "jacobian": lambda fn, at: tr.jacobian(fn)(at),
}


@pytest.mark.parametrize("call", CALLS)
def test_hooks_act_in_reverse_transformations(call: str) -> None:
    seen: list[float] = []

    def fn(x: tr.Value) -> tr.Value:
        y = x * 3.0
        y.register_hook(lambda g: (seen.append(g), g * 10.0)[1])
        return y * 5.0

    assert CALLS[call](fn, 2.0) == 150.0
    assert seen == [5.0]


def test_a_hook_on_a_leaf_that_is_passed_acts_on_its_gradient() -> None:
    w = tr.Tensor([1.0, 2.0])
    w.register_hook(lambda g: g * 10.0)
    assert tr.grad(lambda p: (p * p).sum())(w).tolist() == [20.0, 40.0]
    assert not w.has_grad


def test_second_order_passes_the_hook_twice() -> None:
    """The inner gradient is 3 (2y); the outer pass comes through y again, and is tripled again."""
    seen: list[object] = []

    def inner(x: tr.Value) -> tr.Value:
        y = x * 1.0
        y.register_hook(lambda g: (seen.append(type(g)), g * 3.0)[1])
        return y * y

    assert tr.grad(tr.grad(inner))(2.0) == 18.0
    assert seen == [tr.Value, float]
