import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.reruns import KINDS, network
from tinygrad_rnn.analysis.reading.chain import TooLargeError
from tinygrad_rnn.analysis.reading.jacobians import step_jacobians
from tinygrad_rnn.analysis.reading.steps import of_loss, of_losses


@pytest.mark.parametrize("kind", KINDS)
def test_jacobians_are_those_of_the_steps_run_again(kind: str) -> None:
    slow = network(kind, steps=4, batch=None)
    net, losses = slow.unrolled()
    steps = of_losses(net, losses)
    (recurrence,) = steps.recurrences
    chain = step_jacobians(steps, recurrence)
    for t in range(4):
        for k in range(t + 1):
            expected = slow.jacobian(t, k, net.states[k])
            np.testing.assert_allclose(chain.between(t, k), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell"])
def test_the_rows_of_a_batch_are_found_to_be_independent(kind: str) -> None:
    slow = network(kind, steps=3, batch=3)
    net, losses = slow.unrolled()
    steps = of_losses(net, losses)
    chain = step_jacobians(steps, steps.recurrences[0])
    assert chain.jacobians.shape[1] == 3
    state = net.states[0]
    leaves = state if isinstance(state, tuple) else (state,)
    order = np.argsort(np.concatenate([np.repeat(np.arange(3), 3) for _ in leaves]), kind="stable")
    expected = slow.jacobian(2, 0, state)[np.ix_(order, order)]  # row by row of the batch
    np.testing.assert_allclose(chain.between(2, 0), expected, rtol=1e-12, atol=1e-14)


def test_rows_that_act_on_each_other_make_one_matrix() -> None:
    rng = np.random.default_rng(0)
    W = tr.Tensor(rng.normal(size=(2, 2)), name="W")

    def cell(x, h):
        return tr.ops.tanh(h @ W + x - 0.5 * h.mean(axis=0))

    net = tr.unroll(cell, rng.normal(size=(4, 3, 2)), state=rng.normal(size=(3, 2)))
    steps = of_losses(net, (net.final_state**2).sum())
    chain = step_jacobians(steps, steps.recurrences[0])
    assert chain.jacobians.shape == (4, 1, 6, 6)

    def later(h):
        for j in (2, 3):
            h = cell(net.inputs[j].data, h)
        return h

    expected = tr.jacobian(later)(net.states[1].data).reshape(6, 6)
    np.testing.assert_allclose(chain.between(3, 1), expected, rtol=1e-12)


def test_one_row_that_acts_on_another_late_is_seen() -> None:
    rng = np.random.default_rng(0)

    def cell(x, h):
        return h + x if x.data.min() > 0 else h + 0.1 * h.sum(axis=0)

    xs = np.ones((4, 2, 2)) * np.array([1, 1, -1, 1])[:, None, None]
    net = tr.unroll(cell, xs, state=tr.Tensor(rng.normal(size=(2, 2))))
    steps = of_losses(net, (net.final_state**2).sum())
    assert step_jacobians(steps, steps.recurrences[0]).jacobians.shape == (4, 1, 4, 4)


def test_a_layer_above_and_a_direction_back() -> None:
    rng = np.random.default_rng(0)
    stack = tr.nn.GRU(2, 3, num_layers=2, bidirectional=True, rng=rng)
    net = stack.unroll(rng.normal(size=(4, 2)))
    steps = of_losses(net, (net.outputs[-1] ** 2).sum())
    for lane, recurrence in enumerate(steps.recurrences):
        chain = step_jacobians(steps, recurrence)
        late, early = (3, 2) if lane % 2 == 0 else (2, 3)
        after, before = net.states[late][lane], net.states[early][lane]
        for i in range(3):
            graph = tr.Graph.of(after)
            g = {after: np.eye(3)[i]}
            for node in reversed(graph.nodes):
                for p, c in zip(
                    node.parents, graph.local_vjp(node, g[node]) if node in g else (), strict=False
                ):
                    if c is not None and node is not before:
                        g[p] = g.get(p, 0.0) + c
            np.testing.assert_allclose(chain.between(late, early)[i], g[before], rtol=1e-12, atol=1e-15)
        assert not chain.between(early, late).any()


def test_a_cut_is_a_zero() -> None:
    net = tr.unroll(tr.nn.RNNCell(2, 3), np.ones((4, 2)), truncate=2)
    steps = of_losses(net, (net.final_state**2).sum())
    chain = step_jacobians(steps, steps.recurrences[0])
    assert [bool(J.any()) for J in chain.jacobians] == [False, True, False, True]


def test_a_state_that_is_absent_has_no_derivative() -> None:
    def cell(x, state):
        h, c = state
        return (0.5 * c + x).tanh(), 0.9 * c + h

    net = tr.unroll(cell, [1.0, 2.0, 3.0], state=(tr.Value(0.1), tr.Value(0.2)))
    steps = of_loss(net.final_state[0])  # c of the last step is not in its graph
    (recurrence,) = steps.recurrences
    assert set(recurrence.parts) == {"h", "c"}
    chain = step_jacobians(steps, recurrence)
    c = recurrence.parts["c"][0]
    assert not chain.jacobians[2, 0, c].any()
    assert chain.jacobians[1, 0, c].any()


def test_too_large_a_state_is_refused() -> None:
    net = tr.unroll(lambda x, h: 0.5 * h + x, np.zeros((4, 12000)), state=tr.Tensor(np.ones(12000)))
    steps = of_losses(net, (net.final_state**2).sum())
    with pytest.raises(TooLargeError, match="Jacobians of 4 steps, 1 x 12000 x 12000 each"):
        step_jacobians(steps, steps.recurrences[0])
