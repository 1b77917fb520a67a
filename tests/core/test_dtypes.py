import datetime
import decimal
import fractions
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr

ARRAYS = {
    "int64": np.arange(3),
    "uint8": np.arange(3, dtype=np.uint8),
    "bool": np.array([True, False]),
    "str": np.array(["a", "b"]),
    "bytes": np.array([b"a"]),
    "object": np.array([None, 1.0], dtype=object),
    "complex128": np.array([1.0 + 2.0j]),
    "float16": np.ones(2, np.float16),
    "longdouble": np.ones(2, np.longdouble),
    "datetime64": np.array(["2020-01-01"], dtype="M8[D]"),
    "timedelta64": np.array([1], dtype="m8[s]"),
    "record": np.zeros(2, dtype=[("a", float)]),
    "big endian": np.ones(2, dtype=">f8"),
    "masked": np.ma.array([1.0, 2.0], mask=[False, True]),
}
CONSTANTS = ("int64", "uint8", "bool")
FIX = r"astype\(float\)|tr\.ops\.stack|filled"


# --- what can be a leaf


@pytest.mark.parametrize("dtype", ARRAYS)
def test_only_float64_and_float32_arrays_are_leaves(dtype: str) -> None:
    array = ARRAYS[dtype]
    what = "objects" if dtype == "object" else "masked" if dtype == "masked" else str(array.dtype)
    with pytest.raises(TypeError) as error:
        tr.Tensor(array)
    assert what in str(error.value)
    with pytest.raises(TypeError, match=FIX):
        tr.Tensor(array)
    with pytest.raises(TypeError, match=r"grad: argument 0"):
        tr.grad(lambda x: x.sum())(array)


@pytest.mark.parametrize("dtype", ARRAYS)
def test_integers_and_booleans_are_constants_and_nothing_else_is(dtype: str) -> None:
    w = tr.Tensor(2.0)
    if dtype in CONSTANTS:
        c = tr.constant(ARRAYS[dtype])
        assert (c.kind, c.dtype) == ("constant", ARRAYS[dtype].dtype)
        (w * ARRAYS[dtype]).sum().backward()
        assert w.grad == ARRAYS[dtype].sum()
        assert not c.has_grad
    else:
        with pytest.raises(TypeError, match=FIX):
            tr.constant(ARRAYS[dtype])
        with pytest.raises(TypeError, match=FIX):
            w * ARRAYS[dtype]


@pytest.mark.parametrize(
    "data",
    ["1.0", b"1", None, {}, {1.0}, object(), [[1.0], [2.0, 3.0]], [None], ["a"], [1j], [tr.Value(1.0)]],
)
def test_a_tensor_is_made_of_numbers(data: object) -> None:
    with pytest.raises(TypeError, match="Tensor: "):
        tr.Tensor(data)
    with pytest.raises(TypeError, match="constant: "):
        tr.constant(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (True, "bool"),
        (np.True_, "bool"),
        ("1", "str"),
        (None, "NoneType"),
        (1j, "complex"),
        ([1.0], "list"),
        (decimal.Decimal(1), "Decimal"),
        (fractions.Fraction(1, 2), "Fraction"),
        (datetime.date(2020, 1, 1), "date"),
        (np.ones(1), r"array of shape \(1,\); use tr\.Tensor"),
        (np.array(1.0), r"array of shape \(\)"),
        (tr.Value(1.0), "already a Value"),
        (tr.Tensor(1.0), "already a Tensor"),
    ],
)
def test_a_value_is_one_real_number(data: object, kind: str) -> None:
    with pytest.raises(TypeError, match=kind):
        tr.Value(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "number", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.uint8(2), np.float16(2)]
)
def test_any_real_number_makes_a_value_of_a_float(number: Any) -> None:
    x = tr.Value(number)
    assert (type(x.data), x.data, x.dtype) == (float, 2.0, np.float64)
    y = x * number
    y.backward()
    assert (type(y.data), type(x.grad), x.grad) == (float, float, 2.0)


@pytest.mark.parametrize("data", [[1, 2], (1, 2), [[1], [2]], range(3), [1, 2.5], 3, []])
def test_python_numbers_become_float64(data: Any) -> None:
    assert tr.Tensor(data).dtype == np.float64
    assert tr.Tensor(data).tolist() == np.array(data, dtype=float).tolist()


def test_special_values_are_numbers() -> None:
    for number in (np.inf, -np.inf, 5e-324, 1e308):
        assert tr.Value(number).data == number
        assert tr.Tensor([number]).tolist() == [number]
    assert np.isnan(tr.Value(np.nan).data)


# --- float32 stays float32

SINGLE: dict[str, Callable[[Any], Any]] = {
    "number on the right": lambda w: w * 2.0 + 1,
    "number on the left": lambda w: 2 ** (1.0 - w),
    "numpy scalar of its kind": lambda w: w * np.float32(3),
    "functions": lambda w: (w.tanh() + w.sigmoid().log() + w.exp().sqrt()).softplus(),
    "relu": lambda w: w.relu() + w.leaky_relu(0.1) + w.abs() + w.sign() + w.clip(-0.5, 0.5),
    "where": lambda w: tr.ops.where(w > 0.5, w, 0.0),
    "maximum": lambda w: tr.ops.maximum(w, 0.5) - tr.ops.minimum(0.1, w),
    "mean": lambda w: w.mean(axis=0) / w.sum(),
    "var": lambda w: w.var() + w.std(axis=0, ddof=1),
    "prod": lambda w: w.prod() + w.cumsum(axis=0) + w.max() - w.min(),
    "norm": lambda w: w.norm() * w.logsumexp(axis=1, keepdims=True),
    "softmax": lambda w: w.softmax() * w.log_softmax(axis=0),
    "matmul": lambda w: (w @ w.T) @ w + w.dot(np.ones((2, 2), np.float32)),
    "shapes": lambda w: tr.ops.pad(w.reshape(-1)[::-1], 1)[1:-1].reshape(2, 2).T,
    "joined": lambda w: tr.ops.concatenate([w, w])[1:3] + tr.ops.stack([w, w]).mean(axis=0),
    "einsum": lambda w: tr.ops.einsum("ij,kj->ik", w, w) + tr.ops.repeat(w.take([0, 1]), 2).reshape(2, 2),
    "bool array": lambda w: w * np.array([[True, False], [False, True]]),
}


@pytest.mark.parametrize("name", SINGLE)
def test_float32_is_kept_by_operations_and_their_gradients(name: str) -> None:
    w = tr.Tensor(np.array([[0.3, 0.9], [0.6, 0.2]], np.float32))
    y = SINGLE[name](w)
    y.sum().backward()
    assert {node.dtype for node in tr.Graph.of(y) if node.dtype.kind == "f"} == {np.dtype(np.float32)}
    assert w.grad.dtype == np.float32
    wide = tr.Tensor(w.data.astype(float))
    SINGLE[name](wide).sum().backward()
    assert np.allclose(w.grad, wide.grad, rtol=1e-4, atol=1e-5)
    narrow = tr.grad(lambda p: SINGLE[name](p).sum())(w.data)
    assert (narrow.dtype, narrow.tolist()) == (np.float32, w.grad.tolist())


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_float32_is_kept_by_cells_through_time(kind: str) -> None:
    cell = getattr(tr.nn, kind)(2, 3, rng=np.random.default_rng(0), dtype=np.float32)
    net = tr.unroll(cell, np.ones((4, 5, 2)))
    loss = tr.add_n(net.each(lambda h: tr.mean_squared_error(h, np.zeros(h.shape))))
    loss.backward()
    assert loss.dtype == np.float32
    assert {p.grad.dtype for p in cell.parameters()} == {np.dtype(np.float32)}
    assert all(np.abs(p.grad).max() > 0 for p in cell.parameters())


# --- promotion is numpy 2's

OTHERS: dict[str, Any] = {
    "float64 array": np.ones(2),
    "float32 array": np.ones(2, np.float32),
    "float64 scalar": np.float64(1),
    "float32 scalar": np.float32(1),
    "int64 array": np.arange(1, 3),
    "int8 array": np.ones(2, np.int8),
    "uint16 array": np.ones(2, np.uint16),
    "int64 scalar": np.int64(1),
    "bool array": np.array([True, True]),
    "int": 1,
    "float": 1.0,
    "bool": True,
    "list of ints": [1, 2],
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.divide, np.power, np.maximum])
def test_promotion_is_numpys(ufunc: np.ufunc, dtype: type, other: str) -> None:
    array = np.array([1.5, 2.5], dtype)
    given = OTHERS[other]
    expected = ufunc(array, np.array(given, dtype=float) if other == "list of ints" else given)
    w = tr.Tensor(array)
    got = getattr(tr.ops, ufunc.__name__)(w, given)
    assert (got.dtype, got.tolist()) == (expected.dtype, expected.tolist())
    got.sum().backward()
    assert w.grad.dtype == dtype


def test_a_cotangent_is_cast_to_the_dtype_of_its_argument() -> None:
    single, double = tr.Tensor(np.ones(2, np.float32)), tr.Tensor(np.ones(2))
    y = single * double
    y.sum().backward()
    assert (y.dtype, single.grad.dtype, double.grad.dtype) == (np.float64, np.float32, np.float64)


def test_astype_goes_there_and_back() -> None:
    w = tr.Tensor(np.ones(2, np.float32))
    wide = w.astype(np.float64)
    (wide * 3.0).sum().backward()
    assert (wide.dtype, w.grad.dtype, w.grad.tolist()) == (np.float64, np.float32, [3.0, 3.0])


@pytest.mark.parametrize("dtype", [int, bool, np.float16, complex, str, np.int8])
def test_a_float_is_not_cast_to_what_has_no_derivative(dtype: Any) -> None:
    """A cotangent cast to integers on the way back was neither 0 nor right."""
    with pytest.raises(
        TypeError, match=r"astype: .* has no derivative; cast to float64 or float32, or take x\.data"
    ):
        tr.Tensor([1.5, 2.5]).astype(dtype)
    assert tr.constant(np.array([1, 0])).astype(bool).tolist() == [True, False]
    assert tr.constant(np.array([1, 0])).astype(np.float32).dtype == np.float32


# --- integers and booleans inside a graph


def test_comparisons_are_boolean_and_have_no_derivative() -> None:
    w = tr.Tensor([1.0, 3.0])
    mask = w > 2.0
    assert (mask.dtype, mask.tolist(), mask.kind) == (np.bool_, [False, True], "op")
    (mask * w).sum().backward()
    assert w.grad.tolist() == [0.0, 1.0]
    assert [type(tr.Value(1.0) > 0.5), tr.Value(1.0) > 0.5] == [bool, True]


def test_targets_and_indices_are_integers_without_a_gradient() -> None:
    targets = tr.constant(np.array([1, 0]))
    logits = tr.Tensor(np.zeros((2, 2)))
    tr.cross_entropy(logits, targets).backward()
    assert logits.grad.tolist() == [[0.25, -0.25], [-0.25, 0.25]]
    assert not targets.has_grad
    with pytest.raises(ValueError, match="no differentiable leaf"):
        (targets + 1).backward()


@pytest.mark.parametrize("key", [[0.5], np.array([1.0]), "a", 1.5, (0, 0.5)])
def test_an_index_is_an_integer(key: object) -> None:
    with pytest.raises(IndexError, match="an index must be an integer"):
        tr.Tensor(np.ones((2, 2)))[key]


def test_a_matrix_of_numpys_becomes_an_array() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        x = tr.Tensor(np.matrix([[1.0, 2.0], [3.0, 4.0]]))
    assert not isinstance(x.data, np.matrix)
    assert (x * x).data.tolist() == [[1.0, 4.0], [9.0, 16.0]]


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_relations_are_numpys(name: str) -> None:
    relation = getattr(operator, name)
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    assert relation(tr.Tensor(a), b).data.tolist() == relation(a, b).tolist()
    assert relation(tr.Tensor(a), tr.Tensor(b)).data.tolist() == relation(a, b).tolist()
