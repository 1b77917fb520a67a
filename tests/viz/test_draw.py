import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import scalar_rnn
from tests.viz.pictures import read

LEVELS = ("op", "step", "scalar", "rolled")
WITHOUT_SCALARS = ("opaque", "constant", "comparison")  # nothing there that a Value could stand for


def ragged():
    rng = np.random.default_rng(0)
    cell = tr.nn.GRUCell(2, 3, rng=rng)
    net = tr.unroll(cell, rng.normal(size=(3, 4, 2)), lengths=np.array([3, 1, 0, 2]))
    loss = tr.add_n(net.each(lambda h: (h * h).sum()))
    loss.backward()
    return loss


def with_dropout():
    rng = np.random.default_rng(0)
    module = tr.nn.LSTM(2, 3, num_layers=2, dropout=0.5, rng=rng)
    net = module.unroll(rng.normal(size=(3, 2)), rng=rng)
    loss = tr.add_n(net.each(lambda h: (h * h).sum()))
    loss.backward()
    return loss


def in_float32():
    W = tr.Tensor(np.ones((2, 2), dtype=np.float32), name="W")
    loss = tr.ops.where(W > 0.5, W, 0.0).sum()
    loss.backward()
    return loss


def vectors_of_values():
    w = [tr.Value(0.1 * k, name=f"w{k}") for k in range(4)]

    def cell(x, h):
        return [(w[0] * h[0] + w[1] * h[1] + x).tanh(), (w[2] * h[0] + w[3] * h[1] + x).tanh()]

    net = tr.unroll(cell, [1.0, 0.5, -1.0], state=[0.0, 0.0])
    loss = tr.add_n(net.each(lambda h: h[0] * h[1]))
    loss.backward()
    return loss


def of_nothing():
    return tr.Tensor(np.zeros((0, 3)), name="empty").sum()


def opaque():
    op = tr.Op(name="twice", symbol="2x", forward=lambda xp, x: 2.0 * x, vjp=lambda g, y, x: (2.0 * g,))
    x = tr.Value(1.0, name="x")
    y = op(x) * x
    y.backward()
    return y


GRAPHS = {
    "ragged": ragged,
    "dropout": with_dropout,
    "float32": in_float32,
    "vectors": vectors_of_values,
    "empty": of_nothing,
    "opaque": opaque,
    "leaf": lambda: tr.Value(1.0, name="x"),
    "constant": lambda: tr.constant(np.arange(3)),
    "comparison": lambda: tr.Tensor([1.0, 2.0]) > 1.5,
    "one-step": lambda: scalar_rnn(1),
    "two-steps": lambda: scalar_rnn(2),
}


CASES = [
    (n, level)
    for n in GRAPHS
    for level in LEVELS
    if (n, level) not in [(w, "scalar") for w in WITHOUT_SCALARS]
]


@pytest.mark.parametrize("name", WITHOUT_SCALARS)
def test_what_has_no_scalar_view_is_refused(name):
    node = GRAPHS[name]()
    if name == "opaque":
        node = tr.ops.stack([node])  # a graph of Values is its own scalar view
    with pytest.raises(TypeError):
        tr.draw(node, level="scalar")


@pytest.mark.parametrize(("name", "level"), CASES)
def test_every_kind_of_graph_can_be_drawn_at_every_level(name, level):
    drawing = tr.draw(GRAPHS[name](), level=level)
    picture = read(drawing)
    assert len(picture.nodes) == drawing.boxes > 0
    declared = {item.title for item in picture.nodes}
    for edge in picture.edges:
        assert set(edge.title.split("->")) <= declared


@pytest.mark.parametrize("level", LEVELS)
def test_drawing_leaves_the_graph_as_it_is(level):
    loss = scalar_rnn(4)
    before = [(n.data, n.grad, n.name, n.has_grad) for n in tr.Graph.of(loss)]
    tr.draw(loss, level=level)
    assert [(n.data, n.grad, n.name, n.has_grad) for n in tr.Graph.of(loss)] == before


def test_a_nonsense_fold_is_refused_at_every_level():
    for level in LEVELS:
        with pytest.raises(TypeError, match="draw: fold"):
            tr.draw(scalar_rnn(2), level=level, fold="some")
