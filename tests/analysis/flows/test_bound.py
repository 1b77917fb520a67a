import json
import re
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.reruns import network
from tinygrad_rnn.analysis.flows.bound import Bound


def bound_of(kind: str, **settings: Any) -> tuple[Bound | str, Any]:
    slow = network(kind, **settings)
    net, losses = slow.unrolled()
    return tr.gradient_flow(net, losses).bound, (slow, net, tr.gradient_flow(net, losses))


@pytest.mark.parametrize(("kind", "batch"), [("RNNCell", None), ("RNNCell", 3), ("relu", 2)])
def test_sigma_is_that_of_the_weight_and_slopes_are_those_of_the_units(kind: str, batch: int | None) -> None:
    bound, (slow, net, _) = bound_of(kind, batch=batch)
    assert isinstance(bound, Bound)
    sigma = np.linalg.norm(slow.weights["weight_hh"].data, 2)
    np.testing.assert_allclose(bound.sigma[1:], sigma, rtol=1e-12)
    assert bound.gamma == 1.0
    states = [h.data for h in net.states]
    expected = [np.max(1 - h**2 if kind == "RNNCell" else h > 0) for h in states]
    np.testing.assert_allclose(bound.slopes, expected, rtol=1e-12)
    assert bound.theory[3, 1] == pytest.approx(sigma**2, rel=1e-12)
    assert bound.measured[3, 1] == pytest.approx(sigma**2 * expected[2] * expected[3], rel=1e-12)
    assert bound.theory[1, 1] == 1.0
    assert bound.theory[1, 3] == 0.0


@pytest.mark.parametrize("kind", ["RNNCell", "relu", "Values", "vector of Values"])
def test_it_bounds_the_measured_norms(kind: str) -> None:
    for seed in range(5):
        bound, (_, _, flow) = bound_of(kind, seed=seed, steps=8)
        assert isinstance(bound, Bound)
        assert np.all(flow.jacobian_norms <= bound.measured * (1 + 1e-12))
        assert np.all(bound.measured <= bound.theory * (1 + 1e-12))


def test_the_matrix_of_a_vector_of_values_is_put_together() -> None:
    bound, (slow, _, _) = bound_of("vector of Values")
    W = np.array([[slow.weights[f"w{i}[{j}]"].data for j in range(2)] for i in range(2)])
    assert isinstance(bound, Bound)
    np.testing.assert_allclose(bound.sigma[1:], np.linalg.norm(W, 2), rtol=1e-12)


def test_a_sigmoid_has_a_quarter_and_a_linear_cell_one() -> None:
    w = tr.Value(3.0, name="w")
    net = tr.unroll(lambda x, h: (w * h + x).sigmoid(), [1.0, 2.0, -1.0], state=0.0)
    bound = tr.gradient_flow(net, net.final_state).bound
    assert isinstance(bound, Bound)
    assert bound.gamma == 0.25
    linear = tr.unroll(lambda x, h: (w * h + x) / 2, [1.0, 2.0, -1.0], state=0.0)
    flow = tr.gradient_flow(linear, linear.final_state)
    assert isinstance(flow.bound, Bound)
    np.testing.assert_allclose(flow.bound.theory, flow.jacobian_norms, rtol=1e-12)
    assert flow.bound.sigma[1] == pytest.approx(1.5)


def test_a_backward_lane() -> None:
    net = tr.unroll(tr.nn.RNNCell(2, 3, rng=np.random.default_rng(0)), np.ones((4, 2)), reverse=True)
    flow = tr.gradient_flow(net, net.each(lambda h: (h**2).sum()))
    bound = flow.bound
    assert isinstance(bound, Bound)
    assert np.all(np.tril(bound.theory, -1) == 0)
    assert np.all(flow.jacobian_norms <= bound.measured * (1 + 1e-12))
    assert bound.theory[0, 3] == pytest.approx(bound.sigma[2] ** 3, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("LSTMCell", r"multiply\(\.\.\.\) of two things that both depend on the state before it"),
        ("GRUCell", r"multiply\(\.\.\.\) of two things that both depend on the state before it"),
        ("dict", "both depend"),
    ],
)
def test_a_cell_of_another_form_has_none_and_says_why(kind: str, reason: str) -> None:
    slow = network(kind)
    net, losses = slow.unrolled()
    flow = tr.gradient_flow(net, losses)
    assert flow.bound is None
    assert re.search(reason, flow.why_no_bound)


def test_a_nonlinearity_inside_and_one_without_a_known_slope() -> None:
    net = tr.unroll(lambda x, h: h.tanh() + x, [1.0, 2.0], state=tr.Value(0.5))
    assert "h_1 = add" not in tr.gradient_flow(net, net.final_state).why_no_bound
    assert "tanh(...), which is not linear, on" in tr.gradient_flow(net, net.final_state).why_no_bound
    cube = tr.Op(
        name="cube", symbol="x³", forward=lambda xp, x: x * x * x, partials=(lambda xp, y, x: 3.0 * x * x,)
    )
    net = tr.unroll(lambda x, h: cube(0.5 * h + x), [0.1, 0.2], state=tr.Value(0.5))
    assert tr.gradient_flow(net, net.final_state).why_no_bound == "the largest slope of cube is not known"


def test_it_is_plain_numbers() -> None:
    bound, _ = bound_of("RNNCell")
    assert isinstance(bound, Bound)
    assert json.loads(json.dumps(bound.to_dict()))["gamma"] == 1.0
    assert repr(bound).startswith("<Bound: a step stretches by at most σ·γ = ")
