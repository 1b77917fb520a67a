import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.viz.label import heading, inlined, number, symbol, value_lines


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


def test_a_minus_zero_reads_zero():
    assert number(-0.0) == "0"


def test_arrays_show_entries_when_few_and_their_shape_when_many():
    assert value_lines(tr.Tensor([1.0, -2.5], name="b")) == ["[1  -2.5]"]
    assert value_lines(tr.Tensor(np.zeros((20, 50)), name="W")) == ["(20, 50)"]
    assert value_lines(tr.Value(3.0, name="x")) == ["3"]
    assert value_lines(tr.Value(3.0)) == []


def test_only_unnamed_scalar_constants_go_into_labels():
    assert inlined(tr.constant(0.5)) == "0.5"
    assert inlined(tr.constant(0.5, name="x_0")) is None
    assert inlined(tr.Value(0.5)) is None
    assert inlined(tr.constant(np.zeros(3))) is None
