"""How many calls a program takes, and what runs together."""

from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.plan import Arena

PRODUCTS = ("gemm", "bmm")


def network(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"w": (3, 4), "u": (4, 4), "b": (4,), "v": (4, 5)}
    return {name: rng.normal(size=shape) * 0.4 for name, shape in shapes.items()}


def data(steps, seed=0, batch=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(steps, batch, 3)), rng.integers(0, 5, size=(steps, batch)), np.zeros((batch, 4))


def loss(p, x, targets, h):
    net = tr.unroll(lambda x, h: ops.tanh(x @ p["w"] + (h @ p["u"] + p["b"])), x, state=h)
    each = net.each(lambda y, t: tr.cross_entropy(y @ p["v"], t), [targets[t] for t in range(len(net))])
    return tr.add_n(each)


def planned(fn, *args):
    return compile(fn).plan(*args).instructions


def calls_of(fn, *args):
    return Arena(compile(fn).plan(*args)).calls


def test_a_step_of_a_recurrence_takes_a_fixed_small_number_of_calls():
    """Forward: h U, + , tanh. Backward: + (loss and future), times 1 - h^2, times U'. One more is allowed."""
    count = {t: len(calls_of(tr.value_and_grad(loss), network(), *data(t))) for t in (20, 50, 80)}
    assert count[80] - count[50] == count[50] - count[20]
    assert (count[50] - count[20]) / 30 <= 7
    assert count[20] <= 7 * 20 + 40


def test_there_is_one_product_for_all_inputs_and_one_for_each_weight_gradient():
    """Only h U and its transpose run step by step; x W, the readout, its cotangent, dW, dU and dV are one each."""
    products = {
        t: sum(i.kernel in PRODUCTS for i in planned(tr.value_and_grad(loss), network(), *data(t)))
        for t in (20, 50)
    }
    assert products[50] - products[20] == 2 * 30
    assert products[50] - 2 * 50 <= 6


def test_all_steps_of_the_readout_run_together():
    plan = compile(tr.value_and_grad(loss)).plan(network(), *data(50))
    together = Counter()
    for batch in plan.batches:
        together[plan.program.items[batch.members[0]].op.name, len(batch.members)] += 1
    assert together["matmul", 50] >= 2  # x W, y V
    assert together["tanh", 1] == 50  # the recurrence itself
    assert together["bounded", 50] == 1 or together["log_softmax", 50] >= 1


def separate(p, sequences):
    total = []
    for x in sequences:
        h = np.zeros(4)
        for t in range(x.shape[0]):
            h = ops.tanh(x[t] @ p["w"] + (h @ p["u"] + p["b"]))
        total.append(ops.sum((h @ p["v"]) ** 2))
    return tr.add_n(total)


def ragged(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 3)) for n in lengths]


def test_separate_sequences_of_several_lengths_run_together():
    lengths = [3, 7, 5, 12, 9, 7, 12, 4]
    p = network()
    alone = len(calls_of(tr.value_and_grad(separate), p, ragged([12])))
    all_of_them = len(calls_of(tr.value_and_grad(separate), p, ragged(lengths)))
    one_by_one = sum(len(calls_of(tr.value_and_grad(separate), p, ragged([n]))) for n in lengths)
    assert all_of_them < 0.6 * one_by_one, (alone, all_of_them, one_by_one)
    f = tr.value_and_grad(separate)
    assert_replays(f, (p, ragged(lengths)), (network(1), ragged(lengths, 1)))


def test_equal_sequences_cost_hardly_more_calls_than_one():
    p = network()
    alone = len(calls_of(tr.value_and_grad(separate), p, ragged([10])))
    eight = len(calls_of(tr.value_and_grad(separate), p, ragged([10] * 8)))
    assert eight <= 2.5 * alone, (alone, eight)


def test_two_networks_in_one_program_are_told_apart():
    def both(p, q, x):
        return separate(p, x) + separate(q, x[::-1]) * 2.0

    calls = [(network(1), network(2), ragged([4, 6], 3)), (network(4), network(5), ragged([4, 6], 6))]
    assert_replays(tr.value_and_grad(both, argnums=(0, 1)), *calls)


def test_what_depends_on_each_other_never_runs_together():
    """The same operation on the same shapes, chained: every order but one is wrong."""
    calls = [(np.linspace(0.1, 1, 4), np.linspace(1, 2, 4)), (np.linspace(1, 3, 4), np.linspace(0, 1, 4))]

    def chained(x, y):
        out = []
        for k in range(6):
            x, y = ops.sin(y + x), ops.sin(x * y if k % 3 else y + x)
            out.append(x - y)
        return out

    assert_replays(chained, *calls)
    assert_replays(tr.hessian(lambda x, y: ops.sum(ops.add_n(chained(x, y))), argnums=(0, 1)), *calls)


@pytest.mark.parametrize("seed", range(6))
def test_batches_run_after_what_they_read(seed):
    """In the plan itself: each member's arguments are computed in an earlier batch."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, 3, 3))

    def tangle(x):
        values = [x[k] for k in range(5)]
        for _ in range(25):
            i, j = rng.integers(0, len(values), 2)
            values.append(
                [ops.tanh, ops.sin, ops.negative][int(rng.integers(0, 3))](values[i]) + values[j] @ x[0]
            )
        return ops.add_n(values[-6:])

    plan = compile(tr.value_and_grad(lambda x: ops.sum(tangle(x)))).plan(x)
    items, done = plan.program.items, set()

    def ready(i):
        if items[i].kind != "op" or i in done:
            return True
        return i not in computed and all(ready(a) for a in items[i].args)

    computed = {m for batch in plan.batches for m in batch.members}
    assert sum(len(batch.members) for batch in plan.batches) == len(computed)
    for batch in plan.batches:
        for m in batch.members:
            assert all(ready(a) for a in items[m].args), items[m]
        done.update(batch.members)


# LSTM forward: h U, +; negative, exp, + 1, reciprocal for all gates; tanh; two products, +, tanh, a product; backward:
# +, dh times two slopes, +, dc times three slopes in one, dc times f, times U. GRU forward: h U, + b; +, four for r and
# z; r times, +, tanh; 1 - z, two products, +; backward: dh times three slopes in one, dh times z, two +, times U.
@pytest.mark.parametrize(("cell", "expected"), [("RNN", 6), ("LSTM", 19), ("GRU", 19)])
def test_a_step_of_a_module_takes_about_as_many_calls_as_by_hand(cell, expected):
    net = getattr(tr.nn, cell)(
        3, 40, rng=np.random.default_rng(0)
    )  # larger than what is gathered in one call

    def calls(steps):
        step = compile(tr.value_and_grad(lambda net, x: (net(x)[0] ** 2).sum()))
        return len(Arena(step.plan(net, np.ones((steps, 2, 3)))).calls)

    assert (calls(28) - calls(18)) / 10 == expected


def test_the_inputs_of_separate_sequences_are_multiplied_together():
    """Whichever step they are: rows of one array, and the same rows of several, lie at constant distances."""

    def fn(p, xs):
        cell = lambda x, h: ops.tanh(x @ p["w"] + h @ p["u"])  # noqa: E731
        return [tr.unroll(cell, x, state=np.zeros(4)).final_state for x in xs]

    args = {k: network()[k] for k in "wu"}, list(np.random.default_rng(0).normal(size=(4, 5, 3)))
    plan = compile(fn).plan(*args)
    assert (
        max(len(b.members) for b in plan.batches if plan.program.items[b.members[0]].op is ops.matmul) == 20
    )
    assert_replays(fn, args)
