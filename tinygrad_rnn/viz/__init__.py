"""Drawings of the graph: a ``Graph`` in, DOT text and pictures out."""

from tinygrad_rnn.viz.draw import draw
from tinygrad_rnn.viz.drawing import Drawing
from tinygrad_rnn.viz.engine import LayoutProgramNotFound
from tinygrad_rnn.viz.explorer import Explorer, explore

__all__ = ["Drawing", "Explorer", "LayoutProgramNotFound", "draw", "explore"]
