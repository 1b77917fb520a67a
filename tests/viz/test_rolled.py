from collections import Counter

import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss, scalar_rnn, stack_loss
from tests.viz.pictures import read


def arrows(drawing):
    """Return the visible edges of the DOT text, tail and head."""
    pairs = []
    for line in drawing.source.splitlines():
        if "->" in line and "style=invis" not in line:
            tail, rest = line.split("->", 1)
            pairs.append((tail, rest.split(" ", 1)[0], 'class="delay"' in line))
    return pairs


def cyclic_nodes(pairs):
    """Return the nodes that lie on a cycle: what is left when nodes without a way in or out are taken away."""
    nodes = {n for pair in pairs for n in pair}
    while True:
        tails, heads = {t for t, _ in pairs}, {h for _, h in pairs}
        keep = nodes & tails & heads
        if keep == nodes:
            return nodes
        nodes = keep
        pairs = [(t, h) for t, h in pairs if t in nodes and h in nodes]


@pytest.mark.parametrize(
    ("make", "states"),
    [
        (lambda: scalar_rnn(5), 1),
        (lambda: cell_loss("RNNCell", 4), 1),
        (lambda: cell_loss("GRUCell", 4), 1),
        (lambda: cell_loss("LSTMCell", 4), 2),
        (lambda: stack_loss("LSTM", 4, layers=2), 4),
        (lambda: stack_loss("RNN", 4, layers=2, bidirectional=True), 4),
        (lambda: scalar_rnn(6, truncate=2), 1),
    ],
    ids=["scalar", "rnn", "gru", "lstm", "stack", "bidirectional", "truncated"],
)
def test_each_state_closes_one_cycle_and_without_the_delays_there_is_none(make, states):
    drawing = tr.draw(make(), level="rolled")
    edges = arrows(drawing)
    assert sum(delay for *_, delay in edges) == states
    assert len(read(drawing).classed("delay")) == states
    assert cyclic_nodes([(t, h) for t, h, _ in edges])
    assert not cyclic_nodes([(t, h) for t, h, delay in edges if not delay])


def test_each_operation_weight_and_input_is_there_once():
    picture = read(tr.draw(cell_loss("RNNCell", 7), level="rolled"))
    headings = Counter(node.texts[0] for node in picture.nodes)
    for name in (
        "weight_ih",
        "weight_hh",
        "bias_ih",
        "bias_hh",
        "x_t",
        "h_t = tanh",
        "y_t = +",
        "L_t = ÷ 2",
        "h_init",
    ):
        assert headings[name] == 1, (name, headings)
    assert headings["@"] == 3
    assert "z⁻¹" in headings
    assert [f.texts[0] for f in picture.frames] == ["every step, t = 0 … 6"]
    assert len(picture.edges) == len({e.title for e in picture.edges})


def test_the_rolled_network_does_not_grow_with_the_sequence():
    sizes = {tr.draw(cell_loss("LSTMCell", steps), level="rolled").boxes for steps in (2, 5, 40)}
    assert len(sizes) == 1


def test_the_first_step_may_start_from_a_leaf_a_constant_or_nothing():
    w = tr.Value(0.5, name="w")

    def cell(x, h):
        return (w * h + x).tanh()

    xs = [1.0, 2.0, 3.0]
    from_constant = tr.draw(tr.unroll(cell, xs, state=0.0), level="rolled").boxes
    from_leaf = tr.draw(tr.unroll(cell, xs, state=tr.Value(0.1)), level="rolled").boxes
    assert from_constant == from_leaf

    def first_alone(x, h):
        return x.tanh() if h is None else (w * h + x).tanh()

    h, states = None, []
    for t, x in enumerate(xs):
        with tr.scope(f"t={t}"):
            h = first_alone(tr.constant(x, name=f"x_{t}"), h).named(f"h_{t}")
        states.append(h)
    picture = read(tr.draw(states[-1], level="rolled"))
    headings = Counter(node.texts[0] for node in picture.nodes)
    assert headings["h_t = tanh"] == headings["z⁻¹"] == headings["x_t"] == 1
    assert any("in 2 of 3 steps" in text for text in picture.texts)


def test_a_box_shows_the_range_of_its_gradients_over_time():
    loss = scalar_rnn(5)
    grads = [abs(n.grad) for n in tr.Graph.of(loss) if n.name.startswith("h_") and n.name != "h_init"]
    expected = f"|∂| {min(grads):.4g} … {max(grads):.4g}"
    assert expected in read(tr.draw(loss, level="rolled")).texts
    before = read(tr.draw(scalar_rnn(5, backward=False), level="rolled"))
    assert "grad not computed" in before.texts


def test_a_constant_that_differs_between_steps_is_not_given_as_one_number():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0, 2.0, 3.0], state=0.0)
    loss = tr.add_n(net.each(lambda h, d: (h - d) * 7.0, [1.0, 0.0, 1.0]))
    headings = [node.texts[0] for node in read(tr.draw(loss, level="rolled")).nodes]
    assert "- …" in headings
    assert "L_t = × 7" in headings


def test_an_index_that_differs_between_steps_is_not_given_as_one_number():
    table = tr.Tensor([0.5, 0.25, 1.0], name="table")
    net = tr.unroll(lambda x, h: tr.ops.tanh(h * 2.0 + x), table, state=tr.Tensor(0.0))
    headings = [node.texts[0] for node in read(tr.draw(net, level="rolled")).nodes]
    assert "x_t = […]" in headings


def test_a_state_two_steps_back_has_a_longer_delay():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(lambda x, s: ((w * s[1] + x).tanh(), s[0]), [1.0, 2.0, 3.0, 4.0], state=(0.0, 0.0))
    drawing = tr.draw(net, level="rolled")
    assert "delay 2 steps" in drawing.source


def test_a_graph_without_steps_is_drawn_as_it_is():
    x = tr.Value(2.0, name="x")
    assert tr.draw(x * x + 1.0, level="rolled").boxes == 3


def test_the_width_does_not_grow_with_the_steps():
    sources = [tr.draw(scalar_rnn(steps), level="rolled", gradients=False).source for steps in (4, 60)]
    short, long = (source.count("->") for source in sources)
    assert short == long
