import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.nn.places import is_initial, series
from tinygrad_rnn.viz.label import NOT_COMPUTED, details, heading, inlined, number, symbol


def constants(node):
    return [inlined(parent) for parent in node.parents]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda x: x * 0.5, "× 0.5"),
        (lambda x: 1 - x, "1 -"),
        (lambda x: x - (-2.0), "- (-2)"),
        (lambda x: x + x, "+"),
        (lambda x: x.tanh(), "tanh"),
        (lambda x: tr.ops.maximum(x, 0.0), "max(…, 0)"),
        (lambda x: tr.ops.dot([x, x], [2.0, 3.0]), "· (2 constants)"),
        (lambda x: tr.detach(x) * x, "×"),
    ],
)
def test_the_symbol_holds_the_constants(make, expected):
    node = make(tr.Value(0.25, name="x"))
    texts = [None if p.name else inlined(p) for p in node.parents]
    assert symbol(node, texts) == expected


def test_the_symbol_of_an_index_is_the_index():
    x = tr.Tensor(np.arange(12.0).reshape(3, 4))
    assert symbol(x[1]) == "[1]"
    assert symbol(x[0:2]) == "[0:2]"
    assert symbol(x[..., ::2]) == "[…, ::2]"
    assert symbol(x.sum(axis=1)) == "Σ axis 1"


def test_a_named_result_shows_name_and_symbol():
    node = tr.Value(0.5).tanh().named("h_0")
    assert heading(node) == "h_0 = tanh"
    assert heading(tr.Value(0.5, name="w")) == "w"
    assert heading(tr.Value(0.5)) == "0.5"


def test_before_backward_a_gradient_is_not_computed_and_not_zero():
    x = tr.Value(3.0, name="x")
    y = x * x
    assert details(y, values=True, gradients=True) == ["9", NOT_COMPUTED]
    y.backward()
    assert details(x, values=True, gradients=True) == ["3", "∂ 6"]
    assert details(x, values=False, gradients=False) == []


def test_a_computed_zero_gradient_reads_zero():
    x, y = tr.Value(3.0, name="x"), tr.Value(0.0, name="y")
    (x * y).backward()
    assert details(x, values=False, gradients=True) == ["∂ 0"]
    assert number(-0.0) == "0"


def test_arrays_show_entries_when_few_and_their_shape_when_many():
    assert details(tr.Tensor([1.0, -2.5], name="b"), True, False) == ["[1  -2.5]"]
    assert details(tr.Tensor(np.zeros((20, 50)), name="W"), True, False) == ["(20, 50)"]
    W = tr.Tensor(np.ones((2, 2)), name="W")
    (W * W).sum().backward()
    assert details(W, values=False, gradients=True) == ["‖∂‖ 4"]


def test_only_unnamed_scalar_constants_go_into_labels():
    assert inlined(tr.constant(0.5)) == "0.5"
    assert inlined(tr.constant(0.5, name="x_0")) is None
    assert inlined(tr.Value(0.5)) is None
    assert inlined(tr.constant(np.zeros(3))) is None


def test_series_of_names():
    assert [series(n) for n in ("h_3", "h_init", "x_12[0]", "h[1]_init", "weight_hh", "")] == [
        "h",
        "h",
        "x[0]",
        "h[1]",
        "weight_hh",
        "",
    ]
    assert is_initial("c_init")
    assert not is_initial("initial")
