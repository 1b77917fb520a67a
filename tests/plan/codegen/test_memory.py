"""Blocks that share bytes are never needed at the same time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.plan import programs
from tests.plan.agreement import assert_replays
from tests.plan.scheduling.test_schedule import data, loss, network
from tinygrad_rnn import ops
from tinygrad_rnn.plan.codegen.instructions import Scattered
from tinygrad_rnn.plan.codegen.memory import LINE, Room
from tinygrad_rnn.plan.compiled import compile


def spans(plan):
    """For each block that is used, (first byte, end, first step, last step), worked out entry by entry."""
    items, places, end = plan.program.items, plan.layout.places, len(plan.instructions)
    steps = [[] for _ in plan.layout.blocks]
    for k, instruction in enumerate(plan.instructions):
        for operand in (instruction.out, *instruction.args):
            for block in operand.blocks if isinstance(operand, Scattered) else [operand.block]:
                steps[block].append(k)
    for i, item in enumerate(items):
        if item.kind in ("input", "random"):
            steps[places[i].block].append(-1)
        if item.kind == "leaf":
            steps[places[i].block] += [-1, end]
    for i in plan.program.outputs:
        steps[places[i].block].append(end)
    for block in [p.block for p, _ in plan.constants] + list(plan.layout.gaps):
        steps[block] += [-1, end]
    return [
        (start, start + size * dtype.itemsize, min(used), max(used))
        for (dtype, size), start, used in zip(plan.layout.blocks, plan.starts, steps, strict=True)
        if used and size
    ]


def assert_apart(plan):
    found = np.array(spans(plan))
    for start, end, first, last in found:
        both = (found[:, 0] < end) & (start < found[:, 1]) & (found[:, 2] <= last) & (first <= found[:, 3])
        assert both.sum() == 1  # itself
        assert start >= 0
        assert start % LINE == 0
        assert end <= plan.bytes


@pytest.mark.parametrize("kind", [tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU])
def test_values_that_live_at_the_same_time_lie_apart(kind):
    model, x = kind(5, 9, 2, rng=np.random.default_rng(0)), np.random.default_rng(1).normal(size=(12, 3, 5))
    plan = compile(tr.value_and_grad(lambda m, x: ops.sum(m(x)[0] ** 2), argnums=(0, 1))).plan(model, x)
    assert_apart(plan)
    whole = sum(dtype.itemsize * size for dtype, size in plan.layout.blocks)
    assert plan.bytes < 0.7 * whole  # something is shared


@settings(max_examples=30, deadline=None)
@given(programs.STEPS, st.integers(0, 2**32 - 1))
def test_so_they_do_in_any_program(steps, seed):
    rng = np.random.default_rng(seed)
    leaves = [rng.normal(size=programs.SHAPES[k % len(programs.SHAPES)]) for k in range(3)]
    run = lambda leaves: programs.total(programs.run_tensors(steps, leaves))  # noqa: E731
    assert_apart(compile(tr.value_and_grad(run)).plan(leaves))


def test_a_long_chain_needs_the_room_of_two_links():
    def fn(x):
        for _ in range(50):
            x = ops.tanh(x)
        return x

    x = np.linspace(0, 1, 1000)
    assert compile(fn).plan(x).bytes == 2 * 8000
    assert_replays(fn, (x,), (x * 2,))


def test_what_outlives_a_run_is_nobody_elses_room():
    """Weights are copied in only when they were replaced; constants once; the second run must find them whole."""
    w, scale = tr.Tensor(np.linspace(0, 1, 100)), np.linspace(1, 2, 100)

    def fn(x):
        y = x * w + scale
        for _ in range(5):
            y = ops.tanh(y) * 1.1
        return y

    x = np.linspace(0, 1, 100)
    replay = assert_replays(fn, (x,), (x * 2,))
    w.data = w.data + 1
    np.testing.assert_allclose(replay(x), fn(tr.Tensor(x)).data, rtol=1e-13)
    assert_apart(replay.plan(x))


def test_a_plan_of_a_model_lies_apart():
    assert_apart(compile(tr.value_and_grad(loss)).plan(network(), *data(6)))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_runs_that_are_taken_do_not_overlap_and_free_neighbors_become_one(steps):
    room, taken = Room(), []
    for free, n in steps:
        if free and taken:
            room.free(*taken.pop(n % len(taken)))
        else:
            taken.append((room.taken(n * LINE), n * LINE))
        owned = sorted((start, start + length) for start, length in taken if length)
        assert all(a[1] <= b[0] for a, b in pairwise(owned))
        assert all(end <= room.size for _, end in owned)
    for run in taken:
        room.free(*run)
    size = room.size
    assert room.taken(size) == 0  # all of it is one free run again
    assert room.size == size


def test_a_run_that_fits_leaves_nothing_behind():
    room = Room()
    first, second = room.taken(2 * LINE), room.taken(LINE)
    room.free(first, 2 * LINE)
    assert room.taken(2 * LINE) == first
    room.free(second, LINE)
    assert room.taken(LINE) == second  # and no empty run stands in the way
    assert room.size == 3 * LINE
    assert room.free_runs == []
