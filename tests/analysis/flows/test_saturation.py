import json

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr
from tests.analysis.reruns import network
from tinygrad_rnn.analysis.flows.saturation import saturation
from tinygrad_rnn.analysis.reading.steps import of_losses

mpl.use("Agg")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_shares_of_a_simple_cell() -> None:
    rng = np.random.default_rng(0)
    net = tr.unroll(tr.nn.RNNCell(2, 20, rng=rng), 8 * rng.normal(size=(5, 2)))
    found = tr.gradient_flow(net, (net.final_state**2).sum()).saturation
    assert list(found.shares) == ["h"]
    expected = [np.mean(1 - h.data**2 < 0.1) for h in net.states]
    np.testing.assert_allclose(found.shares["h"], expected)
    assert min(expected) < max(expected) < 1


def test_gates_have_their_names() -> None:
    rng = np.random.default_rng(0)
    cell = tr.nn.LSTMCell(2, 20, rng=rng)
    xs = 20 * rng.normal(size=(3, 2))
    net = tr.unroll(cell, xs)
    steps = of_losses(
        net, net.each(lambda h: (h.sigmoid() ** 2).sum())
    )  # the readout's sigmoid is no part of it
    found = saturation(steps, threshold=0.05)
    assert list(found.shares) == ["i", "f", "g", "o", "tanh(c)"]
    w = {name: leaf.data for name, leaf in cell.named_parameters().items()}
    h, c = np.zeros(20), np.zeros(20)
    for t in range(3):
        a = w["weight_ih"] @ xs[t] + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]
        i, f, o = (sigmoid(a[k * 20 : (k + 1) * 20]) for k in (0, 1, 3))
        g = np.tanh(a[40:60])
        c = f * c + i * g
        h = o * np.tanh(c)
        slopes = {
            "i": i * (1 - i),
            "f": f * (1 - f),
            "g": 1 - g**2,
            "o": o * (1 - o),
            "tanh(c)": 1 - np.tanh(c) ** 2,
        }
        for name, slope in slopes.items():
            assert found.shares[name][t] == pytest.approx(np.mean(slope < 0.05))
    assert any(share.max() > 0 for share in found.shares.values())


def test_dead_units_of_a_relu() -> None:
    slow = network("relu", steps=6, hidden=3)
    net, losses = slow.unrolled()
    found = tr.gradient_flow(net, losses).saturation
    np.testing.assert_allclose(found.shares["h"], [np.mean(h.data <= 0) for h in net.states])
    assert found.shares["h"].max() > 0


def test_values_of_a_vector_are_its_units() -> None:
    net, losses = network("vector of Values", steps=4).unrolled()
    found = saturation(of_losses(net, losses), threshold=0.5)
    expected = [np.mean([1 - h.data**2 < 0.5 for h in state]) for state in net.states]
    np.testing.assert_allclose(found.shares["h"], expected)
    assert np.mean(expected) > 0


def test_layers_are_kept_apart() -> None:
    stack = tr.nn.RNN(2, 8, num_layers=2, rng=np.random.default_rng(0))
    net = stack.unroll(20 * np.random.default_rng(1).normal(size=(3, 2)))
    found = saturation(of_losses(net, (net.outputs[-1] ** 2).sum()))
    assert list(found.shares) == ["layer 0 h", "layer 1 h"]
    for layer in (0, 1):
        expected = [np.mean(1 - states[layer].data ** 2 < 0.1) for states in net.states]
        np.testing.assert_allclose(found.shares[f"layer {layer} h"], expected)
    assert found.shares["layer 0 h"].max() > found.shares["layer 1 h"].max()


def test_it_shows_itself() -> None:
    net, losses = network("LSTMCell", steps=3).unrolled()
    found = tr.gradient_flow(net, losses).saturation
    assert json.loads(json.dumps(found.to_dict()))["threshold"] == 0.1
    assert repr(found).startswith("<Saturation, units with |φ'| < 0.1: i ")
    assert found._repr_html_().count("<tr>") == 4
    ax = found.plot(Figure().subplots())
    assert [line.get_label() for line in ax.lines] == ["i", "f", "g", "o", "tanh(c)"]
    with pytest.raises(ValueError, match="must be positive, got -1"):
        saturation(of_losses(net, losses), threshold=-1)
