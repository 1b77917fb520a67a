"""Random programs over Tensors: first and second derivatives, both modes and the scalar view agree on every one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing import assert_gradients

ROWS, COLUMNS = 2, 3
INDEX = np.array([1, 0, 1])

# each step takes two (ROWS, COLUMNS) arrays and gives another
STEPS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / (1.5 + b * b),
    "maximum": lambda a, b: ops.maximum(a, b),
    "where": lambda a, b: ops.where(a > b, a, 2.0 * b),
    "tanh": lambda a, b: ops.tanh(a),
    "sigmoid": lambda a, b: ops.sigmoid(a - b),
    "exp": lambda a, b: ops.exp(ops.sin(a)),
    "power": lambda a, b: (0.5 + a * a) ** 1.5,
    "matmul": lambda a, b: a @ b.T @ a,
    "einsum": lambda a, b: ops.einsum("ij,kj,kl->il", a, b, b),
    "softmax": lambda a, b: ops.softmax(a + b, axis=0),
    "log_softmax": lambda a, b: ops.log_softmax(a),
    "logsumexp": lambda a, b: b * ops.logsumexp(a, axis=1, keepdims=True),
    "sum": lambda a, b: b + a.sum(axis=0),
    "mean": lambda a, b: b * a.mean(axis=1, keepdims=True),
    "max": lambda a, b: b - ops.max(a, axis=0),
    "norm": lambda a, b: b * ops.norm(a + 3.0),
    "prod": lambda a, b: b + ops.prod(a, axis=1, keepdims=True),
    "cumsum": lambda a, b: ops.cumsum(a, axis=1) - b,
    "cumprod": lambda a, b: ops.cumprod(ops.tanh(a), axis=0) + b,
    "concatenate": lambda a, b: ops.concatenate([a[:, 1:], b[:, :1]], axis=1),
    "stack": lambda a, b: ops.stack([a[0], b[1]]),
    "reshape": lambda a, b: a.reshape(COLUMNS, ROWS).T + b,
    "index": lambda a, b: a[INDEX][:ROWS] + b[:, [2, 2, 0]],
    "flip": lambda a, b: ops.flip(a, axis=1) * b,
    "pad": lambda a, b: ops.pad(a[:, :2], ((0, 0), (1, 0)), 1.0) * b,
    "split": lambda a, b: ops.concatenate(ops.split(a, 3, axis=1)[::-1], axis=1) + b,
    "repeat": lambda a, b: ops.repeat(a[:1], 2, axis=0) * b,
    "broadcast": lambda a, b: ops.broadcast_to(a[:, :1], (ROWS, COLUMNS)) - b,
}
programs = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8
)


def run(program, inputs):
    """Every value of the program is the argument of some step or added to the result; ends in one number."""
    values = list(inputs)
    for name, i, j in program:
        y = STEPS[name](values[i % len(values)], values[j % len(values)])
        values.append(ops.clip(y, -20.0, 20.0))
    weights = default_rng(0).normal(size=(ROWS, COLUMNS))
    return (values[-1] * weights).sum() + (values[len(values) // 2] * weights).sum()


def start(seed):
    rng = default_rng(seed)
    return rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=(ROWS, COLUMNS))


@given(program=programs, seed=st.integers(0, 1000))
def test_first_and_second_derivatives(program, seed):
    a, b = start(seed)
    assert_gradients(lambda a, b: run(program, (a, b)), a, b)
    assert_gradients(tr.grad(lambda a, b: run(program, (a, b)), argnums=(0, 1)), a, b)


@given(program=programs, seed=st.integers(0, 1000))
def test_forward_mode_and_hessian_products(program, seed):
    points, directions = start(seed), start(seed + 1)
    fn = lambda a, b: run(program, (a, b))  # noqa: E731
    gradient = tr.grad(fn, argnums=(0, 1))(*points)
    slope = sum(np.sum(g * v) for g, v in zip(gradient, directions, strict=True))
    value, pushed = tr.jvp(fn, points, directions)
    assert value == float(fn(*points))
    scale = sum(np.sum(np.abs(g * v)) for g, v in zip(gradient, directions, strict=True))
    assert abs(pushed - slope) <= 1e-11 * max(scale, 1e-9)
    forward_over_reverse = tr.hvp(fn, points, directions)
    reverse_over_forward = tr.grad(lambda a, b: tr.jvp(fn, (a, b), directions)[1], argnums=(0, 1))(*points)
    beside = tr.hvp(fn, tuple(np.nextafter(p, np.inf) for p in points), directions)
    size = max(np.max(np.abs(x)) for x in forward_over_reverse)
    rounding = max(np.max(np.abs(x - y)) for x, y in zip(forward_over_reverse, beside, strict=True))
    for x, y in zip(forward_over_reverse, reverse_over_forward, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-10 * max(size, 1e-6) + 10 * rounding, rtol=0)


@settings(max_examples=max(10, settings.default.max_examples // 2))
@given(program=programs, seed=st.integers(0, 1000))
def test_the_scalar_view_is_equal(program, seed):
    leaves = [tr.Tensor(x) for x in start(seed)]
    loss = run(program, leaves)
    scalars = tr.scalarize(loss)
    loss.backward()
    scalars.outputs[0].backward()
    assert abs(scalars.outputs[0].data - loss.item()) <= 1e-12 * max(1.0, abs(loss.item()))
    for leaf in leaves:
        if leaf not in tr.Graph.of(loss):
            continue
        entries = np.array([[entry.grad for entry in row] for row in scalars.of(leaf)])
        scale = max(1.0, np.max(np.abs(leaf.grad)))
        np.testing.assert_allclose(entries, leaf.grad, atol=1e-11 * scale, rtol=0)
