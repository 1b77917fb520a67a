"""Every operation, by enumeration: value, both modes, second order, carriers, dtypes, layouts, broadcasting."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.random import default_rng

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, SAMPLES, cases, reference
from tinygrad_rnn import ops
from tinygrad_rnn.testing import assert_gradients
from tinygrad_rnn.testing.truth import ForwardTruth

CASES = cases(SAMPLES)
each_sample = pytest.mark.parametrize(
    ("op", "call", "args"), [c[:3] for c in CASES], ids=[c[3] for c in CASES]
)
FLAT = [c for c in CASES if c[0] is not ops.item]
each_tensor_sample = pytest.mark.parametrize(
    ("op", "call", "args"), [c[:3] for c in FLAT], ids=[c[3] for c in FLAT]
)


def data(x):
    return np.asarray(x.data if isinstance(x, (tr.Value, tr.Tensor)) else x)


def tensors(args):
    return [tr.Tensor(a) for a in args]


def projected(call, op, weights):
    """A scalar function whose gradient shows every entry of the operation's Jacobian."""
    return lambda *args: (ops.reshape(ops.stack([call(op, *args)]), (-1,)) * weights).sum()


def weights_for(call, op, args):
    return default_rng(7).normal(size=data(call(op, *tensors(args))).size)


def test_every_operation_has_samples():
    assert set(SAMPLES) | set(NOT_DIFFERENTIABLE) == set(ops.ALL)
    assert not set(SAMPLES) & set(NOT_DIFFERENTIABLE)
    assert {op for op in ops.ALL if not op.differentiable} == set(NOT_DIFFERENTIABLE)


@each_sample
def test_a_sample_calls_its_operation(op, call, args):
    graph = tr.Graph.of(call(op, *tensors(args)))
    assert op in [node.op for node in graph]


@pytest.mark.parametrize(
    ("op", "call", "args"), [c[:3] for c in CASES + cases(NOT_DIFFERENTIABLE)],
    ids=[c[3] for c in CASES + cases(NOT_DIFFERENTIABLE)],
)  # fmt: skip
def test_the_value_is_numpys(op, call, args):
    got = data(call(op, *tensors(args)))
    expected = np.asarray(call(reference(op), *args))
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(np.asarray(call(op, *args)), got)  # raw arrays: the same, not recorded


@each_sample
def test_reverse_mode_is_the_truth(op, call, args):
    assert_gradients(lambda *a: call(op, *a), *args)


@each_sample
def test_forward_mode_is_the_truth(op, call, args):
    rng = default_rng(3)
    tangents = tuple(rng.normal(size=np.shape(a)) for a in args)
    y, got = tr.jvp(lambda *a: call(op, *a), args, tangents)
    leaves = tensors(args)
    out = call(op, *leaves)
    truth = ForwardTruth([out]).push({leaf: t[None] for leaf, t in zip(leaves, tangents, strict=True)})
    expected = truth[out][0]
    np.testing.assert_array_equal(y, out.data)
    assert np.shape(got) == expected.shape
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=1e-12 * max(1.0, np.max(np.abs(expected), initial=0))
    )


@each_sample
def test_both_modes_are_adjoint(op, call, args):
    rng = default_rng(4)
    tangents = tuple(rng.normal(size=np.shape(a)) for a in args)
    y, pushed = tr.jvp(lambda *a: call(op, *a), args, tangents)
    cotangent = rng.normal(size=np.shape(y))
    pulled = tr.vjp(lambda *a: call(op, *a), *args)[1](cotangent if np.ndim(y) else float(cotangent))
    left, right = (
        np.sum(cotangent * pushed),
        sum(np.sum(g * t) for g, t in zip(pulled, tangents, strict=True)),
    )
    assert abs(left - right) <= 1e-12 * max(1.0, abs(left))


@each_sample
def test_second_derivatives_are_the_truth(op, call, args):
    fn = projected(call, op, weights_for(call, op, args))
    assert_gradients(tr.grad(lambda *a: fn(*a), argnums=tuple(range(len(args)))), *args)


@each_tensor_sample
def test_a_recorded_forward_mode_is_differentiated_rightly(op, call, args):
    tangents = tuple(default_rng(5).normal(size=np.shape(a)) for a in args)
    assert_gradients(lambda *a: tr.jvp(lambda *b: call(op, *b), a, tangents)[1], *args)


@each_sample
def test_hessian_vector_products_are_the_hessian_times_the_vector(op, call, args):
    fn = projected(call, op, weights_for(call, op, args))
    everything = tuple(range(len(args)))
    vectors = tuple(default_rng(6).normal(size=np.shape(a)) for a in args)
    products = tr.hvp(fn, args, vectors)
    rows = tr.jacobian(tr.grad(fn, everything), everything)(*args)
    for i, product in enumerate(products):
        expected = sum(np.tensordot(rows[i][j], v, np.ndim(v)) for j, v in enumerate(vectors))
        np.testing.assert_allclose(product, expected, rtol=1e-11, atol=1e-11)
        for j in range(len(args)):  # and the Hessian is symmetric
            n = np.ndim(args[i])
            mirrored = np.moveaxis(
                np.asarray(rows[j][i]), range(np.ndim(args[j])), range(n, n + np.ndim(args[j]))
            )
            np.testing.assert_allclose(rows[i][j], mirrored, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("op", "call", "args"), [c[:3] for c in CASES if c[0].linear], ids=[c[3] for c in CASES if c[0].linear]
)
def test_a_linear_short_cut_is_the_transpose_of_the_transpose(op, call, args):
    if op.elementwise:
        rules = op.partials
        # an elementwise operation is turned into one with transposed rules, which has no short cut
        if isinstance(rules, tuple):
            transpose = tuple(
                lambda xp, g, y, *a, rule=rule, i=i, **k: ops.sum_to(xp, g * rule(xp, y, *a, **k), a[i].shape)
                for i, rule in enumerate(rules)
            )
        else:
            transpose = lambda i, xp, g, y, a, **k: ops.sum_to(  # noqa: E731
                xp, g * rules(i, xp, y, a, **k), a[i].shape
            )
        slow = dataclasses.replace(op, partials=None, transpose=transpose, linear="")
    else:
        slow = dataclasses.replace(op, linear="")
    tangents = tuple(default_rng(8).normal(size=np.shape(a)) for a in args)
    fast = tr.jvp(lambda *a: call(op, *a), args, tangents)[1]
    np.testing.assert_allclose(
        fast, tr.jvp(lambda *a: call(slow, *a), args, tangents)[1], rtol=1e-13, atol=1e-14
    )


@each_tensor_sample
def test_float32_is_kept(op, call, args):
    if op is ops.astype:
        pytest.skip("the operation that changes the dtype")
    single = [tr.Tensor(np.asarray(a, dtype=np.float32)) for a in args]
    out = call(op, *single)
    assert out.dtype == np.float32
    out.backward(np.ones(out.shape))
    double = tensors(args)
    reference = call(op, *double)
    reference.backward(np.ones(reference.shape))
    for a, b in zip([out, *single], [reference, *double], strict=True):
        assert a.grad.dtype == np.float32
        scale = max(1.0, np.max(np.abs(b.grad), initial=0.0))
        np.testing.assert_allclose(a.grad, b.grad, atol=2e-5 * scale, rtol=0)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1] if a.ndim else a,
    "zero stride": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@each_tensor_sample
def test_the_memory_layout_makes_no_difference(op, call, args, layout):
    """Values and gradients are bitwise those of a contiguous copy."""
    arrays = [LAYOUTS[layout](a) for a in args]
    found = []
    for version in (arrays, [np.array(a, order="C") for a in arrays]):
        leaves = [tr.Tensor(a) for a in version]
        out = call(op, *leaves)
        out.backward(default_rng(0).normal(size=out.shape))
        found.append([out.data.tobytes(), *(leaf.grad.tobytes() for leaf in leaves)])
    assert found[0] == found[1]


ELEMENTWISE = [op for op in SAMPLES if op.elementwise and isinstance(op.partials, tuple)]
POSITIVE_FIRST = (ops.power, ops.log, ops.sqrt, ops.log1p)


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_zero_dimensions_and_zero_entries(op, shape):
    args = [np.full(shape, 0.5 + 0.2 * i) for i in range(len(op.partials))]
    if op is ops.where:
        args[0] = np.full(shape, True)
    leaves = [a if a.dtype == bool else tr.Tensor(a) for a in args]
    out = op(*leaves)
    assert out.shape == shape
    out.backward(np.ones(shape))
    for leaf in leaves:
        assert isinstance(leaf, np.ndarray) or leaf.grad.shape == shape


@pytest.mark.parametrize("op", [ops.sum, ops.prod, ops.norm, ops.mean], ids=lambda op: op.name)
def test_reductions_of_nothing(op):
    x = tr.Tensor(np.zeros((2, 0, 3)))
    for axis in (0, 2, (0, 2)) if op is ops.mean else (None, 0, 1, (0, 1)):
        out = op(x, axis=axis)
        np.testing.assert_array_equal(out.data, reference(op)(x.data, axis=axis))
        x.grad = None
        out.backward(np.ones(out.shape))
        assert x.grad.shape == (2, 0, 3)


BROADCAST = [ops.add, ops.subtract, ops.multiply, ops.divide, ops.power, ops.maximum, ops.minimum, ops.weigh]


@pytest.mark.parametrize("op", BROADCAST, ids=lambda op: op.name)
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3),
    seed=st.integers(0, 99),
)
def test_broadcasting_two_arguments(op, shapes, seed):
    a, b = shapes.input_shapes
    rng = default_rng(seed)
    check_broadcast(op, rng.uniform(0.5, 2, size=a), rng.uniform(0.3, 1.9, size=b))


@given(
    shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("op", [ops.add_n, ops.clip, "where"], ids=str)
def test_broadcasting_three_arguments(op, shapes, seed):
    rng = default_rng(seed)
    a, b, c = (rng.uniform(-2, 2, size=shape) for shape in shapes.input_shapes)
    if op == "where":
        condition = a > 0
        check_broadcast(lambda b, c: ops.where(condition, b, c), b, c)
    else:
        check_broadcast(op, a, b, c)


@given(
    shapes=mutually_broadcastable_shapes(
        signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, min_side=0, max_side=3
    ),
    seed=st.integers(0, 99),
)
def test_broadcasting_matrix_products(shapes, seed):
    rng = default_rng(seed)
    check_broadcast(ops.matmul, *(rng.normal(size=shape) for shape in shapes.input_shapes))


def check_broadcast(op, *args):
    leaves = tensors(args)
    out = op(*leaves)
    assert out.shape == np.shape(op(*args))
    out.backward(np.ones(out.shape))
    for leaf, arg in zip(leaves, args, strict=True):
        assert leaf.grad.shape == arg.shape
    assert_gradients(op, *args)
