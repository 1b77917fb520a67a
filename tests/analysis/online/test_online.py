"""The result of an online run, and what the abstract method says."""

import json

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr
from tests.analysis.online_networks import NETWORKS
from tinygrad_rnn.analysis.online.online import OnlineGradient

mpl.use("Agg")


def test_a_run_tells_its_losses_and_gradient_norms() -> None:
    network = NETWORKS["values"]()
    run = network.online()
    assert run.losses.tolist()[:4] == run.norms.tolist()[:4] == [0.0] * 4
    assert run.norms[4] == pytest.approx(np.linalg.norm(list(run.gradient.values())))
    assert run.carried == 2 * 3
    assert repr(run) == f"<RTRL over 5 steps: loss {run.losses[4]:.4g}, 6 numbers carried>"
    assert str(run).splitlines()[-1].split() == ["4", f"{run.losses[4]:.4g}", f"{run.norms[4]:.4g}"]
    assert "<caption>RTRL: 6 numbers carried from step to step</caption>" in run._repr_html_()


def test_a_run_is_plain_numbers_for_json() -> None:
    run = NETWORKS["lstm"]().online()
    told = json.loads(json.dumps(run.to_dict()))
    assert told["losses"] == run.losses.tolist()
    assert told["norms"] == run.norms.tolist()
    assert told["gradient"]["['cell']['weight_hh']"] == run.gradient["cell"]["weight_hh"].tolist()


def test_a_run_plots_losses_and_norms() -> None:
    run = NETWORKS["gru"]().online()
    ax = run.plot(Figure().subplots())
    assert [line.get_ydata().tolist() for line in ax.lines] == [run.losses.tolist(), run.norms.tolist()]


def test_the_state_that_is_given_out_is_a_copy() -> None:
    cell = tr.nn.RNNCell(1, 2)
    online = tr.RTRL(cell, cell)
    online.step([1.0])
    before = online.state.copy()
    online.state[:] = 7.0
    np.testing.assert_array_equal(online.state, before)
    np.testing.assert_array_equal(online.output, before)


def test_the_abstract_method_names_those_that_are_not() -> None:
    cell = tr.nn.RNNCell(1, 1)
    with pytest.raises(NotImplementedError, match="use RTRL"):
        OnlineGradient(cell, cell).step([1.0])
    with pytest.raises(NotImplementedError, match="use RTRL"):
        _ = OnlineGradient(cell, cell).carried


def test_a_state_of_values_is_given_out_as_floats() -> None:
    w = tr.Value(0.5)
    online = tr.RTRL(lambda x, h: w * h + x, [w], 1.0)
    online.step(2.0)
    assert (online.state, online.output) == (2.5, 2.5)
    assert type(online.state) is type(online.output) is float
