"""What a drawing tells where the pointer rests, and where its links lead."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn
from tests.viz.pictures import read
from tinygrad_rnn.viz.draw import Look, draw_graph
from tinygrad_rnn.viz.flow import Flow, held
from tinygrad_rnn.viz.timeline import Timeline
from tinygrad_rnn.viz.tips import Tips, statistics

PROGRAMS = ("graphviz-pure", "dot")


def tips_of(loss):
    graph = tr.Graph.of(loss)
    return graph, Tips(graph, Flow(Timeline(graph), held(graph)))


def test_a_tip_tells_name_formula_shape_value_gradient_and_place():
    loss = cell_loss("RNNCell", 2)
    graph, tips = tips_of(loss)
    i = next(i for i, node in enumerate(graph) if node.name == "h_1")
    h = graph[i]
    low, high, mean = h.data.min(), h.data.max(), h.data.mean()
    assert tips.node(i) == (
        "h_1 (tanh)",
        "tanh x; dy/dx = 1 - y²",
        "shape (4,), float64",
        f"value: from {low:.4g} to {high:.4g}, mean {mean:.4g}",
        f"gradient: norm {np.linalg.norm(h.grad):.4g}, from {h.grad.min():.4g} to {h.grad.max():.4g}, "
        f"mean {h.grad.mean():.4g}",
        "in t=1",
    )


def test_a_number_is_told_in_eight_digits_and_a_gradient_may_be_missing():
    x = tr.Value(1 / 3, name="x")
    graph, tips = tips_of(x * x)
    assert tips.node(0) == ("x (leaf)", "value: 0.33333333", "grad not computed")
    graph, tips = tips_of(tr.constant(2.0))
    assert tips.node(0) == ("constant", "value: 2")
    assert Tips(graph, Flow(Timeline(graph), None)).node(0) == ("constant", "value: 2")


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.array([1.0, np.nan, np.inf]), "2 of 3 not finite"),
        (np.zeros((0, 3)), "no entries"),
        (np.array([3.0, -4.0]), "from -4 to 3, mean -0.5"),
        (np.array([True, False]), "from 0 to 1, mean 0.5"),
        (True, "True"),
        (np.array(7), "7"),
    ],
)
def test_statistics_say_what_is_wrong(x, text):
    assert text in statistics(x)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_box_and_edge_of_a_picture_tells(program):
    loss = scalar_rnn(3)
    graph = tr.Graph.of(loss)
    picture = read(tr.draw(loss), program)
    assert all(node.tip for node in picture.nodes)
    edges = {edge.title: edge.tip for edge in picture.edges}
    for i, parents in enumerate(graph.parent_indices):
        shares = graph.local_vjp(graph[i], graph[i].grad) if graph[i].op is not None else ()
        for p, share in zip(parents, shares, strict=True):
            tip = edges.get(f"n{p}->n{i}")
            if tip is not None and share is not None:
                assert graph[i].op.doc.split("\n")[0] in tip
                assert f"flows back: {abs(share):.4g}" in tip
    told = [tip for tip in edges.values() if "flows back" in tip]
    assert len(told) > 25


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("level", ["op", "step"])
def test_ghosts_entering_states_and_links_lead_to_what_they_stand_for(level, program):
    drawing = tr.draw(scalar_rnn(4), level=level)
    picture = read(drawing, program)
    own = {node.id: node for node in picture.nodes if not node.link}
    followers = [n for n in picture.nodes if n.classes & {"ghost", "state", "chain"}]
    assert followers
    for node in followers:
        target = own[node.link.removeprefix("#")]
        assert drawing.members[node.title] == (int(target.title[1:]),)
        assert f"w{target.title[1:]}" in node.classes & target.classes
    for node in picture.nodes:
        assert bool(node.link) == (node in followers)


def test_two_drawings_on_one_page_do_not_share_their_marks():
    first, second = (read(tr.draw(scalar_rnn(steps))) for steps in (3, 4))
    assert not {n.id for n in first.nodes if "-" in n.id} & {n.id for n in second.nodes if "-" in n.id}
    assert tr.draw(scalar_rnn(3)).source == tr.draw(scalar_rnn(3)).source


def test_the_tip_of_a_ghost_tells_the_share_of_its_step():
    loss = scalar_rnn(3)
    picture = read(tr.draw(loss))
    ghosts = [n for n in picture.classed("ghost") if n.texts[0] == "w"]
    shares = [float(n.tip.partition("gradient from here: ")[2]) for n in ghosts]
    w = next(node for node in tr.Graph.of(loss) if node.name == "w")
    assert sum(shares) == pytest.approx(w.grad, rel=1e-6)


@pytest.mark.parametrize("program", PROGRAMS)
def test_edges_can_say_how_much_flows_back(program):
    loss = scalar_rnn(2)
    graph = tr.Graph.of(loss)
    picture = read(tr.draw(loss, gradients="edges"), program)
    product = next(i for i, node in enumerate(graph) if node.op is not None and node.op.name == "tanh")
    below = graph.parent_indices[product][0]
    share = graph.local_vjp(graph[product], graph[product].grad)[0]
    found = [edge.texts for edge in picture.edges if edge.title == f"n{below}->n{product}"]
    assert [text.strip() for (text,) in found] == [f"{abs(share):.2g}"]
    assert not any(edge.texts for edge in read(tr.draw(loss), program).edges)


def test_too_many_edges_get_no_numbers_and_a_notice():
    drawing = tr.draw(scalar_rnn(60), fold=False, gradients="edges")
    assert any("too many edges" in notice for notice in drawing.notices)
    assert 'label="  ' not in drawing.source


@pytest.mark.parametrize("wrong", ["edge", None, 2, "all"])
def test_another_word_for_gradients_is_refused(wrong):
    with pytest.raises(ValueError, match="legal: True, False, 'edges'"):
        tr.draw(scalar_rnn(2), gradients=wrong)


def test_a_large_drawing_and_a_bare_one_tell_nothing():
    for drawing in (
        tr.draw(scalar_rnn(200), fold=False),
        draw_graph(tr.Graph.of(scalar_rnn(3)), look=Look(bare=True)),
    ):
        assert "tooltip" not in drawing.source
        assert "href" not in drawing.source
    assert "gradient magnitude" not in drawing.source
    assert "\ngraph [label=" not in drawing.source


def test_after_an_update_the_graph_can_still_be_drawn():
    loss = cell_loss("RNNCell", 3)
    for node in tr.Graph.of(loss):
        if node.kind == "leaf":
            node.data = node.data - 0.1 * node.grad
    for level in ("op", "step", "rolled"):
        drawing = tr.draw(loss, level=level)
        stale = [notice for notice in drawing.notices if "assigned since" in notice]
        assert len(stale) == (level != "step"), "the cells' drawing asks for no share of a weight"
        assert len(read(drawing).nodes) == drawing.boxes


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_theme_changes_no_text_and_no_box(theme, program):
    loss = scalar_rnn(3)
    texts = [(n.title, n.texts, n.classes) for n in read(tr.draw(loss), program).nodes]
    themed = tr.draw(loss, theme=theme)
    assert [(n.title, n.texts, n.classes) for n in read(themed, program).nodes] == texts
    colors = {"light": '"white"', "dark": '"#10161d"', "print": '"white"'}
    assert f"bgcolor={colors[theme]}" in themed.source
    if theme == "print":
        assert not [c for c in ("#fbf6d0", "#1f4788", "#d55e00") if c in themed.source]
