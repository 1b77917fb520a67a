"""Chunks cover each stream in order, once, with targets one character ahead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.train.chunks import Chunks
from tinygrad_rnn.train.text import TextError


@given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 7), st.booleans())
def test_every_chunk_goes_on_where_the_last_one_ended(size, length, streams, partial):
    indices = np.arange(size)
    needed = streams * ((1 if partial else length) + 1)
    if size < needed:
        with pytest.raises(TextError, match=f"too short: {size} characters; .* need at least {needed}"):
            Chunks(indices, length, streams, partial)
        return
    chunks = Chunks(indices, length, streams, partial)
    pieces = list(chunks)
    assert len(pieces) == len(chunks) > 0
    inputs = np.concatenate([chunk.inputs for chunk in pieces])
    targets = np.concatenate([chunk.targets for chunk in pieces])
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(np.diff(inputs, axis=0), 1)
    each = size // streams
    np.testing.assert_array_equal(inputs[0], np.arange(streams) * each)
    unseen = each - 1 - len(inputs)  # targets of a stream that no chunk holds
    assert 0 <= unseen < (1 if partial else length)
    assert all(chunk.inputs.shape == (length, streams) for chunk in pieces[: -1 if partial else None])


def test_iterating_twice_gives_the_same_chunks():
    chunks = Chunks(np.arange(100), 5, 3)
    first, second = list(chunks), list(chunks)
    assert [c.inputs.tolist() for c in first] == [c.inputs.tolist() for c in second]
    assert first[0].tokens == 15


@pytest.mark.parametrize(
    ("length", "streams", "what"), [(0, 1, "length"), (1, 0, "streams"), (-3, 2, "length")]
)
def test_wrong_sizes_are_refused(length, streams, what):
    with pytest.raises(ValueError, match=f"Chunks: {what} must be at least 1"):
        Chunks(np.arange(100), length, streams)


def test_a_matrix_of_indices_is_refused():
    with pytest.raises(TextError, match=r"their shape is \(2, 50\)"):
        Chunks(np.zeros((2, 50), np.int64), 5, 2)
