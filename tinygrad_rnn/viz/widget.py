"""``widget``: a small recurrent network to play with in a notebook: sliders, its graph, its gradients through time."""

from __future__ import annotations

import functools
from dataclasses import replace
from importlib import resources
from typing import Any

from tinygrad_rnn.viz.experiment import (
    CELLS,
    LARGEST_RADIUS,
    LEVELS,
    MOST_SEED,
    MOST_STEPS,
    SOURCES,
    Experiment,
)

KNOBS = ("kind", "steps", "radius", "source", "seed", "level")


def widget(unrolled: Any = None) -> Any:
    """Return a widget with live sliders for a small network; shown as the last line of a notebook's cell.

    Its knobs are ``kind`` (``"rnn"``, ``"lstm"``, ``"gru"``), ``steps`` (T), ``radius`` (the spectral radius of each
    recurrent matrix), ``source`` (the input: ``"impulse"``, ``"sine"``, ``"noise"``), ``seed`` and ``level`` (of the
    drawing). They are attributes as well: ``w.radius = 1.2``. The graph, the heat map of ||dL_t/dh_k|| and these norms
    by lag follow; ``w.payload`` holds the numbers, see :class:`~tinygrad_rnn.viz.experiment.Experiment`.

    Args:
        unrolled: what ``unroll`` returned: its kind of cell, its number of steps and units and its spectral radius are
            what the widget begins with. Its weights and inputs are not used. None begins with a tanh network.

    Raises:
        ImportError: anywidget is not installed.
        TypeError: ``unrolled`` is something else.
    """
    try:
        made = _widget_class()
    except ImportError as error:
        raise ImportError('widget needs anywidget: pip install "tinygrad_rnn[notebook]"') from error
    return made(Experiment() if unrolled is None else Experiment.like(unrolled))


@functools.cache
def _widget_class() -> type[Any]:
    """Return the class, made when it is first needed: its base is of an optional package."""
    import anywidget
    import traitlets

    class Widget(anywidget.AnyWidget):
        """An experiment whose knobs are synchronized with a page."""

        _esm = _read("widget.js")
        _css = _read("widget.css")
        kind = traitlets.Enum(tuple(CELLS), default_value="rnn").tag(sync=True)
        steps = traitlets.Int(20, min=1, max=MOST_STEPS).tag(sync=True)
        radius = traitlets.Float(0.9, min=0.0, max=LARGEST_RADIUS).tag(sync=True)
        source = traitlets.Enum(SOURCES, default_value="impulse").tag(sync=True)
        seed = traitlets.Int(0, min=0, max=MOST_SEED).tag(sync=True)
        level = traitlets.Enum(LEVELS, default_value="step").tag(sync=True)
        payload = traitlets.Dict().tag(sync=True)

        def __init__(self, experiment: Experiment) -> None:
            self._experiment = experiment
            start = {name: getattr(experiment, name) for name in KNOBS}
            super().__init__(**start, payload=experiment.payload())

        @traitlets.observe(*KNOBS)
        def _follow(self, change: Any) -> None:
            experiment = replace(self._experiment, **{name: getattr(self, name) for name in KNOBS})
            if experiment != self._experiment:
                self._experiment = experiment
                self.payload = experiment.payload()

    return Widget


def _read(name: str) -> str:
    return resources.files("tinygrad_rnn.viz").joinpath("front", name).read_text(encoding="utf-8")
