"""Softmax and its kin run as a few elementwise steps and sums on preallocated memory."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.plan.codegen.emitting import SPELLED_OUT
from tinygrad_rnn.plan.compiled import compile

INF, NAN = np.inf, np.nan
ROWS = np.array(
    [
        [1.0, 2.0, 3.0],
        [1000.0, -1000.0, 0.0],
        [-INF, 0.0, 1.0],
        [INF, 0.0, 1.0],
        [INF, INF, 1.0],
        [-INF, -INF, -INF],
        [NAN, 0.0, INF],
    ]
)


@pytest.mark.parametrize("op", SPELLED_OUT, ids=lambda op: op.name)
def test_no_operation_of_the_list_runs_as_a_whole(op):
    for fn in (lambda x: op(x, axis=-1), lambda x: [op(x[k], axis=-1) for k in range(3)]):
        kernels = {i.kernel for i in compile(fn).plan(np.ones((3, 4, 5))).instructions}
        assert kernels <= {"map", "reduce"}  # nothing is copied either


def axes(op):
    return (0, 1, -1) if op in (ops.softmax, ops.log_softmax) else (0, 1, -1, (0, 2), None)


@pytest.mark.parametrize(("op", "axis"), [(op, axis) for op in SPELLED_OUT for axis in axes(op)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_along_any_axis(op, axis, dtype):
    calls = [(np.random.default_rng(k).normal(size=(2, 3, 4)).astype(dtype) * 3,) for k in range(2)]
    assert_replays(lambda x: op(x, axis=axis), *calls)
    assert_replays(lambda x: ops.tanh(op(x, axis=axis)).T, *calls)
    assert_replays(lambda x: [op(x[k], axis=-1) for k in range(2)], *calls)


@pytest.mark.parametrize("op", SPELLED_OUT, ids=lambda op: op.name)
def test_infinite_entries_are_what_the_eager_run_makes_of_them(op):
    fn = lambda x: op(x, axis=-1)  # noqa: E731
    with np.errstate(all="ignore"):
        expected = plain(fn(tr.Tensor(ROWS)))
        found = compile(fn)
        for _ in range(2):
            np.testing.assert_allclose(found(ROWS), expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_without_entries(shape):
    assert_replays(lambda x: ops.softmax(x, axis=-1), (np.zeros(shape),))


def test_long_sums_in_single_precision_are_added_up_in_pairs():
    """Added one after the other, a million times a tenth is off by a percent."""
    x = np.full((1, 1 << 20), 0.1, np.float32)
    found = float(compile(lambda x: ops.sum(x, axis=1))(x)[0])
    assert abs(found - x.astype(float).sum()) < 0.1
