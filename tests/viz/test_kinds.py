import tinygrad_rnn as tr
from tinygrad_rnn.viz.ghosts import plan_ghosts
from tinygrad_rnn.viz.kinds import OUTSIDE, Kinds
from tinygrad_rnn.viz.timeline import Timeline


def kinds_of(output):
    timeline = Timeline(tr.Graph.of(output))
    return timeline.graph, Kinds(timeline, set(plan_ghosts(timeline)))


def test_steps_that_do_the_same_have_the_same_kinds():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 2.0, 3.0], state=0.0)
    graph, kinds = kinds_of(net.final_state)
    assert [len(members) for members in kinds.members] == [3, 3, 3, 3]
    assert [graph[i].name for i, kind in enumerate(kinds.of) if kind == OUTSIDE] == ["w", "h_init"]


def test_the_same_operation_on_another_weight_is_another_kind():
    a, b = tr.Value(0.5, name="a"), tr.Value(0.25, name="b")
    h, total = tr.constant(0.0, name="h_init"), []
    for t in range(4):
        with tr.scope(f"t={t}"):
            h = ((a if t % 2 else b) * h + 1.0).tanh()
            h.name = f"h_{t}"
            total.append(h)
    graph, kinds = kinds_of(tr.add_n(total))
    products = [
        kinds.of[i] for i, node in enumerate(graph) if node.op is not None and node.op.name == "multiply"
    ]
    assert products == [products[0], products[1]] * 2
    assert products[0] != products[1]


def test_two_equal_operations_of_one_step_are_two_kinds():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: w * h + w * h + x, [1.0, 2.0], state=0.0)
    graph, kinds = kinds_of(net.final_state)
    products = [
        kinds.of[i] for i, node in enumerate(graph) if node.op is not None and node.op.name == "multiply"
    ]
    assert products == [products[0], products[1]] * 2
    assert products[0] != products[1]
