"""The texts of local rules, and the local derivatives as numbers: both come from the operation's own record."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss
from tinygrad_rnn.viz.explorer import rules
from tinygrad_rnn.viz.explorer.formulas import formula
from tinygrad_rnn.viz.explorer.rules import Locals, Rules

SWISH = tr.Op(
    name="swish",
    symbol="swish",
    forward=lambda xp, x: x * xp.sigmoid(x),
    partials=(lambda xp, y, x: xp.sigmoid(x) + y * (1 - xp.sigmoid(x)),),
)
OPAQUE = tr.Op(
    name="opaque", symbol="opaque", forward=lambda xp, x: np.tanh(x), vjp=lambda g, y, x: (g * (1 - y * y),)
)
ARRAYS_ONLY = tr.Op(
    name="fussy", symbol="fussy", forward=lambda xp, x: x * 2.0, partials=(lambda xp, y, x: float(x) * 2.0,)
)


def texts(node):
    graph = tr.Graph.of(node)
    found, last = Rules(graph), len(graph) - 1
    active = [k for k, p in enumerate(node.parents) if p.kind != "constant"]
    return found.formula(last), [found.rule(last, k) for k in active]


@pytest.mark.parametrize(
    ("make", "text", "rule"),
    [
        (lambda x: x.tanh(), "tanh(x)", "g · (1 − y²)"),
        (lambda x: x.sigmoid(), "σ(x)", "g · y · σ(−x)"),
        (lambda x: x**2, "a ^ 2", "g · 2 · a"),
        (lambda x: x - 0.5, "a − 0.5", "g"),
        (lambda x: 3.0 / x, "3 / b", "g · (−y / b)"),
        (lambda x: tr.ops.log(x), "ln(x)", "g · (1 / x)"),
        (lambda x: abs(x), "|x|", "g · sign(x)"),
        (lambda x: SWISH(x), "swish(x)", "g · (σ(x) + y · (1 − σ(x)))"),
        (lambda x: OPAQUE(tr.ops.stack([x])), "opaque(x)", ""),
        (lambda x: tr.ops.maximum(2.0, x), "max(2, b)", "g · where(b > 2, 1, where(2 = b, 0.5, 0))"),
    ],
)
def test_a_rule_is_printed_from_the_operation_s_own_record(make, text, rule):
    assert texts(make(tr.Value(0.7))) == (text, [rule])


def test_parentheses_stand_where_they_are_needed_and_nowhere_else():
    a, b, c = tr.Value(2.0), tr.Value(3.0), tr.Value(5.0)
    names = {a: "a", b: "b", c: "c"}
    assert formula(a - (b - c), names) == "a − (b − c)"
    assert formula((a - b) - c, names) == "a − b − c"
    assert formula(a + (b + c), names) == "a + b + c"
    assert formula(a / (b * c), names) == "a / (b · c)"
    assert formula((a + b) * c * a, names) == "(a + b) · c · a"
    assert formula(a ** (b * c), names) == "a ^ (b · c)"
    assert formula((a * b) ** c, names) == "(a · b) ^ c"
    assert formula(a / b * c, names) == "a / b · c"
    assert formula(a * (b / c), names) == "a · (b / c)"
    assert formula((-a) * (-b), names) == "−a · (−b)"


def test_rules_of_arrays():
    rng = np.random.default_rng(0)
    W, x, b = tr.Tensor(rng.normal(size=(4, 3))), tr.Tensor(rng.normal(size=(2, 3))), tr.Tensor(np.ones(4))
    assert texts(x @ W.T) == ("a @ b", ["g @ bᵀ", "aᵀ @ g"])
    assert texts(x @ W.T + b)[1] == ["g", "Σ(g, axis 0)"]
    assert texts(W.T) == ("xᵀ", ["gᵀ"])
    assert texts(W[1:3]) == ("x[1:3]", ["scatter(g)"])
    assert texts(W.prod()) == ("Π(x)", [""])  # too long to help


def test_a_rule_that_cannot_be_written_costs_only_its_text():
    x = tr.Tensor(np.array(3.0))
    y = ARRAYS_ONLY(x)
    graph = tr.Graph.of(y)
    assert Rules(graph).rule(1, 0) in ("", "g · 6")
    assert Locals(graph, 64).derivative(1, 0) == 6.0


def test_many_terms_have_one_rule_each_and_numbered_letters():
    terms = [tr.Value(float(k)) for k in range(3)]
    text, each = texts(tr.ops.dot(terms, [tr.Value(2.0)] * 3))
    assert text == "·(x₁, …, x₆)"
    assert each == ["g · x₄", "g · x₅", "g · x₆", "g · x₁", "g · x₂", "g · x₃"]


def test_a_sum_of_many_terms_runs_all_its_rules_on_one_set_of_arguments(monkeypatch):
    """With one set for each rule, 20,000 terms would take minutes."""
    made = []
    trial = rules._Trial
    monkeypatch.setattr(rules, "_Trial", lambda node: made.append(node) or trial(node))
    y = tr.add_n([tr.Value(1.0) for _ in range(300)])
    assert texts(y)[1] == ["g"] * 300
    assert made == [y]


def test_equal_operations_with_other_constants_do_not_share_a_text():
    x = tr.Value(3.0)
    graph = tr.Graph.of(x**2 + x**3)
    found = Rules(graph)
    powers = [i for i, node in enumerate(graph) if node.op is tr.ops.power]
    assert [found.rule(i, 0) for i in powers] == ["g · 2 · a", "g · 3 · a ^ 2"]


@pytest.mark.parametrize("op", [op for op in tr.ops.ALL if op.elementwise and op.name != "random"], ids=str)
def test_upstream_times_local_is_downstream_for_every_elementwise_operation(op):
    rng = np.random.default_rng(1)
    arity = len(op.partials) if isinstance(op.partials, tuple) else 4
    values = [tr.Value(float(v)) for v in rng.uniform(0.2, 0.8, size=arity)]
    y = op(*values)
    graph = tr.Graph.of(y)
    locals_ = Locals(graph, 64)
    last = graph.index(y)
    for slot, part in enumerate(graph.local_vjp(y, 1.7)):
        if part is not None:
            assert float(locals_.derivative(last, slot)) * 1.7 == pytest.approx(part, rel=1e-15)


def test_tiny_jacobians_agree_with_differences():
    rng = np.random.default_rng(2)
    x = tr.Tensor(rng.normal(size=3), name="x")
    y = tr.ops.softmax(x)
    graph = tr.Graph.of(y)
    found = Locals(graph, 64).derivative(1, 0)

    def softmax(v):
        return np.exp(v) / np.exp(v).sum()

    step = 1e-6
    expected = [(softmax(x.data + step * e) - softmax(x.data - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(found, np.transpose(expected), atol=1e-9)


def test_large_local_derivatives_are_left_out():
    graph = tr.Graph.of(cell_loss("RNNCell", 1, hidden=4))
    locals_ = Locals(graph, 3)
    product = next(i for i, node in enumerate(graph) if node.op is tr.ops.matmul)
    tanh = next(i for i, node in enumerate(graph) if node.op is tr.ops.tanh)
    assert locals_.derivative(product, 1) is None
    assert locals_.derivative(tanh, 0) is None
    assert Locals(graph, 4).derivative(tanh, 0).shape == (4,)


def test_where_python_s_floats_raise_the_local_derivative_is_the_ieee_one():
    reciprocal = tr.Op(
        name="reciprocal",
        symbol="1/x",
        forward=lambda xp, x: 1 / x,
        partials=(lambda xp, y, x: -1 / (x * x),),
    )
    y = reciprocal(tr.Value(0.0))
    assert Locals(tr.Graph.of(y), 64).derivative(1, 0) == -np.inf
