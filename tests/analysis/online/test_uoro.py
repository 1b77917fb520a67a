"""UORO: one draw by hand, and the mean of many within its own standard error."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.online_networks import NETWORKS, entries


@pytest.mark.parametrize("name", ["rnn tanh", "lstm", "values", "learned state"])
def test_the_mean_of_many_draws_is_the_exact_gradient(name: str) -> None:
    """Along 20 random directions the mean of 100 draws lies within four of its standard errors, and mostly within one.

    The seeds are fixed, so this is the same every time.
    """
    network = NETWORKS[name]()
    exact, rng = entries(network.through_time()), np.random.default_rng(0)
    draws = np.array([entries(network.online(tr.UORO, rng=rng).gradient) for _ in range(100)])
    directions = np.random.default_rng(1).normal(size=(exact.size, 20))
    along = draws @ directions
    error = np.abs(along.mean(0) - exact @ directions)
    standard = along.std(0, ddof=1) / np.sqrt(len(draws))
    assert np.all(standard > 1e-8)  # it does draw
    assert np.all(error < 4 * standard)
    assert np.sqrt(np.mean((error / standard) ** 2)) < 1.8


def test_steps_are_the_formulas_with_the_same_signs() -> None:
    """Tallec and Ollivier (2017), algorithm 1, in numpy for h' = tanh(W h + x)."""
    rng = np.random.default_rng(2)
    w, xs = tr.Tensor(rng.normal(size=(3, 3))), rng.normal(size=(5, 3))
    method = tr.UORO(lambda x, h: tr.ops.tanh(w @ h + x), [w], np.zeros(3), rng=np.random.default_rng(7))
    signs = np.random.default_rng(7)
    signs.choice([-1.0, 1.0], 3)  # for the state before the first step, which has no influence
    h, column, row = np.zeros(3), np.zeros(3), np.zeros((3, 3))
    for x in xs:
        _, (gradient,) = method.step(x, lambda h: (h * h).sum())
        new = np.tanh(w.data @ h + x)
        slope = 1 - new**2
        through = (2 * new * slope) @ w.data @ column
        np.testing.assert_allclose(
            gradient, np.outer(2 * new * slope, h) + through * row, rtol=1e-11, atol=1e-15
        )
        nu = signs.choice([-1.0, 1.0], 3)
        moved, fresh = slope * (w.data @ column), np.outer(nu * slope, h)
        a = np.sqrt(np.linalg.norm(row) / np.linalg.norm(moved)) if np.any(row) else 0.0
        b = np.sqrt(np.linalg.norm(fresh) / np.linalg.norm(nu))
        column = a * moved + b * nu
        row = (row / a if a else row) + (fresh / b if b else fresh)
        h = new
        column = column if np.any(row) else np.zeros(3)


def test_it_carries_a_column_and_a_row() -> None:
    network = NETWORKS["lstm"]()
    cell = network.parameters["cell"]
    assert network.online(tr.UORO, rng=np.random.default_rng(0)).carried == 2 * 2 * 4 + sum(
        p.size for p in cell.parameters()
    )


def test_equal_seeds_draw_equal_gradients() -> None:
    network = NETWORKS["gru"]()
    one, two, three = (
        entries(network.online(tr.UORO, rng=np.random.default_rng(s)).gradient) for s in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, two)
    assert np.any(one != three)


def test_chance_comes_from_a_generator_only() -> None:
    cell = tr.nn.RNNCell(1, 1)
    with pytest.raises(TypeError, match="rng must be a numpy Generator"):
        tr.UORO(cell, cell, rng=3)  # type: ignore[arg-type]
