"""Gated cells: mistakes at one state of two, and slips at one place of a step, with no name to tell the gates by."""

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing import diff_backward

T, B, N, H = 6, 4, 2, 3


def gated(kind):
    """An LSTM or a GRU of the engine, its gates without names, as a loss over ``(p, x, h0, c0)``."""

    def lstm(p, x, state):
        h, c = state
        z = x @ p["Wx"] + h @ p["Wh"] + p["b"]
        i, f, o = (ops.sigmoid(z[..., k * H : (k + 1) * H]) for k in range(3))
        c = f * c + i * ops.tanh(z[..., 3 * H :])
        h = o * ops.tanh(c)
        return h, (h, c)

    def gru(p, x, h):
        a, b = x @ p["Wx"] + p["b"], h @ p["Wh"]
        r, u = (ops.sigmoid(a[..., k * H : (k + 1) * H] + b[..., k * H : (k + 1) * H]) for k in range(2))
        h = (1.0 - u) * ops.tanh(a[..., 2 * H :] + r * b[..., 2 * H :]) + u * h
        return h, h

    def network(p, x, h0, c0):
        state = (h0, c0) if kind == "lstm" else h0
        net = tr.unroll(lambda x, s: (lstm if kind == "lstm" else gru)(p, x, s), x, state=state)
        return tr.add_n(net.each(lambda h: (h * h).sum()))

    return network


def gated_by_hand(kind, p, x, h0, c0, fault=""):
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    slope = lambda y: y * (1 - y)  # noqa: E731
    outer, total = (np.outer, np.asarray) if x.ndim == 2 else (lambda a, b: a.T @ b, lambda a: a.sum(0))
    hs, cs, gates = {-1: h0}, {-1: c0}, {}
    for t in range(T):
        a, b = x[t] @ p["Wx"] + p["b"], hs[t - 1] @ p["Wh"]
        cut = [np.s_[..., k * H : (k + 1) * H] for k in range(4)]
        if kind == "lstm":
            i, f, o, g = (*(sigmoid((a + b)[k]) for k in cut[:3]), np.tanh((a + b)[cut[3]]))
            cs[t] = f * cs[t - 1] + i * g
            hs[t], gates[t] = o * np.tanh(cs[t]), (i, f, o, g)
        else:
            r, u = sigmoid((a + b)[cut[0]]), sigmoid((a + b)[cut[1]])
            n = np.tanh(a[cut[2]] + r * b[cut[2]])
            hs[t], gates[t] = (1 - u) * n + u * hs[t - 1], (r, u, n, b[cut[2]])
    d = {name: np.zeros_like(w) for name, w in p.items()}
    dhs, dcs, dh_next, dc_next = [None] * T, [None] * T, np.zeros_like(h0), np.zeros_like(c0)
    for t in reversed(range(T)):
        dh = dhs[t] = 2 * hs[t] + (0 if fault == "dh_next" else dh_next)
        if kind == "lstm":
            i, f, o, g = gates[t]
            dc = dh * o * (1 - np.tanh(cs[t]) ** 2) + (0 if fault == "dc_next" else dc_next)
            dcs[t], c_old = dc, cs[t] if fault == "c_t" else cs[t - 1]
            df = dc * c_old * (1 if fault == "no sigmoid'" else slope(f))
            do = dh * np.tanh(cs[t]) * slope(o)
            da = db = np.concatenate([dc * g * slope(i), df, do, dc * i * (1 - g * g)], -1)
            dc_next = dc * (1 if fault == "no f" else f)
            dh_next = da @ p["Wh"].T
        else:
            r, u, n, b = gates[t]
            dn = dh * (1 - u) * (1 - n * n)
            du = dh * (n - hs[t - 1] if fault == "sign" else hs[t - 1] - n) * slope(u)
            da = np.concatenate([dn * b * slope(r), du, dn], -1)
            db = np.concatenate([dn * b * slope(r), du, dn * r], -1)
            dh_next = db @ p["Wh"].T + (0 if fault == "no path" else dh * u)
        if fault == "clipped":
            dh_next = np.clip(dh_next, -0.13, 0.13)
        d["Wx"] += outer(x[t], da)
        d["Wh"] += outer(hs[t] if fault == "h_t" else hs[t - 1], db)
        d["b"] += total(da)
    return {**d, "dh": dhs, "h0": dh_next, **({"dc": dcs, "c0": dc_next} if kind == "lstm" else {})}


GATED = {
    ("lstm", ""): (None, None, ""),
    ("lstm", "dh_next"): ("dh", T - 2, "dh_next is not added"),
    ("lstm", "dc_next"): ("dc", T - 2, "dc_next is not added"),
    ("lstm", "h_t"): ("Wh", None, "h_t is used where h_{t-1} is wanted"),
    ("lstm", "c_t"): ("dh", T - 2, "c_t is used where c_{t-1} is wanted"),
    ("lstm", "no sigmoid'"): ("dh", T - 2, "sigmoid' is missing at sigmoid number 2 of each step"),
    ("lstm", "no f"): ("dc", T - 2, "comes back to c_{t-1} is not multiplied by the result of sigmoid (test_slips.py:"),
    ("lstm", "clipped"): ("dh", T - 2, "clipped at 0.13 inside the loop (clip the sum after it): dh_next"),
    ("gru", ""): (None, None, ""),
    ("gru", "dh_next"): ("dh", T - 2, "dh_next is not added"),
    ("gru", "h_t"): ("Wh", None, "h_t is used where h_{t-1} is wanted"),
    ("gru", "no path"): ("dh", T - 2, "a path is forgotten: nothing comes back to h_{t-1} from multiply"),
    ("gru", "sign"): ("dh", T - 2, "the sign is wrong of what comes back to"),
    ("gru", "clipped"): ("dh", T - 2, "clipped at 0.13 inside the loop (clip the sum after it): dh_next"),
}  # fmt: skip


@pytest.mark.parametrize("batch", [(), (B,)], ids=["one sequence", "batch"])
@pytest.mark.parametrize(("kind", "fault"), GATED)
def test_gated_cells(kind, fault, batch):
    rng, n = default_rng(5), (4 if kind == "lstm" else 3) * H
    p = {"Wx": rng.normal(size=(N, n)), "Wh": rng.normal(size=(H, n)), "b": rng.normal(size=n)}
    args = p, rng.normal(size=(T, *batch, N)), rng.normal(size=(*batch, H)), rng.normal(size=(*batch, H))
    found = diff_backward(gated_by_hand(kind, *args, fault=fault), gated(kind), *args)
    tensor, t, cause = GATED[kind, fault]
    assert (found.tensor, found.t) == (tensor, t), str(found)
    assert cause in found.cause
    assert found.certain == (fault != "")
