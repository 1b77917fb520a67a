import re

import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, xor_loss
from tinygrad_rnn.viz.draw import Look, draw_graph
from tinygrad_rnn.viz.explorer import layout, views
from tinygrad_rnn.viz.explorer.sweep import gradients
from tinygrad_rnn.viz.timeline import Timeline


def views_of(loss):
    timeline = Timeline(tr.Graph.of(loss))
    found, start = views.views(timeline, gradients(timeline.graph))
    return timeline.graph, {view["key"]: view for view in found}, start


def drawn(svg):
    return set(re.findall(r'<g class="node[^"]*">\s*<title>(n\d+)</title>', svg))


def members(view, box):
    return view["members"].get(box, [int(box[1:])])


def test_the_same_nodes_stand_in_every_view():
    graph, found, start = views_of(scalar_rnn(6))
    assert list(found) == ["rolled", "steps", "folded", "unrolled"]
    assert start == "unrolled"
    for key, view in found.items():
        covered = {i for box in drawn(view["svg"]) for i in members(view, box)}
        assert covered <= set(range(len(graph)))
        if key == "unrolled":
            assert covered == set(range(len(graph)))
        assert {i for i, node in enumerate(graph) if node.name and node.op is not None} <= covered


def test_every_box_has_members_and_the_first_is_its_own_node():
    graph, found, _ = views_of(scalar_rnn(12))
    for view in found.values():
        for box in drawn(view["svg"]):
            assert members(view, box)
    power = next(i for i, node in enumerate(graph) if node.op is tr.ops.power)
    assert found["unrolled"]["members"][f"n{power}"][0] == power  # the constant 2 in its label comes after it
    assert len(found["unrolled"]["members"][f"n{power}"]) == 2


def test_short_sequences_are_not_folded_and_without_steps_there_is_one_view():
    assert list(views_of(scalar_rnn(3))[1]) == ["rolled", "steps", "unrolled"]
    _, found, start = views_of(xor_loss())
    assert list(found) == ["unrolled"]
    assert start == "unrolled"


def test_it_begins_with_the_most_detailed_view_that_can_be_read():
    assert views_of(cell_loss("LSTMCell", 12))[2] == "folded"
    assert views_of(scalar_rnn(3))[2] == "unrolled"


def test_gradients_are_drawn_from_the_explorer_s_own_pass():
    loss = scalar_rnn(3, backward=False)
    _, found, _ = views_of(loss)
    assert "∂" in found["unrolled"]["svg"]
    assert not loss.has_grad


def test_too_many_boxes_leave_a_notice(monkeypatch):
    monkeypatch.setattr(views, "MOST_BOXES", 60)
    _, found, start = views_of(scalar_rnn(12))
    assert found["unrolled"]["svg"] is None
    assert found["unrolled"]["notice"].endswith("boxes are too many to be laid out here.")
    assert found["unrolled"]["members"] == {}
    assert start == "folded"


def test_a_layout_that_takes_too_long_is_given_up(monkeypatch):
    drawing = tr.draw(scalar_rnn(3))
    assert layout.layouts([drawing, drawing], seconds=1e-6) == [None, None]
    assert [svg is not None for svg in layout.layouts([drawing])] == [True]


def test_without_a_layout_program_the_error_says_what_to_install(monkeypatch):
    def missing(format, source="", plugin=False):
        raise tr.viz.LayoutProgramNotFound("install graphviz-pure")

    monkeypatch.setattr(layout, "find_program", missing)
    with pytest.raises(tr.viz.LayoutProgramNotFound, match="install graphviz-pure"):
        views_of(scalar_rnn(3))


def test_pictures_have_no_comments():
    _, found, _ = views_of(scalar_rnn(3))
    assert found["rolled"]["svg"].startswith("<svg ")
    assert "<!--" not in found["rolled"]["svg"]


def test_a_slim_picture_keeps_every_text():
    loss = scalar_rnn(3)
    graph = tr.Graph.of(loss)
    whole = draw_graph(graph, fold=False, look=Look(bare=True), cotangents=gradients(graph))
    full = whole.pipe("svg", encoding="utf-8")
    slim = views_of(loss)[1]["unrolled"]["svg"]
    assert re.findall(r">([^<>]+)</text>", slim) == re.findall(r">([^<>]+)</text>", full)
    assert len(slim) < 0.95 * len(full)
