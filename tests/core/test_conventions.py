"""The published table of derivatives at kinks and edges, exactly: for both carriers, by backward and by tr.grad."""

import math

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.core.op_samples import SAMPLES
from tinygrad_rnn import ops

INF, NAN = math.inf, math.nan

# (function, arguments, gradients)
SCALAR = {
    "abs(0)": (ops.abs, [0.0], [0.0]),
    "abs(-0)": (ops.abs, [-0.0], [0.0]),
    "sign(0)": (ops.sign, [0.0], [0.0]),
    "sign(3)": (ops.sign, [3.0], [0.0]),
    "relu(0)": (ops.relu, [0.0], [0.0]),
    "relu(-0)": (ops.relu, [-0.0], [0.0]),
    "relu(nan)": (ops.relu, [NAN], [0.0]),
    "relu(-inf)": (ops.relu, [-INF], [0.0]),
    "relu(inf)": (ops.relu, [INF], [1.0]),
    "leaky_relu(0)": (ops.leaky_relu, [0.0], [0.01]),
    "leaky_relu(0, 0.3)": (lambda x: ops.leaky_relu(x, 0.3), [0.0], [0.3]),
    "maximum tie": (ops.maximum, [2.0, 2.0], [0.5, 0.5]),
    "minimum tie": (ops.minimum, [2.0, 2.0], [0.5, 0.5]),
    "maximum of 0 and -0": (ops.maximum, [0.0, -0.0], [0.5, 0.5]),
    "clip inside": (ops.clip, [0.5, 0.0, 1.0], [1.0, 0.0, 0.0]),
    "clip at the lower bound": (ops.clip, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]),
    "clip at the upper bound": (ops.clip, [1.0, 0.0, 1.0], [1.0, 0.0, 0.0]),
    "clip below": (ops.clip, [-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]),
    "clip above": (ops.clip, [2.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
    "where true": (lambda a, b: ops.where(a > 0, a, b), [2.0, 3.0], [1.0, 0.0]),
    "where, the other slope infinite": (lambda x: ops.where(x > 0, ops.log(x), 1.0), [0.0], [0.0]),
    "where, the other branch nan": (lambda x: ops.where(x > 0, ops.sqrt(x), x), [-1.0], [1.0]),
    "sqrt(0)": (ops.sqrt, [0.0], [INF]),
    "0 sqrt(0)": (lambda x: 0.0 * ops.sqrt(x), [0.0], [0.0]),
    "log(0)": (ops.log, [0.0], [INF]),
    "log(-0)": (ops.log, [-0.0], [-INF]),
    "0 log(0)": (lambda x: ops.weigh(ops.log(x), 0.0), [0.0], [0.0]),
    "1 / 0": (lambda x: 1.0 / x, [0.0], [-INF]),
    "0 ** 0": (ops.power, [0.0, 0.0], [0.0, 0.0]),
    "0 ** 2": (ops.power, [0.0, 2.0], [0.0, 0.0]),
    "0 ** 1": (ops.power, [0.0, 1.0], [1.0, 0.0]),
    "0 ** 0.5": (ops.power, [0.0, 0.5], [INF, 0.0]),
    "3 ** 0": (ops.power, [3.0, 0.0], [0.0, math.log(3.0)]),
    "x ** 0 at 0, static": (lambda x: x**0, [0.0], [0.0]),
    "(-2) ** 3": (ops.power, [-2.0, 3.0], [12.0, NAN]),
    "(-8) ** (1/3)": (lambda x: ops.power(x, 1 / 3), [-8.0], [NAN]),
}  # fmt: skip
ARRAY = {
    "tied max": (ops.max, [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
    "tied min": (ops.min, [1.0, 1.0, 1.0, 4.0], [1 / 3, 1 / 3, 1 / 3, 0.0]),
    "max of infinities": (ops.max, [INF, INF], [0.5, 0.5]),
    "max over an axis": (
        lambda x: ops.max(ops.reshape(x, (2, 2)), axis=1).sum(), [1.0, 1.0, 0.0, 2.0], [0.5, 0.5, 0.0, 1.0]
    ),
    "norm(0)": (ops.norm, [0.0, 0.0], [0.0, 0.0]),
    "prod, one zero": (ops.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    "prod, two zeros": (ops.prod, [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]),
    "cumprod, one zero": (lambda x: ops.cumprod(x).sum(), [2.0, 0.0, 3.0], [1.0, 8.0, 0.0]),
    "std of equal entries": (ops.std, [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]),
    "softmax, one masked": (lambda x: ops.softmax(x)[1], [-INF, 0.0], [0.0, 0.0]),
    "logsumexp, one masked": (ops.logsumexp, [-INF, 5.0], [0.0, 1.0]),
    "masked by where": (lambda x: ops.where(x > 0, ops.log(x), 0.0).sum(), [0.0, 2.0], [0.0, 0.5]),
    "infinite times a zero of our own": (lambda x: (ops.sqrt(x) * np.array([0.0, 1.0])).sum(), [0.0, 4.0], [0.0, 0.25]),
}  # fmt: skip


def exactly(got, expected):
    np.testing.assert_array_equal(np.asarray(got, dtype=float), np.asarray(expected, dtype=float))


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("carrier", [tr.Value, tr.Tensor])
@pytest.mark.parametrize("case", SCALAR)
def test_by_backward(case, carrier):
    fn, numbers, expected = SCALAR[case]
    leaves = [carrier(x) for x in numbers]
    fn(*leaves).backward()
    exactly([leaf.grad for leaf in leaves], expected)


@pytest.mark.parametrize("convert", [float, np.array], ids=["Value", "Tensor"])
@pytest.mark.parametrize("case", SCALAR)
def test_by_grad(case, convert):
    fn, numbers, expected = SCALAR[case]
    exactly(tr.grad(fn, argnums=tuple(range(len(numbers))))(*map(convert, numbers)), expected)


@pytest.mark.parametrize("case", ARRAY)
def test_reductions(case):
    fn, numbers, expected = ARRAY[case]
    x = tr.Tensor(numbers)
    fn(x).backward()
    exactly(x.grad, expected)
    exactly(tr.grad(fn)(np.array(numbers)), expected)


@pytest.mark.parametrize("case", [case for case in SCALAR if case != "0 sqrt(0)"])
def test_forward_mode_agrees(case):
    """The tangent along each axis is the gradient's entry. (0 sqrt(x) has the tangent 0 times inf: a nan, not a 0.)"""
    fn, numbers, expected = SCALAR[case]
    for i, entry in enumerate(expected):
        tangents = tuple(float(i == k) for k in range(len(numbers)))
        exactly(tr.jvp(fn, tuple(numbers), tangents)[1], entry)


@pytest.mark.parametrize("case", SCALAR)
def test_one_step_of_backpropagation_agrees(case):
    fn, numbers, expected = SCALAR[case]
    leaves = [tr.Value(x) for x in numbers]
    y = fn(*leaves)
    if set(y.parents) == set(leaves):
        parts = tr.Graph.of(y).local_vjp(y, 1.0)
        exactly(
            [sum(p for p, parent in zip(parts, y.parents, strict=True) if parent is x) for x in leaves],
            expected,
        )


def test_the_value_beyond_an_edge_is_ieees():
    assert tr.Value(1000.0).exp().data == INF
    assert tr.Value(0.0).log().data == -INF
    assert (tr.Value(1.0) / 0.0).data == INF
    assert math.isnan((tr.Value(-8.0) ** (1 / 3)).data)
    assert math.isnan(tr.Value(-1.0).sqrt().data)
    assert (tr.Value(0.0) ** 0).data == 1.0


@pytest.mark.parametrize("op", SAMPLES, ids=lambda op: op.name)
def test_the_domain_of_an_operation_holds_numbers(op: tr.Op) -> None:
    """Its arguments in the samples lie inside; only a power with a whole exponent has a negative base."""
    for _, arrays in SAMPLES[op]:
        for i, a in enumerate(arrays):
            low, high = op.domain if np.ndim(op.domain) == 1 else op.domain[i]  # type: ignore[misc]
            assert low < high
            if np.asarray(a).dtype.kind == "f" and op is not ops.power:
                assert np.all((np.asarray(a) >= low) & (np.asarray(a) <= high))


def test_an_infinite_cotangent_stays_outside_of_a_clip() -> None:
    x = tr.Tensor([-5.0, 0.5, 5.0])
    x.clip(0.0, 1.0).backward([INF, 2.0, INF])
    assert x.grad.tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("shapes", [((), (2,)), ((2,), ()), ((), ())])
def test_a_product_of_matrices_needs_axes(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="matmul: needs arrays of at least one axis"):
        ops.matmul(*(tr.Tensor(np.ones(shape)) for shape in shapes))
