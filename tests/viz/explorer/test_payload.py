"""What the page is told is what the engine computed."""

import json

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.explorer.test_numbers import decoded
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss, xor_loss

NETWORKS = {
    "scalar": lambda: scalar_rnn(5),
    "truncated": lambda: scalar_rnn(7, truncate=3),
    "LSTM": lambda: cell_loss("LSTMCell", 3),
    "stacked GRU": lambda: stack_loss("GRU", 3),
    "xor": xor_loss,
}


@pytest.fixture(params=NETWORKS)
def told(request):
    loss = NETWORKS[request.param]()
    return tr.Graph.of(loss), tr.explore(loss).payload


def test_nodes_are_the_graph_s_in_its_order(told):
    graph, payload = told
    assert payload["format"] == 1
    assert payload["loss"] == len(graph) - 1
    for i, (node, entry) in enumerate(zip(graph, payload["nodes"], strict=True)):
        assert entry["name"] == node.name
        assert entry["kind"] == node.kind
        assert entry["parents"] == list(graph.parent_indices[i])
        assert (entry["shape"], entry["dtype"]) == (list(node.shape), str(node.dtype))
        assert entry["scope"] == list(node.scope)
        assert entry["op"] == (None if node.op is None else node.op.name)
        np.testing.assert_allclose(decoded(entry["value"]), node.data, rtol=1e-6)


def test_gradients_are_those_of_backward(told):
    graph, payload = told
    for node, entry in zip(graph, payload["nodes"], strict=True):
        assert (entry["grad"] is not None) == node.has_grad
        if node.has_grad:
            np.testing.assert_allclose(decoded(entry["grad"]), node.grad, rtol=1e-6)


def test_the_last_sum_of_each_node_is_its_gradient(told):
    _, payload = told
    totals = {}
    for edge in payload["edges"]:
        assert edge["first"] == (edge["parent"] not in totals)
        assert (edge["sum"] is None) == edge["first"]
        totals[edge["parent"]] = edge["downstream"] if edge["first"] else edge["sum"]
        if edge["last"]:
            assert totals[edge["parent"]] == payload["nodes"][edge["parent"]]["grad"]
    assert sum(edge["last"] for edge in payload["edges"]) == len(totals)
    assert set(totals) == {i for i, node in enumerate(payload["nodes"]) if node["grad"] is not None} - {
        payload["loss"]
    }


def test_upstream_times_local_is_downstream(told):
    graph, payload = told
    tried = 0
    for edge in payload["edges"]:
        node = graph[edge["child"]]
        if edge["local"] is None:
            continue
        tried += 1
        upstream, local = decoded(payload["nodes"][edge["child"]]["grad"]), decoded(edge["local"])
        if node.op.elementwise:
            found = np.multiply(upstream, local)
            extra = tuple(range(np.ndim(found) - len(graph[edge["parent"]].shape)))
            found = np.sum(found, axis=extra)
        else:
            found = np.tensordot(upstream, local, axes=np.ndim(upstream))
        np.testing.assert_allclose(decoded(edge["downstream"]), found, rtol=1e-12)
    assert tried


def test_edges_and_sums_of_values_are_exact():
    loss = scalar_rnn(6)
    graph, payload = tr.Graph.of(loss), tr.explore(loss).payload
    for node, entry in zip(graph, payload["nodes"], strict=True):
        assert entry["value"] == node.data
        assert entry["grad"] == (node.grad if node.has_grad else None)
    for edge in payload["edges"]:
        assert payload["nodes"][edge["child"]]["grad"] * edge["local"] == edge["downstream"]


def test_shares_of_a_weight_add_up_to_its_gradient(told):
    graph, payload = told
    for leaf, shares in payload["shares"].items():
        assert sum(share["part"] for share in shares) == pytest.approx(1.0)
        total = sum(decoded(payload["edges"][e]["downstream"]) for share in shares for e in share["edges"])
        gradient = graph[int(leaf)].grad
        np.testing.assert_allclose(total, gradient, atol=1e-6 * np.abs(gradient).max())  # in single precision
        for share in shares:
            parts = [decoded(payload["edges"][e]["downstream"]) for e in share["edges"]]
            assert share["norm"] == pytest.approx(np.linalg.norm(np.sum(parts, axis=0)))
            assert {payload["nodes"][payload["edges"][e]["child"]]["step"] for e in share["edges"]} == {
                share["step"]
            }


def test_shares_by_hand():
    w = tr.Value(2.0, name="w")
    net = tr.unroll(lambda x, h: w * h, [0.0, 0.0], state=1.0)
    payload = tr.explore(net.final_state).payload  # w², which takes w from each of two steps
    assert [(s["step"], s["norm"], s["part"]) for s in payload["shares"]["0"]] == [
        (0, 2.0, 0.5),
        (1, 2.0, 0.5),
    ]


def test_the_page_begins_with_a_view_that_has_a_picture(told):
    _, payload = told
    assert payload["start"] in [view["key"] for view in payload["views"] if view["svg"]]


def network(kind):
    rng = np.random.default_rng(0)
    net = tr.unroll(getattr(tr.nn, kind)(10, 50, rng=rng), rng.normal(size=(200, 10)))
    readout = tr.nn.Linear(50, 5, rng=rng)
    targets = list(rng.integers(0, 5, size=200))
    return tr.add_n(net.each(lambda h, target: tr.cross_entropy(readout(h), target), targets))


@pytest.mark.parametrize("kind", ["RNNCell", pytest.param("LSTMCell", marks=pytest.mark.slow)])
def test_two_hundred_steps_of_fifty_units_fit_into_five_megabytes(kind):
    found = tr.explore(network(kind))
    assert len(found.html().encode()) < 5_000_000
    payload = found.payload
    weights = [node for node in payload["nodes"] if node["kind"] == "leaf"]
    assert all("f32" in node["grad"] or "list" in node["grad"] for node in weights)
    assert len(json.dumps(payload["flows"])) > 10_000
