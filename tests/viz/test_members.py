"""Which nodes of the graph each drawn box stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss, xor_loss
from tests.viz.pictures import read
from tinygrad_rnn.viz.scalar import scalar_graph

LEVELS = ("op", "step", "rolled")
NETWORKS = {
    "scalar": lambda steps: scalar_rnn(steps),
    "truncated": lambda steps: scalar_rnn(steps, truncate=2),
    "lstm": lambda steps: cell_loss("LSTMCell", steps, hidden=2),
    "gru": lambda steps: cell_loss("GRUCell", steps, hidden=2),
    "stack": lambda steps: stack_loss("RNN", steps),
    "both ways": lambda steps: stack_loss("RNN", steps, bidirectional=True),
    "mean": lambda steps: scalar_rnn(steps) / 3.0,
    "by hand": lambda steps: running_sum(steps),
    "no loss": lambda steps: final_state(steps),
    "no state": lambda steps: pointwise(steps),
    "no steps": lambda steps: xor_loss(),
    "looked up": lambda steps: embedded(steps),
    "constant terms": lambda steps: with_constant_terms(steps),
}


def running_sum(steps):
    w, total = tr.Value(0.5, name="w"), tr.Value(0.0, name="start")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0] * steps, state=0.0)
    for loss in net.each(lambda h: 2.0 * h * h):
        total = total + loss
    return total


def final_state(steps):
    rng = np.random.default_rng(0)
    return tr.unroll(tr.nn.RNNCell(2, 2, rng=rng), rng.normal(size=(steps, 2))).final_state


def pointwise(steps):
    w = tr.Value(0.5, name="w")
    return tr.unroll(lambda x, h: (w * x * 2.0, h), [1.0] * steps, state=0.0).outputs


def embedded(steps):
    rng = np.random.default_rng(0)
    table = tr.Tensor(rng.normal(size=(steps, 2)), name="table")
    return tr.unroll(tr.nn.RNNCell(2, 2, rng=rng), table).outputs


def with_constant_terms(steps):
    net = tr.unroll(lambda x, h: (0.5 * h + x).tanh(), [1.0] * steps, state=0.0)
    return tr.add_n([*net.outputs, tr.constant(2.0), tr.constant(3.0)])


@pytest.mark.parametrize("level", LEVELS)
@given(
    name=st.sampled_from(sorted(NETWORKS)),
    steps=st.integers(1, 7),
    fold=st.one_of(st.booleans(), st.integers(1, 5)),
    gradients=st.booleans(),
)
@settings(max_examples=40)
def test_every_node_is_a_member_of_a_box_and_each_box_stands_for_something(
    level, name, steps, fold, gradients
):
    graph = tr.viz.source.graph_of(NETWORKS[name](steps))
    drawing = tr.draw(graph, level=level, fold=fold, gradients=gradients)
    found = set().union(*drawing.members.values())
    assert found == set(range(len(graph)))
    assert len(drawing.members) == drawing.boxes
    assert all(drawing.members.values())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_boxes_are_those_of_the_picture(name, level):
    drawing = tr.draw(NETWORKS[name](6), level=level, fold=3)
    picture = read(drawing)
    assert sorted(drawing.members) == sorted(node.title for node in picture.nodes)
    ends = {end for edge in picture.edges for end in edge.title.split("->")}
    assert ends <= set(drawing.members)


def test_a_node_and_its_ghosts_and_links_stand_for_it():
    loss = scalar_rnn(20)
    graph = tr.Graph.of(loss)
    drawing = tr.draw(loss)
    picture = read(drawing)
    for node in picture.nodes:
        members = drawing.members[node.title]
        if "fold" in node.classes:
            steps = {graph[i].scope for i in members}
            assert steps == {(f"t={t}",) for t in range(2, 18)}
        elif "chain" in node.classes:
            assert members == (len(graph) - 1,)
        elif node.classes & {"ghost", "state"}:
            assert [graph[i].name for i in members] == [node.texts[0]]
        else:
            assert int(node.title[1:]) in members
            others = [graph[i] for i in members if f"n{i}" != node.title]
            assert all(other.kind == "constant" and not other.name for other in others)


def test_a_cell_stands_for_its_operations_and_a_readout_for_its_own():
    loss = cell_loss("LSTMCell", 3)
    graph = tr.Graph.of(loss)
    drawing = tr.draw(loss, level="step")
    picture = read(drawing)
    cells = picture.classed("cell")
    for t, cell in enumerate(cells):
        members = [graph[i] for i in drawing.members[cell.title]]
        assert {node.scope for node in members} == {(f"t={t}",)}
        assert {"sigmoid", "tanh", "matmul"} <= {node.op.name for node in members if node.op is not None}
        assert not any(node.name.startswith(("h_", "c_", "y_", "L_", "x_")) for node in members)
    readout = next(node for node in picture.nodes if node.texts[0] == "y_1")
    inner = {graph[i].op.name for i in drawing.members[readout.title] if not graph[i].name}
    assert "matmul" in inner, "the readout's product is not the cell's"


def test_rolled_boxes_stand_for_their_kind_and_a_delay_for_the_states():
    loss = scalar_rnn(5)
    graph = tr.Graph.of(loss)
    drawing = tr.draw(loss, level="rolled")
    picture = read(drawing)
    named = {node.texts[0]: [graph[i].name for i in drawing.members[node.title]] for node in picture.nodes}
    assert named["h_t = tanh"] == named["z⁻¹"] == [f"h_{t}" for t in range(5)]
    assert named["w"] == ["w"]


def test_at_level_scalar_the_members_are_of_the_scalar_graph():
    loss = cell_loss("RNNCell", 2, hidden=2)
    scalars, _ = scalar_graph(tr.Graph.of(loss))
    drawing = tr.draw(loss, level="scalar")
    assert set().union(*drawing.members.values()) == set(range(len(scalars)))


def test_the_boxes_of_a_plan_stand_for_all_that_runs_or_is_read():
    plan = tr.compile(lambda w, x: ((w * x + 1.0).tanh() ** 2).sum()).plan(np.ones(3), np.ones(3))
    drawing = tr.draw(plan)
    assert len(drawing.members) == drawing.boxes
    operations = {i for i, item in enumerate(plan.program.items) if item.op is not None}
    assert operations <= set().union(*drawing.members.values())
