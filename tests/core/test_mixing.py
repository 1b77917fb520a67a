"""Value beside Tensor or array: refused with the name of the bridge, and the bridges themselves."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr

X, W, ARRAY = tr.Value(2.0, name="x"), tr.Tensor([1.0, 2.0], name="W"), np.array([1.0, 2.0])
BRIDGES = r"tr\.ops\.stack\(\[\.\.\.\]\).*tr\.scalarize\(tensor\)"
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]
TWO_ARGUMENTS = [
    "add",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "where",
    "clip",
    "add_n",
    "greater",
]


@pytest.mark.parametrize("op", OPERATORS + COMPARISONS)
def test_operators_between_a_value_and_a_tensor_name_both_bridges(op: Callable[[Any, Any], Any]) -> None:
    for a, b in ((X, W), (W, X), (X, tr.Tensor(1.0)), (X, tr.constant(ARRAY))):
        with pytest.raises(TypeError, match=BRIDGES):
            op(a, b)


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_between_a_value_and_an_array_name_stack(op: Callable[[Any, Any], Any]) -> None:
    for a, b in ((X, ARRAY), (ARRAY, X), (X, np.array(1.0)), (np.ones((2, 2)), X), (X, np.arange(2))):
        with pytest.raises(TypeError, match=r"array of shape .*tr\.ops\.stack"):
            op(a, b)


@pytest.mark.parametrize("name", TWO_ARGUMENTS)
def test_operations_do_not_mix(name: str) -> None:
    op = getattr(tr.ops, name)
    for a, b in ((X, W), (W, X)):
        args = {"where": (True, a, b), "clip": (a, b, 3.0)}.get(name, (a, b))
        with pytest.raises(TypeError, match=BRIDGES):
            op(*args)


@pytest.mark.parametrize(
    "call",
    [
        lambda: tr.ops.dot([X, W], [W, X]),
        lambda: tr.ops.concatenate([W, X]),
        lambda: tr.ops.stack([W, X]),
        lambda: tr.ops.stack([X, W]),
        lambda: W @ X,
        lambda: X @ W,
        lambda: tr.ops.matmul(X, W),
        lambda: W[X],
        lambda: tr.mean_squared_error(X, W),
    ],
)
def test_nothing_else_mixes_them_in_silence(call: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError, IndexError)):
        call()


@pytest.mark.parametrize(
    "op", [tr.ops.sum, tr.ops.softmax, tr.ops.cumsum, tr.ops.norm, tr.ops.reshape, tr.ops.matmul]
)
def test_operations_on_arrays_tell_a_value_to_be_stacked(op: tr.Op) -> None:
    args = {"reshape": (X, (1,)), "matmul": (X, X)}.get(op.name, (X,))
    with pytest.raises(
        (TypeError, AttributeError), match=r"does not act on single Values.*tr\.ops\.stack|reshape"
    ):
        op(*args)


def test_a_refused_mix_records_nothing() -> None:
    """No half-made node is left behind: the next node made is the next by age."""
    before = tr.Value(1.0)._stamp
    with pytest.raises(TypeError):
        X + W
    assert tr.Value(1.0)._stamp == before + 1


def test_a_keyword_that_an_operation_does_not_know_is_refused() -> None:
    for x in (X, W):
        for call in (
            lambda x: tr.ops.tanh(x, axis=0),
            lambda x: tr.ops.add(x, x, out=None),
            lambda x: x.clip(0, 1, 2, 3),
        ):
            with pytest.raises(TypeError):
                call(x)
    with pytest.raises(TypeError, match=r"tanh: takes no keyword arguments, got \['axis'\]"):
        tr.ops.tanh(X, axis=0)
    with pytest.raises(TypeError, match=r"Value\.tanh\(\)"):
        X.tanh(1)


def test_add_n_sums_whatever_can_be_walked_through() -> None:
    terms = [tr.Value(1.0), tr.Value(2.0), tr.Value(4.0)]
    for total in (
        tr.add_n(*terms),
        tr.add_n(terms),
        tr.add_n(tuple(terms)),
        tr.add_n(t for t in terms),
        tr.add_n(map(abs, terms)),
    ):
        assert isinstance(total, tr.Value)
        assert total.data == 7.0
    assert tr.add_n(t * 1.0 for t in terms).op.name == "add_n"
    for none in ([], iter([])):
        with pytest.raises(ValueError, match="add_n: needs at least one term"):
            tr.add_n(none)


# --- the bridges


def test_stack_makes_a_tensor_of_values_and_gradients_come_back() -> None:
    a, b = tr.Value(2.0), tr.Value(3.0)
    v = tr.ops.stack([a, b, a * b, a])
    assert isinstance(v, tr.Tensor)
    assert v.tolist() == [2.0, 3.0, 6.0, 2.0]
    (v * np.array([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert (a.grad, b.grad) == (1.0 + 300.0 + 1000.0, 10.0 + 200.0)


def test_stack_takes_numbers_among_values() -> None:
    a = tr.Value(2.0)
    v = tr.ops.stack([1.0, a, np.float64(3.0), 4])
    assert v.tolist() == [1.0, 2.0, 3.0, 4.0]
    (v @ v).backward()
    assert a.grad == 4.0


def test_item_brings_one_entry_back_as_a_value() -> None:
    w = tr.Tensor([[1.0, 2.0], [3.0, 4.0]])
    x = tr.ops.item(w[1, 0])
    assert (type(x), x.data) == (tr.Value, 3.0)
    (x * x).backward()
    assert w.grad.tolist() == [[0.0, 0.0], [6.0, 0.0]]
    with pytest.raises(ValueError, match=r"item: needs a Tensor of one entry, got shape \(2, 2\)"):
        tr.ops.item(w)


def there_and_back(a: Any, b: Any) -> Any:
    """Values to a Tensor, through array operations, and back to Values."""
    v = tr.ops.stack([a, b, a * b]).softmax()
    return tr.ops.item(v[0]) * a + tr.ops.item((v @ v).reshape(1)).tanh() * b


def test_gradients_go_there_and_back_to_any_order() -> None:
    tr.testing.assert_gradients(there_and_back, 0.3, -0.7)
    value, tangent = tr.jvp(there_and_back, (0.3, -0.7), (1.0, 0.5))
    da, db = tr.grad(there_and_back, argnums=(0, 1))(0.3, -0.7)
    assert tangent == pytest.approx(da + 0.5 * db, rel=1e-13)
    assert value == pytest.approx(there_and_back(tr.Value(0.3), tr.Value(-0.7)).data, rel=1e-15)
    tr.testing.assert_gradients(lambda a, b: tr.grad(there_and_back)(a, b), 0.3, -0.7)


def test_a_network_of_values_reads_a_tensor_through_scalarize() -> None:
    w = tr.Tensor([[1.0, 2.0], [3.0, 4.0]], name="W")
    entries = tr.scalarize(w).of(w)
    (entries[0][1] * entries[1][0]).backward()
    assert [[v.grad for v in row] for row in entries] == [[0.0, 3.0], [2.0, 0.0]]


def test_equality_with_a_stranger_is_false_and_of_tensors_elementwise() -> None:
    for other in (None, "a", object(), [1.0]):
        assert (other == X) is False
        assert other != X
    assert W != None  # noqa: E711
    assert (W == ARRAY).tolist() == [True, True]
    assert (X == 2.0) is True
    assert (tr.Value(2.0) == X) is True
    assert (tr.Value(2.5) != X) is True
    assert len({X, W, X, tr.Value(2.0)}) == 3
