import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss, xor_loss
from tinygrad_rnn.viz.explorer.sweep import gradients, sweep

NETWORKS = {
    "scalar": lambda: scalar_rnn(6),
    "truncated": lambda: scalar_rnn(7, truncate=3),
    "LSTM": lambda: cell_loss("LSTMCell", 4),
    "GRU": lambda: stack_loss("GRU", 3),
    "xor": xor_loss,
}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_last_sum_at_a_node_is_what_backward_finds(network):
    loss = NETWORKS[network]()  # differentiated by .backward(), an independent pass
    graph = tr.Graph.of(loss)
    grads = gradients(graph)
    last = {edge.parent: edge.sum for edge in sweep(graph, grads)}
    assert set(last) == {i for i, node in enumerate(graph) if node.has_grad} - {graph.index(loss)}
    for i, total in last.items():
        np.testing.assert_array_equal(total, graph[i].grad, err_msg=str(graph[i]))
        np.testing.assert_array_equal(total, grads[i])


def test_edges_come_children_from_the_youngest_and_sums_run():
    x = tr.Value(3.0)
    loss = x * x + x
    edges = list(sweep(tr.Graph.of(loss), gradients(tr.Graph.of(loss))))
    assert [(e.child, e.slot, e.parent, e.downstream, e.sum, e.first) for e in edges] == [
        (2, 0, 1, 1.0, 1.0, True),
        (2, 1, 0, 1.0, 1.0, True),
        (1, 0, 0, 3.0, 4.0, False),
        (1, 1, 0, 3.0, 7.0, False),
    ]


def test_the_sums_of_a_random_graph_are_the_engine_s_to_the_bit():
    rng = np.random.default_rng(3)
    for _ in range(30):
        nodes = [tr.Value(float(v)) for v in rng.normal(size=3)]
        for _ in range(25):
            a, b = (nodes[k] for k in rng.integers(len(nodes), size=2))
            nodes.append([a + b, a * b, a.tanh(), a - b, (a * 0.1).exp()][rng.integers(5)])
        loss = tr.add_n(nodes)
        graph = tr.Graph.of(loss)
        last = {edge.parent: edge.sum for edge in sweep(graph, gradients(graph))}
        loss.backward()
        assert {graph[i]: total for i, total in last.items()} == {
            node: node.grad for node in graph if node.has_grad and node is not loss
        }


def test_no_grad_is_read_or_changed():
    loss = scalar_rnn(3)
    graph = tr.Graph.of(loss)
    before = [node.grad for node in graph]
    graph[0].grad = 17.0
    found = gradients(graph)
    list(sweep(graph, found))
    assert found[0] == before[0]
    assert [node.grad for node in graph][1:] == before[1:]
    assert graph[0].grad == 17.0


def test_a_hook_runs_once_and_its_replacement_is_handed_on():
    calls = []
    x = tr.Value(3.0)
    y = x * x
    y.register_hook(lambda g: calls.append(g) or 10.0 * g)
    graph = tr.Graph.of(y + 1.0)
    found = gradients(graph)
    edges = list(sweep(graph, found))
    assert calls == [1.0]
    assert found[graph.index(x)] == edges[-1].sum == 60.0


def test_a_running_sum_is_not_changed_afterwards():
    w = tr.Tensor(np.ones(3))
    graph = tr.Graph.of((w * 2.0 + w * 3.0 + w).sum())
    sums = [edge.sum for edge in sweep(graph, gradients(graph)) if edge.parent == 0]
    assert [float(s[0]) for s in sums] == [1.0, 4.0, 6.0]
