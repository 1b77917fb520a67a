"""Long batches run in blocks, each just before what reads it."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tests.plan.scheduling.test_schedule import data, loss, network
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.program import ASSEMBLE
from tinygrad_rnn.plan.scheduling import blocking


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(blocking, "BLOCK_BYTES", 64)


def recurrent(x, u, w):
    """A recurrence with an elementwise chain before it, and one after."""
    h, kept = x[0], []
    for t in range(x.shape[0]):
        h = ops.tanh(h @ u + ops.sin(x[t] * w) * ops.cos(x[t]))
        kept.append(ops.exp(-h))
    return ops.stack(kept) * 2.0, h


RNG = np.random.default_rng(0)
CALLS = [(RNG.normal(size=(16, 2, 3)), RNG.normal(size=(3, 3)) * 0.5, RNG.normal(size=3)) for _ in range(2)]


def sizes(plan, op):
    return [len(b.members) for b in plan.batches if plan.program.items[b.members[0]].op is op]


def test_long_batches_are_cut_into_blocks_of_a_power_of_two(tiny):
    plan = compile(recurrent).plan(*CALLS[0])
    assert sizes(plan, ops.sin) == [1] * 16  # 48 bytes each
    assert_replays(recurrent, *CALLS)
    assert_replays(tr.value_and_grad(lambda *a: ops.sum(recurrent(*a)[0]), (0, 1, 2)), *CALLS)


def test_batches_that_fit_stay_whole():
    assert sizes(compile(recurrent).plan(*CALLS[0]), ops.sin) == [16]


def test_a_block_runs_just_before_the_step_that_reads_it(tiny):
    plan = compile(recurrent).plan(*CALLS[0])
    names = [plan.program.items[b.members[0]].op.name for b in plan.batches]
    assert [n for n in names if n in ("sin", "tanh")] == ["sin", "tanh"] * 16


def test_what_recurrences_do_is_not_moved(tiny):
    def order(plan):
        items = plan.program.items
        return [items[b.members[0]].scope for b in plan.batches if items[b.members[0]].op is ops.tanh]

    step = compile(tr.value_and_grad(loss))
    scopes = order(step.plan(network(), *data(9)))
    assert scopes == sorted(scopes)


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_a_train_step_in_blocks(tiny, cell):
    net = getattr(tr.nn, cell)(3, 5, rng=RNG)
    fn = tr.value_and_grad(lambda net, x: (net(x)[0] ** 2).sum())
    assert_replays(fn, (net, RNG.normal(size=(12, 2, 3))), (net, RNG.normal(size=(12, 2, 3))))


@pytest.mark.parametrize("seed", range(8))
def test_blocks_run_after_what_they_read(tiny, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 2, 3))

    def tangle(x):
        values = [x[k] for k in range(6)]
        for _ in range(60):
            i, j = rng.integers(max(0, len(values) - 12), len(values), 2)
            f = [ops.tanh, ops.sin, ops.negative][int(rng.integers(0, 3))]
            values.append(
                f(values[i]) * 0.5 + values[j] * (values[j] @ np.eye(3) if rng.random() < 0.2 else 1.0)
            )
        return ops.stack(values[-20:])

    plan = compile(lambda x: ops.sum(tangle(x))).plan(x)
    assert_in_order(plan)


def assert_in_order(plan):
    items, done = plan.program.items, set()
    todo = {m for batch in plan.batches for m in batch.members}
    assert sum(len(batch.members) for batch in plan.batches) == len(todo)

    def ready(i):
        if items[i].kind != "op" or i in done:
            return True
        return i not in todo and all(ready(a) for a in items[i].args)

    for batch in plan.batches:
        assert all(ready(a) for m in batch.members for a in items[m].args if items[a].op is not ASSEMBLE)
        done.update(batch.members)
