"""The interpreter that plans are held against."""

import numpy as np
import pytest

from tests.plan.checking.test_verify import altered
from tinygrad_rnn import ops
from tinygrad_rnn.plan.checking.reference import allowances, described, deviation, values
from tinygrad_rnn.plan.checking.twins import first_without_twin
from tinygrad_rnn.plan.program import Program
from tinygrad_rnn.plan.recording.trace import trace

X = np.array([1.0, 2.0, 3.0])


def recorded(fn, *args):
    return trace(fn, args, {}).program


def test_values_of_every_item():
    program = recorded(lambda x: ops.sum(x * x), X)
    assert [y.tolist() for y in values(program, [X])] == [X.tolist(), [1.0, 4.0, 9.0], 14.0]


def test_a_wrong_shape_is_refused():
    program = recorded(lambda x: ops.sum(x * x), X)
    items = [*program.items[:-1], altered(program.items[-1], params={"axis": None, "keepdims": True})]
    with pytest.raises(ValueError, match=r"sum\(%1, axis=None, keepdims=True\).* has shape \(1,\)"):
        values(Program(items, program.outputs), [X])


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0),
        ([np.nan], [1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([], [], 0.0),
        ([[1.0]], [1.0], np.inf),
        ([True, False], [True, True], 1.0),
        ([3], [5], 2.0),
    ],
)
def test_deviation(a, b, distance):
    assert deviation(np.array(a), np.array(b)) == distance


def test_a_byte_that_is_no_truth_value_deviates():
    assert deviation(np.array([255], np.uint8).view(bool), np.array([True])) == 254


def test_what_cancels_may_be_off_by_what_was_lost():
    """1e8 + x - 1e8 has lost 8 digits of x; x * 2 has lost none."""
    program = recorded(lambda x: (x + 1e8 - 1e8, x * 2.0), X)
    lost, kept = (allowances(program, [X], values(program, [X]))[i] for i in program.outputs)
    assert 1e-8 < lost < 1e-3
    assert kept < 1e-11


def test_what_an_item_is_called():
    program = recorded(lambda x: ops.add_n([x * float(k) for k in range(12)]).named("total"), X)
    text = described(program, program.outputs[0])
    assert "total = add_n(" in text
    assert "... 6 more ..." in text


def test_the_first_value_without_a_twin():
    old = recorded(lambda x: ops.exp(ops.sin(x * 2.0)), X)
    new = recorded(lambda x: ops.exp(ops.cos(x + x * 1.0)), X)
    found = values(new, [X])
    at = first_without_twin(new, found, new.outputs[0], values(old, [X]))
    assert new.items[at].op is ops.cos
