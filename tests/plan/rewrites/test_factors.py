"""What a recurrence is multiplied with in every step is multiplied before it."""

from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.scheduling.schedule import Order

RNG = np.random.default_rng(0)
STEPS = 9
CALL = (RNG.normal(size=(STEPS, 2, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3)) * 0.3)
OTHER = (RNG.normal(size=(STEPS, 2, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3)) * 0.3)


def recurrence(body):
    """``h`` goes through ``body(h, a, b, c)`` with three factors of each step, and a product."""

    def fn(x, h, u):
        kept = []
        for t in range(STEPS):
            a, b, c = (f(x[t]) for f in (ops.sin, ops.cos, ops.tanh))
            h, other = body(h @ u, a, b, c)
            kept.append(other)
        return h, ops.add_n([ops.sum(k * (t + 1.0)) for t, k in enumerate(kept)])

    return fn


def step_by_step(fn, *args):
    """How many operations of each kind a recurrence of the plan makes."""
    program = compile(fn).plan(*args).program
    order = Order(program)
    inside = [i for i in order.work if order.component[i] in order.recurrent]
    return {name: n / STEPS for name, n in Counter(program.items[i].op.name for i in inside).items()}


BODIES = {
    "product of products": (lambda y, a, b, c: ((y * a * b) * c, a), 1, 0),
    "from the left": (lambda y, a, b, c: (c * (b * (a * y)), a), 1, 0),
    "difference of products": (lambda y, a, b, c: (y * a - y * b, a), 1, 0),
    "negative": (lambda y, a, b, c: (-(y * a) * b + (y * c), a), 1, 0),
    "two negatives": (lambda y, a, b, c: (-(y * a) - (y * b), a), 1, 0),
    "sum used by others": (lambda y, a, b, c: ((y * a + y * b) * c, y * a + y * b), 1, 0),
    "product used by others": (lambda y, a, b, c: ((y * a) * b, y * a), 1, 0),
    "product kept in the loop": (lambda y, a, b, c: ((y * a) * b + ops.tanh(y * a), a), 2, 1),
}


@pytest.mark.parametrize("name", BODIES)
def test_factors_leave_the_recurrence(name):
    body, products, sums = BODIES[name]
    count = step_by_step(recurrence(body), *CALL)
    others = sum(count.get(op, 0) for op in ("add", "subtract", "negative"))
    assert count["multiply"] <= products + 1 / STEPS  # the last step may have others
    assert others <= sums + 1 / STEPS
    assert_replays(recurrence(body), CALL, OTHER)
    assert_replays(tr.value_and_grad(lambda *args: ops.sum(recurrence(body)(*args)[0] ** 2), (0, 1, 2)), CALL)


def test_nothing_is_added_where_nothing_leaves():
    """``y a`` is needed as it is, so that ``a b`` would be one product more."""
    fn = recurrence(BODIES["product kept in the loop"][0])
    items = compile(fn).plan(*CALL).program.items
    products = [item for item in items if item.op is ops.multiply and item.shape == (2, 3)]
    assert len(products) == 3 * STEPS  # y a, (y a) b, and what is kept times t + 1


def test_a_square_in_a_recurrence_has_no_factor():
    body = lambda y, a, b, c: ((y * y) * a * 0.1, a)  # noqa: E731
    assert step_by_step(recurrence(body), *CALL)["multiply"] <= 2.01
    assert_replays(recurrence(body), CALL, OTHER)


def test_factors_that_broadcast():
    def fn(x, h, u):
        for t in range(STEPS):
            h = ((h @ u) * x[t, :, :1]) * 0.5 * x[t, 0]
        return h

    assert step_by_step(fn, *CALL)["multiply"] <= 1.01
    assert_replays(fn, CALL, OTHER)
    wide = lambda x, h, u: [h := ops.sum((h * x[t]) * x[t + 1, :, None], axis=1) for t in range(4)]  # noqa: E731
    assert_replays(wide, CALL, OTHER)
