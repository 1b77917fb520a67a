import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn
from tests.viz.pictures import read
from tinygrad_rnn.nn.places import series
from tinygrad_rnn.viz.flow import held
from tinygrad_rnn.viz.scalar import scalar_graph


def test_a_matrix_product_becomes_its_numbers_with_their_gradients():
    W = tr.Tensor([[1.0, 2.0], [3.0, 4.0]], name="W")
    y = (W @ np.array([5.0, 6.0])).sum()
    y.backward()
    picture = read(tr.draw(y, level="scalar"))
    entries = {n.texts[0]: n.texts[1:] for n in picture.classed("leaf")}
    assert entries == {
        f"W[{i}, {j}]": (f"{W.data[i, j]:.4g}", f"∂ {W.grad[i, j]:.4g}") for i in range(2) for j in range(2)
    }


def test_before_backward_nothing_is_computed():
    W = tr.Tensor([[1.0, 2.0]], name="W")
    assert "not computed" in tr.draw((W * W).sum(), level="scalar").source
    assert not W.has_grad


def test_the_graph_itself_is_left_alone():
    loss = cell_loss("RNNCell", 2, hidden=2)
    before = [(n.has_grad, np.copy(n.grad)) for n in tr.Graph.of(loss)]
    tr.draw(loss, level="scalar")
    for (has, grad), node in zip(before, tr.Graph.of(loss), strict=True):
        assert has == node.has_grad
        assert np.array_equal(grad, node.grad)


def test_a_graph_of_values_is_its_own_scalar_view():
    loss = scalar_rnn(3)
    assert tr.draw(loss, level="scalar").source == tr.draw(loss, level="op").source


def test_too_many_numbers_are_refused_before_they_are_made():
    W = tr.Tensor(np.ones((40, 40)), name="W")
    with pytest.raises(
        ValueError, match=r"would draw about [\d,]+ numbers and products, at most 20,000 are legal"
    ):
        tr.draw((W @ W).sum(), level="scalar")


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell"])
def test_the_gradients_of_the_numbers_are_those_of_the_arrays(kind):
    loss = cell_loss(kind, 3, hidden=2)
    graph = tr.Graph.of(loss)
    for outputs in (graph, tr.Graph.of(*[n for n in graph if n.name.startswith(("h_", "y_"))])):
        scalars, cotangents = scalar_graph(outputs, held(outputs))
        found = {node.name: g for node, g in zip(scalars, cotangents, strict=True)}
        for node in outputs:
            once = node.kind == "leaf" or node.name != series(node.name)
            if once and node.has_grad and node.shape:
                for at in np.ndindex(node.shape):
                    name = f"{node.name}[{', '.join(map(str, at))}]"
                    assert found[name] == pytest.approx(node.grad[at], rel=1e-9, abs=1e-13), name


def test_numbers_inside_a_product_are_pulled_back():
    W, x = tr.Tensor([[1.0, 2.0]], name="W"), tr.Tensor([5.0, 6.0], name="x")
    graph = tr.Graph.of(W @ x)
    scalars, cotangents = scalar_graph(graph, [None, None, np.array([3.0])])
    of = dict(zip(scalars, cotangents, strict=True))
    assert {node.name: of[node] for node in scalars if node.kind == "leaf"} == {
        "W[0, 0]": 15.0,
        "W[0, 1]": 18.0,
        "x[0]": 3.0,
        "x[1]": 6.0,
    }
    assert [of[node] for node in scalars if node.op is not None] == [3.0] * (len(scalars) - 4)
