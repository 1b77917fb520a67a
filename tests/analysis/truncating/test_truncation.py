import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr
from tests.analysis.reruns import Network, network
from tinygrad_rnn.analysis.agreement import cosine, relative_error

mpl.use("Agg")
KINDS = ("RNNCell", "LSTMCell", "GRUCell", "Values", "vector of Values")


def gradients(loss: Any, weights: dict[str, Any]) -> dict[str, np.ndarray]:
    for w in weights.values():
        w.grad = None
    loss.backward()
    return {name: np.array(w.grad) for name, w in weights.items()}


def in_blocks(slow: Network, k: int | None, last: bool = False) -> dict[str, np.ndarray]:
    """Return the gradient by unrolling with ``truncate=k``: the engine's own cuts."""
    net = tr.unroll(slow.cell, slow.xs, state=slow.start, truncate=k)
    losses = [slow.error(state, t) for t, state in enumerate(net.states)]
    return gradients(tr.add_n(losses[-1:] if last else losses), slow.weights)


def windowed(slow: Network, k: int) -> dict[str, np.ndarray]:
    """Return the gradient in which each error runs back through k steps: a run of its own for each error."""
    net, _ = slow.unrolled()
    total = {name: np.zeros_like(w.data) for name, w in slow.weights.items()}
    for t in range(len(net)):
        before = net.initial_state if t < k else net.states[t - k]
        state = slow.rerun(t, max(t - k, -1), tr.detach(before))
        for name, g in gradients(slow.error(state, t), slow.weights).items():
            total[name] = total[name] + g
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_runs_back_through_k_steps(kind: str) -> None:
    slow = network(kind, steps=5)
    net, losses = slow.unrolled()
    found = tr.truncation(net, losses, list(slow.weights))
    full = gradients(tr.add_n(losses), slow.weights)
    for k in range(1, 6):
        cut = windowed(slow, k)
        for name, gradient in found.gradients(k).items():
            np.testing.assert_allclose(gradient, cut[name], rtol=1e-11, atol=1e-14)
            assert found.sliding[name].error[k - 1] == pytest.approx(
                relative_error(cut[name], full[name]), rel=1e-9, abs=1e-14
            )
        assert found.errors[k - 1] == pytest.approx(relative_error(cut, full), rel=1e-9, abs=1e-14)
        assert found.cosines[k - 1] == pytest.approx(cosine(cut, full), rel=1e-12)
    assert found.errors[0] > 1e-3
    assert found.errors[-1] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_those_of_unroll(kind: str) -> None:
    slow = network(kind, steps=6)
    net, losses = slow.unrolled()
    found = tr.truncation(net, losses, list(slow.weights))
    full = in_blocks(slow, None)
    for k in range(1, 8):
        cut = in_blocks(slow, k)
        for name, gradient in found.block_gradients(k).items():
            np.testing.assert_allclose(gradient, cut[name], rtol=1e-11, atol=1e-14)
        if k <= 6:
            assert found.block_errors[k - 1] == pytest.approx(relative_error(cut, full), rel=1e-9, abs=1e-14)
            assert found.block_cosines[k - 1] == pytest.approx(cosine(cut, full), rel=1e-12)


def test_a_state_that_is_handed_on_as_it_is_is_cut_as_well() -> None:
    slow = network("dict", steps=5)
    start = {name: tr.Tensor(leaf.data, name=name) for name, leaf in slow.start.items()}
    weights = {**slow.weights, **start}
    slow = Network(slow.cell, slow.xs, start, slow.error, weights)
    net, losses = slow.unrolled()
    found = tr.truncation(net, losses)
    for k in (1, 2, 3, 5):
        cut = in_blocks(slow, k)
        for name in ("W", "U", "fast", "slow"):
            np.testing.assert_allclose(found.block_gradients(k)[name], cut[name], rtol=1e-11, atol=1e-14)


def test_a_stack_is_cut_in_each_layer() -> None:
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(4, 2))
    module = tr.nn.RNN(2, 3, num_layers=2, rng=rng)
    net = module.unroll(xs)
    weights = module.named_parameters()
    found = tr.truncation(net, net.each(lambda h: (h**2).sum()))
    cells = [tr.nn.RNNCell.sharing(_layer(weights, layer), nonlinearity="tanh").step for layer in (0, 1)]
    zero = np.zeros(3)
    for k in (1, 2, 3):
        lower = tr.unroll(cells[0], [tr.constant(x) for x in xs], state=zero, truncate=k)
        upper = tr.unroll(cells[1], lower.outputs, state=zero, truncate=k)
        cut = gradients(tr.add_n(upper.each(lambda h: (h**2).sum())), weights)
        for name, gradient in found.block_gradients(k).items():
            np.testing.assert_allclose(gradient, cut[name], rtol=1e-11, atol=1e-14)


def _layer(weights: dict[str, Any], layer: int) -> dict[str, Any]:
    return {name: weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}


def test_a_tiny_error_is_not_lost_beside_the_gradient() -> None:
    w = tr.Value(1e-3, name="w")
    net = tr.unroll(lambda x, h: w * h + x, [1.0] * 60, state=1.0)
    found = tr.truncation(net, net.final_state)
    before = [1.0, *(h.item() for h in net.states)]  # before[k] goes into step k
    shares = [1e-3**d * before[59 - d] for d in range(60)]
    for k in (1, 10, 50, 59):
        assert found.errors[k - 1] == pytest.approx(sum(shares[k:]) / sum(shares), rel=1e-12)
    assert 0 < found.errors[50] < 1e-140


def test_what_truncation_costs_grows_with_the_spectral_radius() -> None:
    """H=50, T=100, one loss at the end: the error of k=10 grows, and is what the cut graph says."""

    def net_of(radius: float) -> Network:
        rng = np.random.default_rng(0)
        W = rng.normal(size=(50, 50))
        W *= radius / np.abs(np.linalg.eigvals(W)).max()
        hh, ih = tr.Tensor(W, name="W"), tr.Tensor(rng.normal(size=(50, 50)) / 50**0.5, name="U")
        v = rng.normal(size=50)

        def cell(x: Any, h: Any) -> Any:
            return tr.ops.tanh(hh @ h + ih @ x)

        xs = 0.1 * rng.normal(size=(100, 50))
        return Network(cell, xs, np.zeros(50), lambda h, t: (h @ v - 1.0) ** 2, {"W": hh, "U": ih})

    errors = []
    for radius in (0.9, 1.2, 1.5):
        slow = net_of(radius)
        net, losses = slow.unrolled({99})
        found = tr.truncation(net, losses, ["W"])
        errors.append(found.errors[9])
        state = slow.rerun(99, 89, tr.detach(net.states[89]))  # ten steps alone
        cut = gradients(slow.error(state, 99), {"W": slow.weights["W"]})
        full = gradients(losses[-1], {"W": slow.weights["W"]})
        assert errors[-1] == pytest.approx(relative_error(cut, full), rel=1e-9)
    assert 0 < errors[0] < errors[1] < errors[2] < 1.5


def test_it_shows_itself() -> None:
    slow = network("LSTMCell", steps=4)
    net, losses = slow.unrolled()
    found = tr.truncation(net, losses)
    assert repr(found).startswith("<Truncation of 4 steps, 5 weights: ")
    assert found._repr_html_().count("<tr>") == 5
    numbers = json.loads(json.dumps(found.to_dict()))
    assert numbers["sliding"]["error"] == found.errors.tolist()
    assert set(numbers["weights"]) == set(slow.weights)
    ax = found.plot(Figure().subplots())
    assert ax.lines[0].get_ydata()[0] == found.errors[0]
    assert np.isnan(ax.lines[0].get_ydata()[-1])


def test_a_gradient_of_zero_has_no_relative_error() -> None:
    w, unused = tr.Value(0.5, name="w"), tr.Value(1.0, name="unused")
    net = tr.unroll(lambda x, h: w * h + x, [1.0, 1.0], state=0.0)
    found = tr.truncation(net, net.final_state + unused * 0.0)
    assert np.isnan(found.sliding["unused"].error).all()
    assert np.isnan(found.blocks["unused"].cosine).all()
    assert np.isfinite(found.errors).all()
    assert json.dumps(found.to_dict()).count("null") == 8


def test_bad_arguments() -> None:
    slow = network("RNNCell", steps=3)
    net, losses = slow.unrolled()
    with pytest.raises(KeyError, match="no weight 'W'"):
        tr.truncation(net, losses, ["W"])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        tr.truncation(net, losses).gradients(0)
    both = tr.nn.RNN(2, 3, bidirectional=True).unroll(np.ones((3, 2)))
    with pytest.raises(ValueError, match="both directions of time"):
        tr.truncation(both, (both.outputs[0] ** 2).sum())
    with tr.scope("encoder"):
        encoder = tr.unroll(tr.nn.RNNCell(2, 3), np.ones((3, 2)))
    with tr.scope("decoder"):
        decoder = tr.unroll(tr.nn.RNNCell(2, 3), np.ones((3, 2)), state=encoder.final_state)
    with pytest.raises(ValueError, match="loss of step 0 reaches step 2, which comes later"):
        tr.truncation(tr.add_n(decoder.each(lambda h: (h**2).sum())))
