"""Recurrent networks of visible operations: cells, stacks, readouts, losses, initial weights."""

from tinygrad_rnn.nn import initializers
from tinygrad_rnn.nn.cells import Cell, GRUCell, LSTMCell, RNNCell
from tinygrad_rnn.nn.linear import Embedding, Linear
from tinygrad_rnn.nn.losses import binary_cross_entropy, cross_entropy, mean_squared_error
from tinygrad_rnn.nn.module import Module, functional_call
from tinygrad_rnn.nn.recurrent import GRU, LSTM, RNN
from tinygrad_rnn.nn.unroll import Unrolled, unroll

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "Linear",
    "Module",
    "RNNCell",
    "Unrolled",
    "binary_cross_entropy",
    "cross_entropy",
    "functional_call",
    "initializers",
    "mean_squared_error",
    "unroll",
]
