"""A plan prints itself as numbered lines: each value once, and before it is used."""

import re

import numpy as np

import tinygrad_rnn as tr
from tests.plan.scheduling.test_schedule import data, loss, network
from tinygrad_rnn import ops

LINE = re.compile(r"%(\d+) = (.*)")


def plan_of(fn, *args):
    return tr.compile(fn).plan(*args)


def test_a_small_plan():
    plan = plan_of(lambda x, w: ops.tanh(x[0] @ w).named("h") + 2.0, np.ones((2, 3)), np.ones((3, 4)))
    assert str(plan).splitlines() == [
        "%0 = input x float64[2, 3]",
        "%2 = getitem(%0, key=(0,)) float64[3]  (a view)",
        "%1 = input w float64[3, 4]",
        "%3 = matmul(%2, %1) float64[4]",
        "%4 = tanh(%3) float64[4]  h",
        "%5 = constant 2 float64[]",
        "%6 = add(%4, %5) float64[4]",
        "return %6",
    ]


def test_every_value_is_assigned_once_and_before_it_is_used():
    plan = plan_of(tr.value_and_grad(loss), network(), *data(5))
    *lines, last = str(plan).splitlines()
    seen = set()
    for line in lines:
        number, made = LINE.match(line).groups()
        assert number not in seen
        assert set(re.findall(r"%(\d+)", made)) <= seen
        seen.add(number)
    assert {str(i) for batch in plan.batches for i in batch.members} <= seen
    assert last == f"return {', '.join(f'%{i}' for i in plan.program.outputs)}"


def test_what_runs_together_says_so_and_where_it_was_recorded():
    text = str(plan_of(tr.value_and_grad(loss), network(), *data(5)))
    assert len(re.findall(r"= matmul\(.*\) float64\[2, 4\]  \[t=\d\]  \(5 together\)", text)) == 5
    assert re.search(r"= tanh\(%\d+\) float64\[2, 4\]  h_3  \[t=3\]\n", text)
    assert "input p['w'] float64[3, 4]" in text


def test_what_is_put_together_in_place():
    text = str(plan_of(lambda x: ops.concatenate([ops.sin(x), ops.cos(x)]), np.ones(3)))
    assert re.search(r"= assemble\(%1, %2, .*float64\[6\]  \(in place\)", text)


def test_a_plan_without_operations():
    plan = plan_of(lambda x: x, np.ones(2))
    assert str(plan) == "%0 = input x float64[2]\nreturn %0"
    plan.example = None
    assert str(plan) == "%0 = input 0 float64[2]\nreturn %0"
