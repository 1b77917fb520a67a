"""Estimates beside the exact gradient: hand-made numbers, table, plot and plain data."""

import json
import math

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr

mpl.use("Agg")
EXACT = {"w": np.array([3.0, 4.0])}


def compared() -> tr.GradientComparison:
    draws = [{"w": np.array(w)} for w in ([3.0, 9.0], [3.0, -1.0], [3.0, 4.0])]
    return tr.compare_gradients(EXACT, {"half": {"w": np.array([1.5, 2.0])}}, {"noisy": draws})


def test_means_of_draws_and_their_errors() -> None:
    half, noisy = compared().estimates
    assert (half.draws, half.cosines.tolist(), half.errors.tolist(), half.typical) == (1, [1.0], [0.5], 0.5)
    assert noisy.errors.tolist() == [1.0, 0.0, 0.0]
    assert noisy.typical == 1.0
    assert noisy.cosines[0] == pytest.approx(45 / (5 * math.sqrt(90)))
    assert compared()["noisy"].draws == 3


def test_an_unknown_name_and_no_draws_are_refused() -> None:
    with pytest.raises(KeyError, match="no estimate 'x'; there are 'half', 'noisy'"):
        compared()["x"]
    with pytest.raises(ValueError, match="'UORO' has no draws"):
        tr.compare_gradients(EXACT, {}, {"UORO": []})
    with pytest.raises(ValueError, match="must have the same shapes"):
        tr.compare_gradients(EXACT, {"other": {"w": np.zeros(3)}})


def test_the_table_has_a_row_for_each() -> None:
    lines = str(compared()).splitlines()
    assert lines[2].split() == ["half", "1", "1", "0.5", "0.5"]
    assert lines[3].split() == ["noisy", "3", "1", "0", "1"]
    assert "<td>noisy</td>" in compared()._repr_html_()
    assert repr(compared()) == "<GradientComparison of half, noisy>"


def test_the_plot_shows_levels_and_falling_errors() -> None:
    ax = compared().plot(Figure().subplots())
    assert [list(map(float, line.get_ydata())) for line in ax.lines[:2]] == [[0.5, 0.5], [1.0, 0.0, 0.0]]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["half", "noisy, mean of m"]


def test_plain_numbers() -> None:
    assert json.loads(json.dumps(compared().to_dict()))["half"] == {
        "cosines": [1.0],
        "errors": [0.5],
        "typical": 0.5,
    }
