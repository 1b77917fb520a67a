import matplotlib as mpl
from matplotlib.figure import Figure

from tinygrad_rnn.analysis.figure import axes_for

mpl.use("Agg")


def test_given_axes_are_used() -> None:
    ax = Figure().subplots()
    assert axes_for(ax) is ax


def test_without_axes_a_pyplot_figure_is_made() -> None:
    import matplotlib.pyplot as plt

    ax = axes_for(None, figsize=(3.0, 2.0))
    assert plt.gcf() is ax.figure
    plt.close(ax.figure)
