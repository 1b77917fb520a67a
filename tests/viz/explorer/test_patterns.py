import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn
from tinygrad_rnn.viz.explorer.patterns import LARGEST, Patterns
from tinygrad_rnn.viz.explorer.sweep import gradients, sweep


def patterns_of(loss):
    graph = tr.Graph.of(loss)
    grads = gradients(graph)
    return graph, grads, Patterns(graph, grads)


def test_the_numbers_inside_a_matrix_product_are_the_engine_s():
    rng = np.random.default_rng(0)
    a, b = tr.Tensor(rng.normal(size=(1, 2))), tr.Tensor(rng.normal(size=(2, 3)))
    graph, grads, found = patterns_of((a @ b).tanh().sum())
    i = next(i for i, node in enumerate(graph) if node.op is tr.ops.matmul)
    inside = found.nodes[str(i)]
    assert sorted(inside["values"]) == sorted([*a.data.ravel(), *b.data.ravel(), *graph[i].data.ravel()])
    handed = {e.parent: e.downstream for e in sweep(graph, grads) if e.child == i}
    expected = [*grads[i].ravel(), *handed[0].ravel(), *handed[1].ravel()]
    np.testing.assert_allclose(sorted(inside["grads"]), sorted(expected), rtol=1e-14)


def test_alike_operations_share_one_pattern_and_keep_their_own_numbers():
    graph, _, found = patterns_of(cell_loss("RNNCell", 4, hidden=3))
    tanhs = [str(i) for i, node in enumerate(graph) if node.op is tr.ops.tanh]
    assert len({found.nodes[i]["pattern"] for i in tanhs}) == 1
    assert len({tuple(found.nodes[i]["values"]) for i in tanhs}) == 4
    assert len(found.drawings) == len(found.boxes) < 12


def test_what_differs_in_its_numbers_alone_is_one_pattern():
    rng = np.random.default_rng(0)
    logits = [tr.Tensor(rng.normal(size=3)) for _ in range(5)]
    _, _, found = patterns_of(tr.add_n([tr.ops.log_softmax(x)[0] for x in logits]))
    assert len(found.drawings) == 1
    assert len(found.nodes) == 5
    for node in found.nodes.values():  # each number has a box, those that differ among alike operations too
        assert set(found.boxes[0].values()) == set(range(len(node["values"])))


def test_each_box_names_the_scalar_that_it_shows():
    x = tr.Tensor([0.25, -0.5])
    _, _, found = patterns_of((x * 3.0).sum())
    source, boxes = found.drawings[0].source, found.boxes[0]
    inside = found.nodes["2"]
    for box, k in boxes.items():
        line = next(line for line in source.splitlines() if line.strip().startswith(f"{box} ["))
        assert f"{inside['values'][k]:.4g}" in line
    assert len(boxes) == len(inside["values"])


def test_large_opaque_and_empty_operations_have_none():
    opaque = tr.Op(name="opaque", symbol="o", forward=lambda xp, x: x, vjp=lambda g, y, x: (g,))
    large = tr.Tensor(np.ones(LARGEST))
    for loss in (opaque(tr.Tensor([1.0])).sum(), large.tanh().sum(), scalar_rnn(2)):
        _, _, found = patterns_of(loss)
        assert {k for k in found.nodes if found.nodes[k]["values"]} <= {"2"}
    _, _, found = patterns_of(tr.Tensor(np.ones((0, 2))).sum())
    assert found.nodes == {}


def test_a_user_s_rule_for_arrays_alone_has_none():
    fussy = tr.Op(
        name="fussy",
        symbol="fussy",
        forward=lambda xp, x: np.linalg.solve(np.eye(2), x),
        transpose=(lambda xp, g, y, x: g @ np.eye(2),),
    )
    _, _, found = patterns_of(fussy(tr.Tensor([1.0, 2.0])).sum())
    assert "1" not in found.nodes


def test_where_no_gradient_arrives_there_is_none_inside():
    x = tr.Tensor([1.0, 2.0])
    cut = tr.ops.detach(x * 2.0)
    graph, _, found = patterns_of((x * cut).sum())
    i = next(i for i, node in enumerate(graph) if node.op is tr.ops.multiply)
    assert set(found.nodes[str(i)]["grads"]) == {None}


@pytest.mark.parametrize("limit", [0, 20])
def test_no_more_numbers_than_allowed(monkeypatch, limit):
    monkeypatch.setattr("tinygrad_rnn.viz.explorer.patterns.MOST_NUMBERS", limit)
    _, _, found = patterns_of(cell_loss("RNNCell", 4, hidden=3))
    assert sum(len(node["values"]) for node in found.nodes.values()) <= limit
