"""Real-time recurrent learning against backpropagation through time, and against formulas by hand."""

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.analysis.online_networks import NETWORKS, Network, entries, of_cell
from tests.oracles.bptt import Weights, run
from tinygrad_rnn.core.tree import flatten
from tinygrad_rnn.core.variable import Variable


@pytest.mark.parametrize("name", NETWORKS)
def test_the_summed_gradient_is_that_of_backpropagation_through_time(name: str) -> None:
    network = NETWORKS[name]()
    bptt, online = network.through_time(), network.online()
    assert [path for path, _ in flatten(online.gradient)] == [path for path, _ in flatten(bptt)]
    for (path, a), (_, b) in zip(flatten(online.gradient), flatten(bptt), strict=True):
        assert type(a) is type(b), path
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.max(np.abs(b)), err_msg=path)
        assert np.any(np.asarray(b)), path


def test_each_steps_gradient_is_that_of_its_own_loss() -> None:
    network = NETWORKS["lstm"]()
    cell, _, loss = network.build(network.parameters)
    online = tr.RTRL(cell, network.parameters)
    for t, (x, y) in enumerate(zip(network.inputs, network.targets, strict=True)):

        def alone(model: Any, t: int = t, y: Any = y) -> Any:
            cell, _, loss = network.build(model)
            return loss(tr.unroll(cell, network.inputs[: t + 1]).outputs[t], y)

        value, gradient = online.step(x, loss, y)
        expected, exact = tr.value_and_grad(alone)(network.parameters)
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(entries(gradient), entries(exact), rtol=1e-10, atol=1e-13)


def test_it_agrees_with_bptt_by_hand() -> None:
    """The outputs' cotangents of the hand-written loop are what a loss linear in the outputs gives."""
    rng = np.random.default_rng(3)
    cell = tr.nn.LSTMCell(3, 4, rng=rng)
    x, cotangent, zero = rng.normal(size=(8, 2, 3)), rng.normal(size=(8, 2, 4)), np.zeros((2, 4))
    weights = Weights(cell.weight_ih.data, cell.weight_hh.data, cell.bias_ih.data, cell.bias_hh.data)
    ends = {"outputs": cotangent, "h": zero, "c": zero}
    by_hand = run("lstm", weights, x, {"h": zero, "c": zero}, np.array([8, 8]), ends).grad
    gradient = tr.RTRL(cell, cell).run(x, lambda h, g: (h * g).sum(), cotangent).gradient
    for mine, theirs in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "bx"), ("bias_hh", "bh")):
        np.testing.assert_allclose(gradient[mine], by_hand[theirs], rtol=1e-11, atol=1e-13)


def test_the_influence_is_the_derivative_of_the_state() -> None:
    """P_3 of a tanh RNN by central differences (error about 1e-10)."""
    rng = np.random.default_rng(4)
    cell, xs = tr.nn.RNNCell(2, 3, rng=rng), rng.normal(size=(4, 2))
    online = tr.RTRL(cell, cell)
    for x in xs:
        value, gradient = online.step(x)
        assert value == 0.0
        assert not np.any(entries(gradient))
    weights = np.array(cell.weight_hh.data)

    def last(w: Any) -> Any:
        h = np.zeros(3)
        for x in xs:
            h = np.tanh(cell.weight_ih.data @ x + cell.bias_ih.data + w @ h + cell.bias_hh.data)
        return h

    np.testing.assert_allclose(online.state, last(weights), rtol=1e-14)
    for i in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[i] = 1e-5
        slope = (last(weights + step) - last(weights - step)) / 2e-5
        np.testing.assert_allclose(online.influence["weight_hh"][(slice(None), *i)], slope, atol=1e-9)


@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_any_length_and_batch(steps: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = of_cell(lambda _: tr.nn.GRUCell(3, 4, rng=rng), steps, (batch,))
    bptt = entries(network.through_time())
    np.testing.assert_allclose(entries(network.online().gradient), bptt, atol=1e-10 * np.max(np.abs(bptt)))


SLACK = 15_000  # bytes; 150 steps that each leave one node with its array behind would be thrice that


def live_nodes() -> int:
    gc.collect()
    return sum(isinstance(thing, Variable) for thing in gc.get_objects())


@pytest.mark.parametrize("name", ["rnn tanh", "values", "learned state"])
def test_memory_does_not_grow_with_the_sequence(name: str) -> None:
    network = NETWORKS[name]()
    cell, state, loss = network.build(network.parameters)
    online = tr.RTRL(cell, network.parameters, state)

    def steps(count: int) -> None:
        for k in range(count):
            online.step(network.inputs[k % 5], loss, network.targets[4])

    steps(2)
    nodes, carried = live_nodes(), online.carried

    def growth() -> int:
        gc.collect()  # empties Python's free lists of small objects, too
        size = tracemalloc.get_traced_memory()[0]
        steps(150)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - size

    tracemalloc.start()
    try:
        steps(20)
        # What steps leave behind grows in each round; what other threads of the test run hold does not.
        assert min(growth() for _ in range(3)) < SLACK
    finally:
        tracemalloc.stop()
    assert (live_nodes(), online.carried) == (nodes, carried)


def test_a_graph_over_the_same_steps_does_grow() -> None:
    """The counter of the test above sees what unrolling keeps."""
    network = NETWORKS["lstm"]()
    before = live_nodes()
    net = tr.unroll(network.parameters["cell"], network.inputs)
    assert live_nodes() > before + 6 * len(net)


def test_the_influence_has_as_many_numbers_as_state_times_parameters() -> None:
    network = of_cell(lambda rng: tr.nn.LSTMCell(3, 4, rng=rng))
    cell = network.parameters["cell"]
    run = network.online()
    assert run.carried == (2 * 2 * 4) * sum(p.size for p in cell.parameters())  # none for the readout


def test_weights_may_be_assigned_between_steps() -> None:
    """Then the gradient is that of dL_t at today's weights plus what the influence kept from the earlier ones."""
    rng = np.random.default_rng(8)
    w = tr.Tensor(rng.normal(size=(2, 2)), name="w")
    online = tr.RTRL(lambda x, h: tr.ops.tanh(w @ h + x), [w], np.zeros(2))
    xs = rng.normal(size=(3, 2))
    h, influence = np.zeros(2), np.zeros((2, 2, 2))
    for x in xs:
        _, (gradient,) = online.step(x, lambda h: (h * h).sum())
        new = np.tanh(w.data @ h + x)
        slope = 1 - new**2
        own = np.einsum("i,ij,k->ijk", slope, np.eye(2), h)
        influence = own + np.einsum("i,ij,jkl->ikl", slope, np.array(w.data), influence)
        h = new
        np.testing.assert_allclose(gradient, np.einsum("i,ikl->kl", 2 * h, influence), rtol=1e-12)
        w.data = w.data - 0.5 * gradient


def test_it_leaves_grad_alone_and_works_without_recording() -> None:
    network = NETWORKS["gru"]()
    expected = entries(network.online().gradient)
    with tr.no_grad():
        np.testing.assert_array_equal(entries(network.online().gradient), expected)
    assert not any(leaf.has_grad for _, leaf in flatten(network.parameters))


def test_single_precision_stays_single() -> None:
    cell = tr.nn.RNNCell(2, 3, rng=np.random.default_rng(1), dtype=np.float32)
    xs = np.random.default_rng(2).normal(size=(5, 2)).astype(np.float32)
    online = tr.RTRL(cell, cell)
    run = online.run(xs, lambda h: (h * h).sum())
    bptt = tr.grad(lambda cell: tr.add_n(tr.unroll(cell, xs).each(lambda h: (h * h).sum())))(cell)
    for name in bptt:
        assert run.gradient[name].dtype == np.float32 == online.influence[name].dtype
        np.testing.assert_allclose(run.gradient[name], bptt[name], rtol=2e-5, atol=1e-6)


def test_inputs_may_depend_on_parameters() -> None:
    rng = np.random.default_rng(9)
    model = {"e": tr.nn.Embedding(4, 2, rng=rng), "cell": tr.nn.RNNCell(2, 3, rng=rng)}
    online = tr.RTRL(model["cell"], model)
    total = np.zeros((4, 2))
    for k in (0, 2, 2, 1):
        total += online.step(model["e"](k), lambda h: h.sum())[1]["e"]["weight"]
    exact = tr.grad(
        lambda m: tr.add_n(tr.unroll(m["cell"], [m["e"](k) for k in (0, 2, 2, 1)]).each(lambda h: h.sum()))
    )(model)
    np.testing.assert_allclose(total, exact["e"]["weight"], rtol=1e-12)
    assert not np.any(total[3])


def test_a_loss_that_fails_leaves_the_network_where_it_was() -> None:
    network = NETWORKS["gru"]()
    cell, _, loss = network.build(network.parameters)
    online, twin = (tr.RTRL(cell, network.parameters) for _ in range(2))
    for method in (online, twin):
        method.step(network.inputs[0])
    with pytest.raises(ValueError, match=r"one number, got shape \(2, 4\); reduce it"):
        online.step(network.inputs[1], lambda h: h)
    with pytest.raises(TypeError, match="must return a Value or Tensor of one entry, got float"):
        online.step(network.inputs[1], lambda h: 1.0)
    assert online.steps == 1
    one, two = (m.step(network.inputs[1], loss, network.targets[1])[1] for m in (online, twin))
    np.testing.assert_array_equal(entries(one), entries(two))


def test_what_cannot_be_learned_is_refused() -> None:
    cell = tr.nn.RNNCell(1, 1)
    with pytest.raises(TypeError, match=r"parameters\['w'\] must be a leaf Value or Tensor, got ndarray"):
        tr.RTRL(cell, {"w": np.zeros(2)})
    with pytest.raises(
        TypeError, match=r"parameters\[0\] must be a leaf Value or Tensor, got a node of kind op"
    ):
        tr.RTRL(cell, [tr.Value(1.0) + 1])
    with pytest.raises(TypeError, match="cell must be callable"):
        tr.RTRL(3, cell)
    with pytest.raises(TypeError, match=r"the cell has no initial_state\(x\)"):
        tr.RTRL(lambda x, h: h, cell).step([1.0])
    with pytest.raises(ValueError, match="sequence 0 has 1 items, there are 2 inputs"):
        tr.RTRL(cell, cell).run(np.zeros((2, 1)), lambda h, y: h.sum(), [0])
    with pytest.raises(ValueError, match=r"changed from float64 of shape \(2,\)"):
        tr.RTRL(lambda x, h: tr.ops.concatenate([h, h]), [], np.zeros(2)).step(1.0)


def test_no_steps_give_a_gradient_of_zeros() -> None:
    cell = tr.nn.RNNCell(1, 2)
    online = tr.RTRL(cell, cell)
    run = online.run(np.zeros((0, 1)), lambda h: h.sum())
    assert not np.any(entries(run.gradient))
    assert run.losses.shape == (0,)
    assert online.state is None
    assert online.output is None


def test_a_state_of_many_numbers_is_read_in_blocks() -> None:
    """More entries than one sweep takes (64), in parts of several sizes."""
    rng = np.random.default_rng(11)
    w = tr.Tensor(rng.normal(size=(50, 50)) / 10, name="w")

    def build(p: Any) -> tuple[Any, Any, Any]:
        def cell(x: Any, s: Any) -> Any:
            h = tr.ops.tanh(p[0] @ s[0] + s[1].sum() + x)
            return h, tr.ops.sin(h[:23] * s[1])

        return cell, (np.zeros(50), np.ones(23)), lambda h, y: ((h - y) ** 2).sum()

    network = Network([w], build, rng.normal(size=(4, 50)), rng.normal(size=(4, 50)))
    exact = network.through_time()[0]
    np.testing.assert_allclose(
        network.online().gradient[0], exact, rtol=1e-10, atol=1e-12 * np.max(np.abs(exact))
    )


def test_hooks_run_once_for_each_loss() -> None:
    w = tr.Tensor(np.eye(3), name="w")
    seen = []
    w.register_hook(lambda g: seen.append(g.copy()))
    online = tr.RTRL(lambda x, h: tr.ops.tanh(w @ h + x), [w], np.zeros(3))
    online.step(1.0)
    assert not seen
    online.step(1.0, lambda h: h.sum())
    assert len(seen) == 1
