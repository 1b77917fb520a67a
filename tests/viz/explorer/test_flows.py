import numpy as np

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, xor_loss
from tinygrad_rnn.viz.explorer.flows import flows


def test_flows_are_the_norms_of_each_loss_alone():
    rng = np.random.default_rng(0)
    net = tr.unroll(tr.nn.RNNCell(2, 3, rng=rng), rng.normal(size=(5, 2)))
    losses = net.each(lambda h: (h * h).sum())
    loss = tr.add_n(losses)
    graph = tr.Graph.of(loss)
    (flow,) = flows(loss)
    assert (flow["state"], flow["losses"], flow["steps"]) == ("h", list(range(5)), list(range(5)))
    assert [graph[i] for i in flow["nodes"]] == net.states
    assert [graph[i] for i in flow["lossNodes"]] == losses
    for t, row in enumerate(flow["norms"]):
        found = tr.Graph.of(losses[t])
        losses[t].backward()
        expected = [float(np.linalg.norm(h.grad)) if h in found else None for h in net.states]
        assert [x is None for x in row] == [k > t for k in range(5)]
        np.testing.assert_allclose(row[: t + 1], expected[: t + 1], rtol=1e-3)


def test_a_zero_that_is_cut_or_vanished_is_shown_and_long_sequences_are_thinned():
    (flow,) = flows(scalar_rnn(4, truncate=2))
    assert flow["norms"][2][1] == 0.0
    assert flow["norms"][1][2] is None
    (flow,) = flows(scalar_rnn(302))
    assert flow["losses"] == flow["steps"] == list(range(1, 302, 2))
    assert len(flow["norms"]) == len(flow["norms"][0]) == len(flow["nodes"]) == 151
    assert flow["nodes"][-1] == max(i for i in flow["nodes"])


def test_both_directions_of_a_network_have_a_flow_each():
    rng = np.random.default_rng(0)
    net = tr.nn.RNN(2, 3, bidirectional=True, rng=rng).unroll(rng.normal(size=(4, 2)))
    found = flows(tr.add_n(net.each(lambda y: (y * y).sum())))
    assert len(found) == 2
    forward, backward = ([[x is None for x in row] for row in flow["norms"]] for flow in found)
    assert forward == [[k > t for k in range(4)] for t in range(4)]
    assert backward == [[k < t for k in range(4)] for t in range(4)]


def test_a_part_that_another_is_made_from_says_what_is_not_counted():
    h, c = flows(cell_loss("LSTMCell", 3))
    assert (h["state"], h["note"]) == ("h", "")
    assert (c["state"], c["note"]) == ("c", "what c gives to h within a step is not counted here")
    assert c["norms"][1][1] == 0.0  # L_1 sees c_1 through h_1 alone
    assert c["norms"][1][0] > 0.0
    assert [flow["note"] for flow in flows(scalar_rnn(3))] == [""]


def test_without_time_steps_there_is_none():
    assert flows(xor_loss()) == []
