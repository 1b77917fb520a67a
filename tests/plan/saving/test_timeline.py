"""In which order a program is best computed where memory is short."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.saving.test_segments import (
    LOSSES,
    function_of_the_sum,
    loss_at_each_step,
    network,
    recorded,
    sequence,
)
from tinygrad_rnn import ops
from tinygrad_rnn.plan.saving.timeline import Timeline


def timeline(fn, *args):
    return Timeline(recorded(fn, *args)[0])


def mean_rank(line, op, step, backward=False):
    """When the operations of one kind and step run, on average."""
    scope = ("backward", f"t={step}") if backward else (f"t={step}",)
    ranks = [
        line.rank[i]
        for i in line.order
        if line.program.items[i].op is op and line.program.items[i].scope == scope
    ]
    assert ranks
    return np.mean(ranks)


@pytest.mark.parametrize("loss", LOSSES)
def test_arguments_come_first_and_everything_comes_once(loss):
    line = timeline(tr.value_and_grad(loss), network("LSTM"), *sequence(30))
    items = line.program.items
    assert sorted(line.order) == [i for i, item in enumerate(items) if item.kind == "op"]
    assert all(line.rank[a] < line.rank[i] for i in line.order for a in items[i].args)


def test_what_an_input_makes_is_computed_with_its_step():
    line = timeline(tr.value_and_grad(loss_at_each_step), network(), *sequence(30))
    products = [mean_rank(line, ops.matmul, t) for t in range(1, 30)]
    states = [mean_rank(line, ops.tanh, t) for t in range(1, 30)]
    assert states == sorted(states)
    assert products != sorted(products)  # those of readouts wait for the way back
    first = min(line.rank[i] for i in line.order if line.program.items[i].scope == ("t=20",))
    assert first > mean_rank(line, ops.tanh, 18)


def test_a_loss_that_only_the_way_back_needs_is_computed_there():
    line = timeline(tr.value_and_grad(loss_at_each_step), network(), *sequence(30))
    losses = [mean_rank(line, ops.log_softmax, t) for t in range(30)]
    assert losses == sorted(losses, reverse=True)
    assert min(losses) > mean_rank(line, ops.tanh, 29)


def test_a_loss_that_is_needed_at_the_turn_is_computed_behind_its_step():
    line = timeline(tr.value_and_grad(function_of_the_sum), network(), *sequence(30))
    for t in range(3, 20):  # what is near its inputs waits for its reader
        assert (
            mean_rank(line, ops.tanh, t)
            < mean_rank(line, ops.log_softmax, t)
            < mean_rank(line, ops.tanh, t + 4)
        )


def test_a_long_sum_reads_a_term_when_its_factors_are_there():
    line = timeline(tr.grad(loss_at_each_step), network(), *sequence(30))
    assert len(line.sums) >= 3
    for i in line.sums:
        reads = [r for a, r in line.reads() if a in line.program.items[i].args]
        assert min(reads) < line.rank[i] - 100


def test_pieces_live_in_their_whole_and_views_in_what_they_view():
    line = timeline(lambda x: ops.stack([ops.tanh(x), ops.sin(x)])[1].T, np.ones((2, 3)))
    homes = {line.home[i] for i in line.order}
    assert len(homes) == 1
    assert sum(line.size[i] for i in line.order) == 2 * 2 * 3 * 8
