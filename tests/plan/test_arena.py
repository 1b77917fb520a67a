"""Where values live: nothing shares memory that does not mean to."""

from itertools import pairwise

import numpy as np

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tests.plan.test_schedule import data, loss, network
from tinygrad_rnn import ops
from tinygrad_rnn.plan.arena import side_by_side
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.plan import Arena


def test_memory_of_different_values_never_overlaps():
    """Every computed or given value has memory of its own, but for views and the parts of assembled arrays."""
    plan = compile(tr.value_and_grad(loss)).plan(network(), *data(6))
    arena, layout = Arena(plan), plan.layout
    own = [i for i in layout.offsets if arena.arrays[i].size]
    spans = sorted((a.__array_interface__["data"][0], a.nbytes) for a in (arena.arrays[i] for i in own))
    for (start, size), (after, _) in pairwise(spans):
        assert start + size <= after
    pieces = {}
    for piece, (whole, _) in layout.inside.items():
        pieces.setdefault(whole, []).append(arena.arrays[piece])
    for whole, parts in pieces.items():
        arena.arrays[whole][...] = 0
        for part in parts:
            part += 1
        assert arena.arrays[whole].max(initial=0) <= 1


def test_two_arenas_share_nothing():
    plan = compile(tr.value_and_grad(loss)).plan(network(), *data(3))
    first, second = Arena(plan), Arena(plan)
    for a, b in zip(first.arrays, second.arrays, strict=True):
        assert not np.shares_memory(a, b)


def test_a_replay_leaves_what_must_stay_zero():
    """Rows of a scattered gradient that no step wrote in this call were perhaps written in the one before."""

    def fn(x, i):
        return tr.grad(lambda x: ops.sum(x[i] ** 2) + ops.sum(x[0:1] * 3.0))(x)

    x = np.arange(8.0).reshape(4, 2) + 1
    assert_replays(fn, (x, np.array([3, 3])), (x + 1, np.array([1, 2])), (x, np.array([0, 0])))


def test_side_by_side_needs_one_distance_shape_and_layout():
    memory = np.arange(12.0)
    rows = [memory[k : k + 3] for k in (0, 3, 6, 9)]
    np.testing.assert_array_equal(side_by_side(rows), memory.reshape(4, 3))
    np.testing.assert_array_equal(side_by_side(rows[::-1]), memory.reshape(4, 3)[::-1])
    np.testing.assert_array_equal(side_by_side(rows[::2]), memory.reshape(4, 3)[::2])
    assert side_by_side([rows[0], rows[1], rows[3]]) is None
    assert side_by_side([memory[0:3], memory[3:5]]) is None
    assert side_by_side([memory[0:3], memory[3:9:2]]) is None
    assert side_by_side([memory[:4].reshape(2, 2), memory[4:8].reshape(2, 2).T]) is None
