"""Drawings of the graph: a ``Graph`` in, DOT text and pictures out."""

from tinygrad_rnn.viz.draw import draw
from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.engine import LayoutProgramNotFound

__all__ = ["Drawing", "LayoutProgramNotFound", "draw"]
