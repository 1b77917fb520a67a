"""SnAp-1: exact where the recurrence is diagonal, and otherwise the formula with a mask, by hand."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.online_networks import NETWORKS, Network, entries, of_cell
from tinygrad_rnn.analysis.agreement import cosine, relative_error


def diagonal(learned_start: bool = False) -> Network:
    """h' = tanh(w * h + u * x + b), elementwise; the first state is 0 or a function of a parameter."""
    rng = np.random.default_rng(0)
    p = {name: tr.Tensor(rng.normal(size=4), name=name) for name in ("w", "u", "b", "start")}

    def build(p: Any) -> tuple[Any, Any, Any]:
        def cell(x: Any, h: Any) -> Any:
            return tr.ops.tanh(p["w"] * h + p["u"] * x + p["b"])

        start = tr.ops.sin(p["start"]) if learned_start else np.zeros(4)
        return cell, start, lambda h, y: ((h - y) ** 2).sum()

    return Network(p, build, rng.normal(size=(9, 4)), rng.normal(size=(9, 4)))


@pytest.mark.parametrize("learned_start", [False, True])
def test_it_is_exact_for_a_diagonal_recurrence(learned_start: bool) -> None:
    network = diagonal(learned_start)
    run = network.online(tr.SnAp1)
    np.testing.assert_allclose(entries(run.gradient), entries(network.through_time()), rtol=1e-12, atol=1e-14)
    assert run.carried == 4 * (4 if learned_start else 3)


def test_it_is_the_masked_recursion_of_a_tanh_network() -> None:
    rng = np.random.default_rng(1)
    w = tr.Tensor(rng.normal(size=(3, 3)), name="w")
    method = tr.SnAp1(lambda x, h: tr.ops.tanh(w @ h + x), [w], np.zeros(3))
    h, kept = np.zeros(3), np.zeros((3, 3))  # kept[i, j] = dh_i/dw_ij
    for x in rng.normal(size=(6, 3)):
        _, (gradient,) = method.step(x, lambda h: (h * h).sum())
        new = np.tanh(w.data @ h + x)
        slope = (1 - new**2)[:, None]
        through = (2 * new * slope[:, 0]) @ w.data  # dL/dh_{t-1}
        np.testing.assert_allclose(
            gradient, 2 * new[:, None] * slope * h + through[:, None] * kept, rtol=1e-12
        )
        kept = slope * (h + np.diag(w.data)[:, None] * kept)
        h = new
    assert method.carried == 9


def test_it_is_the_masked_recursion_of_an_lstm() -> None:
    """RTRL's recursion with dense matrices and the mask of the immediate Jacobian, from tr.jacobian."""
    rng = np.random.default_rng(2)
    cell, xs = tr.nn.LSTMCell(2, 3, rng=rng), rng.normal(size=(5, 2))
    method = tr.SnAp1(cell, [cell.weight_hh])
    parameters = dict(cell.named_parameters())

    def after(w: Any, h: Any, c: Any, x: Any) -> Any:
        return tr.ops.concatenate(tr.functional_call(cell, parameters | {"weight_hh": w}, x, (h, c)))

    jacobian = tr.jacobian(after, (0, 1, 2))
    mask = np.zeros((2, 3, 4, 3, 3))
    for i in range(3):
        mask[0, i, :, i] = 1  # h_i: row i of every gate
        mask[1, i, :3, i] = 1  # c_i: of every gate but the output gate
    mask = mask.reshape(6, 12, 3)
    h, c, kept = np.zeros(3), np.zeros(3), np.zeros((6, 12, 3))
    for x in xs:
        _, (gradient,) = method.step(x, lambda h: h.sum())
        fresh, to_h, to_c = jacobian(np.array(cell.weight_hh.data), h, c, x)
        moved = np.einsum("ik,kab->iab", np.concatenate([to_h, to_c], axis=1), kept) + fresh
        np.testing.assert_allclose(gradient, moved[:3].sum(0), rtol=1e-11)
        kept = mask * moved
        h, c = method.state
    assert method.carried == mask.sum()


def test_it_is_biased_where_units_talk_to_each_other() -> None:
    network = of_cell(lambda rng: tr.nn.RNNCell(3, 4, rng=rng), steps=12)
    exact, estimate = network.through_time(), network.online(tr.SnAp1).gradient
    assert 0.01 < relative_error(estimate, exact) < 0.5
    assert cosine(estimate, exact) > 0.9
    np.testing.assert_allclose(estimate["readout"]["weight"], exact["readout"]["weight"], rtol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_single_step_is_exact(name: str) -> None:
    """With one step there is nothing to lose: no influence has passed through another unit yet."""
    network = NETWORKS[name]()
    last = network.targets[-1:]
    short = Network(network.parameters, network.build, network.inputs[:1], last)
    exact = short.through_time()
    np.testing.assert_allclose(
        entries(short.online(tr.SnAp1).gradient), entries(exact), rtol=1e-12, atol=1e-14
    )


def test_a_reach_that_shows_itself_late_is_found() -> None:
    """An embedding's rows are touched one after the other."""
    rng = np.random.default_rng(3)
    p = {"e": tr.Tensor(rng.normal(size=(3, 2))), "w": tr.Tensor(rng.normal(size=2))}

    def build(p: Any) -> tuple[Any, Any, Any]:
        return (
            lambda k, h: tr.ops.tanh(p["w"] * h + p["e"][k]),
            np.zeros(2),
            lambda h, y: ((h - y) ** 2).sum(),
        )

    network = Network(p, build, np.array([0, 0, 2, 1, 2]), rng.normal(size=(5, 2)))
    run = network.online(tr.SnAp1)
    np.testing.assert_allclose(entries(run.gradient), entries(network.through_time()), rtol=1e-12)
    assert run.carried == 6 + 2


def test_a_rule_that_hides_nan_is_named() -> None:
    """The graph is asked with nan; a rule that answers 0 has kept its reach to itself."""
    hiding = tr.Op(
        name="hiding", symbol="f", forward=lambda xp, x: 2 * x, vjp=lambda g, y, x: (2 * np.nan_to_num(g),)
    )
    w = tr.Tensor(np.ones(2))
    with pytest.raises(ValueError, match="hides nan"):
        tr.SnAp1(lambda x, h: hiding(w * h) + x, [w], np.ones(2)).step(1.0)


def test_a_way_between_states_that_opens_late_is_used() -> None:
    """A single weight reaches both units at once, so nothing is lost; later steps swap the units, without it."""
    w, u = tr.Value(0.7), tr.Value(0.4)

    def build(p: Any) -> tuple[Any, Any, Any]:
        def cell(k: Any, h: Any) -> Any:
            if k.item() < 2:
                return [tr.ops.tanh(p[0] * h[0] + 0.3), tr.ops.tanh(p[0] * h[1] - 0.5)]
            return [h[1] * p[1], h[0]] if k.item() == 2 else [h[1], h[0]]

        return cell, [0.2, 0.1], lambda h, y: (h[0] - y) ** 2 + 0.5 * h[1]

    network = Network([w, u], build, np.array([0.0, 1.0, 3.0, 2.0, 3.0]), np.ones(5))
    exact = entries(network.through_time())
    np.testing.assert_allclose(entries(network.online(tr.SnAp1).gradient)[0], exact[0], rtol=1e-12)
