"""Whole sequences taken apart: the same results, and no whole where none is needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.plan.programs import STEPS, arrays, run_tensors, total
from tests.plan.saving.test_segments import outputs, recorded
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.program import ASSEMBLE
from tinygrad_rnn.plan.saving import unstack
from tinygrad_rnn.plan.saving.unstack import unstacked

T, B, H, V = 12, 2, 4, 5
RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(T, B, 3)), RNG.integers(0, V, (T, B))
W = RNG.normal(size=(3, H))


def assert_same(fn, *args):
    """The new program, which gives what the old one gives."""
    program, data = recorded(fn, *args)
    found = unstacked(program)
    assert all(a < i for i, item in enumerate(found.items) for a in item.args)
    pieces = [a for item in found.items if item.op is ASSEMBLE for a in item.args]
    assert len(pieces) == len(set(pieces))
    for a, b in zip(outputs(found, data), outputs(program, data), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0)) if b.dtype.kind == "f" else 1
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * scale)
    return found


def largest(program):
    """The most entries of a value, inputs and what only gives pieces their place aside."""
    return max(
        int(np.prod(item.shape)) for item in program.items if item.kind == "op" and item.op is not ops.getitem
    )


@given(data=st.data())
def test_random_programs_over_stacks_give_the_same(data):
    x = data.draw(arrays((3, 2, 3)))
    steps = data.draw(STEPS)

    def fn(x):
        stack = ops.stack([ops.tanh(x[t]) for t in range(3)])
        return total([*run_tensors(steps, [stack, x, ops.sum(stack, axis=(0, 1))]), stack])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unstack, "LONG", 2)
        assert_same(tr.value_and_grad(fn), tr.Tensor(x))


def states(x):
    """T values (B, H), each of which needs the one before."""
    h, found = ops.tanh(x[0] @ W), []
    for t in range(T):
        h = ops.tanh(h + x[t] @ W)
        found.append(h)
    return found


@pytest.mark.parametrize(
    "of_stack",
    [
        lambda s: ops.sum(ops.tanh(s) * 2.0 + s),
        lambda s: ops.sum(ops.softmax(s, axis=-1) ** 2),
        lambda s: ops.sum(ops.exp(ops.max(s, axis=2, keepdims=True) - s)),
        lambda s: ops.sum(ops.sum(s, axis=0) ** 2),
        lambda s: ops.sum(ops.sum(s, axis=(0, 1), keepdims=True) ** 2),
        lambda s: ops.sum((s @ np.ones((H, V))) ** 2),
        lambda s: ops.sum(s[1:] * s[:-1]),
        lambda s: ops.sum(s[:, 1] ** 2) + ops.sum(s[2] ** 3) + ops.sum(s[-1]),
        lambda s: ops.sum(s.reshape(T * B, H) @ np.ones((H, 2))),
        lambda s: ops.sum(ops.where(s > 0, s, 0.1 * s)),
        lambda s: ops.sum(s.reshape(T * B, H).T @ s.reshape(T * B, H)),
        lambda s: ops.sum(s * np.arange(T)[:, None, None] + np.arange(H)),
        lambda s: tr.cross_entropy(s, Y % H),
        lambda s: tr.cross_entropy(s, Y % H, mask=Y > 1),
        lambda s: ops.sum(s - ops.mean(s, axis=0)),
        lambda s: ops.sum(ops.mean(s, axis=(1, 2)) ** 2),
    ],
)
def test_what_goes_row_by_row_is_never_whole(of_stack):
    found = assert_same(tr.value_and_grad(lambda x: of_stack(ops.stack(states(x)))), X)
    if "mean(s, axis=0)" not in str(of_stack.__code__.co_names):
        assert largest(found) < T * B * H or any(item.op is ASSEMBLE for item in found.items)


def test_readouts_and_losses_of_a_layer_are_never_whole():
    rng = np.random.default_rng(0)
    net, head = tr.nn.RNN(3, H, rng=rng), tr.nn.Linear(H, V, rng=rng)
    found = assert_same(
        tr.value_and_grad(lambda p, x, y: tr.cross_entropy(p[1](p[0](x)[0]), y)), (net, head), X, Y
    )
    assert largest(found) == T * B  # the targets, which are checked as a whole
    assert not any(item.op is ASSEMBLE for item in found.items)


def test_products_of_all_inputs_that_are_read_step_by_step_are_never_whole():
    def fn(w, x):
        z, h = ops.tanh(x @ w + 1.0), ops.tanh(x[0] @ w)
        for t in range(T):
            h = ops.tanh(h + z[t])
        return ops.sum(h)

    found = assert_same(fn, W, X)
    assert largest(found) == B * H
    assert_same(tr.value_and_grad(fn, argnums=(0, 1)), W, X)


def test_what_is_wanted_whole_is_put_together_in_place():
    found = assert_same(lambda x: ops.tanh(ops.stack(states(x))) * 2.0, X)
    assert [item.op for item in found.items][-1] is ASSEMBLE
    assert all(found.items[a].op is ops.multiply for a in found.items[-1].args)
    found = assert_same(lambda x: [ops.stack(states(x)), ops.cumsum(ops.stack(states(x)), axis=0)], X)
    assert sum(item.op is ASSEMBLE for item in found.items) == 1


def test_a_row_of_two_wholes_is_copied():
    def fn(x):
        y = ops.tanh(ops.stack(states(x)))
        return y, y[2:]

    found = assert_same(fn, X)
    assert sum(item.op is ASSEMBLE for item in found.items) == 2
    assert sum(item.op is ops.alias for item in found.items) == T - 2


def test_short_stacks_are_left_alone():
    program, _ = recorded(lambda x: ops.sum(ops.stack([ops.tanh(x[t]) for t in range(3)]) ** 2), X)
    assert unstacked(program).items == program.items


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_layers_fit_into_little_memory(cell):
    rng = np.random.default_rng(0)
    net, head = getattr(tr.nn, cell)(3, 16, rng=rng), tr.nn.Linear(16, V, rng=rng)
    x, y = RNG.normal(size=(150, 1, 3)), RNG.integers(0, V, (150, 1))
    step = tr.value_and_grad(lambda p, x, y: tr.cross_entropy(p[1](p[0](x)[0]), y))
    whole, little = (compile(step, memory=memory) for memory in (None, "sqrt"))
    args = (net, head), x, y
    assert little.plan(*args).bytes < 0.5 * whole.plan(*args).bytes
    assert little.verify(*args)
