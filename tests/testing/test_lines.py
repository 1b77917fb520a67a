"""Each node is traced to the line of the user's own code that made it."""

import cProfile
import sys

import pytest

import tinygrad_rnn as tr
from tinygrad_rnn import ops
from tinygrad_rnn.testing.lines import age, lines_of


def run():
    x = tr.Value(0.5)
    y = ops.tanh(x)  # the line of y
    z = tr.unroll(lambda x, h: x * h, [2.0], state=y)  # the line of z
    return x, y, z.final_state


def test_a_node_has_the_line_that_made_it():
    made = []
    lines = lines_of(lambda: made.append(run()))
    x, y, z = made[0]
    assert lines[age(y, x)].endswith("# the line of y")
    assert "test_lines.py:" in lines[age(y, x)]
    assert lines[age(z, x)].endswith("# the line of z")


def test_the_profiler_that_was_there_is_put_back():
    calls = []

    def watch(frame, event, result):
        calls.append(event)

    sys.setprofile(watch)
    try:
        lines_of(run)
        assert sys.getprofile() is watch
    finally:
        sys.setprofile(None)


def test_under_cprofile_there_are_no_lines():
    wrong = tr.Op(name="wrong", symbol="?", forward=lambda xp, x: x * x, partials=(lambda xp, y, x: x,))
    with cProfile.Profile() as profile:
        report = tr.testing.gradcheck(wrong, 2.0)
        assert sys.getprofile() is profile
    assert [(fault.op, fault.line) for fault in report.faults] == [("wrong", "")]


def test_a_function_that_raises_leaves_no_profiler():
    def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        lines_of(broken)
    assert sys.getprofile() is None
