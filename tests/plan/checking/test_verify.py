"""``verify`` passes what is right, and names the first value of what is not."""

import re

import numpy as np
import pytest
from hypothesis import given

import tinygrad_rnn as tr
from tests.plan import programs
from tests.plan.agreement import _nodes
from tests.plan.scheduling.test_schedule import data, loss, network
from tests.plan.test_plan import FEW, tensor_programs
from tinygrad_rnn import ops
from tinygrad_rnn.core.carriers import plain
from tinygrad_rnn.core.tree import flatten, tree_map
from tinygrad_rnn.plan import plan as plan_module
from tinygrad_rnn.plan.checking.verify import verified
from tinygrad_rnn.plan.codegen.memory import lifetimes
from tinygrad_rnn.plan.plan import Arena, Plan
from tinygrad_rnn.plan.program import Item, Program
from tinygrad_rnn.plan.recording.trace import trace

STEPS = 6


class Case:
    """A function with arguments, recorded; ``plan()`` makes its plan, ``verify(plan)`` verifies one."""

    def __init__(self, fn, *args):
        self.recorded = trace(fn, args, {}).program
        self.inputs = [x for _, x in flatten(args)]
        self.eager = [np.asarray(x) for _, x in flatten(tree_map(plain, fn(*_nodes(args))))]

    def plan(self):
        return Plan(self.recorded)

    def verify(self, plan=None):
        return verified(plan or self.plan(), self.inputs, self.recorded, self.eager)


@pytest.fixture(scope="module")
def case():
    return Case(tr.value_and_grad(loss), network(), *data(STEPS))


def altered(item, **changes):
    return Item(*(changes.get(field, getattr(item, field)) for field in Item.__match_args__))


def named(plan, name):
    return next(i for i, item in enumerate(plan.program.items) if item.name == name)


# --- what is right


def test_a_train_step_passes(case):
    report = case.verify()
    assert report
    assert report.ok
    assert report.fault is None
    assert report.outputs == 5
    assert 0 <= report.deviation < 1e-13
    assert str(report).startswith("verify passed: 5 outputs within")
    assert "verify passed" in report._repr_html_()


@FEW
@given(tensor_programs())
def test_any_program_passes(program):
    steps, leaves, _ = program
    case = Case(lambda leaves: programs.run_tensors(steps, leaves), leaves)
    assert case.verify(), str(case.verify())


def test_chaos_is_not_a_fault():
    """The logistic map doubles an error in each step: after 40 steps the order of a sum is seen in the 4th digit."""

    def chaos(x, c):
        for _ in range(40):
            x = x * c - (x * x * c + x * 1e-17)
        return x

    case = Case(chaos, np.array([0.2, 0.3, 0.7]), 3.9)
    assert case.verify()


def test_random_draws_are_the_same_in_each_run():
    generator = np.random.default_rng(0)
    model = tr.nn.RNN(2, 3, 2, dropout=0.5, rng=np.random.default_rng(1))
    before = generator.bit_generator.state
    recorded = trace(lambda m, x, rng: m(x, rng=rng)[0], (model, np.ones((3, 1, 2)), generator), {}).program
    inputs = [getattr(x, "_data", x) for _, x in flatten((model, np.ones((3, 1, 2)), generator))]
    assert verified(Plan(recorded), inputs, recorded)
    assert generator.bit_generator.state == before


# --- what is wrong: recording, rewriting


def test_an_eager_result_that_differs_is_a_fault_of_the_recording(case):
    wrong = [np.array(y) for y in case.eager]
    wrong[2][1, 3] += 1e-9
    report = verified(case.plan(), case.inputs, case.recorded, wrong)
    assert not report
    assert report.fault.stage == "recording"
    assert report.fault.value == "output 2"
    assert report.fault.deviation == pytest.approx(1e-9, rel=1e-3)
    assert "[1, 3]" in str(report)


def test_a_rewrite_that_changes_a_value_is_named_by_its_step(case, monkeypatch):
    def faulty(program):
        items = list(program.items)
        i = next(k for k, item in enumerate(items) if item.name == "h_3")
        items[i] = altered(items[i], op=ops.sin)
        return Program(items, program.outputs)

    monkeypatch.setattr(plan_module, "hoisted", faulty)
    report = case.verify()
    assert report.fault.stage == "rewriting"
    assert re.match(r"%\d+ h_3 = sin\(%\d+\) float64\[2, 4\] in t=3", report.fault.value)
    assert "verify FAILED in rewriting: " in str(report)


def test_a_rewrite_that_changes_a_shape_is_named(case, monkeypatch):
    def faulty(program):
        items = list(program.items)
        i = next(k for k, item in enumerate(items) if item.name == "h_3")
        items[i] = altered(items[i], args=(0,))
        return Program(items, program.outputs)

    monkeypatch.setattr(plan_module, "hoisted", faulty)
    report = case.verify()
    assert report.fault.stage == "rewriting"
    assert re.search(
        r"ValueError: %\d+ h_3 = tanh\(%0\) float64\[2, 4\] in t=3 has shape \(3, 4\)", str(report)
    )


def test_a_sum_in_another_order_is_not_taken_for_the_fault(monkeypatch):
    """(a + c) + b stands for nothing recorded, and is right; what is wrong comes after it."""

    def faulty(program):
        items = list(program.items)
        total = next(k for k, item in enumerate(items) if item.name == "total")
        a, b, c = (k for k, item in enumerate(items) if item.kind == "input")
        items.insert(total, altered(items[total], op=ops.add, args=(a, c), name=""))
        items[total + 1] = altered(items[total + 1], op=ops.add, args=(total, b))
        moved = [
            altered(item, args=tuple(x + (x >= total) for x in item.args)) for item in items[total + 2 :]
        ]
        moved[-1] = altered(moved[-1], op=ops.cos)
        return Program([*items[: total + 2], *moved], tuple(i + 1 for i in program.outputs))

    monkeypatch.setattr(plan_module, "hoisted", faulty)
    named_sum = lambda a, b, c: ops.sin(ops.exp((a + b + c).named("total")))  # noqa: E731
    report = Case(named_sum, np.ones(3), np.ones(3) * 0.1, np.ones(3) * 0.3).verify()
    assert report.fault.stage == "rewriting"
    assert "= cos(" in report.fault.value


# --- what is wrong: running


def step_of(plan, i):
    return next(k for k, batch in enumerate(plan.batches) if i in batch.members)


def test_an_instruction_that_computes_something_else(case):
    plan = case.plan()
    k = step_of(plan, named(plan, "h_2"))
    at = plan.ends[k] - 1
    plan.instructions[at] = plan.instructions[at]._replace(op=ops.sin)
    fault = case.verify(plan).fault
    assert fault.stage == "running"
    assert " h_2 = tanh(" in fault.value
    assert "its arguments were right" in str(fault)


def test_an_instruction_that_is_left_out_leaves_nan(case):
    plan = case.plan()
    k = step_of(plan, named(plan, "h_4"))
    assert plan.ends[k] - plan.ends[k - 1] == 1
    del plan.instructions[plan.ends[k] - 1]
    plan.ends[k:] = [end - 1 for end in plan.ends[k:]]
    fault = case.verify(plan).fault
    assert " h_4 = tanh(" in fault.value
    assert np.isnan(fault.got)
    assert fault.deviation == np.inf


def test_a_wrong_axis(case):
    plan = case.plan()
    at = next(k for k, x in enumerate(plan.instructions) if x.kernel == "gemm")
    old = plan.instructions[at]
    a, b = old.args
    plan.instructions[at] = old._replace(args=(a._replace(strides=(0, *a.strides[1:])), b))
    fault = case.verify(plan).fault
    assert fault.stage == "running"
    assert "matmul(" in fault.value


def test_two_values_in_the_same_memory(case):
    """The reader is named, and who wrote over what it reads."""
    plan = case.plan()
    blocks = plan.layout.blocks
    first, last = lifetimes(plan.instructions, len(blocks))
    free = set(range(len(blocks))) - set(plan.layout.shared.values()) - plan.layout.gaps
    free -= {place.block for place, _ in plan.constants}
    items = plan.program.items
    free -= {plan.layout.places[i].block for i, item in enumerate(items) if item.kind != "op"}
    victim = plan.layout.places[named(plan, "h_1")].block
    writer = next(k for k in sorted(free) if first[victim] < first[k] < last[victim] and blocks[k][1] >= 16)
    plan.starts[writer] = plan.starts[victim]
    fault = case.verify(plan).fault
    assert fault.stage == "running"
    assert "it was right until batch" in str(fault)
    assert "read by" in str(fault)


def test_an_instruction_that_writes_over_its_own_operand():
    """numpy's dot notices and copies; another executor would read what it has written."""
    product = Case(lambda a, b: ops.exp(a @ b) @ b, np.ones((5, 5)), np.ones((5, 5)))
    plan = product.plan()
    last = plan.instructions[-1]
    assert last.kernel == "gemm"
    plan.starts[last.out.block] = plan.starts[last.args[0].block]
    fault = product.verify(plan).fault
    assert fault.stage == "running"
    assert "(gemm) writes" in str(fault)


def test_zeros_around_a_piece_are_part_of_the_value():
    """The gradient of x[1:3] is zero elsewhere: memory that nobody writes."""
    gradient = Case(tr.grad(lambda x: ops.sum(x[1:30] ** 2)), np.ones(40))
    plan = gradient.plan()
    assert gradient.verify(plan)
    assert plan.layout.gaps
    plan.layout.gaps.clear()
    assert gradient.verify(plan).fault.stage == "running"


# --- what is wrong: replaying


def test_results_that_the_next_call_overwrites(case, monkeypatch):
    run = Arena.run

    def views(self, inputs):
        run(self, inputs)
        return self.outputs

    monkeypatch.setattr(Arena, "run", views)
    fault = case.verify().fault
    assert fault.stage == "replaying (a result changed at the next call)"


def test_inputs_that_are_read_once_only(case, monkeypatch):
    run = Arena.run

    def stale(self, inputs):
        result = run(self, inputs)
        self.inputs = []
        return result

    monkeypatch.setattr(Arena, "run", stale)
    fault = Case(ops.tanh, np.ones(3)).verify().fault
    assert (fault.stage, fault.value) == ("replaying", "output 0")


def test_a_replay_that_raises(case, monkeypatch):
    def raising(self, inputs):
        raise IndexError("too far")

    monkeypatch.setattr(Arena, "run", raising)
    assert "IndexError: too far" in str(case.verify())


def test_an_argument_that_is_written(case, monkeypatch):
    run = Arena.run

    def writing(self, inputs):
        result = run(self, inputs)
        inputs[0][0, 0] += 1.0
        return result

    monkeypatch.setattr(Arena, "run", writing)
    case = Case(tr.value_and_grad(loss), network(), *data(STEPS))
    fault = case.verify().fault
    assert fault.stage == "replaying (an argument was written)"
    assert fault.value == "array 0 of the arguments"


def test_an_output_of_another_shape_says_so(case):
    wrong = [y[:1] if y.ndim else y for y in case.eager]
    assert "its shape is (3, 4), not (1, 4)" in str(verified(case.plan(), case.inputs, case.recorded, wrong))


# --- as a user calls it


def test_a_compiled_function_verifies_itself():
    step = tr.compile(tr.value_and_grad(loss))
    assert step.verify(network(), *data(3))
    plan = step.plan(network(), *data(3))
    assert plan.verify()
    assert plan.verify(network(1), *data(3, seed=1))
    with pytest.raises(ValueError, match="another structure, shape or dtype"):
        plan.verify(network(), *data(4))
    with pytest.raises(ValueError, match=r"not made for a call.*\.plan\(\*args\)"):
        Plan(trace(loss, (network(), *data(3)), {}).program).verify()


@FEW
@given(tensor_programs())
def test_any_gradient_passes(program):
    steps, leaves, _ = program
    report = tr.compile(
        tr.value_and_grad(lambda leaves: programs.total(programs.run_tensors(steps, leaves)))
    ).verify(leaves)
    assert report, str(report)


@pytest.mark.parametrize("kind", [tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_stacks_with_dropout_and_lengths_pass(kind, dtype):
    rng = np.random.default_rng(0)
    model = kind(2, 3, 2, bidirectional=True, dropout=0.5, rng=rng, dtype=dtype)
    x, lengths = rng.normal(size=(4, 3, 2)), np.array([4, 0, 2])

    def fn(model, x, lengths, rng):
        y, state = model(x, lengths=lengths, rng=rng)
        return ops.sum(y**2), {"state": state, "steps": 4}

    before = rng.bit_generator.state
    report = tr.compile(tr.value_and_grad(fn, has_aux=True)).verify(model, x, lengths, rng)
    assert report, str(report)
    assert rng.bit_generator.state == before


def test_a_whole_train_step_of_a_model_that_is_closed_over_passes():
    model = tr.nn.LSTM(3, 4, rng=np.random.default_rng(0))
    optimizer = tr.train.Adam(model, lr=0.01)
    step = tr.compile(lambda x: tr.value_and_grad(lambda m: ops.sum(m(x)[0] ** 2))(model))
    x = np.random.default_rng(1).normal(size=(5, 2, 3))
    for _ in range(3):
        assert step.verify(x), str(step.verify(x))
        optimizer.step(step(x)[1])


def test_the_other_executor_is_verified_too():
    pytest.importorskip("numba")
    step = tr.compile(tr.value_and_grad(loss), executor="numba")
    assert step.verify(network(), *data(3)), str(step.verify(network(), *data(3)))


def test_values_pass():
    assert tr.compile(tr.value_and_grad(lambda w, x: (w * x + 1.0) ** 3)).verify(2.0, 0.5)


def test_a_function_that_is_another_one_each_time_is_a_fault_of_the_recording():
    calls = []

    def moody(x):
        calls.append(1)
        return x * float(len(calls))

    step = tr.compile(moody)
    fault = step.verify(np.ones(2)).fault  # it is recorded anew to be compared with its plan
    assert (fault.stage, fault.got, fault.expected) == ("rewriting", 1.0, 2.0)

    calls.clear()
    fault = tr.compile(lambda x: (x, len(calls) + (calls.append(1) or 0))).verify(np.ones(2)).fault
    assert (fault.stage, fault.value) == ("recording", "result[1]")

    calls.clear()
    fault = tr.compile(lambda x: [x] * (1 + len(calls) + (calls.append(1) or 0))).verify(np.ones(2)).fault
    assert fault.value == "the structure of the result"
