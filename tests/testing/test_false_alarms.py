"""The check never fails a right gradient: whole recurrent networks and random programs, drawn."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing import assert_gradients

CELLS = {
    "tanh": lambda i, h, rng: tr.nn.RNNCell(i, h, rng=rng),
    "relu": lambda i, h, rng: tr.nn.RNNCell(i, h, nonlinearity="relu", rng=rng),
    "lstm": lambda i, h, rng: tr.nn.LSTMCell(i, h, rng=rng),
    "gru": lambda i, h, rng: tr.nn.GRUCell(i, h, rng=rng),
    "gru, reset before": lambda i, h, rng: tr.nn.GRUCell(i, h, reset_after=False, rng=rng),
}


def loss(cell, x, targets, lengths, truncate):
    unrolled = tr.unroll(cell, x, lengths=lengths, truncate=truncate)
    return tr.add_n(unrolled.each(lambda y, t: tr.cross_entropy(y, t, reduction="sum"), list(targets)))


@settings(max_examples=max(10, settings.default.max_examples // 2))
@given(
    kind=st.sampled_from(sorted(CELLS)),
    steps=st.integers(1, 8),
    batch=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    gain=st.sampled_from([0.1, 1.0, 2.5, 6.0]),
    ragged=st.booleans(),
    truncate=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 10_000),
)
def test_recurrent_networks(kind, steps, batch, sizes, gain, ragged, truncate, seed):
    rng = default_rng(seed)
    cell = CELLS[kind](*sizes, rng)
    for leaf in cell.parameters():
        leaf.data *= gain
    lengths = rng.integers(0, steps + 1, size=batch) if ragged else None
    targets = rng.integers(0, sizes[1], size=(steps, batch))
    assert_gradients(loss, cell, rng.normal(size=(steps, batch, sizes[0])), targets, lengths, truncate)


STEPS = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "tanh",
    "sin",
    "sigmoid",
    "relu",
    "abs",
    "exp",
    "log",
    "sqrt",
]


@given(
    program=st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=25
    ),
    start=st.lists(st.floats(-2, 2, width=16), min_size=1, max_size=4),
)
def test_random_programs(program, start):
    def run(*inputs):
        """Like a stack machine whose every operand lies within its operation's domain, away from poles."""
        values = list(inputs)
        for name, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            if name in ("add", "subtract", "multiply", "maximum"):
                y = getattr(ops, name)(a, b)
            elif name == "divide":
                y = a / (1.0 + b * b)
            elif name in ("log", "sqrt"):
                y = getattr(ops, name)(0.5 + a * a)
            elif name == "exp":
                y = ops.exp(ops.sin(a))
            else:
                y = getattr(ops, name)(a)
            values.append(ops.clip(y, -50.0, 50.0))
        return values[-1]

    assert_gradients(run, *start)
    assert_gradients(lambda *a: run(*a).sum(), *[np.array([x, -x]) for x in start])
