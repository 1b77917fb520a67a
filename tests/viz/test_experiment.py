"""The widget's numbers: the network is what the knobs say, and its gradients are those of the engine."""

import json
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.viz import experiment as module
from tinygrad_rnn.viz.engine import LayoutProgramNotFound
from tinygrad_rnn.viz.experiment import CELLS, Experiment


def weight(net: Any) -> np.ndarray:
    return next(n for n in tr.Graph.of(net.outputs[-1])
                if n.name == "weight_hh").data  # fmt: skip


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("radius", [0.0, 0.5, 1.7])
def test_every_gates_matrix_has_the_radius(kind: str, radius: float) -> None:
    net, losses = Experiment(kind, 3, radius, seed=4).network()
    matrix = weight(net)
    assert len(losses) == len(net) == 3
    blocks = matrix.reshape(-1, 8, 8)
    assert len(blocks) == {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    for block in blocks:
        assert np.abs(np.linalg.eigvals(block)).max() == pytest.approx(radius, abs=1e-12)


def test_the_inputs_are_what_they_are_called() -> None:
    assert Experiment(steps=4).inputs().tolist() == [1.0, 0.0, 0.0, 0.0]
    sine = Experiment(steps=21, source="sine").inputs()
    assert sine[[0, 10, 20]] == pytest.approx([0.0, 0.0, 0.0], abs=1e-14)
    assert sine[2:4] == pytest.approx([np.sin(0.4 * np.pi), np.sin(0.6 * np.pi)])
    noise = [Experiment(steps=200, source="noise", seed=seed).inputs() for seed in (1, 1, 2)]
    assert noise[0].tolist() == noise[1].tolist() != noise[2].tolist()
    assert abs(noise[0].std() - 1.0) < 0.15
    net, _ = Experiment(steps=5, source="sine").network()
    assert [x.item() for x in net.inputs] == sine[:5].tolist()


@pytest.mark.parametrize("source", ["impulse", "noise"])
def test_the_norms_are_products_of_jacobians(source: str) -> None:
    steps = 7
    experiment = Experiment(steps=steps, radius=1.3, source=source, seed=2)
    net, _ = experiment.network()
    W = weight(net)
    states = [np.array(state.data) for state in net.states]
    expected = np.zeros((steps, steps))
    for t in range(steps):
        row = np.full(8, 8**-0.5)
        for k in reversed(range(t + 1)):
            expected[t, k] = np.linalg.norm(row)
            row = row @ ((1.0 - states[k][:, None] ** 2) * W)
    (flow,) = experiment.payload()["flows"]
    assert flow["state"] == "h"
    assert [len(row) for row in flow["norms"]] == list(range(1, steps + 1))
    for t, row in enumerate(flow["norms"]):
        assert row == pytest.approx(expected[t, : t + 1].tolist(), rel=1e-5)
        assert row[t] == 1.0
    lags = [np.mean([expected[t, t - lag] for t in range(lag, steps)]) for lag in range(steps)]
    assert flow["lags"] == pytest.approx(lags, rel=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_norms_of_gated_cells_are_those_of_a_network_cut_open(kind: str) -> None:
    steps = 5
    experiment = Experiment(kind, steps, 1.5, "noise", seed=3)
    net, _ = experiment.network()
    flows = {flow["state"]: flow["norms"] for flow in experiment.payload()["flows"]}
    assert list(flows) == (["h", "c"] if kind == "lstm" else ["h"])
    cell = CELLS[kind](1, 8, rng=np.random.default_rng(3))
    cell.weight_hh.data = weight(net)

    for k in range(steps - 1):
        state = tr.detach(net.states[k])
        parts = state if kind == "lstm" else (state,)

        def loss(parts: Any, t: int, k: int = k) -> Any:
            given = tuple(parts) if kind == "lstm" else parts[0]
            rest = tr.unroll(cell, experiment.inputs()[k + 1 : t + 1, None], state=given)
            h = rest.final_state[0] if kind == "lstm" else rest.final_state
            return h.sum() * 8**-0.5

        for t in range(k + 1, steps):
            gradients = tr.grad(loss)([np.array(part.data) for part in parts], t)
            for name, gradient in zip(flows, gradients, strict=True):
                assert flows[name][t][k] == pytest.approx(np.linalg.norm(gradient), rel=1e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_the_numbers_are_those_of_gradient_flow(kind: str) -> None:
    experiment = Experiment(kind, 6, 1.1, "sine")
    parts = tr.gradient_flow(*experiment.network()).parts
    flows = {flow["state"]: flow["norms"] for flow in experiment.payload()["flows"]}
    assert sorted(flows) == sorted(parts)
    for name, norms in flows.items():
        for t, row in enumerate(norms):
            assert row == pytest.approx(parts[name].norms[t, : t + 1].tolist(), rel=1e-5)


def test_the_payload_is_plain_and_holds_the_drawing() -> None:
    payload = json.loads(json.dumps(Experiment(steps=30).payload(), allow_nan=False))
    assert payload["steps"] == 30
    assert payload["notices"] == []
    assert "more steps" in payload["svg"]
    assert payload["svg"].count(">t=") < 10
    assert len(json.dumps(Experiment("lstm", 200, 1.0).payload())) < 900_000
    rolled = Experiment(level="rolled").payload()["svg"]
    assert "every step" in rolled


def test_norms_that_overflow_are_texts() -> None:
    assert module._flow("h", np.array([[1.0, 0.0], [np.inf, 1.0]]))["norms"] == [[1.0], ["inf", 1.0]]


def test_without_a_layout_program_the_numbers_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def pipe(self, format: str) -> bytes:
            raise LayoutProgramNotFound("no dot")

    monkeypatch.setattr(module, "draw", lambda *args, **kwargs: Nothing())
    payload = Experiment(steps=3).payload()
    assert (payload["svg"], payload["notices"], len(payload["flows"])) == (None, ["no dot"], 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "mgu"}, r"widget: kind is 'mgu'; legal: rnn, lstm, gru"),
        ({"source": 3}, r"source is 3; legal: impulse, sine, noise"),
        ({"level": "scalar"}, r"level is 'scalar'; legal: step, op, rolled"),
        ({"steps": 0}, r"steps is 0; legal: from 1 to 200"),
        ({"steps": 201}, r"steps is 201"),
        ({"radius": -0.1}, r"radius is -0.1; legal: from 0 to 3"),
        ({"radius": float("nan")}, r"radius is nan"),
        ({"seed": -1}, r"seed is -1"),
        ({"hidden": 33}, r"hidden is 33; legal: from 1 to 32"),
    ],
)
def test_what_is_not_possible_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Experiment(**values)


# --- like a network that is there

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("kind", "make"), [("rnn", tr.nn.RNNCell), ("lstm", tr.nn.LSTMCell), ("gru", tr.nn.GRUCell)]
)
def test_it_begins_like_the_network(kind: str, make: Any) -> None:
    cell = make(2, 5, rng=RNG)
    found = Experiment.like(tr.unroll(cell, np.zeros((9, 2))))
    block = np.array(cell.weight_hh.data).reshape(-1, 5, 5)[0 if kind == "rnn" else 2]
    assert (found.kind, found.steps, found.hidden, found.notes) == (kind, 9, 5, ())
    assert found.radius == pytest.approx(np.abs(np.linalg.eigvals(block)).max(), abs=0.005)


def test_a_module_is_recognized_too() -> None:
    found = Experiment.like(tr.nn.GRU(2, 5, num_layers=2, rng=RNG).unroll(np.zeros((4, 2))))
    assert (found.kind, found.steps, found.hidden) == ("gru", 4, 5)


def test_what_does_not_fit_is_said() -> None:
    cell = tr.nn.RNNCell(1, 40, rng=RNG)
    cell.weight_hh.data = np.eye(40) * 5.0
    found = Experiment.like(tr.unroll(cell, np.zeros((300, 1))))
    assert (found.steps, found.hidden, found.radius) == (200, 32, 3.0)
    assert found.notes == (
        "the network has 300 steps", "its 40 units are 32 here", "its spectral radius is 5",
    )  # fmt: skip
    w = tr.Value(0.5)
    own = Experiment.like(tr.unroll(lambda x, h: (w * h + x).tanh(), [1.0] * 3, state=0.0))
    assert (own.kind, own.steps) == ("rnn", 3)
    assert own.notes == ("its cell is of no known kind: a tanh network stands here",)
    assert own.payload()["notices"] == list(own.notes)
    none = Experiment.like(tr.unroll(lambda x, h: h, [], state=0.0))
    assert (none.steps, none.notes[0]) == (1, "the network has 0 steps")
    with pytest.raises(
        TypeError, match=r"needs what tr.unroll or a module's .unroll returned, or nothing, got list"
    ):
        Experiment.like([1])
