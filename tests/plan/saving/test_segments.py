"""What phases leave alone (every result) and what they change: how much must be kept, and what is computed twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.plan.programs import SHAPES, STEPS, arrays, run_tensors, total
from tinygrad_rnn import ops
from tinygrad_rnn.core.draws import random
from tinygrad_rnn.plan.checking.reference import values
from tinygrad_rnn.plan.plan import Plan
from tinygrad_rnn.plan.program import ASSEMBLE
from tinygrad_rnn.plan.recording.signature import signature
from tinygrad_rnn.plan.recording.trace import trace
from tinygrad_rnn.plan.rewrites.hoist import hoisted
from tinygrad_rnn.plan.rewrites.simplify import simplified
from tinygrad_rnn.plan.saving import timeline
from tinygrad_rnn.plan.saving.lifetimes import Lifetimes
from tinygrad_rnn.plan.saving.segments import VIEWS, phased
from tinygrad_rnn.plan.saving.timeline import Timeline
from tinygrad_rnn.plan.scheduling.schedule import Order, bases, scheduled


def recorded(fn, *args):
    """The program of ``fn``, ready to be cut, and the data of its inputs."""
    data = []
    signature(args, {}, data, [])
    return hoisted(simplified(trace(fn, args, {}).program)), data


def cut(program, segments, kept=1):
    line = Timeline(program)
    return phased(line, Lifetimes(line), segments, kept)


def outputs(program, data):
    found = values(program, data)
    return [found[i] for i in program.outputs]


def assert_runs_in_phases(found):
    """Arguments come first, phase by phase; each piece has one place; sources are there from the start."""
    items = found.program.items
    assert len(items) == len(found.phase)
    assert found.phase == sorted(found.phase)
    for i, item in enumerate(items):
        assert all(a < i for a in item.args)
        assert item.kind == "op" or found.phase[i] == 0
    pieces = [a for item in items if item.op is ASSEMBLE for a in item.args]
    assert len(pieces) == len(set(pieces))


def assert_same_results(program, data, segments, kept=1):
    found = cut(program, segments, kept)
    assert_runs_in_phases(found)
    single = any(item.dtype == np.float32 for item in program.items)
    for a, b in zip(outputs(found.program, data), outputs(program, data), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0)) if b.dtype.kind == "f" else 1
        np.testing.assert_allclose(a, b, rtol=0, atol=(5e-5 if single else 1e-12) * scale)
    return found


def peak(found):
    """The most bytes that are alive in one phase, inputs and constants aside, and the phase."""
    program, phase = found.program, found.phase
    home = bases(program)
    for i, item in enumerate(program.items):
        if item.op is ASSEMBLE:
            for a in item.args:
                home[a] = i
    home = [home[h] for h in home]
    first, last = {}, {}
    for i, item in enumerate(program.items):
        for a in (i, *item.args):
            first[home[a]] = min(first.get(home[a], phase[i]), phase[i])
            last[home[a]] = phase[i]
    last.update(dict.fromkeys([home[i] for i in program.outputs], max(phase)))
    alive = np.zeros(max(phase) + 1, int)
    for h, start in first.items():
        item = program.items[h]
        if item.kind == "op":
            alive[start : last[h] + 1] += int(np.prod(item.shape)) * item.dtype.itemsize
    return int(alive.max())


def work(program):
    return sum(item.kind == "op" and item.op not in VIEWS for item in program.items)


# --- results


@pytest.mark.parametrize("eager", [False, True], ids=["as it is", "every sum long, nothing near"])
@given(data=st.data())
def test_random_programs_give_the_same(eager, data):
    steps = data.draw(STEPS)
    leaves = [data.draw(arrays(data.draw(st.sampled_from(SHAPES)))) for _ in range(3)]
    fn = tr.value_and_grad(lambda leaves: total(run_tensors(steps, leaves)))
    with pytest.MonkeyPatch.context() as patch:
        if eager:
            patch.setattr(timeline, "LONG", 1)
            patch.setattr(timeline, "NEAR", 0)
        program, inputs = recorded(fn, [tr.Tensor(x) for x in leaves])
        segments = data.draw(st.integers(1, 6))
        assert_same_results(program, inputs, segments, data.draw(st.integers(1, segments)))


CELLS = {"RNN": tr.nn.RNNCell, "LSTM": tr.nn.LSTMCell, "GRU": tr.nn.GRUCell}


def network(cell="RNN", hidden=6, inputs=3, classes=4, dtype=np.float64):
    rng = np.random.default_rng(1)
    return CELLS[cell](inputs, hidden, rng=rng, dtype=dtype), tr.nn.Linear(
        hidden, classes, rng=rng, dtype=dtype
    )


def sequence(steps, inputs=3, classes=4, batch=2, dtype=np.float64):
    rng = np.random.default_rng(2)
    return rng.normal(size=(steps, batch, inputs)).astype(dtype), rng.integers(0, classes, (steps, batch))


def loss_at_the_end(net, x, y):
    cell, head = net
    return tr.cross_entropy(head(tr.unroll(cell, x).outputs[-1]), y[-1])


def loss_at_each_step(net, x, y):
    cell, head = net
    return tr.add_n(tr.unroll(cell, x).each(lambda h, t: tr.cross_entropy(head(h), t), y))


def function_of_the_sum(net, x, y):
    return ops.log(loss_at_each_step(net, x, y))


LOSSES = (loss_at_the_end, loss_at_each_step, function_of_the_sum)


@pytest.mark.parametrize("kept", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_cells_are_the_same(cell, loss, kept):
    program, data = recorded(tr.value_and_grad(loss), network(cell), *sequence(40))
    found = assert_same_results(program, data, 6, kept)
    assert max(found.phase) == 10  # 6 segments there; the last one and its way back are one phase
    assert found.repeated


@pytest.mark.parametrize(
    "fn",
    [
        lambda net, x, y: [tr.unroll(net[0], x).outputs, loss_at_each_step(net, x, y)],
        tr.grad(loss_at_each_step, argnums=1),
        tr.value_and_grad(
            lambda net, x, y: tr.cross_entropy(net[1](ops.stack(tr.unroll(net[0], x).outputs)), y),
            argnums=(0, 1),
        ),
        lambda net, x, y: tr.hvp(lambda w: loss_at_each_step((net[0], w), x, y), net[1], net[1]),
        lambda net, x, y: tr.grad(lambda x: ops.sum(tr.grad(lambda x: loss_at_each_step(net, x, y))(x) ** 2))(
            x
        ),
    ],
    ids=["forward", "by the inputs", "stacked outputs", "second order by weights", "second order by inputs"],
)
def test_other_functions_are_the_same(fn):
    program, data = recorded(fn, network(), *sequence(40))
    for segments in (2, 5):
        assert_same_results(program, data, segments)


def test_two_layers_in_two_directions_are_the_same():
    net = tr.nn.GRU(3, 4, num_layers=2, bidirectional=True, rng=np.random.default_rng(0))
    x, _ = sequence(30)
    program, data = recorded(
        tr.value_and_grad(lambda net, x: ops.sum(net(x, lengths=[30, 11])[0] ** 2)), net, x
    )
    for segments in (2, 4):
        assert_same_results(program, data, segments)


def test_float32_stays_float32():
    program, data = recorded(
        tr.value_and_grad(loss_at_each_step), network(dtype=np.float32), *sequence(40, dtype=np.float32)
    )
    assert_same_results(program, data, 5)


# --- draws


def test_a_draw_is_made_once():
    rng = np.random.default_rng(3)

    def fn(net, x, y, rng):
        cell, head = net
        outputs = tr.unroll(cell, x).outputs
        dropped = [h * ops.greater(random(rng, h.shape, h.dtype), 0.3) for h in outputs]
        return tr.add_n([tr.cross_entropy(head(h), t) for h, t in zip(dropped, y, strict=True)])

    x, y = sequence(40)
    program, _ = recorded(tr.value_and_grad(fn), network(), x, list(y), rng)
    found = cut(program, 5)
    draws = [[item.kind for item in p.items].count("random") for p in (program, found.program)]
    assert draws == [40, 40]
    assert found.repeated


# --- memory and work


def peaks(loss, steps, cell):
    program, _ = recorded(tr.value_and_grad(loss), network(cell, 16), *sequence(steps, batch=1))
    return np.array([peak(cut(program, k)) for k in (1, round(steps**0.5))])


@pytest.mark.parametrize(
    ("cell", "loss"),
    [*[("RNN", loss) for loss in LOSSES], ("LSTM", loss_at_each_step), ("GRU", loss_at_the_end)],
)
def test_what_must_be_kept_grows_with_the_square_root(cell, loss):
    weights = peaks(loss, 2, cell)[0]  # gradients and the like, whatever the number of steps
    (whole, root), (wide, wider) = peaks(loss, 49, cell) - weights, peaks(loss, 196, cell) - weights
    assert 3.6 < wide / whole < 4.6
    assert wider / root < 2.6
    assert wider < 0.25 * wide


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_computed_more_than_twice_and_the_way_back_once(loss):
    program, _ = recorded(tr.value_and_grad(loss), network("LSTM"), *sequence(60))
    forward = work(recorded(loss, network("LSTM"), *sequence(60))[0])
    found = cut(program, 8)
    assert 0.5 * forward < found.repeated < forward
    extra = work(found.program) - work(program) - found.repeated
    assert extra < 8 * 8 * 2  # partial sums and copies of checkpoints: a few for each phase


def test_phases_run_one_after_the_other_in_as_few_batches_as_the_whole():
    program, _ = recorded(tr.value_and_grad(loss_at_each_step), network("RNN", 16), *sequence(100, batch=1))
    found = cut(program, 5)
    plans = [Plan(program, phases=phases) for phases in (cut(program, 1), found)]
    phases = [{found.phase[i] for i in batch.members} for batch in plans[1].batches]
    assert all(len(each) == 1 for each in phases)
    assert [max(each) for each in phases] == sorted(max(each) for each in phases)
    batches, instructions = (
        [len(part) for part in parts]
        for parts in zip(*((p.batches, p.instructions) for p in plans), strict=True)
    )
    assert (
        batches[1] < batches[0] + 3 * 80 + 9 * 40
    )  # three for each step that is repeated, 40 for each phase
    assert instructions[1] - batches[1] < instructions[0] - batches[0] + 9 * 5  # hardly any copies


def test_phases_decide_what_runs_first_and_together():
    program, _ = recorded(lambda x, y: (ops.tanh(x), ops.tanh(y), ops.sin(x)), np.ones(3), np.ones(3))
    operations = [i for i, item in enumerate(program.items) if item.kind == "op"]
    phase = [0] * len(program.items)
    for i, p in zip(operations, (2, 1, 0), strict=True):
        phase[i] = p
    order = Order(program, phase)
    assert [batch.members for batch in scheduled(order)] == [(i,) for i in operations[::-1]]
    assert len({order.classes[i] for i in operations}) == 3
    assert len(scheduled(Order(program))) == 2


def test_segments_that_are_kept_are_not_computed_again():
    program, _ = recorded(tr.value_and_grad(loss_at_each_step), network(), *sequence(60))
    repeated = [cut(program, 6, kept).repeated for kept in (1, 3, 6)]
    assert repeated[0] > repeated[1] > repeated[2] == 0
    assert repeated[1] / repeated[0] == pytest.approx(3 / 5, abs=0.05)


def test_one_segment_is_the_program_as_it_was():
    program, _ = recorded(tr.value_and_grad(loss_at_each_step), network("GRU"), *sequence(20))
    found = cut(program, 1)
    assert [item.op for item in found.program.items if item.op] == [
        item.op for item in program.items if item.op
    ]
    assert set(found.phase) == {0}
    assert not found.repeated


def test_each_phase_takes_in_its_share_of_a_long_sum():
    program, _ = recorded(tr.value_and_grad(loss_at_the_end), network(), *sequence(60))
    found = cut(program, 6)
    products = [
        found.phase[i]
        for i, item in enumerate(found.program.items)
        if item.op and item.op.name == "sum_of_matmuls"
    ]
    assert sorted(set(products)) == [5, 6, 7, 8, 9, 10]


def test_checkpoints_lie_between_steps():
    """The state of two examples crosses each cut of the way there, and nothing else but sums of biases."""
    program, _ = recorded(tr.value_and_grad(loss_at_the_end), network("LSTM"), *sequence(60))
    found = cut(program, 6)
    home = bases(found.program)
    crossing = [set() for _ in range(5)]
    for i, item in enumerate(found.program.items):
        for a in item.args:
            if found.program.items[home[a]].kind == "op" and found.phase[i] < 6:
                for p in range(found.phase[home[a]], found.phase[i]):
                    crossing[p].add(home[a])
    shapes = [[found.program.items[a].shape for a in each] for each in crossing]
    assert [sorted(set(each) - {(24,)}) for each in shapes] == [[(2, 6)]] * 5
    assert [each.count((2, 6)) for each in shapes] == [2] * 5


# --- degenerate programs


@pytest.mark.parametrize(
    "fn", [lambda x: x, lambda x: {}, lambda x: ops.tanh(x), lambda x: x.T, lambda x: ops.sum(x) * 0 + 1]
)
@pytest.mark.parametrize("segments", [1, 2, 50])
def test_small_programs(fn, segments):
    program, data = recorded(fn, np.ones((2, 3)))
    assert_same_results(program, data, segments)


def test_programs_of_empty_arrays():
    program, data = recorded(tr.grad(lambda x: ops.sum(ops.tanh(ops.tanh(x)) * x)), np.ones((0, 3)))
    assert_same_results(program, data, 3)
