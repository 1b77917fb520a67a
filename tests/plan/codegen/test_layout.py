"""Where values live: nothing shares memory that does not mean to."""

import numpy as np

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tests.plan.scheduling.test_schedule import data, loss, network
from tinygrad_rnn import ops
from tinygrad_rnn.plan.codegen.instructions import Scattered
from tinygrad_rnn.plan.codegen.layout import Layout
from tinygrad_rnn.plan.codegen.links import oriented
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.plan.plan import Arena, Plan
from tinygrad_rnn.plan.program import SUM_OF_MATMULS
from tinygrad_rnn.plan.scheduling.schedule import Order, scheduled


def windows(plan, items):
    """For each item the entries of its block that it occupies."""
    places = plan.layout.places
    grids = {i: np.arange(places[i].offset, places[i].offset + 1) for i in items}
    for i in items:
        place, grid = places[i], np.array(places[i].offset)
        for length, stride in zip(place.shape, place.strides, strict=True):
            grid = grid[..., None] + stride * np.arange(length)
        grids[i] = grid.ravel()
    return grids


def test_values_of_one_block_never_overlap_but_for_views_and_parts_of_assembled_arrays():
    model, x = tr.nn.LSTM(2, 3, rng=np.random.default_rng(0)), np.ones((5, 2, 2))
    plan = compile(tr.value_and_grad(lambda m, x: ops.sum(m(x)[0]))).plan(model, x)
    order = Order(plan.program)
    pieces = {a for item in plan.program.items if item.op and item.op.name == "assemble" for a in item.args}
    assert pieces
    for group in (
        [i for i, b in enumerate(order.base) if b == i and i not in pieces],  # wholes
        sorted(pieces),
    ):
        taken = set()
        for i, grid in windows(plan, group).items():
            entries = {(plan.layout.places[i].block, int(k)) for k in grid}
            assert len(entries) == grid.size
            assert not entries & taken
            taken |= entries
        for block, k in taken:
            assert 0 <= k < plan.layout.blocks[block][1]


def test_what_is_stacked_lies_side_by_side():
    """The states of a recurrence are the rows of one product in its weight's gradient: nothing is copied for it."""

    def fn(w, x):
        h = ops.tanh(x[0])
        for t in range(1, 6):
            h = ops.tanh(h @ w + x[t])
        return ops.sum(h)

    plan = compile(tr.grad(fn)).plan(np.eye(70) * 0.5, np.ones((6, 2, 70)))
    kernels = [i.kernel for i in plan.instructions]
    assert kernels.count("gemm") == 5 + 4 + 1
    assert kernels.count("copy") == 1  # w transposed


def test_two_arenas_share_nothing():
    plan = compile(tr.value_and_grad(loss)).plan(network(), *data(3))
    assert not np.shares_memory(Arena(plan).memory, Arena(plan).memory)


def test_a_replay_leaves_what_must_stay_zero():
    """Rows of a scattered gradient that no step wrote in this call were perhaps written in the one before."""

    def fn(x, i):
        return tr.grad(lambda x: ops.sum(x[i] ** 2) + ops.sum(x[0:1] * 3.0))(x)

    x = np.arange(8.0).reshape(4, 2) + 1
    assert_replays(fn, (x, np.array([3, 3])), (x + 1, np.array([1, 2])), (x, np.array([0, 0])))


def test_gaps_of_an_assembled_array_are_nobody_elses_room():
    """Half of the whole is written, half stays zero, while much else comes and goes."""

    def fn(x):
        y = ops.tanh(x)
        for _ in range(6):
            y = ops.tanh(ops.stack([y, y * 2.0]).sum(axis=0))
        return tr.grad(lambda x: ops.sum(x[:50] ** 2))(x) + y * 0.0, y

    x = np.linspace(0.1, 1, 100)
    replay = assert_replays(fn, (x,), (x * 2,))
    assert replay.plan(x).layout.gaps


def test_numbers_share_one_block():
    plan = compile(tr.grad(lambda a, b: ops.tanh(a * b) + a)).plan(1.0, 2.0)
    assert {p.block for p in plan.layout.places} == {plan.layout.shared[np.dtype(float)]}


def test_links_give_long_lists_their_wish_first():
    def fn(x):
        rows = [ops.tanh(x[k]) for k in range(4)]
        return ops.stack([rows[0], rows[2]]) * 1.5, ops.add_n([r @ x for r in rows])

    traced = compile(fn).plan(np.ones((4, 4))).program
    order = Order(traced)
    batches, links = oriented(traced, scheduled(order), order)
    layout = Layout(traced, links, order.base)
    assert len(batches) == len(scheduled(order))
    assert all(p is not None for p in layout.places)


def test_scattered_operands_name_the_blocks_of_their_entries():
    def fn(xs):
        ys = [ops.tanh(x) for x in xs]
        return [ops.sin(ys[k]) for k in (0, 2, 1, 4, 3)], [ops.sin(y) * 2.0 for y in ys]

    xs = [np.linspace(0, k + 1.0, 20) for k in range(5)]
    assert_replays(fn, (xs,), (xs[::-1],))
    plan: Plan = compile(fn).plan(xs)
    for instruction in plan.instructions:
        for operand in (instruction.out, *instruction.args):
            if isinstance(operand, Scattered):
                assert operand.shape[0] == len(operand.blocks)
                sizes = [plan.layout.blocks[b][1] for b in operand.blocks]
                assert all((row < size).all() for row, size in zip(operand.offsets, sizes, strict=True))


def test_a_batch_of_which_one_member_belongs_to_a_wider_dtype():
    """Single-precision products, one of which is a piece of a double-precision whole."""
    rng = np.random.default_rng(0)

    def fn(single, double):
        products = [x * single[0] for x in single]
        return products, ops.concatenate([products[1], double]), [ops.tanh(p) for p in products]

    calls = [(rng.normal(size=(4, 70)).astype(np.float32), rng.normal(size=9)) for _ in range(2)]
    assert_replays(fn, *calls)


def test_a_tall_and_long_sum_of_products_that_is_handed_out_lies_column_by_column():
    """BLAS is faster then. What is read further lies row by row, as its readers expect; results always do."""
    fn = lambda x, h: ops.add_n([x[t].T @ h[t] for t in range(4)])  # noqa: E731
    x, h = np.linspace(0, 1, 6400).reshape(4, 200, 8), np.linspace(1, 2, 2400).reshape(4, 200, 3)
    cases = [
        (fn, (x, h), (1, 8)),
        (lambda x, h: (fn(x, h), fn(x, h) * 2.0), (x, h), (3, 1)),  # it is read
        (fn, (h, x), (8, 1)),  # it is wide
        (fn, (x[:, :100], h[:, :100]), (3, 1)),  # its sums are short
    ]
    for outcome, args, strides in cases:
        replay = compile(outcome)
        plan = replay.plan(*args)
        (place,) = [
            plan.layout.places[i] for i, item in enumerate(plan.program.items) if item.op is SUM_OF_MATMULS
        ]
        assert place.strides == strides
        found = replay(*args)
        assert (found if outcome is fn else found[0]).flags.c_contiguous
        assert_replays(outcome, args, tuple(a * 2 - 1 for a in args))
    twice = lambda x, h: (fn(x, h), fn(x, h))  # noqa: E731
    assert_replays(twice, (x, h))
