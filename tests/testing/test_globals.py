"""Losses that return their gradients after them, over their arguments or over global weights."""

import numpy as np
import pytest
from numpy.random import default_rng

from tests.oracles import charrnn
from tinygrad_rnn.testing import Verdict, gradcheck_external

RNG_X = default_rng(3).normal(size=5) + 0.3
INPUTS, TARGETS = [0, 3, 1, 2, 3, 3, 0], [3, 1, 2, 3, 3, 0, 1]
Wxh, Whh, Why, bh, by = charrnn.parameters(4, 5, seed=0)


def lossFun(inputs, targets, hprev):
    """A loss over global weights that returns its gradients after it, and the last state."""
    xs, hs, ps = {}, {-1: np.copy(hprev)}, {}
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((4, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        y = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


scale, shift = 0.7, np.full(5, 0.1)


def hidden(x):
    return np.tanh(scale * x + shift)


def slopes(x, g=1.0):
    dz = g * (1 - hidden(x) ** 2)
    return {"scale": (dz * x).sum(), "shift": dz}


NAMES = ["Wxh", "Whh", "Why", "bh", "by"]


class TestLossThatReturnsItsGradients:
    def test_one_after_the_other(self):
        loss = lambda *w: charrnn.loss_and_gradient(INPUTS, TARGETS, np.zeros((5, 1)), *w)  # noqa: E731

        def flat(*w):
            value, gradients = loss(*w)
            return (value, *gradients, "anything")

        assert gradcheck_external(flat, None, Wxh, Whh, Why, bh, by).ok
        assert gradcheck_external(loss, None, Wxh, Whh, Why, bh, by).ok

    def test_a_dict(self):
        def loss(p, x):
            return (np.sin(p["w"]) * x).sum(), {"w": np.cos(p["w"]) * x}, "more"

        assert gradcheck_external(lambda p: loss(p, RNG_X), None, {"w": RNG_X}).ok

    def test_globals(self):
        kept = Whh.copy()
        report = gradcheck_external(lossFun, None, INPUTS, TARGETS, np.zeros((5, 1)), parameters=NAMES)
        assert report.verdict is Verdict.PASS, str(report)
        assert report.compared == f"full Jacobian 1 x {sum(w.size for w in (Wxh, Whh, Why, bh, by))}"
        np.testing.assert_array_equal(Whh, kept)

    def test_globals_that_another_function_reads(self):
        """The forward in one function, the loss in another: both see the same weights."""
        for returned in (
            lambda d: d, lambda d: {f"d{name}": g for name, g in d.items()}, lambda d: list(d.values())
        ):  # fmt: skip
            lossOf = lambda x, r=returned: (hidden(x).sum(), r(slopes(x)))  # noqa: E731
            report = gradcheck_external(lossOf, None, RNG_X, parameters=["scale", "shift"])
            assert report.ok, str(report)
        report = gradcheck_external(
            hidden, lambda g, x: tuple(slopes(x, g).values()), RNG_X, parameters=["scale", "shift"]
        )
        assert report.ok, str(report)
        assert (scale, shift[0]) == (0.7, 0.1)

    def test_a_wrong_global_is_called_by_its_name(self):
        wrong = lambda x: (hidden(x).sum(), {**slopes(x), "shift": shift})  # noqa: E731
        report = gradcheck_external(wrong, None, RNG_X, parameters=["scale", "shift"])
        assert report.mismatch.argument == "shift"
        careless = lambda x: (np.add(shift, 1.0, out=shift).sum(), slopes(x))  # noqa: E731
        assert "shift was changed" in str(
            gradcheck_external(careless, None, RNG_X, parameters=["scale", "shift"])
        )

    def test_a_missing_gradient_of_a_global_is_an_error(self):
        with pytest.raises(
            ValueError, match="fn must return a gradient of 'shift', got a dict with the keys"
        ):
            gradcheck_external(
                lambda x: (hidden(x).sum(), {"dscale": 0.0}), None, RNG_X, parameters=["scale", "shift"]
            )
        with pytest.raises(ValueError, match="fn must return 2 gradients, of scale, shift, got 1"):
            gradcheck_external(lambda x: (hidden(x).sum(), 0.0), None, RNG_X, parameters=["scale", "shift"])
        with pytest.raises(ValueError, match=r"best bound: lambda p: fn\(p, x\)"):
            gradcheck_external(lambda p, x: ((p["w"] * x).sum(), {"w": x}), None, {"w": RNG_X}, RNG_X)

    def test_clipping_is_seen(self):
        def clipped(*w):
            value, gradients = charrnn.loss_and_gradient(INPUTS, TARGETS, np.zeros((5, 1)), *w)
            return (value, *(np.clip(g, -0.05, 0.05) for g in gradients))

        assert gradcheck_external(clipped, None, Wxh, Whh, Why, bh, by).hint == "clipped at 0.05"

    def test_a_wrong_one(self):
        def wrong(*w):
            value, gradients = charrnn.loss_and_gradient(INPUTS, TARGETS, np.zeros((5, 1)), *w)
            return (value, gradients[0], gradients[1].T, *gradients[2:])

        report = gradcheck_external(wrong, None, Wxh, Whh, Why, bh, by)
        assert report.mismatch.argument == "argument 1"
        assert "transposed" in report.hint

    def test_an_unknown_global_is_an_error(self):
        with pytest.raises(ValueError, match="lossFun has no global 'Wzz'"):
            gradcheck_external(lossFun, None, INPUTS, TARGETS, np.zeros((5, 1)), parameters=["Wzz"])

    def test_without_gradients_is_an_error(self):
        with pytest.raises(TypeError, match=r"must return \(loss, gradients"):
            gradcheck_external(lambda x: x.sum(), None, RNG_X)
