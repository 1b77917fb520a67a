"""Each seeded fault is named, by operation, step and line, and nothing else is blamed."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng

import tinygrad_rnn as tr
from tests.testing.wrong_ops import MATMULS, PLACES, opaque, partial
from tinygrad_rnn import ops
from tinygrad_rnn.testing import localise

T, H = 4, 3
RIGHT = {
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "times": ops.multiply,
    "matmul": ops.matmul,
}


def rnn(o, W, U, x, h):
    return o["tanh"](o["matmul"](U, h) + W @ x)


def lstm(o, W, U, x, state):
    h, c = state
    i, f, g, q = (o["matmul"](U[k], h) + W[k] @ x for k in range(4))
    c = o["times"](o["sigmoid"](f), c) + o["times"](o["sigmoid"](i), o["tanh"](g))
    return o["times"](o["sigmoid"](q), o["tanh"](c)), c


def gru(o, W, U, x, h):
    r, z = (o["sigmoid"](o["matmul"](U[k], h) + W[k] @ x) for k in range(2))
    n = o["tanh"](W[2] @ x + o["times"](r, o["matmul"](U[2], h)))
    return o["times"](1.0 - z, n) + o["times"](z, h)


CELLS = {
    "RNN": (rnn, 1, {"tanh", "matmul"}),
    "LSTM": (lstm, 4, {"tanh", "sigmoid", "times", "matmul"}),
    "GRU": (gru, 3, {"tanh", "sigmoid", "times", "matmul"}),
}
SEEDED = [
    pytest.param(
        name, place, op, only, id=f"{name}-{op.name}-{'every step' if only is None else f't={only}'}"
    )
    for name, (_, _, places) in CELLS.items()
    for place, wrong in PLACES.items()
    if place in places
    for op in wrong
    for only in (None, 2)
]


def network(name, wrong, only=None):
    """A loss over T steps of a cell in which ``wrong`` stands in the place of right operations (at one step)."""
    cell, gates, _ = CELLS[name]

    def loss(W, U, x, h):
        steps = iter(range(T))

        def step(x, state):
            chosen = wrong if only is None or next(steps) == only else {}
            return cell(RIGHT | chosen, W, U, x, state)

        net = tr.unroll(step, x, state=(h, 0.1 * h) if name == "LSTM" else h)
        return tr.add_n(net.each(lambda h: (h * h).sum()))

    rng = default_rng(7)
    shape = (gates,) if gates > 1 else ()
    return loss, (
        rng.normal(size=(*shape, H, 2)),
        rng.normal(size=(*shape, H, H)),
        rng.normal(size=(T, 2)),
        0.5 * rng.normal(size=H),
    )


@pytest.mark.parametrize(("name", "place", "op", "only"), SEEDED)
def test_a_seeded_fault_is_named_and_nothing_else(name, place, op, only):
    loss, args = network(name, {place: op}, only)
    found = localise(loss, *args)
    assert found.operations == (op.name,), str(found)
    assert {f.step for f in found.faults} == (set(range(T)) if only is None else {only})
    assert not found.report.ok
    assert all(Path(__file__).name in f.line and "o[" in f.line for f in found.faults)


def test_two_faults_are_told_apart():
    loss, args = network("LSTM", {"tanh": PLACES["tanh"][0], "matmul": MATMULS[0]})
    assert set(localise(loss, *args).operations) == {"tanh_sign", "matmul_not_transposed"}


@pytest.mark.parametrize("name", CELLS)
def test_a_right_network_has_no_fault(name):
    loss, args = network(name, {})
    found = localise(loss, *args)
    assert found.ok
    assert found.faults == ()
    assert str(found).startswith("every rule is right")


def _hooked(x):
    y = ops.tanh(x)
    y.register_hook(lambda g: 2.0 * g)
    return y.sum()


CALLS = iter(range(10_000))
NOT_LOCAL = {
    "a hook": _hooked,
    "a number that left": lambda x: (x * float(x.data[0])).sum(),
    "randomness": lambda x: (x * next(CALLS)).sum(),
}


@pytest.mark.parametrize("name", NOT_LOCAL)
def test_a_fault_between_the_rules_blames_no_rule(name):
    found = localise(NOT_LOCAL[name], np.array([0.3, -0.8]))
    assert not found.ok
    assert found.faults == ()
    assert "no rule is wrong by itself" in str(found)


def test_no_hint_is_taken_from_one_row():
    """Each row of the Jacobian has one entry; that the others are right tells nothing."""
    soft = partial("soft", lambda xp, x: xp.tanh(x), lambda xp, y, x: 1.0 - xp.abs(y))
    (fault,) = localise(lambda x: soft(x).sum(), default_rng(0).normal(size=18)).faults
    assert fault.hint == ""


def test_the_hook_that_changes_a_cotangent_is_named():
    said = "a hook on {} changes the cotangent: a factor is wrong: got is 2 times expected"
    assert said.format("node 1") in str(localise(_hooked, np.array([0.3, -0.8])))
    w = tr.Tensor(np.array([0.3, -0.8]))
    w.register_hook(lambda g: 2.0 * g)
    w.register_hook(lambda g: None)
    assert said.format("argument 0") in str(localise(lambda w: (w * w).sum(), w))
    assert str(localise(_hooked, np.array([0.3, -0.8]))).count("no rule is wrong by itself") == 1


def test_a_rule_that_writes_into_its_cotangent_is_named():
    careless = opaque(
        "careless", lambda xp, x: np.sin(x), lambda g, y, x: (np.multiply(g, np.cos(x), out=g),)
    )
    (fault,) = localise(lambda x: (careless(x) + x).sum(), np.ones(2)).faults
    assert fault.op == "careless"
    assert "read-only" in fault.what


def test_an_operation_without_a_rule_is_named():
    forgotten = tr.Op(name="forgotten", symbol="f", forward=lambda xp, x: x * x)
    (fault,) = localise(lambda x: forgotten(x).sum() + x.sum(), np.ones(2)).faults
    assert fault.op == "forgotten"
    assert "no derivative rule" in fault.what


def test_a_rule_that_raises_is_named():
    op = opaque("torn", lambda xp, x: x * 2.0, lambda g, y, x: (g[:, None],))
    (fault,) = localise(lambda x: op(x).sum(), np.ones(2)).faults
    assert fault.op == "torn"
    assert "raised ValueError" in fault.what


def test_a_cotangent_that_was_broadcast_and_not_summed():
    op = opaque("plus_bias", lambda xp, x, b: x + b, lambda g, y, x, b: (g, g))
    (fault,) = localise(lambda x, b: op(x, b).sum(), np.ones((4, 3)), np.ones(3)).faults
    assert "broadcast, and not summed over axis 0" in fault.hint


def test_an_impure_forward_is_named():
    calls = iter(range(10_000))
    op = opaque("drifting", lambda xp, x: x + next(calls), lambda g, y, x: (g,))
    (fault,) = localise(lambda x: op(x).sum(), np.ones(2)).faults
    assert fault.op == "drifting"
    assert "another value" in fault.what


def test_a_wrong_rule_is_found_where_it_does_not_show():
    """The whole gradient is right, because what the wrong rule gives is multiplied by 0."""
    op = PLACES["tanh"][0]
    found = localise(lambda x: (x + op(x) * 0.0).sum(), np.array([0.3]))
    assert found.report.ok
    assert found.operations == ("tanh_sign",)
    assert not found.ok


def test_a_fault_of_one_entry_among_many():
    n = 3000
    op = opaque(
        "careless",
        lambda xp, x: np.sin(x),
        lambda g, y, x: (g * np.cos(x) * np.where(np.arange(n) == 1234, 1 + 1e-6, 1.0),),
    )
    (fault,) = localise(lambda x: op(ops.tanh(x)).sum(), default_rng(0).normal(size=n)).faults
    assert fault.mismatch.index == (1234,)
    assert "1 of 3000 entries" in fault.hint


HINTS = {
    "tanh_sign": "sign",
    "tanh_twice": "2 times",
    "tanh_missing": "derivative is missing",
    "sigmoid_sign": "sign",
    "sigmoid_mean": "1/3 times",
    "matmul_outer_transposed": "transpose",
    "matmul_opaque_mean": "1/3 times",
    "matmul_opaque_no_state": "zero",
}


@pytest.mark.parametrize(
    "op", [op for wrong in PLACES.values() for op in wrong if op.name in HINTS], ids=repr
)
def test_the_kind_of_mistake_is_told(op):
    (place,) = (place for place, wrong in PLACES.items() if op in wrong)
    loss, args = network("GRU", {place: op})
    assert HINTS[op.name] in localise(loss, *args).faults[0].hint


def test_how_it_is_shown():
    loss, args = network("RNN", {"tanh": PLACES["tanh"][0]})
    found = localise(loss, *args)
    text = str(found)
    assert text.splitlines()[0] == "the rule of tanh_sign is wrong, in 4 nodes:"
    assert "tanh_sign h_0 in step t=0" in text
    assert "1 more" in text
    assert "<td>tanh_sign</td>" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["operations"] == ["tanh_sign"]
    source = found.draw().source
    assert source.count('fillcolor="#c62828"') == T


def test_what_a_name_holds_stays_text():
    evil = tr.Tensor([0.5], name="<img src=x onerror=alert(1)>")
    op = PLACES["tanh"][0]
    found = localise(lambda x: op(x).named("<script>").sum(), evil)
    assert "<script>" not in found._repr_html_()
    assert "<img" not in found.report._repr_html_()


def test_a_culprit_in_a_folded_step_makes_the_fold_red():
    steps = iter(range(10_000))
    wrong = partial("wrong", lambda xp, x: xp.tanh(x), lambda xp, y, x: 1.0 - y)

    def loss(w, x):
        cell = lambda x, h: (wrong if next(steps) % 90 in (30, 89) else ops.tanh)(w * h + x)  # noqa: E731
        with tr.scope(r"a\N<b>"):
            return tr.unroll(cell, x, state=0.1).final_state

    drawing = localise(loss, 0.7, [0.1, -0.2, 0.3] * 30).draw()
    red = [line for line in drawing.source.splitlines() if "#c62828" in line]
    assert len(red) == 2  # the last step, and the fold
    assert drawing.boxes < 150  # of 450 nodes
    assert r"wrong h_30 in step t=30 of a\\N<b>" in drawing.source
    assert any("h_30 in step t=30" in notice for notice in drawing.notices)


def test_draw_without_a_graph_is_an_error():
    with pytest.raises(ValueError, match="no graph"):
        localise(lambda x: 3.0, 1.0).draw()
