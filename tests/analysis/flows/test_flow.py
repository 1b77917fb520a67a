import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr
from tests.analysis.reruns import KINDS, network
from tinygrad_rnn.core.tree import flatten

mpl.use("Agg")


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(x) for _, x in flatten(tree)])


@pytest.mark.parametrize("kind", KINDS)
def test_norms_of_the_whole_state(kind: str) -> None:
    slow = network(kind)
    net, losses = slow.unrolled({1, 3})
    flow = tr.gradient_flow(net, losses)
    expected = [
        [np.linalg.norm(flat(slow.gradient(t, k, net.states[k]))) if t in (1, 3) else 0.0 for k in range(4)]
        for t in range(4)
    ]
    np.testing.assert_allclose(flow.norms, expected, rtol=1e-12, atol=1e-15)
    total = [
        np.linalg.norm(sum(flat(slow.gradient(t, k, net.states[k])) for t in (1, 3) if t >= k))
        for k in range(4)
    ]
    np.testing.assert_allclose(flow.total_norms, total, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_jacobians_and_their_norms(kind: str) -> None:
    slow = network(kind, batch=None)
    net, losses = slow.unrolled()
    flow = tr.gradient_flow(net, losses)
    for t in range(4):
        for k in range(t + 1):
            expected = slow.jacobian(t, k, net.states[k])
            np.testing.assert_allclose(flow.jacobians(t, k), expected, rtol=1e-12, atol=1e-14)
            assert flow.jacobian_norms[t, k] == pytest.approx(np.linalg.norm(expected, 2), rel=1e-12)
    assert np.all(np.triu(flow.jacobian_norms, 1) == 0)


def test_h_and_c_apart() -> None:
    slow = network("LSTMCell", batch=None)
    net, losses = slow.unrolled()
    flow = tr.gradient_flow(net, losses)
    assert list(flow.parts) == ["h", "c"]
    whole = slow.jacobian(3, 1, net.states[1])
    np.testing.assert_allclose(flow.parts["h"].jacobians(3, 1), whole[:3, :3], rtol=1e-12)
    np.testing.assert_allclose(flow.parts["c"].jacobians(3, 1), whole[3:, 3:], rtol=1e-12)
    assert flow.parts["c"].jacobian_norms[3, 1] == pytest.approx(np.linalg.norm(whole[3:, 3:], 2))
    for t in range(4):
        for k in range(t + 1):
            h, c = slow.gradient(t, k, net.states[k])
            assert flow.parts["h"].norms[t, k] == pytest.approx(np.linalg.norm(h), rel=1e-12)
            assert flow.parts["c"].norms[t, k] == pytest.approx(np.linalg.norm(c), rel=1e-12)


def test_a_loss_alone_tells_its_steps() -> None:
    net, losses = network("LSTMCell").unrolled()
    total = tr.add_n(losses)
    alone, known = tr.gradient_flow(total), tr.gradient_flow(net, total)
    assert np.array_equal(alone.norms, known.norms)
    np.testing.assert_allclose(alone.jacobian_norms, known.jacobian_norms, rtol=1e-12)
    with pytest.raises(ValueError, match="has no time steps"):
        tr.gradient_flow(tr.Value(2.0) * 3.0)


def test_the_last_loss_has_one_row() -> None:
    net, losses = network("GRUCell").unrolled()
    flow = tr.gradient_flow(net, losses[-1])
    each = tr.gradient_flow(net, losses)
    np.testing.assert_allclose(flow.norms[3], each.norms[3], rtol=1e-13)
    assert not flow.norms[:3].any()
    np.testing.assert_allclose(
        flow.contributions["weight_hh"][3], each.contributions["weight_hh"][3], rtol=1e-13
    )


def test_several_lanes_have_parts_and_flows_of_their_own() -> None:
    stack = tr.nn.LSTM(2, 3, num_layers=2, rng=np.random.default_rng(0))
    net = stack.unroll(np.random.default_rng(1).normal(size=(4, 2, 2)))
    flow = tr.gradient_flow(net, net.each(lambda h: (h**2).sum()))
    assert list(flow.parts) == ["layer 0 h", "layer 0 c", "layer 1 h", "layer 1 c"]
    np.testing.assert_allclose(
        flow.norms**2, sum(part.norms**2 for part in flow.parts.values()), rtol=1e-12, atol=1e-30
    )
    with pytest.raises(
        ValueError, match=r"this network has 'layer 0', 'layer 1': \.lanes\['layer 0'\]\.jacobians"
    ):
        flow.jacobians(1, 0)
    upper = flow.lanes["layer 1"]
    np.testing.assert_allclose(upper.parts["c"].norms, flow.parts["layer 1 c"].norms)
    assert upper.jacobian_norms.shape == (4, 4)


def test_the_mean_factor_of_both_directions_is_that_of_their_lanes() -> None:
    w = 0.5 * np.eye(2)
    stack = tr.nn.RNN(2, 2, bidirectional=True, bias=False, nonlinearity="relu")
    stack.weight_hh_l0.data = stack.weight_hh_l0_reverse.data = w
    stack.weight_ih_l0.data = stack.weight_ih_l0_reverse.data = np.eye(2)
    net = stack.unroll(np.ones((6, 2)))
    flow = tr.gradient_flow(net, net.each(lambda h: h.sum()))
    assert "vanishes, ×0.5 per step" in repr(flow)


def test_it_says_in_a_line_what_happens() -> None:
    w = tr.Value(1.5, name="w")
    net = tr.unroll(lambda x, h: w * h + x, [1.0] * 5, state=0.0)
    assert repr(tr.gradient_flow(net, net.final_state)) == (
        "<GradientFlow over 5 steps, 1 with a loss: the gradient explodes, ×1.5 per step back>"
    )


def test_it_is_a_table_and_plain_numbers() -> None:
    net, losses = network("LSTMCell", steps=3).unrolled()
    flow = tr.gradient_flow(net, losses)
    found = json.loads(json.dumps(flow.to_dict()))
    assert found["norms"] == flow.norms.tolist()
    assert list(found["parts"]) == ["h", "c"]
    assert flow._repr_html_().count("<table>") == 3
    assert flow.plot(Figure().subplots()).images


def test_the_lag_curve_has_the_bound_beside_it_or_says_why_not() -> None:
    net, losses = network("RNNCell").unrolled()
    flow = tr.gradient_flow(net, losses)
    ax = flow.plot_lags(Figure().subplots())
    assert flow.bound is not None
    curves = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(curves["bound, (γσ) to the power t − k"], flow.bound.sigma[1] ** np.arange(4))
    assert np.all(
        curves["bound, with the slopes of the units"] >= curves["measured, geometric mean over t"] - 1e-12
    )
    net, losses = network("GRUCell").unrolled()
    ax = tr.gradient_flow(net, losses).plot_lags(Figure().subplots())
    assert ax.get_title().startswith("no bound: the state is not φ(W S + ...)")
    assert len(ax.lines) == 1


def test_contributions_are_plotted_as_shares() -> None:
    net, losses = network("GRUCell").unrolled()
    flow = tr.gradient_flow(net, losses)
    ax = flow.plot_contributions("weight_hh", Figure().subplots())
    shares = flow.contributions["weight_hh"].shares
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], shares)
    found = json.loads(json.dumps(flow.contributions["weight_hh"].to_dict()))
    assert found["shares"] == shares.tolist()
    assert "<th>share</th>" in flow.contributions["weight_hh"]._repr_html_()


def test_lists_of_losses_are_checked() -> None:
    net, losses = network("RNNCell", steps=3).unrolled()
    with pytest.raises(ValueError, match="2 losses for 3 steps"):
        tr.gradient_flow(net, losses[:2])
