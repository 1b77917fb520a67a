"""Networks from outside beside the engine's own: the same weights, the same numbers."""

import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr

mpl.use("Agg")


def tanh_network(batch: tuple[int, ...] = ()) -> tuple[Any, Any, Any]:
    """A cell of the engine, the same in plain numpy, and inputs."""
    rng = np.random.default_rng(0)
    cell = tr.nn.RNNCell(3, 5, rng=rng)
    w, u, b = (np.array(p.data) for p in (cell.weight_hh, cell.weight_ih, cell.bias_ih + cell.bias_hh))
    return cell, lambda x, h: np.tanh(h @ w.T + x @ u.T + b), rng.normal(size=(8, *batch, 3))


@pytest.mark.parametrize("method", ["auto", "differences"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_plain_network_flows_as_the_engines_own(method: str, batch: tuple[int, ...]) -> None:
    cell, step, xs = tanh_network(batch)
    net = tr.unroll(cell, xs)
    inside = tr.gradient_flow(net, net.each(lambda h: (h * h).sum()))
    states = [np.array(h.data) for h in net.states]
    outside = tr.gradient_flow_external(step, xs, np.zeros((*batch, 5)), [2 * h for h in states], method)
    close = {"rtol": 1e-10, "atol": 1e-14} if method == "auto" else {"rtol": 1e-7, "atol": 1e-10}
    np.testing.assert_allclose(outside.states, states, rtol=1e-13)
    np.testing.assert_allclose(outside.norms, inside.norms, **close)
    np.testing.assert_allclose(outside.flow.total_norms, inside.total_norms, **close)
    np.testing.assert_allclose(outside.jacobian_norms, inside.jacobian_norms, **close)
    np.testing.assert_allclose(outside.jacobians(6, 2), inside.jacobians(6, 2), **close)
    assert (
        outside.steps_in_the_past(relative=0.1).lags.tolist()
        == inside.steps_in_the_past(relative=0.1).lags.tolist()
    )
    assert set(outside.methods) == {"complex step" if method == "auto" else "differences"}
    assert (outside.uncertainty == 0) == (method == "auto")


def test_an_lstm_keeps_h_and_c_in_one_array() -> None:
    rng = np.random.default_rng(1)
    cell, xs = tr.nn.LSTMCell(2, 3, rng=rng), rng.normal(size=(6, 2))

    def step(x: Any, s: Any) -> Any:
        a = cell.weight_ih.data @ x + cell.bias_ih.data + cell.weight_hh.data @ s[0] + cell.bias_hh.data
        i, f, g, o = np.split(np.asarray(a), 4)
        c = s[1] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        return np.stack([np.tanh(c) / (1 + np.exp(-o)), c])

    net = tr.unroll(cell, xs)
    inside = tr.gradient_flow(net, net.outputs[-1].sum())
    last = np.stack([np.ones(3), np.zeros(3)])
    outside = tr.gradient_flow_external(step, xs, np.zeros((2, 3)), [None] * 5 + [last])
    np.testing.assert_allclose(outside.norms[-1], inside.norms[-1], rtol=1e-10)
    assert not np.any(outside.norms[:-1])
    assert outside.losses == 1


def test_without_losses_the_norms_are_those_of_the_jacobians() -> None:
    _, step, xs = tanh_network()
    flow = tr.gradient_flow_external(step, xs, np.zeros(5))
    np.testing.assert_array_equal(flow.norms, flow.jacobian_norms)
    np.testing.assert_allclose(np.diag(flow.norms), 1.0)
    assert "‖∂$h_t$/∂$h_k$‖₂" in flow.plot(Figure().subplots()).get_title()
    with_losses = tr.gradient_flow_external(step, xs, np.zeros(5), np.ones((8, 5)))
    assert "$L_t$" in with_losses.plot(Figure().subplots()).get_title()


def test_it_shows_itself() -> None:
    _, step, xs = tanh_network()
    flow = tr.gradient_flow_external(step, xs, np.zeros(5))
    assert repr(flow).startswith("<ExternalFlow over 8 steps by complex step: the gradient vanishes, ×")
    assert "<table>" in flow._repr_html_()
    told = json.loads(json.dumps(flow.to_dict()))
    assert told["norms"] == flow.norms.tolist()
    assert (told["methods"], told["uncertainty"], told["losses"]) == (["complex step"] * 8, 0.0, 0)
    assert flow.plot_lags(Figure().subplots()).get_yscale() == "log"


def test_methods_may_differ_from_step_to_step() -> None:
    def step(x: Any, h: Any) -> Any:
        return np.tanh(h + x) if x > 0 else np.tanh(np.real(h) + x)

    flow = tr.gradient_flow_external(step, [1.0, -1.0, 1.0], np.zeros(2))
    assert flow.methods == ("complex step", "differences", "complex step")
    assert "over 3 steps by complex step (2), differences (1): " in repr(flow)
    h = np.tanh(np.tanh(1.0) - 1)
    np.testing.assert_allclose(flow.jacobians(1, 0), np.eye(2) * (1 - h**2), rtol=1e-9)


def test_single_precision_stays_what_the_network_is_given() -> None:
    def step(x: Any, h: Any) -> Any:
        assert h.dtype == np.float32
        return np.tanh(h * np.float32(0.5) + np.float32(x))

    flow = tr.gradient_flow_external(step, [1.0, 0.5], np.zeros(3, np.float32), method="differences")
    assert flow.states.dtype == np.float32
    np.testing.assert_allclose(flow.jacobians(1, 0), np.eye(3) * 0.5 * (1 - flow.states[1] ** 2), atol=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    _, step, xs = tanh_network()
    flow, zero = tr.gradient_flow_external, np.zeros(5)
    with pytest.raises(TypeError, match="step must be callable"):
        flow(3, xs, zero)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match="method must be one of 'auto', 'complex', 'differences', got 'forward'"
    ):
        flow(step, xs, zero, method="forward")
    with pytest.raises(ValueError, match="no steps"):
        flow(step, [], zero)
    with pytest.raises(TypeError, match="h0 must be a float64 or float32 array, got dtype complex128"):
        flow(step, xs, zero + 0j)
    with pytest.raises(ValueError, match="2 cotangents for 8 steps"):
        flow(step, xs, zero, [None, None])
    with pytest.raises(
        ValueError, match=r"the cotangent of step 1 must have the state's shape \(5,\), got \(4,\)"
    ):
        flow(step, xs, zero, [None, np.ones(4), *[None] * 6])
    with pytest.raises(ValueError, match=r"step 0 must return a state of shape \(5,\)"):
        flow(lambda x, h: h[:3], xs, zero)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="step 2 gave another result"):
        flow(lambda x, h: h + (rng.normal() if x == 2 else 0), range(4), zero)
    with pytest.raises(MemoryError, match="give fewer steps"):
        flow(step, np.zeros((3000, 3)), np.zeros(500))
