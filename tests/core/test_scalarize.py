"""Tensor graphs taken apart into Values: the same numbers and gradients, entry by entry."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, SAMPLES, cases
from tinygrad_rnn import ops

CASES = cases(SAMPLES)
rng = np.random.default_rng(17)


def numbers(entries: Any, read: Callable[[Any], float]) -> np.ndarray:
    """The nested lists of Values as an array of what ``read`` gives of each."""
    if isinstance(entries, list):
        return np.array([numbers(e, read) for e in entries], dtype=float)
    return np.array(read(entries) if isinstance(entries, tr.Value) else entries, dtype=float)


def close(got: np.ndarray, expected: np.ndarray) -> None:
    got = got.reshape(expected.shape) if not expected.size else got  # [] cannot tell (0, 2) from (0,)
    assert got.shape == expected.shape
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite])
    got, expected = got[finite], expected[finite]
    assert np.abs(got - expected).max(initial=0.0) <= 1e-12 * max(1.0, np.abs(expected).max(initial=0.0))


def agree(loss: Any, *nodes: tr.Tensor) -> tr.Scalarized:
    """Hold the values and gradients of every differentiable node of the loss against their Values'."""
    apart = tr.scalarize(loss, *nodes)
    loss.backward()
    if any(node.kind == "leaf" for node in tr.Graph.of(apart.outputs[0])):  # not where every leaf is empty
        apart.outputs[0].backward()
    graph = tr.Graph.of(loss)
    for node in graph:
        if node.dtype.kind == "f":
            close(numbers(apart.of(node), lambda v: v.data), np.asarray(node.data))
        if node.kind == "leaf":
            close(numbers(apart.of(node), lambda v: v.grad), np.asarray(node.grad))
    assert all(isinstance(node, tr.Value) for node in tr.Graph.of(apart.outputs[0]))
    return apart


# --- every operation


@pytest.mark.parametrize(("op", "call", "args"), [c[:3] for c in CASES], ids=[c[3] for c in CASES])
def test_every_operation_is_the_same_entry_by_entry(
    op: tr.Op, call: Any, args: tuple[np.ndarray, ...]
) -> None:
    leaves = [tr.Tensor(a) for a in args]
    y = call(op, *leaves)
    if op is ops.item:
        loss: Any = y * 3.0
    else:
        loss = (y.reshape(-1) * np.random.default_rng(7).normal(size=y.size)).sum()
    agree(loss, *leaves)


@pytest.mark.parametrize("op", NOT_DIFFERENTIABLE)
def test_operations_without_a_derivative_keep_their_values(op: tr.Op) -> None:
    for call, args in NOT_DIFFERENTIABLE[op]:
        y = call(op, *map(tr.Tensor, args))
        apart = tr.scalarize(y)
        assert numbers(apart.outputs[0], lambda v: v.data).tolist() == np.asarray(y.data, float).tolist()


DERIVED: dict[str, Callable[[Any], Any]] = {
    "var": lambda x: x.var(axis=0, ddof=1).sum() + x.std(),
    "split": lambda x: ops.split(x, 3, axis=1)[2].sum() * ops.split(x, [1])[0].prod(),
    "take": lambda x: (ops.take(x, [2, 0, 0], axis=1) * ops.repeat(x, [1, 0, 2], axis=1)).sum(),
    "moveaxis": lambda x: (ops.moveaxis(ops.expand_dims(x, 0), 0, -1) ** 2).sum(),
    "outer": lambda x: (ops.outer(x[0], x[1]) * ops.inner(x, x)[0, 0] * ops.tensordot(x, x, axes=2)).sum(),
    "stacks": lambda x: (ops.vstack([x, x[0]]) @ ops.hstack([x[0], x[1]])[:3]).sum(),
    "ties of max": lambda x: ops.concatenate([x, x]).max(axis=0).sum() + (x * 0.0 + 1.0).max(),
    "ties of min": lambda x: (
        ops.stack([x, x, x]).min() + ops.maximum(x, x).sum() + ops.minimum(x, 1.0 * x).sum()
    ),
    "kinks": lambda x: ((x - x).relu() + (x - x).abs() + (x - x).norm()).sum() + (x - x).prod(),
    "mask": lambda x: x[x > 0.0].sum() + ops.where(x > 0.0, x * x, x.exp()).sum(),
    "size 0": lambda x: x[:0].sum() + x.sum(),
    "a constant inside": lambda x: (
        (x * np.arange(3) + tr.constant(np.array([True, False, True]))).tanh().sum()
    ),
}


@pytest.mark.parametrize("name", DERIVED)
def test_compositions_and_conventions_are_the_same(name: str) -> None:
    x = tr.Tensor(rng.normal(size=(2, 3)))
    agree(DERIVED[name](x), x)


def test_tied_entries_share_the_derivative() -> None:
    x = tr.Tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    agree(x.max() * 6.0 + x.min() * 12.0 + x.max(axis=0).sum(), x)
    assert x.grad.tolist() == [[2.5, 3.0, 4.5], [2.5, 4.0, 4.5]]


# --- whole networks

CELLS: dict[str, Callable[[], Any]] = {
    "rnn": lambda: tr.nn.RNNCell(2, 3, rng=np.random.default_rng(0)),
    "relu": lambda: tr.nn.RNNCell(2, 3, nonlinearity="relu", rng=np.random.default_rng(0)),
    "lstm": lambda: tr.nn.LSTMCell(2, 3, rng=np.random.default_rng(0)),
    "gru": lambda: tr.nn.GRUCell(2, 3, rng=np.random.default_rng(0)),
    "gru before": lambda: tr.nn.GRUCell(2, 3, reset_after=False, rng=np.random.default_rng(0)),
}
LOSSES: dict[str, Callable[[Any], Any]] = {
    "squares": lambda h: tr.mean_squared_error(h, np.full(h.shape, 0.1)),
    "classes": lambda h: tr.cross_entropy(h, np.array([2, 0])),
    "probabilities": lambda h: tr.cross_entropy(
        h, np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]), reduction="sum"
    ),
    "binary": lambda h: tr.binary_cross_entropy(
        h, np.array([[1, 0, 1], [0, 0, 1]]), mask=np.array([True, False])
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", CELLS)
def test_a_network_is_the_same_entry_by_entry(kind: str, loss: str) -> None:
    cell = CELLS[kind]()
    net = tr.unroll(cell, rng.normal(size=(3, 2, 2)))
    agree(tr.add_n(net.each(LOSSES[loss])), *cell.parameters())


@pytest.mark.parametrize("kind", CELLS)
def test_a_ragged_batch_is_the_same_entry_by_entry(kind: str) -> None:
    cell, x = CELLS[kind](), tr.Tensor(rng.normal(size=(4, 3, 2)))
    net = tr.unroll(cell, x, lengths=np.array([4, 0, 2]), truncate=2)
    agree(tr.add_n(net.each(LOSSES["squares"])), x, *cell.parameters())


def test_a_stack_with_dropout_keeps_its_draws() -> None:
    net = tr.nn.LSTM(2, 2, num_layers=2, dropout=0.5, rng=np.random.default_rng(0))
    y, _ = net(rng.normal(size=(3, 2, 2)), rng=np.random.default_rng(1))
    agree((y * y).sum(), *net.parameters())


def test_a_graph_of_values_and_tensors_comes_apart() -> None:
    a, b = tr.Value(0.5, name="a"), tr.Value(-0.3, name="b")
    loss = ops.item(ops.stack([a, b, a * b]).softmax()[1]) * a
    apart = tr.scalarize(loss)
    loss.backward()
    apart.outputs[0].backward()
    assert apart.outputs[0].data == pytest.approx(loss.data, rel=1e-15)
    assert [apart.of(v).grad for v in (a, b)] == pytest.approx([a.grad, b.grad], rel=1e-13)
    assert apart.of(a).name == "a"


# --- the map, names, scopes


def test_of_has_the_shape_of_the_node_and_names_the_entries() -> None:
    w, b, s = tr.Tensor(np.ones((2, 3)), name="W"), tr.Tensor(np.zeros(3), name="b"), tr.Tensor(2.0, name="s")
    with tr.scope("layer 0"), tr.scope("t=1"):
        y = (w * s + b).named("y")
    apart = tr.scalarize(y.sum(), y)
    assert [[v.name for v in row] for row in apart.of(w)] == [
        ["W[0, 0]", "W[0, 1]", "W[0, 2]"],
        ["W[1, 0]", "W[1, 1]", "W[1, 2]"],
    ]
    assert [v.name for v in apart.of(b)] == ["b[0]", "b[1]", "b[2]"]
    assert apart.of(s).name == "s"
    assert apart.of(y)[1][2].name == "y[1, 2]"
    assert apart.outputs[1] == apart.of(y)
    assert {v.scope for row in apart.of(y) for v in row} == {("layer 0", "t=1")}
    assert {v.kind for v in (*apart.of(b), apart.of(s))} == {"leaf"}
    assert isinstance(apart.outputs[0], tr.Value)


def test_a_matrix_product_is_one_dot_for_each_entry() -> None:
    w, x = tr.Tensor(np.ones((2, 3)), name="W"), tr.constant(np.ones(3), name="x")
    apart = tr.scalarize(w @ x)
    for k, entry in enumerate(apart.outputs[0]):
        assert entry.op.name == "dot"
        assert [p.name for p in entry.parents] == [f"W[{k}, {i}]" for i in range(3)] + [
            f"x[{i}]" for i in range(3)
        ]
    assert {v.kind for v in apart.of(x)} == {"constant"}


def test_integers_and_truth_values_stay_plain() -> None:
    at, w = tr.constant(np.array([2, 0]), name="at"), tr.Tensor([1.0, 2.0, 3.0])
    mask = w > 1.5
    apart = tr.scalarize((w[at] * mask[at]).sum(), mask)
    assert apart.of(at) == [2, 0]
    assert apart.of(mask) == apart.outputs[1] == [False, True, True]


def test_taking_apart_neither_records_in_nor_changes_the_original() -> None:
    w = tr.Tensor(np.ones(2), name="w")
    loss = (w * w).sum()
    before = str(tr.Graph.of(loss))
    with tr.no_grad(), tr.scope("elsewhere"):
        apart = tr.scalarize(loss)
    apart.outputs[0].backward()
    assert str(tr.Graph.of(loss)) == before
    assert not w.has_grad
    assert [v.grad for v in apart.of(w)] == [2.0, 2.0]
    assert {v.scope for v in tr.Graph.of(apart.outputs[0])} == {()}


def test_no_edge_of_a_graph_lies_in_an_array() -> None:
    w = tr.Tensor(np.ones((2, 2)))
    for node in tr.Graph.of(tr.scalarize(((w @ w).softmax() ** 2).sum()).outputs[0]):
        assert type(node._first) in (tr.Value, tuple)
        assert type(node.data) in (float, bool)


# --- what is refused


def test_an_opaque_operation_is_refused_by_name() -> None:
    cube = tr.Op(name="cube", symbol="x³", forward=lambda xp, x: x**3, vjp=lambda g, y, x: (3 * g * x * x,))
    with pytest.raises(TypeError, match=r"scalarize: cube is opaque \(plain numpy\)"):
        tr.scalarize(cube(tr.Tensor([1.0, 2.0])).sum())


def test_a_node_of_another_graph_is_refused() -> None:
    apart = tr.scalarize(tr.Tensor([1.0]) * 2.0)
    stranger = tr.Tensor([5.0], name="stranger")
    with pytest.raises(
        ValueError, match=r"name='stranger'.* does not belong to the graph that was scalarized"
    ):
        apart.of(stranger)
    with pytest.raises((ValueError, TypeError)):
        apart.of([1.0])


@pytest.mark.parametrize("outputs", [(), (3.0,), (np.ones(2),), ([tr.Value(1.0)],)])
def test_outputs_are_nodes(outputs: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="Value or Tensor"):
        tr.scalarize(*outputs)


def test_inside_a_transformation_it_would_lose_the_derivative() -> None:
    def loss(x: Any) -> Any:
        return tr.scalarize((x * x).sum()).outputs[0]

    for run in (tr.grad(loss), tr.jacobian(loss), lambda x: tr.jvp(loss, x, x)):
        with pytest.raises(tr.TraceError, match=r"scalarize inside (grad|jacobian|jvp): .*tr\.ops\.item"):
            run(np.ones(2))


def test_a_graph_that_has_gone_stale_is_refused() -> None:
    x = tr.Tensor([1.0, 2.0], name="x")
    y = x * x
    x.data = np.array([3.0, 4.0])
    with pytest.raises(tr.GraphMutationError, match="x"):
        tr.scalarize(y)
