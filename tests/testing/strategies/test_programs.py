"""Programs: what they hold, that the engine gets them right, and what a wrong rule shrinks to."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.testing.faults import WRONG_RULES, WRONG_TENSOR_RULES
from tests.testing.shrinking import reproduces, shrunk
from tinygrad_rnn import ops
from tinygrad_rnn.testing import strategies as some
from tinygrad_rnn.testing.strategies.steps import KINKS, RECIPES

FEW = ("add", "multiply", "exp", "negative")
carriers = pytest.mark.parametrize("carrier", ["Value", "Tensor"])


@carriers
@given(data=st.data())
def test_every_program_is_differentiated_rightly(carrier: str, data: Any) -> None:
    program = data.draw(some.programs(carrier=carrier, kinks=False))
    tr.testing.assert_gradients(program, *program.leaves)


@carriers
@given(data=st.data())
def test_the_code_that_is_printed_and_the_repr_are_the_program(carrier: str, data: Any) -> None:
    program = data.draw(some.programs(carrier=carrier))
    expected = program(*program.nodes())
    written: dict[str, Any] = {}
    exec(str(program), written)
    last = written[f"x{len(program.leaves) + len(program) - 1}"]
    np.testing.assert_array_equal(last.data, expected.data)
    names = {"Program": some.Program, "Step": some.Step, "np": np}
    again = eval(repr(program), names)
    assert repr(again) == repr(program)
    assert repr(again(*again.nodes())) == repr(expected)


@carriers
def test_what_is_promised_occurs(carrier: str) -> None:
    """Fan-out, diamonds, x op x, reused leaves, kinks, several leaves, every operation."""
    seen: Counter[str] = Counter()

    @settings(max_examples=1200, derandomize=True, database=None)
    @given(some.programs(carrier=carrier))
    def collect(program: some.Program) -> None:
        uses = Counter(place for step in program.steps for place in set(step.arguments))
        leaves = len(program.leaves)
        seen.update(program.operations)
        seen["fan-out"] += any(n > 1 for n in uses.values())
        seen["a reused leaf"] += any(uses[i] > 1 for i in range(leaves))
        seen["x op x"] += any(len(set(s.arguments)) < len(s.arguments) for s in program.steps)
        seen["several leaves"] += leaves > 1
        seen["a diamond"] += any(n > 1 for place, n in uses.items() if place >= leaves)
        seen["long"] += len(program) >= 6
        seen["a kink"] += any(_at_a_kink(program, step) for step in program.steps)

    collect()
    shapes = ["fan-out", "a reused leaf", "x op x", "several leaves", "a diamond", "long", "a kink"]
    assert {name for name in [*shapes, *RECIPES[carrier]] if not seen[name]} == set()


def _at_a_kink(program: some.Program, step: some.Step) -> bool:
    values = [np.asarray(x.data) for x in program.values(*program.nodes())]
    gap = KINKS.get(step.name)
    return gap is not None and bool(np.any(np.asarray(gap(*(values[i] for i in step.arguments))) == 0))


@carriers
@given(data=st.data())
def test_without_kinks_no_argument_lies_on_one(carrier: str, data: Any) -> None:
    program = data.draw(some.programs(carrier=carrier, kinks=False))
    assert not any(_at_a_kink(program, step) for step in program.steps)


@given(some.programs(operations=["add", "multiply"], max_operations=3, max_leaves=1, domain=(1, 2)))
def test_options_are_kept(program: some.Program) -> None:
    assert set(program.operations) <= {"add", "multiply"}
    assert 1 <= len(program) <= 3
    assert len(program.leaves) == 1
    assert 1 <= program.leaves[0] <= 2


@given(some.programs(carrier="Tensor"))
def test_every_step_is_needed_and_small(program: some.Program) -> None:
    graph = tr.Graph.of(program(*program.nodes()))
    assert len([node for node in graph if node.kind == "leaf"]) == len(program.leaves)
    assert all(node.data.size <= 64 and np.all(np.abs(node.data) <= 100) for node in graph if node.parents)


@pytest.mark.parametrize("what", ["sin' = sin", "maximum: a tie goes to a", "multiply: both slopes are a"])
def test_a_wrong_rule_shrinks_to_few_operations(what: str) -> None:
    """More seeded faults are in tests/stress."""
    left = shrunk(WRONG_RULES[what], "Value", FEW)
    assert left.program is not None
    assert len(left.program) <= 3
    assert WRONG_RULES[what].name in left.program.operations
    assert reproduces(left.program, WRONG_RULES[what])


@pytest.mark.parametrize("what", ["softmax without its sum", "flip not flipped back"])
def test_a_wrong_rule_over_tensors_shrinks_to_few_operations_in_few_examples(what: str) -> None:
    left = shrunk(WRONG_TENSOR_RULES[what], "Tensor", FEW)
    assert left.program is not None
    assert len(left.program) <= 3
    assert WRONG_TENSOR_RULES[what].name in left.program.operations
    assert reproduces(left.program, WRONG_TENSOR_RULES[what])
    assert left.examples < 150  # 50 here, over 200 where Hypothesis explains the parts of a draw


def test_a_failure_prints_code_that_reproduces_it(capsys: pytest.CaptureFixture[str]) -> None:
    @settings(max_examples=50, derandomize=True, database=None)
    @given(some.programs(operations=["multiply", "tanh"]))
    def fails(program: some.Program) -> None:
        assert "tanh" not in program.operations

    with pytest.raises(AssertionError) as failure:
        fails()
    notes = "\n".join(failure.value.__notes__)
    assert "x1 = tr.ops.tanh(x0)\nx1.backward()" in notes
    assert "program=Program((0.0,), (Step('tanh', (0,)),))" in notes


def test_an_operation_of_ones_own_is_used_within_its_domain() -> None:
    root = tr.Op(
        name="root", symbol="√", forward=lambda xp, x: xp.sqrt(x), partials=(lambda xp, y, x: 0.5 / y,),
        domain=((0.0, float("inf")),),
    )  # fmt: skip
    program = find(
        some.programs(operations=["subtract", root], domain=(-1, 1)), lambda p: "root" in p.operations
    )
    assert [step.operation for step in program.steps] == [root]
    assert program.leaves[0] >= 0.125
    assert "x1 = root(x0)" in str(program)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"carrier": "Float"}, ValueError, "programs: carrier must be one of 'Value', 'Tensor', got 'Float'"),
        ({"max_operations": 0}, ValueError, "programs: max_operations must be at least 1, got 0"),
        ({"max_operations": 2.5}, TypeError, "programs: max_operations must be an integer, got 2.5"),
        ({"max_leaves": True}, TypeError, "programs: max_leaves must be an integer, got True"),
        ({"domain": 3}, TypeError, r"programs: domain must be a pair of numbers \(low, high\), got 3"),
        ({"domain": (1, 1)}, ValueError, "programs: domain must be finite with low < high"),
        ({"kinks": "no"}, TypeError, "programs: kinks must be True or False, got 'no'"),
        ({"operations": "tanh"}, TypeError, "programs: operations must be a collection, got str"),
        ({"operations": []}, ValueError, "programs: operations must not be empty"),
        ({"operations": ["tahn"]}, ValueError, "operations: unknown for a Value: 'tahn'; known are add, "),
        ({"operations": [3]}, TypeError, "programs: operations must hold names and Ops, got 3"),
        (
            {"operations": [replace(ops.einsum, name="own")]}, ValueError,
            "operations: 'own' must have partials for a fixed number of arguments",
        ),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_where_it_is_given(
    options: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        some.programs(**options)


def test_a_program_is_called_with_as_many_leaves_as_it_has() -> None:
    with pytest.raises(TypeError, match="Program: takes 1 leaves, got 2"):
        some.Program((1.0,), (some.Step("add", (0, 0)),))(1.0, 2.0)
