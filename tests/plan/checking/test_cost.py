"""What a plan says that it costs is what can be counted by hand."""

import json

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.scheduling.test_schedule import data, loss, network
from tinygrad_rnn import ops
from tinygrad_rnn.plan.checking.cost import cost_of
from tinygrad_rnn.plan.compiled import compile

A, B = np.ones((3, 4)), np.ones((4, 5))


def cost(fn, *args):
    return cost_of(compile(fn).plan(*args))


def test_a_product_a_function_and_a_sum():
    """2*3*4*5 for the product, 15 each for tanh and the sum; 47, 30 and 16 numbers are read and written."""
    found = cost(lambda a, b: ops.sum(ops.tanh(a @ b)), A, B)
    assert (found.values, found.operations, found.batches, found.instructions) == (5, 3, 3, 3)
    assert (found.flops, found.functions, found.bytes_moved) == (150, 15, 93 * 8)
    assert found.floor_seconds is None
    assert found.measured_seconds is None


@pytest.mark.parametrize(
    ("fn", "flops"),
    [
        (lambda a, b: a.T, 0),
        (lambda a, b: a[1:], 0),
        (lambda a, b: a + 1.0, 12),
        (lambda a, b: ops.add_n([a, a, a * a]), 12 + 2 * 12),
        (lambda a, b: ops.max(a, axis=0), 12),
        (lambda a, b: ops.concatenate([a, b.T], axis=0), 0),
        (lambda a, b: a[0] @ b, 2 * 4 * 5),
        (lambda a, b: ops.softmax(a), 12),
    ],
)
def test_flops_of_one_operation(fn, flops):
    assert cost(fn, A, B).flops == flops


def test_an_operand_that_a_batch_shares_is_read_once():
    together = cost(lambda a, b: [a[k : k + 1] @ b for k in range(3)], A, B)
    assert together.batches == 1
    assert together.operations == 3
    assert together.bytes_moved == (12 + 20 + 15) * 8


def test_a_sum_of_products_counts_each():
    """dW of a recurrence is one product of T joined operands: as many flops as T products."""
    costs = [cost(tr.value_and_grad(loss), network(), *data(t)) for t in (10, 20, 30)]
    assert costs[2].flops - costs[1].flops == costs[1].flops - costs[0].flops > 0
    assert costs[2].batches - costs[1].batches == costs[1].batches - costs[0].batches
    assert costs[0].bytes < costs[1].bytes < costs[2].bytes


def test_it_is_measured_on_request_and_prints_itself():
    plan = compile(lambda a, b: a @ b).plan(A, B)
    found = cost_of(plan, [A, B])
    assert found.floor_seconds > 0
    assert found.measured_seconds > 0
    text = str(found)
    assert "120 flops" in text
    assert "times the floor" in text
    assert text.count("\n") == 7
    assert "<td>120 flops</td>" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["flops"] == 120


def test_a_program_without_products_has_a_floor_too():
    assert cost_of(compile(lambda a: a * 2.0).plan(A), [A]).floor_seconds > 0


def test_an_empty_program():
    found = cost(lambda a: a, A)
    assert (found.batches, found.flops) == (0, 0)
    assert "0 flops" in str(found)
