"""The classic mistakes of hand-written BPTT: each is found where it was made, and called by its name."""

import json

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tests.oracles import charrnn
from tinygrad_rnn import ops
from tinygrad_rnn.testing import diff_backward

T, B, N, H, K = 6, 4, 2, 3, 5
RNG = default_rng(11)
PARAMETERS = {
    "Wxh": RNG.normal(size=(N, H)),
    "Whh": RNG.normal(size=(H, H)),
    "bh": RNG.normal(size=H),
    "Why": RNG.normal(size=(H, K)),
    "by": RNG.normal(size=K),
}
X, H0, Y = RNG.normal(size=(T, B, N)), 0.5 * RNG.normal(size=(B, H)), RNG.normal(size=(T, B, K))


def loss(p, x, h0, targets):
    net = tr.unroll(lambda x, h: ops.tanh(x @ p["Wxh"] + h @ p["Whh"] + p["bh"]), x, state=h0)
    errors = net.each(lambda h, y: ((h @ p["Why"] + p["by"] - y) ** 2).sum(), list(targets))
    return tr.add_n(errors)


def by_hand(p, x, h0, targets, fault=""):
    """The loss, and every gradient and cotangent, with one mistake made on purpose."""
    hs, total = {-1: h0}, 0.0
    for t in range(T):
        hs[t] = np.tanh(x[t] @ p["Wxh"] + hs[t - 1] @ p["Whh"] + p["bh"])
        total += float(np.sum((hs[t] @ p["Why"] + p["by"] - targets[t]) ** 2))
    d = {name: np.zeros_like(w) for name, w in p.items()}
    dhs, dzs, dnexts, dh_next = [None] * T, [None] * T, [None] * T, np.zeros((B, H))
    for t in reversed(range(T)):
        dy = 2 * (hs[t] @ p["Why"] + p["by"] - targets[t])
        if fault == "averaged":
            dy /= T
        if fault == "last loss" and t < T - 1:
            dy *= 0
        d["Why"] += hs[t].T @ dy
        d["by"] += dy.sum(0)
        dh = dy @ p["Why"].T
        if fault != "dh_next":
            dh = dh + dh_next
        if fault == "clipped":
            dh = np.clip(dh, -1.0, 1.0)
        slope = 1 - (hs[t - 1] if fault == "early slope" else hs[t]) ** 2
        dz = dh if fault == "no tanh'" else dh * slope
        dhs[t], dzs[t] = dh, dz
        d["Wxh"] += x[min(t + 1, T - 1)].T @ dz * (t < T - 1) if fault == "next input" else x[t].T @ dz
        weight = (hs[t] if fault == "h_t" else hs[t - 1]).T @ dz
        d["Whh"] = weight if fault == "overwritten" else d["Whh"] + weight * (fault != "first step" or t > 0)
        d["bh"] += 0 if fault == "bias" else (dz.sum(1)[:H] if fault == "axis" else dz.sum(0))
        dh_next = dz @ (p["Whh"] if fault == "not transposed" else p["Whh"].T)
        if fault == "clipped carry":
            dh_next = np.clip(dh_next, -0.37, 0.37)
        dnexts[t] = dh_next
    if fault == "clipped after":
        d = {name: np.clip(g, -1.0, 1.0) for name, g in d.items()}
    return total, {**d, "h0": dh_next, "dh": dhs, "dz": dzs, "dh_next": dnexts}


ARGS = (PARAMETERS, X, H0, Y)
FAULTS = {
    "dh_next": ("dh", T - 2, "dh_next is not added"),
    "clipped": ("dh", T - 1, "clipped at 1 inside the loop"),
    "clipped carry": ("dh_next", T - 1, "clipped at 0.37 inside the loop (clip the sum after it): dh_next"),
    "clipped after": ("by", None, "clipped at 1 after the loop"),
    "h_t": ("Whh", None, "h_t is used where h_{t-1} is wanted"),
    "next input": ("Wxh", None, "x_{t+1} is used where x_t is wanted"),
    "bias": ("bh", None, "the bias is forgotten"),
    "no tanh'": ("dz", T - 1, "tanh' is missing"),
    "averaged": ("dh", T - 1, "= 1/T"),
    "early slope": ("dz", T - 1, "the slope (1 - h²) is taken at h_{t-1}"),
    "not transposed": ("dh_next", T - 1, "transposed"),
    "overwritten": ("Whh", None, "overwritten instead of accumulated: only the contribution of t=0"),
    "first step": ("Whh", None, "the contribution of t=0 is missing"),
    "last loss": ("dh", T - 2, "only the loss of the last step is counted"),
}
WEIGHTS = ("Wxh", "Whh", "bh")


def test_a_right_backward_agrees():
    found = diff_backward(by_hand, loss, *ARGS)
    assert found.ok, str(found)
    assert bool(found)
    assert found.first is None
    assert found.compared == 5 + 1 + 3 * T
    assert str(found).startswith(f"the backward pass is right: {found.compared} arrays agree")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_departure_and_its_cause(fault):
    tensor, t, cause = FAULTS[fault]
    found = diff_backward(lambda *args: by_hand(*args, fault=fault), loss, *ARGS)
    assert not found.ok
    assert (found.tensor, found.t) == (tensor, t), str(found)
    assert cause in found.cause, str(found)


@pytest.mark.parametrize("fault", ["dh_next", "clipped", "h_t", "no tanh'", "not transposed", "early slope"])
def test_weights_alone_are_enough_for_the_cause(fault):
    _, d = by_hand(*ARGS, fault=fault)
    found = diff_backward({name: d[name] for name in WEIGHTS}, loss, *ARGS)
    assert found.t is None
    assert FAULTS[fault][2] in found.cause, str(found)
    assert found.certain


@pytest.mark.parametrize("fault", [f for f in FAULTS if f not in ("averaged", "last loss")])
def test_no_other_mistake_is_named(fault):
    """A cause that is said to be certain is the one that was made."""
    found = diff_backward(lambda *args: by_hand(*args, fault=fault), loss, *ARGS)
    others = [cause for name, (_, _, cause) in FAULTS.items() if name != fault]
    assert not any(cause in found.cause for cause in others)


def test_two_mistakes_at_once_are_no_certainty():
    """The first is named by the arrays that it explains; it does not explain all."""
    _, d = by_hand(*ARGS, fault="dh_next")
    d["by"] = 3 * d["by"]
    found = diff_backward(d, loss, *ARGS)
    assert (found.tensor, found.t) == ("dh", T - 2)
    assert "dh_next is not added" in found.cause
    assert not found.certain


def test_a_sum_over_the_wrong_axis():
    """Four rows, three units: the shape gives it away; with as many rows as units the numbers do."""
    _, d = by_hand(*ARGS)
    wrong = sum(dz.sum(1) for dz in d["dz"])
    found = diff_backward({"bh": wrong}, loss, *ARGS)
    assert found.tensor == "bh"
    assert "summed over the wrong axis" in found.cause
    square = (PARAMETERS, X[:, :H], H0[:H], Y[:, :H])
    _, d = _square(square)
    found = diff_backward({"bh": sum(dz.sum(1) for dz in d["dz"])}, loss, *square)
    assert "summed over the wrong axis" in found.cause, str(found)


def _square(args):
    global B
    kept, B = B, H  # the hand-written loop reads it
    try:
        return by_hand(*args)
    finally:
        B = kept


def test_an_averaged_loss_with_the_gradient_of_a_sum():
    mean = lambda *args: loss(*args) / T  # noqa: E731
    _, d = by_hand(*ARGS)
    found = diff_backward(d, mean, *ARGS)
    assert "= T: the loss is averaged, the gradient is not" in found.cause
    assert found.certain
    over_batch = lambda *args: loss(*args) / B  # noqa: E731
    assert "= batch" in diff_backward(d, over_batch, *ARGS).cause


def test_another_forward_is_said_first():
    total, d = by_hand(*ARGS)
    found = diff_backward(lambda *args: (total / T, d), loss, *ARGS)
    assert not found.ok
    assert "the forward passes differ" in found.cause
    assert "1/T" in found.cause


def test_gates_of_an_lstm():
    """One gate's derivative is forgotten: the cause names it."""
    rng = default_rng(0)
    cell = tr.nn.LSTMCell(2, 3, rng=rng)
    x = rng.normal(size=(4, 2, 2))

    def lstm_loss(cell, x):
        net = tr.unroll(cell, x)
        return tr.add_n(net.each(lambda h: (h * h).sum()))

    right = tr.grad(lambda c: lstm_loss(c, x))(cell)
    assert diff_backward(right, lstm_loss, cell, x).ok
    wrong = _lstm_without_forget_slope(cell, x)
    found = diff_backward(wrong, lstm_loss, cell, x)
    assert "sigmoid' is missing at f" in found.cause, str(found)


def _lstm_without_forget_slope(cell, x):
    W, U, bx, bh = (p.data for p in cell.parameters())
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    h, c, kept = np.zeros((2, 3)), np.zeros((2, 3)), []
    for x_t in x:
        a, b, g, o = np.split(x_t @ W.T + bx + h @ U.T + bh, 4, axis=1)
        i, f, g, o = sigmoid(a), sigmoid(b), np.tanh(g), sigmoid(o)
        new = f * c + i * g
        kept.append((x_t, h, c, i, f, g, o, new))
        h, c = o * np.tanh(new), new
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(bx)
    dh, dc = np.zeros((2, 3)), np.zeros((2, 3))
    for x_t, h, c, i, f, g, o, new in reversed(kept):
        dh = dh + 2 * o * np.tanh(new)
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        dz = np.concatenate(
            [dc * g * i * (1 - i), dc * c, dc * i * (1 - g**2), dh * np.tanh(new) * o * (1 - o)], axis=1
        )
        dW, dU, db = dW + dz.T @ x_t, dU + dz.T @ h, db + dz.sum(0)
        dh, dc = dz @ U, dc * f
    return {"weight_ih": dW, "weight_hh": dU, "bias_ih": db, "bias_hh": db}


def test_a_function_that_returns_its_gradients_in_order():
    inputs, targets, hprev = [0, 3, 1, 2], [3, 1, 2, 3], np.zeros((5, 1))
    weights = charrnn.parameters(4, 5, seed=0)

    def network(*weights):
        return charrnn.forward(inputs, targets, hprev, *weights)

    def mine(*weights):
        return charrnn.loss_and_gradient(inputs, targets, hprev, *weights)

    found = diff_backward(mine, network, *weights)
    assert found.ok, str(found)
    assert "recorded no time steps" in found.notes[0]

    def wrong(*weights):
        value, gradients = mine(*weights)
        return value, [gradients[0], gradients[1].T, *gradients[2:]]

    found = diff_backward(wrong, network, *weights)
    assert found.tensor == "1"
    assert "transposed" in found.cause


def test_what_is_carried_back_has_a_name():
    _, d = by_hand(*ARGS)
    for name in ("dhnext", "dh_next", "dnext_h", "dh_prev"):
        assert diff_backward({name: d["dh_next"]}, loss, *ARGS).compared == T


def test_lists_that_run_backwards():
    _, d = by_hand(*ARGS)
    turned = {**d, "dh": d["dh"][::-1], "dz": d["dz"][::-1]}
    assert "backwards in time: the first item of dh and of dz" in diff_backward(turned, loss, *ARGS).cause
    turned["by"] = -d["by"]
    assert "backwards" not in diff_backward(turned, loss, *ARGS).cause


def test_a_loop_without_steps_still_knows_its_slopes():
    """Nothing tells its steps apart, but all tanh are known."""

    def plain(p, x, h0, targets):
        total, h = 0.0, h0
        for x_t, y_t in zip(x, targets, strict=True):
            h = ops.tanh(x_t @ p["Wxh"] + h @ p["Whh"] + p["bh"])
            total = total + ((h @ p["Why"] + p["by"] - y_t) ** 2).sum()
        return total

    _, d = by_hand(*ARGS, fault="no tanh'")
    found = diff_backward({name: d[name] for name in WEIGHTS}, plain, *ARGS)
    assert "tanh' is missing" in found.cause


def test_more_is_asked_for_where_weights_alone_tell_nothing():
    _, d = by_hand(*ARGS)
    wrong = {name: d[name] * default_rng(0).normal(size=d[name].shape) for name in WEIGHTS}
    assert "hand over the derivatives by the states, too" in str(diff_backward(wrong, loss, *ARGS))


def test_names_and_forms():
    _, d = by_hand(*ARGS)
    assert diff_backward({"dWhh": d["Whh"], "d_bh": d["bh"]}, loss, *ARGS).ok
    assert diff_backward({"dh": np.stack(d["dh"])}, loss, *ARGS).compared == T
    assert diff_backward({"dh": {3: d["dh"][3]}}, loss, *ARGS).compared == 1
    assert diff_backward({"dh": [d["h0"], *d["dh"]]}, loss, *ARGS).compared == T + 1
    found = diff_backward({"Whh": d["Whh"]}, loss, *ARGS)
    assert found.notes[0].startswith("not compared, as it is not given: Wxh, bh")


def test_a_vanished_gradient_is_compared_at_its_own_size():
    def quiet(w, x):
        net = tr.unroll(lambda x, h: ops.tanh(0.01 * w * h + x), x, state=0.0)
        return net.final_state * 1.0

    x = [0.1] * 30
    hs = [0.0]
    for v in x:
        hs.append(np.tanh(0.01 * 0.7 * hs[-1] + v))
    dh = [1.0]
    for t in range(29, 0, -1):
        dh.insert(0, dh[0] * (1 - hs[t + 1] ** 2) * 0.007)
    assert diff_backward({"dh": dh}, quiet, 0.7, x).ok
    dh[2] *= 1.001
    found = diff_backward({"dh": dh}, quiet, 0.7, x)
    assert abs(dh[2]) < 1e-50
    assert found.t == 2


def test_how_it_is_shown():
    found = diff_backward(lambda *args: by_hand(*args, fault="dh_next"), loss, *ARGS)
    lines = str(found).splitlines()
    assert lines[0].startswith("first departure: dh[")
    assert f"at t={T - 2}" in lines[0]
    assert "likely cause: dh_next" in lines[1]
    assert "<b>dh_next is not added" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["t"] == T - 2


class TestBadInput:
    def test_an_unknown_name(self):
        with pytest.raises(KeyError, match="'dq' names nothing in this network; known: Wxh"):
            diff_backward({"dq": np.zeros(3)}, loss, *ARGS)

    def test_a_name_that_only_a_named_node_would_tell(self):
        cell = tr.nn.LSTMCell(2, 3, rng=default_rng(0))
        with pytest.raises(
            KeyError, match=r"'dz' cannot be told by its name .* \.named\('z'\) in each step; known:"
        ):
            diff_backward(
                {"dz": [0.0] * 4}, lambda c, x: tr.unroll(c, x).final_state[0].sum(), cell, np.ones((4, 2))
            )

    @pytest.mark.parametrize("nothing", [{}, {"bh": None}])
    def test_nothing_to_compare(self, nothing):
        with pytest.raises(ValueError, match="no array to compare"):
            diff_backward(nothing, loss, *ARGS)

    def test_a_list_of_another_length(self):
        with pytest.raises(ValueError, match="'dh' has 3 items over time; the network has T=6 steps"):
            diff_backward({"dh": [1, 2, 3]}, loss, *ARGS)

    def test_no_gradients(self):
        with pytest.raises(TypeError, match="mine must be a dict"):
            diff_backward(3, loss, *ARGS)
        with pytest.raises(TypeError, match="mine must be a dict"):
            diff_backward(lambda *args: 3, loss, *ARGS)

    def test_no_numbers(self):
        with pytest.raises(TypeError, match="bh must be an array of numbers"):
            diff_backward({"bh": ["a", "b", "c"]}, loss, *ARGS)

    def test_no_loss(self):
        with pytest.raises(TypeError, match="fn must return the loss"):
            diff_backward({"x": np.ones(2)}, lambda x: x * 2.0, np.ones(2))

    def test_nan_departs(self):
        _, d = by_hand(*ARGS)
        assert diff_backward({"bh": d["bh"] * np.nan}, loss, *ARGS).tensor == "bh"
