import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn
from tests.viz.pictures import read
from tinygrad_rnn.viz.ghosts import plan_ghosts
from tinygrad_rnn.viz.states import States
from tinygrad_rnn.viz.timeline import Timeline


def states_of(output):
    timeline = Timeline(tr.Graph.of(output))
    everywhere = timeline.places
    return timeline.graph, States(timeline, lambda i: everywhere[i].step >= 0, set(plan_ghosts(timeline)))


def test_each_step_is_entered_by_the_state_before_it():
    graph, states = states_of(scalar_rnn(3))
    for t, before in enumerate(("h_init", "h_0", "h_1")):
        (entry,) = states.entries[(f"t={t}",)]
        assert graph[entry.source].name == before
        assert graph[entry.counterpart].name == f"h_{t}"
        assert [graph[i].op.name for i in entry.users] == ["multiply"]
        assert entry.cut is None


def test_an_lstm_is_entered_by_two_states():
    graph, states = states_of(cell_loss("LSTMCell", 2))
    entries = {graph[e.source].name: e for e in states.entries[("t=1",)]}
    assert set(entries) == {"h_0", "c_0"}
    assert graph[entries["c_0"].counterpart].name == "c_1"


def test_a_cut_stands_between_a_state_and_its_users():
    graph, states = states_of(scalar_rnn(4, truncate=2))
    (entry,) = states.entries[("t=2",)]
    assert graph[entry.cut].op.name == "detach"
    assert [graph[i].op.name for i in entry.users] == ["multiply"]


def test_a_state_that_is_used_above_its_own_height_gets_a_plain_edge():
    w = tr.Value(0.5, name="w")

    def cell(x, h):
        early = w * x
        late = early.tanh().exp().tanh() * h  # h enters above where the new state is made
        return late, early

    net = tr.unroll(cell, [1.0, 2.0, 3.0], state=0.0)
    total = tr.add_n(net.outputs)
    graph, states = states_of(total)
    assert states.entries[("t=1",)] == []
    picture = read(tr.draw(total))
    tail = f"n{graph.index(net.states[0])}"
    assert any(edge.title.startswith(f"{tail}->") for edge in picture.edges)
