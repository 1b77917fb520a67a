from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss, xor_loss
from tests.viz.pictures import read


def box(picture, name):
    found = [node for node in picture.nodes if node.texts[0] == name]
    assert len(found) == 1, (name, found)
    return found[0]


def edges_by_name(picture):
    names = {node.title: node.texts[0] for node in picture.nodes}
    frames = Counter()
    for edge in picture.edges:
        tail, head = edge.title.split("->")
        frames[names[tail], names[head]] += 1
    return frames


@pytest.mark.parametrize("program", ["graphviz-pure", "dot"])
def test_one_cell_for_each_step_with_its_input_and_state(program):
    picture = read(tr.draw(scalar_rnn(4), level="step"), program)
    assert len(picture.classed("cell")) == 4
    lefts = [box(picture, f"h_{t}").left for t in range(4)]
    assert lefts == sorted(lefts)
    edges = edges_by_name(picture)
    for t in range(4):
        assert edges[f"x_{t}", "cell"] == 1
        assert edges["cell", f"h_{t}"] == 1
        assert edges[f"h_{t}", f"L_{t}"] == 1
        assert edges[f"h_{t}", "cell"] == (t < 3)
    assert edges["h_init", "cell"] == 1
    assert sum(edges.values()) == 3 * 4 + 3 + 1 + 4 + 3


def test_an_lstm_carries_two_states_and_its_readout_is_not_in_the_cell():
    picture = read(tr.draw(cell_loss("LSTMCell", 3), level="step"))
    edges = edges_by_name(picture)
    for t in range(2):
        assert edges[f"c_{t}", "cell"] == edges[f"h_{t}", "cell"] == 1
    assert edges["h_2", "y_2"] == edges["y_2", "L_2"] == 1
    assert edges["c_2", "h_2"] == 0, "h comes from the cell, which holds the output gate"
    cell = picture.classed("cell")[0]
    assert cell.texts[1] == "20 operations"
    assert set(cell.texts[2:]) == {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}


def test_a_box_shows_the_norms_of_value_and_gradient():
    loss = cell_loss("RNNCell", 3)
    h = next(node for node in tr.Graph.of(loss) if node.name == "h_1")
    texts = box(read(tr.draw(loss, level="step")), "h_1").texts
    assert texts[1:] == ("(4,)", f"‖∂‖ {(h.grad**2).sum() ** 0.5:.4g}")


def test_the_middle_is_folded():
    picture = read(tr.draw(scalar_rnn(50), level="step"))
    assert len(picture.classed("cell")) == 4
    assert [n.texts[0] for n in picture.classed("fold")] == ["… 46 more steps …"]
    order = [box(picture, name).left for name in ("h_1", "… 46 more steps …", "h_48")]
    assert order == sorted(order)
    edges = edges_by_name(picture)
    assert edges["h_1", "… 46 more steps …"] == edges["… 46 more steps …", "cell"] == 1


def test_a_truncation_is_visibly_cut():
    picture = read(tr.draw(scalar_rnn(4, truncate=2), level="step"))
    cut = [edge for edge in picture.edges if edge.texts == ("no gradient",)]
    assert len(cut) == 1
    assert edges_by_name(picture)["h_1", "cell"] == 1


def test_layers_are_cells_of_their_own():
    picture = read(tr.draw(stack_loss("GRU", 3, layers=2), level="step"))
    assert len(picture.classed("cell")) == 6
    titles = Counter(frame.texts[0] for frame in picture.frames)
    assert titles["layer 0"] == titles["layer 1"] == 3


def test_a_network_without_steps_is_drawn_as_it_is():
    assert not read(tr.draw(xor_loss(), level="step")).classed("cell")


def test_a_state_that_many_steps_read_keeps_its_edges():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 2.0, 3.0, 4.0, 5.0], state=0.0)
    first = net.states[0]
    losses = net.each(lambda h: h * first)
    edges = edges_by_name(read(tr.draw(tr.add_n(losses), level="step")))
    assert [edges["h_0", f"L_{t}"] + edges["h_0", "cell"] > 0 for t in range(1, 5)] == [True] * 4
    assert edges["h_0", "L_4"] == 1 or edges["h_0", "cell"] == 4


def test_an_input_that_is_looked_up_in_a_table_enters_the_cell():
    table = tr.Tensor(np.arange(6.0).reshape(3, 2), name="table")
    cell = tr.nn.RNNCell(2, 2, rng=np.random.default_rng(0))
    net = tr.unroll(cell, table)
    edges = edges_by_name(read(tr.draw(net, level="step")))
    for t in range(3):
        assert edges[f"x_{t}", "cell"] == edges["cell", f"h_{t}"] == 1
        assert edges["cell", f"x_{t}"] == 0


def test_a_mean_over_the_steps_names_its_divisor():
    loss = scalar_rnn(3) / 3.0
    assert "÷ 3" in {node.texts[0] for node in read(tr.draw(loss, level="step")).nodes}
