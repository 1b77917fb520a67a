"""A history counts, converts, plots and prints itself."""

import json
import math
import sys

import pytest

from tinygrad_rnn.train.history import History


def history(tokens=0, losses=(2.0, 1.0, 0.5)):
    made = History()
    for number, loss in enumerate(losses):
        made.add(loss, 10.0**-number, 0.5 * (number + 1), tokens)
    return made


def test_updates_leave_out_the_loss_that_converged():
    made = history()
    assert (len(made), made.updates) == (3, 3)
    made.converged = True
    assert (len(made), made.updates) == (3, 2)


def test_bits_and_speed():
    made = history(tokens=30)
    assert made.bits == [loss / math.log(2) for loss in (2.0, 1.0, 0.5)]
    assert made.tokens_per_second == 60.0
    assert history().tokens_per_second == History().tokens_per_second == 0.0


def test_repr_tells_the_course():
    assert repr(History()) == "History(0 updates)"
    made = history()
    assert repr(made) == "History(3 updates, loss 2 -> 0.5)"
    made.converged = True
    assert repr(made) == "History(2 updates, loss 2 -> 0.5, converged)"


def test_to_dict_is_a_copy_that_json_takes():
    made = history()
    exported = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert exported == made.to_dict()
    assert set(exported) == {"loss", "grad_norm", "seconds", "tokens", "converged"}
    made.to_dict()["loss"].clear()
    assert len(made) == 3


@pytest.mark.parametrize(
    ("tokens", "label", "first"), [(0, "loss", 2.0), (9, "bits per character", 2 / math.log(2))]
)
def test_plot_shows_loss_and_gradient_norm(tokens, label, first):
    figure = history(tokens).plot("a title")
    upper, lower = figure.axes
    assert (upper.get_title(), upper.get_ylabel()) == ("a title", label)
    assert upper.lines[0].get_ydata()[0] == pytest.approx(first)
    assert (lower.get_ylabel(), lower.get_yscale()) == ("gradient norm", "log")
    assert list(lower.lines[0].get_ydata()) == [1.0, 0.1, 0.01]


def test_plot_smooths_with_a_running_mean():
    figure = history(losses=[float(k) for k in range(200)]).plot()
    smooth = figure.axes[0].lines[1].get_ydata()  # over 200 // 50 = 4 values
    assert list(smooth[:3]) == [0.0, 0.5, 1.0]
    assert smooth[199] == pytest.approx((196 + 197 + 198 + 199) / 4)


def test_plot_draws_into_a_file_and_into_no_window(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    history().plot().savefig(tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []


def test_the_figure_shows_itself_in_a_notebook():
    formatters = pytest.importorskip("IPython.core.formatters")
    assert formatters.PNGFormatter()(history().plot()).startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "tinygrad_rnn.train.figure", raising=False)
    with pytest.raises(ImportError, match=r'plot needs matplotlib: pip install "tinygrad_rnn\[train\]"'):
        history().plot()


def test_an_empty_history_is_not_plotted():
    with pytest.raises(ValueError, match="the history is empty"):
        History().plot()
