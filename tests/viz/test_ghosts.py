import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tinygrad_rnn.viz.ghosts import MOST_EDGES, plan_ghosts
from tinygrad_rnn.viz.timeline import Timeline


def plan(output):
    graph = tr.Graph.of(output)
    return graph, plan_ghosts(Timeline(graph))


def test_what_several_steps_use_gets_a_ghost_in_each():
    graph, hubs = plan(scalar_rnn(4))
    assert {graph[i].name for i in hubs} == {"w", "u", "b"}
    assert all(set(frames) == {(f"t={t}",) for t in range(4)} for frames in hubs.values())
    w = next(i for i in hubs if graph[i].name == "w")
    assert [[graph[k].op.name for k in users] for users in hubs[w].values()] == [["multiply"]] * 4


def test_with_one_step_there_is_nothing_to_share():
    assert plan(scalar_rnn(1))[1] == {}


def test_a_state_that_many_steps_read_gets_ghosts():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 2.0, 3.0, 4.0, 5.0], state=0.0)
    first = net.states[0]
    graph, hubs = plan(tr.add_n(net.each(lambda h: h * first)))
    assert graph.index(first) in hubs
    assert ("t=0",) not in hubs[graph.index(first)]


def test_without_steps_only_a_large_hub_is_split():
    x = tr.Value(0.5, name="x")
    assert plan(tr.add_n([x * float(k) for k in range(MOST_EDGES)]))[1] == {}
    assert list(plan(tr.add_n([x * float(k) for k in range(MOST_EDGES + 1)]))[1]) == [0]
