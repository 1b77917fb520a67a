import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn


@pytest.mark.parametrize("level", ["op", "step", "scalar", "rolled"])
def test_a_node_a_list_a_graph_and_an_unrolled_network_can_be_drawn(level):
    loss = scalar_rnn()
    text = tr.draw(loss, level=level).source
    assert tr.draw([loss], level=level).source == text
    assert tr.draw(tr.Graph.of(loss), level=level).source == text
    cell = tr.nn.LSTMCell(2, 2, rng=np.random.default_rng(0))
    net = tr.unroll(cell, np.ones((3, 2)))
    assert "h_2" in tr.draw(net, level="op").source
    assert "c_t" in tr.draw(net, level="rolled").source


def test_a_scalarized_network_is_drawn_by_its_values():
    w = tr.Tensor([[1.0, 2.0]], name="w")
    apart = tr.scalarize(w @ np.array([3.0, 4.0]))
    assert "w[0, 1]" in tr.draw(apart).source


def test_no_steps_draw_the_initial_state():
    cell = tr.nn.RNNCell(2, 3, rng=np.random.default_rng(0))
    net = tr.unroll(cell, np.ones((0, 2)))
    for level in ("op", "step", "rolled"):
        assert "h_init" in tr.draw(net, level=level).source


@pytest.mark.parametrize("x", [3.0, "graph", np.zeros(3), [], None, [tr.Value(1.0), 2.0]])
def test_anything_else_is_refused(x):
    with pytest.raises(TypeError, match="draw: "):
        tr.draw(x)


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="level='ops' is unknown; legal: 'op', 'step', 'scalar', 'rolled'"):
        tr.draw(tr.Value(1.0), level="ops")
