"""``compile(fn, memory=...)``: what a caller may ask for, and gets."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_same
from tests.plan.saving.test_segments import loss_at_each_step, network, sequence
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile

STEP = tr.value_and_grad(loss_at_each_step)


def data(steps=120, hidden=16):
    return network("RNN", hidden), *sequence(steps, batch=1)


def test_a_budget_is_kept_and_the_results_are_the_same():
    args = data()
    whole = compile(STEP).plan(*args).bytes
    expected = compile(STEP)(*args)
    for share in (0.7, 0.45):
        budget = int(share * whole)
        replay = compile(STEP, memory=budget)
        for _ in range(2):
            assert_same(replay(*args), expected)
        assert replay.plan(*args).bytes <= budget
        assert replay.verify(*args)


def test_other_data_is_not_mixed_with_what_was_there():
    net, x, y = data()
    replay = compile(STEP, memory="sqrt")
    for scale in (1.0, -0.5, 1.0):
        assert_same(replay(net, scale * x, y), STEP(net, scale * x, y))


def test_a_large_budget_changes_nothing():
    args = data(40)
    plain, given = compile(STEP).plan(*args), compile(STEP, memory=10**9).plan(*args)
    assert given.bytes == plain.bytes
    assert len(given.instructions) == len(plain.instructions)


def test_a_smaller_budget_costs_more_work():
    args = data()
    whole = compile(STEP).plan(*args)
    lengths = [
        len(compile(STEP, memory=int(share * whole.bytes)).plan(*args).program.items) for share in (0.8, 0.45)
    ]
    assert len(whole.program.items) < lengths[0] < lengths[1]


def test_the_root_of_the_steps():
    bytes_ = [compile(STEP, memory="sqrt").plan(*data(steps)).bytes for steps in (64, 256)]
    wholes = [compile(STEP).plan(*data(steps)).bytes for steps in (64, 256)]
    inputs = 192 * 8 * 4  # x and y of the other 192 steps
    assert bytes_[1] - inputs < 2.4 * bytes_[0]
    assert wholes[1] - inputs > 3 * wholes[0]
    assert bytes_[1] < 0.3 * wholes[1]


def test_what_cannot_be_met_is_refused_with_what_can_be():
    args = data(60)
    with pytest.raises(
        ValueError, match=r"memory=100 bytes are too few: the least that was reached is (\d+) bytes"
    ) as e:
        compile(STEP, memory=100)(*args)
    least = int(str(e.value).split("reached is ")[1].split()[0])
    assert compile(STEP, memory=least).plan(*args).bytes <= least


@pytest.mark.parametrize("memory", [0, -5, "root", ""])
def test_what_is_no_memory_is_refused(memory):
    with pytest.raises(ValueError, match="memory must be None, a number of bytes from 1 on or 'sqrt', got"):
        compile(ops.tanh, memory=memory)


@pytest.mark.parametrize("memory", [1e6, True, [1], b"sqrt"])
def test_what_is_no_number_of_bytes_is_refused(memory):
    with pytest.raises(TypeError, match="memory must be None, a number of bytes or 'sqrt', got"):
        compile(ops.tanh, memory=memory)


def test_integers_of_numpy_are_bytes():
    assert compile(ops.tanh, memory=np.int64(10**6))(np.ones(3)).tolist() == np.tanh(np.ones(3)).tolist()


def test_two_budgets_are_two_plans():
    args = data()
    first, second = compile(STEP, memory="sqrt"), compile(STEP)
    assert first.plan(*args).bytes < second.plan(*args).bytes


@pytest.mark.parametrize("kind", [tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU])
def test_the_interpreter_computes_values_again_as_well(kind):
    pytest.importorskip("numba", reason="needs the extra jit")
    rng = np.random.default_rng(0)
    model, x = kind(3, 8, rng=rng), rng.normal(size=(100, 2, 3))
    fn = tr.value_and_grad(lambda model, x: tr.ops.sum(model(x)[0] ** 2))
    replay = tr.compile(fn, memory="sqrt", executor="numba")
    for data in (x, x * 0.5, x):
        assert_same(replay(model, data), fn(model, data))
    assert replay.plan(model, x).bytes < 0.5 * tr.compile(fn).plan(model, x).bytes
    assert replay.verify(model, x)
