"""Ragged sequences, each unrolled on its own: one batch a step, whose rows lie together."""

from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_same
from tinygrad_rnn import ops
from tinygrad_rnn.plan.codegen.instructions import Scattered
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.scheduling.rows import Rows
from tinygrad_rnn.plan.scheduling.schedule import Order

LENGTHS = (3, 7, 5, 7, 2, 4)
RNG = np.random.default_rng(0)


class Reader(tr.nn.Module):
    def __init__(self, cell):
        rng = np.random.default_rng(1)
        self.cell, self.head = cell(3, 8, rng=rng), tr.nn.Linear(8, 4, rng=rng)

    def loss(self, xs, ys):
        losses = []
        for x, y in zip(xs, ys, strict=True):
            net = tr.unroll(self.cell, x)
            losses += net.each(lambda h, t: tr.cross_entropy(self.head(h), t), y)
        return tr.add_n(losses) / len(losses)


CELLS = {
    "RNN": tr.nn.RNNCell,
    "GRU": tr.nn.GRUCell,
    "LSTM": tr.nn.LSTMCell,
}


def data(lengths=LENGTHS, batch=()):
    xs = [RNG.normal(size=(n, *batch, 3)) for n in lengths]
    return xs, [RNG.integers(4, size=(n, *batch)) for n in lengths]


def step(net, xs, ys):
    return tr.value_and_grad(lambda net: net.loss(xs, ys))(net)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [(), (1,), (2,)])
@pytest.mark.parametrize("lengths", [LENGTHS, (1, 2), (4, 4, 4), (1, 1, 6), (9,)])
def test_ragged_sequences_in_one_graph_replay(cell, batch, lengths):
    net, replay = Reader(CELLS[cell]), compile(step)
    for _ in range(2):
        xs, ys = data(lengths, batch)
        assert_same(replay(net, xs, ys), step(net, xs, ys))
        for p in net.parameters():
            p.data = p.data * 1.1


def recurrent_batches(plan):
    order = Order(plan.program)
    return [b for b in plan.batches if order.component[b.members[0]] in order.recurrent]


def test_each_step_is_one_batch_of_all_that_still_run():
    plan = compile(step).plan(Reader(tr.nn.RNNCell), *data())
    items = plan.program.items
    sizes = Counter(
        (items[b.members[0]].op, items[b.members[0]].scope[0] == "backward", len(b.members))
        for b in recurrent_batches(plan)
    )
    alive = Counter(sum(n > t for n in LENGTHS) for t in range(1, max(LENGTHS)))
    assert {n: sizes[ops.matmul, False, n] for n in alive} == alive
    assert {n: sizes[ops.matmul, True, n] for n in alive} == alive
    for _, scopes in ((b, {items[m].scope[-1] for m in b.members}) for b in recurrent_batches(plan)):
        assert len(scopes) == 1  # the way back too: its rows are of one and the same time step


def test_what_a_step_reads_lies_together():
    """Longest first: the rows that go on are the first of those that were there, and nothing is gathered."""
    plan = compile(step).plan(Reader(tr.nn.RNNCell), *data())
    recurrent = {id(b) for b in recurrent_batches(plan)}
    start = gathered = several = 0
    for batch, end in zip(plan.batches, plan.ends, strict=True):
        if id(batch) in recurrent and len(batch.members) > 1:
            several += 1
            for instruction in plan.instructions[start:end]:
                gathered += any(isinstance(x, Scattered) for x in (instruction.out, *instruction.args))
        start = end
    assert several > 30
    assert gathered <= several / 4  # where a shorter one joins in, on the way back


def test_a_sum_of_small_terms_is_one_reduction():
    """The gradient of a bias is a sum of as many vectors as there are steps, which cannot all lie side by side."""
    plan = compile(step).plan(Reader(tr.nn.RNNCell), *data())
    sums = [item for item in plan.program.items if item.op is ops.add_n and len(item.args) >= sum(LENGTHS)]
    assert sums
    kernels = Counter(i.kernel for i in plan.instructions if i.op is ops.add)
    assert kernels["map"] <= 40


def rows_of(fn, *args):
    program = compile(fn).plan(*args).program
    order = Order(program)
    return program, order, Rows(order)


def test_rows_are_ragged_only_where_lengths_differ():
    for lengths, expected in (((4, 4, 4), False), ((4, 3), True), ((5,), False)):
        _, _, rows = rows_of(step, Reader(tr.nn.RNNCell), *data(lengths))
        assert rows.ragged() == expected
    net, x = tr.nn.LSTM(3, 4, num_layers=2), RNG.normal(size=(5, 2, 3))
    assert not rows_of(tr.grad(lambda net, x: (net(x)[0] ** 2).sum()), net, x)[2].ragged()


def test_rows_rank_by_step_and_then_by_length():
    program, order, rows = rows_of(step, Reader(tr.nn.RNNCell), *data())
    ranks = rows.ranks()
    for i in order.work:
        item = program.items[i]
        if item.op is ops.tanh and order.component[i] in order.recurrent:
            same = [
                j for j in order.work if program.items[j].op is ops.tanh and order.level[j] == order.level[i]
            ]
            same = [j for j in same if order.component[j] == order.component[i]]
            assert len({ranks[j][0] for j in same}) == 1
            assert [ranks[j][1] for j in sorted(same, key=ranks.__getitem__)] == sorted(
                ranks[j][1] for j in same
            )
    assert len({r[2] for r in ranks if r[0] >= 0}) >= len(LENGTHS) - 1
