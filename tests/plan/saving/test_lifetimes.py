"""Where a program is cut."""

import numpy as np

import tinygrad_rnn as tr
from tests.plan.saving.test_segments import loss_at_the_end, network, recorded, sequence
from tinygrad_rnn import ops
from tinygrad_rnn.plan.saving.lifetimes import Lifetimes, crossing, cuts
from tinygrad_rnn.plan.saving.timeline import Timeline


def test_crossing_counts_what_is_there():
    size, start, stop = np.array([1, 10, 100]), np.array([0, 1, 1]), np.array([2, 2, 1])
    assert crossing(size, start, stop, 4).tolist() == [1, 11, 0, 0]


def test_cuts_lie_near_their_ideal_place_where_little_crosses():
    weight = np.ones(12, int)
    across = np.full(12, 50)
    across[[2, 8]] = 0
    assert cuts(weight, across, 3) == [2, 8]
    assert cuts(weight, np.zeros(12), 3) == [3, 7]
    assert cuts(weight, across, 1) == []
    assert cuts(np.zeros(0, int), across, 4) == []


def test_there_are_never_more_pieces_than_ranks():
    assert cuts(np.ones(3, int), np.zeros(3), 50) == sorted(set(cuts(np.ones(3, int), np.zeros(3), 50)))


def test_the_turn_is_where_the_most_is_alive():
    program, _ = recorded(tr.value_and_grad(loss_at_the_end), network(), *sequence(40))
    line = Timeline(program)
    life = Lifetimes(line)
    last = max(line.rank[i] for i in line.order if program.items[i].op is ops.tanh)
    assert abs(life.turn - last) < 20
    assert (life.born <= life.complete).all()
    assert (life.complete <= life.last).all()
    assert (life.last[life.wanted] == life.end).all()
