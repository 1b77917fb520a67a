"""Windows are numpy's views, worked out without an array."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_rnn.core.primitives.indexing import Slice, decode
from tinygrad_rnn.plan.codegen.windows import (
    aligned,
    collapsed,
    contiguous_strides,
    dropped,
    entries,
    is_contiguous,
    joined,
    mapped,
    members,
    reshaped,
    runs,
    transposed,
    window,
)  # fmt: skip

MEMORY = np.arange(4000.0)
FLOAT = np.dtype(float)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def array(place):
    return mapped(place, MEMORY.view(np.uint8), [800])


@st.composite
def windows(draw):
    """Contiguous ones, transposed, and read by a key."""
    place = window(0, draw(st.integers(0, 9)), draw(SHAPES), FLOAT)
    if place.shape and draw(st.booleans()):
        place = transposed(place, draw(st.permutations(range(len(place.shape)))))
    if draw(st.booleans()):
        place = entries(place, draw(keys(place.shape)))
    return place


@st.composite
def keys(draw, shape):
    bounds = st.none() | st.integers(-4, 4)
    steps = st.sampled_from([None, 1, 2, -1, -2])
    parts = []
    for length in shape:
        choice = draw(st.sampled_from(["slice", "slice", "integer" if length else "slice", "stop"]))
        if choice == "stop":
            parts += [Ellipsis] if draw(st.booleans()) else []
            break
        if draw(st.integers(0, 5)) == 0:
            parts.append(None)
        parts.append(
            draw(st.integers(-length, length - 1))
            if choice == "integer"
            else Slice(draw(bounds), draw(bounds), draw(steps))
        )
    return tuple(parts)


@given(windows(), st.data())
def test_reading_by_a_key_is_numpys_view(place, data):
    key = data.draw(keys(place.shape))
    expected = array(place)[(*decode(key, ()), ...) if Ellipsis not in key else decode(key, ())]
    np.testing.assert_array_equal(array(entries(place, key)), expected)


@given(windows(), st.data())
def test_a_reshape_is_numpys_wherever_numpy_needs_no_copy(place, data):
    source, shape, rest = array(place), [], int(np.prod(place.shape))
    while rest > 1 and len(shape) < 5:
        shape.append(data.draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0])))
        rest //= shape[-1]
    shape = (*shape, rest)
    found, expected = reshaped(place, shape), source.reshape(shape)
    if found is None:
        assert not np.shares_memory(expected, source)
    else:
        np.testing.assert_array_equal(array(found), expected)


@given(windows())
def test_contiguous_means_what_numpy_means(place):
    assert is_contiguous(place) == array(place).flags.c_contiguous or 0 in place.shape
    assert contiguous_strides(place.shape) == tuple(s // 8 for s in np.empty(place.shape).strides) or (
        0 in place.shape
    )


@given(windows().filter(lambda p: p.shape))
def test_axes_of_length_one_go_and_come(place):
    wide = aligned(place, len(place.shape) + 2)
    np.testing.assert_array_equal(array(wide), array(place)[:, None, None])
    assert dropped(wide, (1, 2)) == place


@st.composite
def broadcasts(draw):
    """A window of any kind, and others that broadcast to its shape."""
    out = draw(windows())
    others = []
    for _ in range(draw(st.integers(1, 2))):
        kept = draw(st.integers(0, len(out.shape)))
        shape = tuple(n if draw(st.booleans()) else 1 for n in out.shape[kept:])
        place = window(0, draw(st.integers(0, 9)), shape, FLOAT)
        if draw(st.booleans()) and shape:
            place = transposed(window(0, 3, shape[::-1], FLOAT), range(len(shape))[::-1])
        others.append(place)
    return out, others


@given(broadcasts())
def test_fewer_axes_read_the_same_entries_in_one_order(case):
    out, others = case
    assume(0 not in out.shape)
    first, *rest = collapsed(out, others)
    assert 1 not in first.shape
    order, old = np.argsort(array(first).ravel()), np.argsort(array(out).ravel())
    np.testing.assert_array_equal(array(first).ravel()[order], array(out).ravel()[old])
    for place, expected in zip(rest, others, strict=True):
        found = np.broadcast_to(array(place), first.shape).ravel()
        np.testing.assert_array_equal(found[order], np.broadcast_to(array(expected), out.shape).ravel()[old])


def test_what_runs_backwards_everywhere_is_turned_round():
    back = window(0, 0, (4, 3), FLOAT)._replace(offset=9, strides=(-3, 1))
    assert [p.strides for p in collapsed(back, [back])] == [(1,), (1,)]
    assert [p.offset for p in collapsed(back, [back])] == [0, 0]
    forth = window(0, 0, (4, 3), FLOAT)
    assert collapsed(back, [forth])[0] == back  # not where another one runs forwards


def test_contiguous_windows_become_vectors_and_repeated_ones_numbers():
    matrix, row, number = window(0, 0, (1, 6), FLOAT), window(0, 9, (6,), FLOAT), window(0, 20, (1, 1), FLOAT)
    assert [p.shape for p in collapsed(matrix, [row, number])] == [(6,), (6,), ()]
    stack = window(0, 0, (4, 2, 3), FLOAT)
    assert [p.shape for p in collapsed(stack, [stack, row._replace(shape=(3,), strides=(1,))])] == [
        (8, 3), (8, 3), (1, 3),
    ]  # fmt: skip


def test_side_by_side_needs_one_distance_shape_strides_and_block():
    rows = [window(0, k, (3,), FLOAT) for k in (0, 3, 6, 9)]
    np.testing.assert_array_equal(array(joined(rows)), MEMORY[100:112].reshape(4, 3))
    np.testing.assert_array_equal(array(joined(rows[::-1])), MEMORY[100:112].reshape(4, 3)[::-1])
    np.testing.assert_array_equal(array(joined(rows[::2])), MEMORY[100:112].reshape(4, 3)[::2])
    assert joined(rows[:1]).shape == (1, 3)
    matrix = window(0, 0, (2, 2), FLOAT)
    for others in (
        [rows[0], rows[1], rows[3]],
        [rows[0], window(0, 3, (2,), FLOAT)],
        [rows[0], rows[1]._replace(strides=(2,))],
        [rows[0], rows[1]._replace(block=1)],
        [matrix, transposed(matrix._replace(offset=4), (1, 0))],
    ):
        assert joined(others) is None


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_window_of_an_arena_is_an_array_of_it(shape):
    memory = np.zeros(400, np.uint8)
    mapped(window(1, 2, shape, FLOAT), memory, [0, 64])[...] = 7.0
    assert (memory.view(float)[10 : 10 + int(np.prod(shape))] == 7.0).all()
    assert (memory.view(float) == 7.0).sum() == int(np.prod(shape))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_runs_are_as_long_as_the_distance_stays(offsets):
    places = [window(0, k, (2,), FLOAT) for k in offsets]
    pieces = runs(places)
    expected = np.stack([array(p) for p in places])
    found = np.empty_like(expected)
    for start, piece in pieces:
        found[start : start + piece.shape[0]] = array(piece)
    np.testing.assert_array_equal(found, expected)
    assert [start for start, _ in pieces] == list(np.cumsum([0, *(p.shape[0] for _, p in pieces)])[:-1])
    for (start, piece), (after, _) in pairwise(pieces):
        assert joined(places[start : after + 1]) is None  # no run could be longer
        assert piece.shape[0] == after - start


def test_members_of_a_stack():
    stack = window(0, 5, (6, 3), FLOAT)
    np.testing.assert_array_equal(array(members(stack, 2, 3)), array(stack)[2:5])
