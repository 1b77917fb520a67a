"""Recurrent networks of visible operations: cells, stacks, readouts, losses, initial weights."""

from tinygrad_rnn.nn import initializers
from tinygrad_rnn.nn.cells import Cell, GRUCell, LSTMCell, RNNCell
from tinygrad_rnn.nn.linear import Embedding, Linear
from tinygrad_rnn.nn.losses import binary_cross_entropy, cross_entropy, mean_squared_error
from tinygrad_rnn.nn.module import Module, functional_call

__all__ = [
    "Cell",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "Linear",
    "Module",
    "RNNCell",
    "binary_cross_entropy",
    "cross_entropy",
    "functional_call",
    "initializers",
    "mean_squared_error",
]
