"""The explorer: one page on which a graph is stepped through, forward and backward, with its real numbers."""

from tinygrad_rnn.viz.explorer.explorer import Explorer, explore

__all__ = ["Explorer", "explore"]
