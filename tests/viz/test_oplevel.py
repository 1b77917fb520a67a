import re
from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss, xor_loss
from tests.viz.pictures import read


def frames_of(picture):
    return [frame.texts[0] for frame in picture.frames if frame.texts[0].startswith("t=")]


def named(picture, name):
    return [node for node in picture.nodes if node.texts and node.texts[0].split(" = ")[0] == name]


@pytest.mark.parametrize("program", ["graphviz-pure", "dot"])
@pytest.mark.parametrize(
    "make", [lambda: scalar_rnn(5), lambda: cell_loss("LSTMCell", 5)], ids=["scalar", "lstm"]
)
def test_each_step_has_its_frame_and_time_runs_to_the_right(make, program):
    picture = read(tr.draw(make()), program)
    assert Counter(frames_of(picture)) == Counter(f"t={t}" for t in range(5))
    for series in "hxL":
        boxes = [[n for n in named(picture, f"{series}_{t}") if "state" not in n.classes] for t in range(5)]
        assert [len(b) for b in boxes] == [1] * 5
        lefts = [b[0].left for b in boxes]
        assert lefts == sorted(lefts), (series, lefts)


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
def test_every_node_is_drawn_once_and_a_weight_once_more_for_each_step(kind):
    loss = cell_loss(kind, 4)
    graph = tr.Graph.of(loss)
    picture = read(tr.draw(loss))
    titles = Counter(node.title for node in picture.nodes)
    assert set(titles.values()) == {1}
    drawn = [
        f"n{i}"
        for i, node in enumerate(graph)
        if not (node.kind == "constant" and not node.name and node.shape == ())
    ]
    assert set(drawn) <= set(titles)
    for i, node in enumerate(graph):
        if node.kind == "leaf":
            family = picture.classed(f"w{i}")
            assert Counter("leaf" in n.classes for n in family) == {True: 1, False: 4}
            assert {n.texts[0] for n in family} == {node.name}
            assert sum("ghost" in n.classes for n in family) == 4


def test_each_edge_of_the_graph_is_drawn():
    loss = scalar_rnn(3)
    graph = tr.Graph.of(loss)
    picture = read(tr.draw(loss))
    drawn = Counter(tuple(edge.title.split("->")) for edge in picture.edges)
    stands_for = {node.title: node for node in picture.nodes}
    expected = 0
    for i, parents in enumerate(graph.parent_indices):
        for p in parents:
            if graph[p].kind == "constant" and not graph[p].name:
                continue
            expected += 1
            tails = {f"n{p}"} | {n.title for n in picture.classed(f"w{p}")}
            heads = {f"n{i}"} | {n.title for n in picture.classed(f"w{i}")}
            assert any(t in tails and h in heads for t, h in drawn), (p, i)
    entries = sum("state" in n.classes for n in picture.nodes)
    links = sum("chain" in n.classes for n in picture.nodes)
    assert sum(drawn.values()) == expected + entries + links
    assert all(t in stands_for and h in stands_for for t, h in drawn)


def test_both_edges_of_a_square_are_drawn():
    x = tr.Value(3.0, name="x")
    picture = read(tr.draw(x * x))
    assert [edge.title for edge in picture.edges] == ["n0->n1", "n0->n1"]


def test_the_ghosts_show_each_steps_share_of_the_gradient():
    loss = scalar_rnn(3)
    picture = read(tr.draw(loss))
    w = next(node for node in tr.Graph.of(loss) if node.name == "w")
    shares = [
        float(text.removeprefix("∂ ").removesuffix(" here"))
        for node in picture.nodes
        if "ghost" in node.classes and node.texts[0] == "w"
        for text in node.texts[1:]
    ]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(w.grad, abs=3e-4)


def test_the_loss_is_a_running_chain():
    picture = read(tr.draw(scalar_rnn(6)))
    graph = tr.Graph.of(scalar_rnn(6))
    total = f"n{len(graph) - 1}"
    assert len(picture.classed("chain")) == 5
    into = Counter(edge.title.split("->")[1] for edge in picture.edges)
    assert into[total] == 2
    assert all(into[link.title] <= 2 for link in picture.classed("chain"))


@pytest.mark.parametrize("program", ["graphviz-pure", "dot"])
def test_the_middle_of_a_long_sequence_is_folded(program):
    loss = scalar_rnn(50)
    drawing = tr.draw(loss)
    picture = read(drawing, program)
    assert frames_of(picture) == ["t=0", "t=1", "t=48", "t=49"]
    assert [n.texts for n in picture.classed("fold")] == [("… 46 more steps …",)]
    assert any("46 steps are folded" in text for text in picture.texts)
    fold = picture.classed("fold")[0].title
    ends = [tuple(e.title.split("->")) for e in picture.edges if fold in e.title.split("->")]
    assert len(ends) == 3, "one state enters the fold, one leaves it, its losses leave it"
    between = (named(picture, "h_1")[0].left, picture.classed("fold")[0].left, named(picture, "h_48")[0].left)
    assert list(between) == sorted(between)
    assert frames_of(read(tr.draw(loss, fold=3))) == ["t=0", "t=1", "t=49"]
    assert len(frames_of(read(tr.draw(loss, fold=False)))) == 50


def test_a_fold_is_level_with_one_state_on_both_sides():
    source = tr.draw(cell_loss("LSTMCell", 20)).source
    graph = tr.Graph.of(cell_loss("LSTMCell", 20))
    fold = re.search(r"(n\d+) \[label=<<b>… 16 more steps …", source)[1]
    rows = re.findall(rf"rank=same; {fold}; (n\d+)", source)
    h1 = next(i for i, node in enumerate(graph) if node.name == "h_1")
    assert len(rows) == 2
    assert f"n{h1}" in rows
    ghost = next(row for row in rows if row != f"n{h1}")
    assert f'{ghost} [label=<<b>h<font point-size="8"><sub>17</sub></font></b>' in source


def test_a_running_sum_written_by_hand_folds_too():
    w, total = tr.Value(0.5, name="w"), tr.Value(0.0, name="start")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0] * 30, state=0.0)
    for loss in net.each(lambda h: h * h):
        total = total + loss
    picture = read(tr.draw(total))
    assert frames_of(picture) == ["t=0", "t=1", "t=28", "t=29"]
    assert len(picture.nodes) < 45


@pytest.mark.parametrize("program", ["graphviz-pure", "dot"])
def test_a_truncation_is_visibly_cut(program):
    loss = scalar_rnn(4, truncate=2)
    graph = tr.Graph.of(loss)
    picture = read(tr.draw(loss), program)
    cuts = [i for i, n in enumerate(graph) if n.op is not None and n.op.name == "detach"]
    assert len(cuts) == 1
    assert [n.title for n in picture.classed("cut")] == [f"n{cuts[0]}"]
    edges = [e for e in picture.edges if e.title.endswith(f"->n{cuts[0]}")]
    assert [e.texts for e in edges] == [("no gradient",)]
    assert "arrowhead=tee" in next(
        line for line in tr.draw(loss).source.splitlines() if f"->n{cuts[0]} " in line and "invis" not in line
    )


def test_before_backward_the_drawing_says_so():
    drawing = tr.draw(scalar_rnn(2, backward=False))
    picture = read(drawing)
    operations = [n for n in picture.nodes if n.classes & {"op", "leaf"}]
    assert all("grad not computed" in n.texts for n in operations)
    assert any("not computed yet" in text for text in picture.texts)
    assert not any("∂" in text for text in picture.texts)
    assert "gradient magnitude" not in drawing.source


def test_values_and_gradients_can_be_left_out():
    picture = read(tr.draw(scalar_rnn(2), values=False, gradients=False))
    assert not any("∂" in text or "gradient" in text for text in picture.texts)
    assert all(len(node.texts) == 1 for node in picture.nodes)


def test_layers_stand_inside_the_steps_one_above_the_other():
    picture = read(tr.draw(stack_loss("LSTM", 3)))
    titles = Counter(frame.texts[0] for frame in picture.frames)
    assert titles == {"t=0": 1, "t=1": 1, "t=2": 1, "layer 0": 3, "layer 1": 3, "shared by all steps": 1}


def test_a_bidirectional_stack_is_drawn():
    picture = read(tr.draw(stack_loss("GRU", 3, bidirectional=True)))
    titles = Counter(frame.texts[0] for frame in picture.frames)
    assert titles["t=0"] == titles["t=2"] == 1
    assert titles["layer 1 reverse"] == 3


def test_second_derivatives_stand_in_frames_called_backward():
    def loss(w):
        net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 0.5], state=0.0)
        return tr.add_n(net.each(lambda h: h * h))

    kept = []

    def outer(w):
        inner = tr.grad(loss)(w)
        kept.append(inner)
        return inner

    tr.grad(outer)(tr.Value(0.5, name="w"))
    graph = tr.Graph.of(kept[0])
    assert any("backward" in node.scope for node in graph)
    picture = read(tr.draw(kept[0]))
    assert "backward" in {frame.texts[0] for frame in picture.frames}
    assert Counter(frames_of(picture)) == {"t=0": 1, "t=1": 1}


def test_a_feedforward_network_has_no_steps():
    picture = read(tr.draw(xor_loss()))
    assert not picture.frames
    assert {n.texts[0] for n in picture.classed("leaf")} == {"W1", "W2"}
    assert len(picture.classed("ghost")) == 0


def test_without_steps_a_much_used_leaf_gets_a_ghost_beside_each_user():
    x = tr.Value(0.5, name="x")
    total = tr.add_n([x * float(k) for k in range(1, 13)])
    total.backward()
    picture = read(tr.draw(total))
    assert len(picture.classed("ghost")) == 12
    assert len([n for n in picture.classed("w0") if "leaf" in n.classes]) == 1


def test_a_large_graph_without_steps_is_folded_in_the_middle():
    x = tr.Value(1.0, name="x")
    y = x
    for _ in range(3_000):
        y = y * 1.0001
    drawing = tr.draw(y)
    assert drawing.boxes < 2_000
    assert any("nodes are folded" in notice for notice in drawing.notices)
    picture = read(drawing)
    assert len(picture.classed("fold")) == 1
    assert len(picture.classed("leaf")) == 1


def test_a_state_that_is_not_finite_is_drawn():
    w = tr.Value(np.inf, name="w")
    y = w * 2.0
    y.backward()
    assert "inf" in " ".join(read(tr.draw(y)).texts)


def test_a_leaf_assigned_after_recording_can_still_be_drawn():
    w = tr.Value(0.5, name="w")
    y = (w * 3.0).tanh()
    w.data = 0.25
    assert "0.25" in " ".join(read(tr.draw(y)).texts)
