import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_rnn as tr


def pickled(x: Any, protocol: int | None = None) -> Any:
    return pickle.loads(pickle.dumps(x, protocol))


WAYS: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}


def square(x: Any) -> Any:
    return (x * x).sum() if x.shape else x * x


# --- leaves and constants


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: tr.Value(1.5, name="x"),
        lambda: tr.Tensor([[1.5, -2.0]], name="x"),
        lambda: tr.Tensor(np.ones(3, np.float32), name="x"),
        lambda: tr.Tensor(np.array(2.0), name="x"),
    ],
)
def test_a_leaf_comes_back_with_its_gradient_and_a_life_of_its_own(way: str, make: Callable[[], Any]) -> None:
    x = make()
    square(x).backward()
    twin = WAYS[way](x)
    assert (twin.kind, twin.name, twin.dtype, twin.has_grad, type(twin)) == (
        "leaf",
        "x",
        x.dtype,
        True,
        type(x),
    )
    assert np.array_equal(twin.data, x.data)
    assert np.array_equal(twin.grad, x.grad)
    square(twin).backward()
    assert np.array_equal(twin.grad, 2 * x.grad)
    assert np.array_equal(x.grad, 2 * x.data)
    twin.data = twin.data * 10.0
    square(x).backward()
    assert np.array_equal(x.grad, 4 * x.data)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_not_computed_stays_not_computed(way: str) -> None:
    assert not WAYS[way](tr.Value(1.0)).has_grad
    assert not WAYS[way](tr.Tensor([1.0])).has_grad


@pytest.mark.parametrize("way", WAYS)
def test_the_data_of_a_copy_is_read_only_and_its_gradient_is_not_shared(way: str) -> None:
    w = tr.Tensor([1.0, 2.0])
    square(w).backward()
    twin = WAYS[way](w)
    with pytest.raises(tr.GraphMutationError):
        twin.data[0] = 5.0
    twin.grad[0] = 99.0
    assert w.grad.tolist() == [2.0, 4.0]
    twin.data -= 1.0
    assert (twin.tolist(), w.tolist()) == ([0.0, 1.0], [1.0, 2.0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "data", [2.5, np.array([1, 2]), np.array([True, False]), np.ones((2, 2), np.float32)]
)
def test_a_constant_stays_a_constant(way: str, data: Any) -> None:
    twin = WAYS[way](tr.constant(data, name="c"))
    assert (twin.kind, twin.name) == ("constant", "c")
    assert twin.dtype == tr.constant(data).dtype
    assert np.array_equal(twin.data, data)
    with pytest.raises(ValueError, match="no differentiable leaf"):
        twin.backward()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(protocol: int) -> None:
    assert pickled(tr.Tensor([1.0, 2.0], name="w"), protocol).tolist() == [1.0, 2.0]
    assert pickled(tr.Value(3.0), protocol).data == 3.0


@given(hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.floats(width=64)))
def test_any_array_comes_back_bitwise(array: np.ndarray) -> None:
    for way in WAYS.values():
        assert way(tr.Tensor(array)).data.tobytes() == array.tobytes()


def test_a_result_of_no_grad_is_a_constant_and_comes_back() -> None:
    with tr.no_grad():
        y = tr.Value(3.0) * 2.0
    assert (copy.deepcopy(y).data, pickled(y).kind) == (6.0, "constant")


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_shared_leaf_stays_shared(way: str) -> None:
    w, x = tr.Tensor([1.0]), tr.Value(2.0)
    a, b, inner = WAYS[way]([w, x, {"again": w, "too": (x,)}])
    assert inner["again"] is a
    assert inner["too"][0] is b


# --- interior nodes: a typed error, never a gradient that is silently zero


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: (tr.Value(2.0) * 3.0, "multiply"),
        lambda: ((tr.Tensor([1.0]) @ [2.0]), "matmul"),
        lambda: (tr.Tensor([1.0]) > 0.0, "greater"),
        lambda: (tr.ops.stack([tr.Value(1.0)]), "stack"),
        lambda: (tr.constant(1.0) + 1.0, "add"),
    ],
)
def test_the_result_of_an_operation_is_refused_by_name(way: str, make: Callable[[], Any]) -> None:
    node, op = make()
    with pytest.raises(
        TypeError, match=rf"result of operation '{op}': copying or pickling it would lose its graph"
    ):
        WAYS[way](node)
    with pytest.raises(TypeError, match=op):
        WAYS["deepcopy"]({"state": [node]})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [lambda: tr.Value(2.0, name="x"), lambda: tr.Tensor([2.0], name="x")])
def test_hooks_are_not_lost_in_silence(way: str, make: Callable[[], Any]) -> None:
    x = make()
    x.register_hook(lambda g: g)
    with pytest.raises(
        TypeError, match="x has hooks, which are not copied or pickled; register them on the copy"
    ):
        WAYS[way](x)


# --- modules


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_module_comes_back_whole_and_on_its_own(way: str, kind: str) -> None:
    net = getattr(tr.nn, kind)(2, 3, num_layers=2, bidirectional=True, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(4, 2))
    loss = (net(x)[0] ** 2).sum()
    loss.backward()
    twin = WAYS[way](net)
    assert list(twin.named_parameters()) == list(net.named_parameters())
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert q is not p
        assert (q.kind, q.name) == ("leaf", p.name)
        assert np.array_equal(q.grad, p.grad)
    again = (twin(x)[0] ** 2).sum()
    again.backward()
    assert again.item() == loss.item()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(q.grad, 2 * p.grad)
        q.data = np.zeros(q.shape)
    assert (net(x)[0] ** 2).sum().item() == loss.item()


def test_a_shallow_copy_of_a_module_shares_its_parameters() -> None:
    cell = tr.nn.RNNCell(2, 3)
    twin = copy.copy(cell)
    assert twin is not cell
    assert all(p is q for p, q in zip(cell.parameters(), twin.parameters(), strict=True))


# --- operations


def test_operations_are_themselves_under_copying() -> None:
    assert copy.deepcopy(tr.ops.tanh) is tr.ops.tanh
    assert copy.copy(tr.ops.tanh) is tr.ops.tanh
    assert copy.deepcopy({"activation": tr.ops.relu})["activation"] is tr.ops.relu


def test_pickling_an_operation_says_what_to_pickle_instead() -> None:
    with pytest.raises(TypeError, match=r"Op 'tanh' holds functions and cannot be pickled; pickle its name"):
        pickle.dumps(tr.ops.tanh)
