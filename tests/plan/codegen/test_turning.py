"""A matrix that many products read transposed is transposed once."""

import numpy as np

import tinygrad_rnn as tr
from tests.plan.agreement import assert_replays
from tinygrad_rnn import ops
from tinygrad_rnn.plan.codegen.turning import FEW, OFTEN, ROWS
from tinygrad_rnn.plan.compiled import compile

RNG = np.random.default_rng(0)


def run(steps, rows=2):
    def fn(w, x):
        h = x
        for _ in range(steps):
            h = ops.tanh(h @ w.T)
        return h

    return fn, [(RNG.normal(size=(5, 5)), RNG.normal(size=(rows, 5))) for _ in range(2)]


def copies(plan):
    return [i for i in plan.instructions if i.kernel == "copy" and i.out.shape == (5, 5)]


def test_it_is_copied_once_where_that_pays():
    many = OFTEN * ROWS[8]  # of single rows
    cases = [
        (OFTEN, 2, 1),
        (20, 2, 1),
        (OFTEN - 1, 2, 0),
        (OFTEN, FEW + 1, 0),
        (many - 1, 1, 0),
        (many, 1, 1),
    ]
    for steps, rows, expected in cases:
        fn, calls = run(steps, rows)
        plan = assert_replays(fn, *calls).plan(*calls[0])
        assert len(copies(plan)) == expected
        transposed = [i for i in plan.instructions if i.kernel == "gemm" and i.args[1].strides == (1, 5)]
        assert len(transposed) == (0 if expected else steps)


def test_so_are_matrices_that_were_computed():
    def fn(w, x):
        return run(6)[0](ops.sin(w), run(6)[0](w, x))

    calls = run(6)[1]
    assert len(copies(assert_replays(fn, *calls).plan(*calls[0]))) == 2
    total = lambda w, x: ops.sum(fn(w, x) ** 2)  # noqa: E731
    assert_replays(tr.value_and_grad(total, (0, 1)), *calls)


def test_each_batch_still_knows_its_instructions():
    fn, calls = run(8)
    plan = compile(fn).plan(*calls[0])
    assert len(plan.ends) == len(plan.batches)
    assert plan.ends[-1] == len(plan.instructions)
    for batch, start, end in zip(plan.batches, [0, *plan.ends], plan.ends, strict=False):
        blocks = [plan.layout.places[m].block for m in batch.members]
        assert plan.instructions[end - 1].out.block in blocks
        assert end - start == (2 if plan.instructions[start].kernel == "copy" else 1)
