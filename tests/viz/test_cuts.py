"""The cuts that are marked are those that truncation makes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss
from tests.viz.pictures import read
from tinygrad_rnn.viz.cuts import Cuts
from tinygrad_rnn.viz.timeline import Timeline


def detached(loss):
    """Return the names of the states that a truncated graph really cuts, one for each."""
    graph = tr.Graph.of(loss)
    return sorted(n.parents[0].name for n in graph if n.op is not None and n.op.name == "detach")


def marked(loss, k):
    graph = tr.Graph.of(loss)
    cuts = Cuts(Timeline(graph), k)
    pairs = {
        (p, graph[i].scope)
        for i, parents in enumerate(graph.parent_indices)
        for p in parents
        if cuts.between(p, i)
    }
    return sorted(graph[p].name for p, _ in pairs)


def gradients_across(loss, k):
    """Return the weights' gradients where every marked edge passes nothing on: truncation by hand."""
    graph = tr.Graph.of(loss)
    cuts = Cuts(Timeline(graph), k)
    sums = {len(graph) - 1: np.ones(loss.shape)}
    for i in reversed(range(len(graph))):
        if i in sums and graph[i].op is not None:
            shares = graph.local_vjp(graph[i], sums[i] if graph[i].shape else float(sums[i]))
            for p, share in zip(graph.parent_indices[i], shares, strict=True):
                if share is not None and not cuts.between(p, i):
                    sums[p] = sums.get(p, 0.0) + np.asarray(share)
    return {node.name: sums[i] for i, node in enumerate(graph) if node.kind == "leaf" and i in sums}


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
@given(steps=st.integers(1, 8), k=st.integers(1, 9))
@settings(max_examples=20)
def test_the_marked_edges_are_those_that_unroll_cuts(kind, steps, k):
    whole, cut = cell_loss(kind, steps), cell_loss(kind, steps, truncate=k)
    assert marked(whole, k) == detached(cut)
    expected = {n.name: n.grad for n in tr.Graph.of(cut) if n.kind == "leaf" and n.name.startswith("w")}
    found = gradients_across(whole, k)
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-10, atol=1e-13)


def test_a_sequence_that_runs_back_is_cut_from_its_end():
    graph = tr.Graph.of(stack_loss("RNN", 5, layers=1, bidirectional=True))
    cuts = Cuts(Timeline(graph), 2)
    found = {
        (graph[p].scope, graph[i].scope)
        for i, parents in enumerate(graph.parent_indices)
        for p in parents
        if cuts.between(p, i)
    }
    steps = sorted((a[-2:], b[-1]) for a, b in found)
    forward = [(("layer 0", f"t={t}"), f"t={t + 1}") for t in (1, 3)]
    assert [s for s in steps if "reverse" not in s[0][0]] == forward
    assert [(a[-1], b) for a, b in steps if "reverse" in a[0]] == [("t=1", "t=0"), ("t=3", "t=2")]


def test_a_loss_that_looks_at_an_older_state_is_not_cut():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0] * 4, state=0.0)
    changes = net.each(lambda h, before: (h - before) ** 2, [0.0, *net.outputs[:-1]])
    graph = tr.Graph.of(tr.add_n(changes))
    cuts = Cuts(Timeline(graph), 2)
    h_1 = next(i for i, node in enumerate(graph) if node.name == "h_1")
    users = [
        i for i, parents in enumerate(graph.parent_indices) if h_1 in parents and "t=2" in graph[i].scope
    ]
    assert [(graph[i].op.name, cuts.between(h_1, i)) for i in users] == [
        ("multiply", True),
        ("subtract", False),
    ]


@pytest.mark.parametrize("program", ["graphviz-pure", "dot"])
@pytest.mark.parametrize("make", [scalar_rnn, lambda t: cell_loss("LSTMCell", t)], ids=["scalar", "lstm"])
def test_marked_cuts_look_like_cuts_and_change_nothing(make, program):
    loss = make(4)
    before = [(node.name, node.op) for node in tr.Graph.of(loss)]
    picture = read(tr.draw(loss, truncate=2), program)
    states = 1 if make is scalar_rnn else 2
    assert sorted(n.texts[0] for n in picture.classed("cut")) == ["c_1", "h_1"][-states:]
    assert [e.texts for e in picture.edges if e.texts == ("cut",)] == [("cut",)] * states
    assert any("only marked" in text for text in picture.texts)
    assert [(node.name, node.op) for node in tr.Graph.of(loss)] == before
    assert not read(tr.draw(loss, truncate=4), program).classed("cut")


def test_the_steps_of_cells_and_folds_show_cuts_too():
    loss = scalar_rnn(12)
    picture = read(tr.draw(loss, level="step", truncate=1, fold=4))
    assert [e.texts for e in picture.edges if e.texts == ("cut",)] == [("cut",)] * 4
    for level in ("op", "step"):
        fold = read(tr.draw(loss, level=level, truncate=3, fold=4)).classed("fold")[0]
        assert fold.texts == ("… 8 more steps …", "with 3 cuts"), "before t=3, 6 and 9, of 2 to 9"
    rolled = read(tr.draw(loss, level="rolled", truncate=3))
    assert [node.texts for node in rolled.classed("delay")] == [("z⁻¹", "h_t-1", "cut every 3")]
    uncut = read(tr.draw(loss, level="rolled", truncate=12))
    assert [node.texts for node in uncut.classed("delay")] == [("z⁻¹", "h_t-1")]


@pytest.mark.parametrize(
    ("k", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError)]
)
def test_no_length_of_a_block_is_refused(k, error):
    with pytest.raises(error, match="draw: truncate"):
        tr.draw(scalar_rnn(3), truncate=k)
