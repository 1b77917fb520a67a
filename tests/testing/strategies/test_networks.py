"""Cells, sequences, ragged batches and settings fit each other, whatever is drawn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tinygrad_rnn.testing import strategies as some
from tinygrad_rnn.testing.strategies.networks import CELLS, SETTINGS


@given(st.data())
def test_a_drawn_network_is_unrolled_and_differentiated(data: Any) -> None:
    cell = data.draw(some.cells())
    batch = data.draw(some.ragged_batches(input_size=cell.input_size))
    truncate = data.draw(some.truncations(steps=len(batch.x)))
    net = tr.unroll(cell, batch.x, lengths=batch.lengths, truncate=truncate)
    tr.add_n(*net.each(lambda y: y.sum())).backward()
    assert all(np.all(np.isfinite(leaf.grad)) for leaf in cell.parameters())


@pytest.mark.parametrize("kind", CELLS)
def test_every_kind_of_cell_can_be_asked_for(kind: str) -> None:
    cell = find(some.cells(kinds=[kind], max_inputs=1, max_hidden=2), lambda c: c.hidden_size == 2)
    assert {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[kind.split()[0]] + "Cell" == type(cell).__name__
    assert getattr(cell, "nonlinearity", "tanh") == ("relu" if "relu" in kind else "tanh")
    assert getattr(cell, "reset_after", True) == ("before" not in kind)


def test_cells_keep_their_dtype_and_take_their_gain() -> None:
    cell = find(some.cells(dtype=np.float32, gains=[8.0]), lambda c: c.hidden_size == 4)
    assert {leaf.dtype for leaf in cell.parameters()} == {np.dtype(np.float32)}
    assert max(np.abs(leaf.data).max() for leaf in cell.parameters()) > 0.5


@given(some.sequences(input_size=2, min_steps=1, max_steps=4, max_batch=2))
def test_sequences_have_their_shape(x: np.ndarray) -> None:
    assert 1 <= len(x) <= 4
    assert 1 <= x.shape[1] <= 2
    assert x.shape[2] == 2


def test_no_steps_and_no_truncation_occur() -> None:
    assert len(find(some.sequences(input_size=1), lambda x: True)) == 0
    assert find(some.truncations(steps=3), lambda k: True) is None
    assert find(some.truncations(steps=3), lambda k: k is not None and k > 3) == 4


def test_rows_of_no_steps_and_unequal_rows_occur() -> None:
    drawn = find(some.ragged_batches(input_size=1), lambda b: 0 in b.lengths and len(set(b.lengths)) > 1)
    assert sorted(drawn.lengths) == [0, 1]


@pytest.mark.parametrize("of", SETTINGS)
@given(data=st.data())
def test_hyper_parameters_are_accepted(of: str, data: Any) -> None:
    settings = data.draw(some.hyper_parameters(of=of))
    if of in ("rnn", "lstm", "gru"):
        getattr(tr.nn, of.upper())(**settings)
        return
    names = {name.lower(): name for name in tr.train.__all__}
    x = tr.Tensor([1.0, -2.0])
    optimizer = getattr(tr.train, names[of])([x], **settings)
    (x * x).sum().backward()
    optimizer.step()
    assert np.all(np.isfinite(x.data))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: some.cells(kinds=["elman"]), ValueError, "cells: kinds: each must be one of 'rnn', 'rnn relu'"),
        (lambda: some.cells(kinds=[]), ValueError, "cells: kinds must not be empty"),
        (lambda: some.cells(max_hidden=0), ValueError, "cells: max_hidden must be at least 1, got 0"),
        (lambda: some.cells(gains=[]), ValueError, "cells: gains must not be empty"),
        (lambda: some.cells(dtype="int32"), TypeError, "cells: dtype must be float32 or float64"),
        (lambda: some.sequences(input_size=0), ValueError, "sequences: input_size must be at least 1"),
        (
            lambda: some.sequences(input_size=1, min_steps=9), ValueError,
            "sequences: max_steps must be at least 9, got 8",
        ),
        (lambda: some.ragged_batches(input_size=1, max_steps=0), ValueError, "ragged_batches: max_steps must be"),
        (lambda: some.truncations(steps=-1), ValueError, "truncations: steps must be at least 0, got -1"),
        (lambda: some.hyper_parameters(of="lion"), ValueError, "hyper_parameters: of must be one of 'rnn', 'lstm'"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
