import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tinygrad_rnn.viz.order import fan_ins, links
from tinygrad_rnn.viz.timeline import Timeline


def test_folded_steps_share_one_link():
    terms = [[0], [1], [2, 3], [4], [5]]
    assert links(terms, lambda i: 1 <= i <= 3) == [[0], [1, 2, 3], [4], [5]]
    assert links(terms, lambda i: False) == terms
    assert links(terms, lambda i: True) == [[0, 1, 2, 3, 4, 5]]


def test_a_sum_over_the_steps_is_found_in_the_order_of_the_steps():
    loss = scalar_rnn(4)
    timeline = Timeline(tr.Graph.of(loss))
    graph = timeline.graph
    (total,) = fan_ins(timeline, range(len(graph)), lambda p: True).items()
    assert graph[total[0]] is loss
    assert [[graph[p].name for p in step] for step in total[1]] == [["L_0"], ["L_1"], ["L_2"], ["L_3"]]


def test_a_sum_over_two_steps_is_no_chain():
    timeline = Timeline(tr.Graph.of(scalar_rnn(2)))
    assert fan_ins(timeline, range(len(timeline.graph)), lambda p: True) == {}
