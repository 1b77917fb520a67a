"""numpy's own functions on Tensors: the same numbers, differentiable; whatever else is refused by name."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.oracles import charrnn
from tinygrad_rnn.core.numpy_functions import FUNCTIONS, UFUNCS

rng = np.random.default_rng(11)
A, B = rng.uniform(0.2, 0.9, (2, 3)), rng.uniform(1.1, 1.9, (2, 3))
V, X3, SQUARE = rng.normal(size=3), rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 3))
Call = Callable[..., Any]

ONE = (
    "negative", "sign", "exp", "expm1", "log", "log1p", "sqrt", "square", "sin", "cos", "tan", "arctan", "sinh", "cosh",
    "tanh", "absolute", "positive",
)  # fmt: skip
TWO = ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "float_power")
TRUTH = (
    "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "logical_and", "logical_or",
)  # fmt: skip

CALLS: dict[str, list[tuple[Call, tuple[np.ndarray, ...]]]] = {
    "sum": [(np.sum, (X3,)), (lambda x: np.sum(x, axis=(0, 2)), (X3,)), (lambda x: np.sum(x, 1, keepdims=True), (X3,))],
    "mean": [(np.mean, (X3,)), (lambda x: np.mean(x, axis=-1, keepdims=True), (X3,))],
    "prod": [(np.prod, (A,)), (lambda x: np.prod(x, axis=0), (A,))],
    "max": [(np.max, (X3,)), (lambda x: np.max(x, axis=1), (X3,)), (np.amax, (A,))],
    "min": [(np.min, (X3,)), (lambda x: np.min(x, axis=1, keepdims=True), (X3,)), (np.amin, (A,))],
    "cumsum": [(np.cumsum, (A,)), (lambda x: np.cumsum(x, axis=1), (A,))],
    "cumprod": [(np.cumprod, (A,)), (lambda x: np.cumprod(x, axis=0), (A,))],
    "reshape": [(lambda x: np.reshape(x, (3, 2)), (A,)), (lambda x: np.reshape(x, -1), (A,))],
    "transpose": [(np.transpose, (X3,)), (lambda x: np.transpose(x, (1, 0, 2)), (X3,))],
    "swapaxes": [(lambda x: np.swapaxes(x, 0, -1), (X3,))],
    "moveaxis": [(lambda x: np.moveaxis(x, 0, -1), (X3,)), (lambda x: np.moveaxis(x, (0, 1), (1, 2)), (X3,))],
    "expand_dims": [(lambda x: np.expand_dims(x, 1), (A,)), (lambda x: np.expand_dims(x, (0, -1)), (A,))],
    "squeeze": [(lambda x: np.squeeze(x[:, :1]), (A,)), (lambda x: np.squeeze(x[None], axis=0), (A,))],
    "broadcast_to": [(lambda x: np.broadcast_to(x, (4, 2, 3)), (A,))],
    "concatenate": [
        (lambda x, y: np.concatenate([x, y], axis=1), (A, B)),
        (lambda x, y: np.concatenate((y, x)), (A, B)),
    ],
    "stack": [(lambda x, y: np.stack([x, y, x], axis=1), (A, B))],
    "split": [(lambda x: np.split(x, 3, axis=1)[1], (A,)), (lambda x: np.split(x, [1], axis=0)[1], (A,))],
    "flip": [(np.flip, (A,)), (lambda x: np.flip(x, 1), (A,))],
    "pad": [(lambda x: np.pad(x, ((1, 0), (2, 1))), (A,)), (lambda x: np.pad(x, 1, constant_values=2.0), (A,))],
    "repeat": [(lambda x: np.repeat(x, 2), (A,)), (lambda x: np.repeat(x, [1, 0, 2], axis=1), (A,))],
    "take": [(lambda x: np.take(x, [2, 0, 0], axis=1), (A,)), (lambda x: np.take(x, [5, 0]), (A,))],
    "einsum": [(lambda x, y: np.einsum("ij,kj->ik", x, y), (A, B)), (lambda x: np.einsum("ii", x), (SQUARE,))],
    "where": [(lambda x, y: np.where(x > 0.5, x, y), (A, B)), (lambda x: np.where(A > 0.5, x, 0.0), (A,))],
    "clip": [(lambda x: np.clip(x, 0.4, 0.6), (A,)), (lambda x: np.clip(x, None, 0.5), (A,))],
    "dot": [
        (lambda x, y: np.dot(x, y), (A, SQUARE)),
        (np.dot, (V, V[::-1])),
        (np.dot, (A, V)),
        (lambda x: np.dot(2.0, x), (A,)),
        (np.dot, (X3, rng.normal(size=(5, 4, 2)))),
    ],
    "outer": [(np.outer, (V, A))],
    "inner": [(np.inner, (A, B)), (np.inner, (V, V[::-1]))],
    "tensordot": [
        (np.tensordot, (A, rng.normal(size=(2, 3, 2)))),
        (lambda x, y: np.tensordot(x, y, axes=1), (A, SQUARE)),
        (lambda x, y: np.tensordot(x, y, axes=([0, 1], [1, 0])), (A, B.T)),
    ],
    "vstack": [(lambda x, y: np.vstack([x, y]), (A, V))],
    "hstack": [(lambda x, y: np.hstack([x, y]), (A, B)), (lambda x, y: np.hstack([x, y]), (V, V[:2]))],
    "ravel": [(np.ravel, (X3,))],
    "var": [(np.var, (A,)), (lambda x: np.var(x, axis=0, ddof=1), (A,))],
    "std": [(np.std, (A,)), (lambda x: np.std(x, axis=1, keepdims=True), (A,))],
    "copy": [(np.copy, (A,))],
    "norm": [
        (np.linalg.norm, (A,)),
        (lambda x: np.linalg.norm(x, axis=1), (A,)),
        (lambda x: np.linalg.norm(x, 2), (V,)),
    ],
    "matmul": [
        (np.matmul, (A, SQUARE)),
        (lambda x, y: x @ y, (V, SQUARE)),
        (np.matmul, (X3.transpose(0, 2, 1), A.T[None])),
    ],
    "zeros_like": [(lambda x: np.zeros_like(x) + x, (A,))],
    "ones_like": [(lambda x: np.ones_like(x) * x, (A,))],
}  # fmt: skip
CALLS |= {name: [(getattr(np, name), (A,))] for name in ONE}
for _name in TWO:
    _ufunc = getattr(np, _name)
    CALLS[_name] = [(_ufunc, (A, B)), (_ufunc, (A, B[0])), (partial(_ufunc, B), (A,))]
PLAIN = ("shape", "ndim", "size")  # read from the graph, no node


def close(got: Any, expected: Any) -> None:
    got = got.data if isinstance(got, tr.Tensor) else got
    assert np.shape(got) == np.shape(expected)
    assert np.allclose(got, expected, rtol=2e-15, atol=1e-15)


# --- what is mapped


def test_every_mapped_function_is_called_below() -> None:
    mapped = {f.__name__ for f in (*UFUNCS, *FUNCTIONS)} - {"amax", "amin"}  # called beside max and min
    assert mapped == {*CALLS, *TRUTH, *PLAIN}


@pytest.mark.parametrize("name", CALLS)
def test_numpys_function_gives_numpys_numbers_and_a_right_gradient(name: str) -> None:
    for call, arrays in CALLS[name]:
        result = call(*map(tr.Tensor, arrays))
        assert isinstance(result, tr.Tensor)
        close(result, call(*arrays))
        tr.testing.assert_gradients(call, *arrays)


@pytest.mark.parametrize("name", TRUTH)
def test_comparisons_are_numpys(name: str) -> None:
    a, b = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0])
    for left, right in ((tr.Tensor(a), tr.Tensor(b)), (tr.Tensor(a), b), (a, tr.Tensor(b))):
        got = getattr(np, name)(left, right)
        assert got.dtype == np.bool_
        assert got.tolist() == getattr(np, name)(a, b).tolist()


def test_questions_of_shape_are_answered_with_plain_numbers() -> None:
    w = tr.Tensor(X3)
    assert (np.shape(w), np.ndim(w), np.size(w), len(w)) == ((2, 3, 4), 3, 24, 2)
    assert np.shape(tr.Value(1.0)) == ()
    single = tr.Tensor(np.ones(2, np.float32))
    assert (np.zeros_like(single).dtype, np.ones_like(single, dtype=float).dtype) == (np.float32, np.float64)
    assert type(np.zeros_like(w)) is np.ndarray
    assert np.zeros_like(w).flags.writeable


METHODS: dict[str, Call] = {
    "sum": lambda x: x.sum(axis=0),
    "mean": lambda x: x.mean(),
    "prod": lambda x: x.prod(axis=1),
    "max": lambda x: x.max(axis=1),
    "min": lambda x: x.min(),
    "cumsum": lambda x: x.cumsum(axis=1),
    "cumprod": lambda x: x.cumprod(axis=1),
    "reshape": lambda x: x.reshape(3, -1),
    "transpose": lambda x: x.transpose(1, 0),
    "T": lambda x: x.T,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: x[:1].squeeze(),
    "repeat": lambda x: x.repeat(2, axis=0),
    "take": lambda x: x.take([0, 0], axis=1),
    "dot": lambda x: x.dot(x.T),
    "ravel": lambda x: x.ravel(),
    "flatten": lambda x: x.flatten(),
    "copy": lambda x: x.copy(),
    "var": lambda x: x.var(axis=0),
    "std": lambda x: x.std(ddof=1),
    "astype": lambda x: x.astype(float),
    "clip": lambda x: x.clip(0.3, 0.7),
    "operators": lambda x: (-x + 1) * (2 - x) / (x**2 + 1.5) ** x - 3 / x + abs(x) + 2**x + x @ x.T[:, :1] @ x[:1],
    "in place": lambda x: operator.iadd(x * 1.0, x),
    "iteration": lambda x: sum(row * float(i) for i, row in enumerate(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_and_operators_are_those_of_arrays(name: str) -> None:
    close(METHODS[name](tr.Tensor(A)), METHODS[name](A))
    tr.testing.assert_gradients(METHODS[name], A)


# --- numpy on the left


@pytest.mark.parametrize(
    "left", [B, B[0], np.float64(1.5), np.float32(1.5), np.int64(2), np.arange(3), np.array(2.0)]
)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "truediv", "pow"])
def test_an_array_or_numpy_scalar_on_the_left_gives_a_tensor(op: str, left: Any) -> None:
    call = getattr(operator, op)
    w = tr.Tensor(A)
    got = call(left, w)
    assert isinstance(got, tr.Tensor)
    close(got, call(left, A))
    tr.testing.assert_gradients(lambda x: call(left, x), A)


@pytest.mark.parametrize("left", [np.float64(1.5), np.float32(1.5), np.int64(2), np.uint8(2)])
def test_a_numpy_scalar_beside_a_value_is_a_number(left: Any) -> None:
    x = tr.Value(3.0)
    for got, expected in (
        (left * x, float(left) * 3.0),
        (x * left, float(left) * 3.0),
        (left - x, float(left) - 3.0),
        (left**x, float(left) ** 3.0),
        (x / left, 3.0 / float(left)),
    ):
        assert type(got) is tr.Value
        assert got.data == pytest.approx(expected, rel=1e-15)


def test_numpys_functions_take_a_value() -> None:
    x = tr.Value(0.5)
    assert type(np.tanh(x)) is tr.Value
    assert np.tanh(x).data == np.tanh(0.5)
    assert tr.grad(lambda v: np.exp(v) * np.maximum(v, 0.2) + np.absolute(v) + np.true_divide(1.0, v))(
        0.5
    ) == (pytest.approx(np.exp(0.5) * 1.5 + 1.0 - 4.0, rel=1e-15))


def test_matmul_with_an_array_on_the_left() -> None:
    w = tr.Tensor(SQUARE)
    close(A @ w, A @ SQUARE)
    assert isinstance(A @ w, tr.Tensor)


# --- what is refused, and what it says

REFUSED: dict[str, tuple[Call, str]] = {
    "function": (lambda w: np.sort(w), r"np\.sort has no derivative here: compose it from tr\.ops, define it"),
    "argmax": (lambda w: np.argmax(w), r"np\.argmax .*tensor\.data"),
    "linalg": (lambda w: np.linalg.inv(w[:, :2]), r"np\.linalg\.inv has no derivative"),
    "ufunc": (lambda w: np.arcsin(w), r"np\.arcsin has no derivative here"),
    "floor": (lambda w: np.floor(w), r"np\.floor"),
    "reduce": (lambda w: np.add.reduce(w), r"np\.add\.reduce"),
    "accumulate": (lambda w: np.multiply.accumulate(w), r"np\.multiply\.accumulate"),
    "at": (lambda w: np.add.at(w, [0], 1.0), r"np\.add\.at"),
    "outer": (lambda w: np.multiply.outer(w, w), r"np\.multiply\.outer"),
    "out of a ufunc": (lambda w: np.exp(w, out=np.zeros((2, 3))), r"np\.exp: out= would write into a recorded array"),
    "out is a tensor": (lambda w: np.exp(np.ones((2, 3)), out=w), r"np\.exp: out= would write"),
    "out of a function": (lambda w: np.sum(w, out=np.zeros(())), r"np\.sum: out= would write"),
    "where=": (lambda w: np.exp(w, where=A > 0.5), r"np\.exp on a Tensor does not take \['where'\]"),
    "dtype=": (lambda w: np.add(w, w, dtype=np.float32), r"does not take \['dtype'\]"),
    "norm of order 1": (lambda w: np.linalg.norm(w, 1), r"Euclidean norm only \(ord None, 2 or 'fro'\), got 1"),
    "nuclear norm": (lambda w: np.linalg.norm(w, 2), r"Euclidean norm only"),
    "item assignment": (lambda w: w.__setitem__(0, 1.0), r"cannot be written into: build the new array"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_differentiated_is_refused_by_name(name: str) -> None:
    call, message = REFUSED[name]
    w = tr.Tensor(A)
    with pytest.raises(TypeError, match=message):
        call(w)
    assert np.array_equal(w.data, A)


def test_functions_of_a_value_are_refused_by_name() -> None:
    for call in (np.sum, np.sort, np.arcsin, np.concatenate):
        with pytest.raises(TypeError, match=rf"np\.{call.__name__} does not take a Value"):
            call([tr.Value(1.0)] if call is np.concatenate else tr.Value(1.0))


def test_asarray_is_a_read_only_copy_outside() -> None:
    w = tr.Tensor(A)
    for made in (np.asarray(w), np.asarray(w, dtype=np.float32)):
        assert not np.shares_memory(made, w.data)
        with pytest.raises(ValueError, match="read-only"):
            made[0] = 1.0
    assert np.asarray(w, dtype=np.float32).dtype == np.float32
    assert np.array(w).tolist() == A.tolist()


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("grad", lambda fn: tr.grad(fn)(A)),
        ("jvp", lambda fn: tr.jvp(fn, A, A)),
        ("vjp", lambda fn: tr.vjp(fn, A)),
        ("jacobian", lambda fn: tr.jacobian(fn)(A)),
    ],
)
def test_asarray_inside_a_transformation_is_a_trace_error(name: str, run: Callable[[Call], Any]) -> None:
    for read in (np.asarray, np.array, lambda w: np.testing.assert_allclose(w, 1.0)):
        with pytest.raises(tr.TraceError, match=rf"inside {name}: .* derivative be lost.*detach\(\)"):
            run(lambda w, read=read: (read(w) * w).sum())
    assert issubclass(tr.TraceError, TypeError)


def test_a_value_is_no_array() -> None:
    with pytest.raises(TypeError, match=r"use float\(x\), or tr\.ops\.stack"):
        np.asarray(tr.Value(1.0))
    with pytest.raises(tr.TraceError, match="inside grad"):
        tr.grad(lambda x: np.asarray(x))(1.0)


# --- a program written for numpy


def test_a_character_model_written_for_numpy_runs_unchanged_over_tensors() -> None:
    model = charrnn.parameters(vocabulary=7, hidden=5, seed=3)
    inputs, targets = [2, 0, 6, 3, 3, 1, 5, 0], [0, 6, 3, 3, 1, 5, 0, 4]
    start = np.random.default_rng(4).normal(size=(5, 1))
    expected_loss, expected = charrnn.loss_and_gradient(inputs, targets, start, *model)
    leaves = [
        tr.Tensor(p, name=name) for p, name in zip(model, ("Wxh", "Whh", "Why", "bh", "by"), strict=True)
    ]
    loss, last = charrnn.forward(inputs, targets, start, *leaves)
    loss.backward()
    assert loss.item() == pytest.approx(expected_loss, rel=1e-14)
    assert isinstance(last, tr.Tensor)
    for leaf, gradient in zip(leaves, expected, strict=True):
        assert np.abs(leaf.grad - gradient).max() <= 1e-13 * np.abs(gradient).max()
