import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn
from tinygrad_rnn.viz import flow as flow_module
from tinygrad_rnn.viz.flow import Flow, held
from tinygrad_rnn.viz.label import NOT_COMPUTED, magnitude
from tinygrad_rnn.viz.timeline import Timeline


def flow_of(loss):
    graph = tr.Graph.of(loss)
    return Flow(Timeline(graph), held(graph))


def test_the_edges_into_a_leaf_add_up_to_its_gradient():
    loss = scalar_rnn(5)
    graph = tr.Graph.of(loss)
    flow = Flow(Timeline(graph), held(graph))
    for i, node in enumerate(graph):
        if node.kind == "leaf":
            users = [k for k, parents in enumerate(graph.parent_indices) if i in parents]
            assert flow.through(i, users) == pytest.approx(node.grad, rel=1e-12)


def test_an_edge_carries_the_local_derivative_times_the_cotangent():
    x, y = tr.Value(3.0, name="x"), tr.Value(5.0, name="y")
    product = x * y
    loss = product + x
    loss.backward()
    graph = tr.Graph.of(loss)
    flow = Flow(Timeline(graph), held(graph))
    assert flow.edges(graph.index(product)) == [5.0, 3.0]
    assert flow.edges(graph.index(loss)) == [1.0, 1.0]
    assert flow.node(graph.index(x)) == 6.0


def test_a_square_has_two_edges_of_half_the_gradient():
    x = tr.Value(3.0)
    y = x * x
    y.backward()
    assert flow_of(y).edges(1) == [3.0, 3.0]


def test_without_backward_nothing_flows():
    flow = flow_of(scalar_rnn(2, backward=False))
    assert flow.node(0) is None
    assert flow.lines(0) == [NOT_COMPUTED]
    assert set(flow.edges(len(flow._graph) - 1)) == {None}


def test_tensors_are_measured_by_their_norm():
    loss = cell_loss("RNNCell", 2)
    graph = tr.Graph.of(loss)
    flow = Flow(Timeline(graph), held(graph))
    for i, node in enumerate(graph):
        expected = np.linalg.norm(node.grad) if node.has_grad else None
        assert flow.node(i) == (None if expected is None else pytest.approx(expected, rel=1e-12))
    assert magnitude(np.array([[3.0, 4.0]])) == 5.0


def test_a_spent_budget_leaves_edges_without_color(monkeypatch):
    monkeypatch.setattr(flow_module, "MOST_PRODUCTS", 1)
    x = tr.Value(0.5, name="x")
    y = (x * x + x) * x
    y.backward()
    flow = flow_of(y)
    edges = [flow.edges(i) for i in range(len(flow._graph))]
    known = [e for e in edges if e and None not in e]
    assert len(known) < sum(bool(e) for e in edges)


def test_a_box_says_the_gradient_that_its_node_holds():
    x, y = tr.Value(3.0, name="x"), tr.Value(0.0, name="y")
    (x * y).backward()
    assert [flow_of(x * y).lines(i) for i in range(3)] == [["∂ 0"], ["∂ 3"], [NOT_COMPUTED]]
    W = tr.Tensor(np.ones((2, 2)), name="W")
    total = (W * W).sum()
    total.backward()
    assert flow_of(total).lines(0) == ["‖∂‖ 4"]
    assert Flow(Timeline(tr.Graph.of(total)), None).lines(0) == []
    assert flow_of(tr.constant(1.0)).lines(0) == []


def test_given_cotangents_are_drawn_whatever_the_nodes_hold():
    x = tr.Value(3.0, name="x")
    y = x * x
    y.backward()
    graph = tr.Graph.of(y)
    flow = Flow(Timeline(graph), [12.0, 2.0])
    assert (flow.node(0), flow.node(1), flow.edges(1), flow.through(0, [1])) == (12.0, 2.0, [6.0, 6.0], 12.0)
    assert flow.lines(0) == ["∂ 12"]
    nothing = Flow(Timeline(graph), [None, None])
    assert (nothing.node(0), nothing.edges(1), nothing.through(0, [1])) == (None, [None, None], None)
