"""While a function is traced its results are blanks: shape and dtype without numbers, in no memory to speak of."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.core.examples import Examples, NumbersNeeded
from tinygrad_rnn.plan.recording.trace import trace

X = np.linspace(0.5, 2.0, 6).reshape(2, 3)


def counted(op_forward):
    calls = []

    def forward(xp, *args, **params):
        calls.append(tuple(map(np.shape, args)))
        return op_forward(xp, *args, **params)

    return forward, calls


def test_a_result_has_the_shape_and_dtype_and_takes_no_memory():
    examples, x = Examples(), tr.Tensor(np.ones((300, 400), np.float32))
    y = examples.result(ops.matmul, (x, tr.constant(np.ones((400, 5), np.float32))), {})
    assert (y.shape, y.dtype) == ((300, 5), np.float32)
    assert y.strides == (0, 0)
    assert not y.flags.writeable
    assert examples.result(ops.tanh, (x,), {}) is examples.result(ops.exp, (x,), {})


def test_what_depends_on_constants_alone_is_computed():
    examples, c = Examples(), tr.constant(X)
    assert examples.result(ops.tanh, (c,), {}) is None
    assert examples.result(ops.add, (tr.Value(1.0), tr.Value(2.0)), {}) is None


def test_what_is_made_of_a_blank_is_one():
    examples, x = Examples(), tr.Tensor(X)
    blank = tr.constant(X)._new(examples.result(ops.detach, (x,), {}), tr.constant(1.0)._call)
    assert blank.kind == "constant"
    assert examples.result(ops.tanh, (blank,), {}).strides == (0, 0)


def test_other_parameters_and_other_kinds_have_other_results():
    examples, x, y = Examples(), tr.Tensor(X), tr.Tensor(X.astype(np.float32))
    shapes = [
        examples.result(ops.sum, (x,), {"axis": axis, "keepdims": False}).shape for axis in (0, 1, None)
    ]
    assert shapes == [(3,), (2,), ()]
    assert examples.result(ops.tanh, (y,), {}).dtype == np.float32
    assert examples.result(ops.add, (x, y), {}).dtype == np.float64
    assert examples.result(ops.greater, (x, y), {}).dtype == bool


def test_no_kind_of_operation_warns_of_blanks():
    def fn(x):
        return (ops.log(x) + 1.0 / (x * 1.0) + ops.sqrt(x) + x**-1.5 + ops.divide(x, x + 1.0)).sum()

    assert_replays(tr.value_and_grad(fn), (X,), (X * 2,))


def test_an_operation_of_the_user_gets_numbers():
    forward, calls = counted(lambda xp, x: np.linalg.cholesky(x))
    root = tr.Op(name="root", symbol="√", forward=forward, vjp=lambda g, y, x: (g,))
    runs = []

    def fn(x):
        runs.append(1)
        return root(x @ x.T * 1.0) * 2.0  # of blanks, which are zeros, it would fail

    assert_replays(fn, (X,), (X + np.eye(2, 3),))
    assert calls
    with pytest.raises(NumbersNeeded):
        Examples().result(root, (tr.Tensor(np.eye(2)),), {})


def test_tracing_long_sequences_takes_little_memory():
    cell, x = tr.nn.RNNCell(4, 256), np.zeros((100, 1, 4))
    fn = tr.value_and_grad(lambda cell, x: (tr.unroll(cell, x).outputs[-1] ** 2).sum())
    tracemalloc.start()
    try:
        trace(fn, (cell, x), {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # a gradient of weight_hh for each step alone would be 52 MB


def test_errors_of_shape_name_the_operation_as_ever():
    with pytest.raises(ValueError, match="matmul"):
        trace(lambda x: (x * 1.0) @ (x * 2.0), (X,), {})
