"""The axes that a result plots itself on. Only this module of the package imports matplotlib, when it is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAGNITUDES = "YlGnBu"  # pale where a gradient vanishes, dark where it is large: as the drawings do


def axes_for(ax: Axes | None, **subplots: Any) -> Axes:
    """Return ``ax``, or where it is None the axes of a new pyplot figure, made with the arguments ``subplots``.

    Raises:
        ImportError: matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('plot needs matplotlib: pip install "tinygrad_rnn[analysis]"') from error
    axes: Axes = plt.subplots(layout="constrained", **subplots)[1]
    return axes
