"""A backward pass that is not made to go wrong is the engine's; steps, states and shares are found."""

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing.tape import BEFORE, Edit, Tape

RNG = default_rng(0)


def network(h0=None):
    w, x = tr.Tensor(RNG.normal(size=(3, 3)), name="w"), RNG.normal(size=(5, 2, 3))
    state = np.zeros((2, 3)) if h0 is None else h0
    net = tr.unroll(lambda x, h: ops.tanh(h @ w + x), x, state=state)
    return tr.add_n(net.each(lambda h: (h * h).sum())), w, net


def test_the_right_pass_is_the_engines():
    loss, w, net = network()
    found = Tape(loss).backward()
    loss.backward()
    np.testing.assert_allclose(found[w], w.grad, rtol=1e-14)
    np.testing.assert_allclose(found[net.states[2]], net.states[2].grad, rtol=1e-14)


def test_the_shares_of_the_steps_add_up():
    loss, w, _ = network()
    tape = Tape(loss)
    found = tape.backward()
    parts = dict(tape.parts(w, found))
    assert list(parts) == ["t=4", "t=3", "t=2", "t=1", "t=0"]
    assert not parts["t=0"].any()  # the first state is zero
    np.testing.assert_allclose(sum(parts.values()), found[w], rtol=1e-13)


def test_a_leaf_as_the_first_state_is_known_as_one():
    h0 = tr.Tensor(RNG.normal(size=(2, 3)), name="start")
    loss, _, net = network(h0)
    tape = Tape(loss)
    assert tape.last == 4
    assert tape.at("h", BEFORE) is h0
    assert tape.at("h", 3) is net.states[3]
    product = next(node for node in tape.graph if node.op is ops.matmul and tape.step(node) == 0)
    assert tape.crosses(product, h0)
    assert tape.called(h0) == "h"


def test_a_cut_edge_carries_nothing():
    loss, _, net = network()
    tape = Tape(loss)
    cut = tape.backward(Edit(edge=lambda node, parent, c: None if tape.crosses(node, parent) else c))
    for h in net.states:
        np.testing.assert_allclose(cut[h], 2 * h.data, rtol=1e-15)


def test_a_graph_without_steps():
    x = tr.Value(2.0, name="x")
    tape = Tape(x * x)
    assert tape.last == BEFORE
    assert tape.backward()[x] == pytest.approx(4.0)
