"""A replay gives the numbers of the eager run, for any program."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.plan import programs
from tests.plan.agreement import assert_replays, assert_same
from tinygrad_rnn.plan.compiled import compile

FEW = settings(
    max_examples=25, suppress_health_check=list(HealthCheck), deadline=None, report_multiple_bugs=False
)


@st.composite
def tensor_programs(draw):
    dtype = draw(st.sampled_from([np.float64, np.float64, np.float32]))
    shapes = draw(st.lists(st.sampled_from(programs.SHAPES), min_size=1, max_size=4))
    first, second = ([draw(programs.arrays(s, dtype)) for s in shapes] for _ in range(2))
    return draw(programs.STEPS), first, second


@FEW
@given(tensor_programs())
def test_any_program_over_tensors(case):
    steps, first, second = case
    assert_replays(lambda leaves: programs.run_tensors(steps, leaves), (first,), (second,))


@FEW
@given(tensor_programs())
def test_its_gradient(case):
    steps, first, second = case

    def loss(leaves, scale):
        return programs.total(programs.run_tensors(steps, leaves)) * scale

    assert_replays(tr.value_and_grad(loss), (first, 1.0), (second, 0.7))


@settings(FEW, max_examples=25)
@given(tensor_programs())
def test_its_second_derivative(case):
    steps, first, second = case
    steps = steps[:8]

    def product(leaves, directions):
        return tr.hvp(lambda x: programs.total(programs.run_tensors(steps, x)), leaves, directions)

    assert_replays(product, (first, second), (second, first))


@settings(FEW, max_examples=25)
@given(tensor_programs())
def test_its_vjp_and_jvp(case):
    steps, first, second = case

    def both(leaves, directions):
        run = lambda x: programs.run_tensors(steps, x)[-2:]  # noqa: E731
        y, pull = tr.vjp(run, leaves)
        return y, pull([tr.ops.sin(v) for v in run(leaves)]), tr.jvp(run, leaves, directions)

    assert_replays(both, (first, second), (second, first))


@FEW
@given(programs.STEPS, st.lists(st.floats(-2, 2), min_size=1, max_size=4), st.floats(0.3, 0.9))
def test_any_program_over_values(steps, numbers, factor):
    other = [factor * x for x in numbers]
    run = lambda leaves: programs.run_values(steps, leaves)  # noqa: E731
    assert_replays(run, ([tr.Value(x) for x in numbers],), ([tr.Value(x) for x in other],))
    loss = lambda leaves: programs.total_of_values(run(leaves))  # noqa: E731
    nodes = ([tr.Value(x) for x in numbers],), ([tr.Value(x) for x in other],)
    assert_replays(tr.value_and_grad(loss), *nodes)
    assert_replays(lambda x: tr.hvp(loss, x, numbers), *nodes)


@settings(FEW, max_examples=25)
@given(programs.STEPS, st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_the_same_program_many_times_over(steps, copies, seed):
    """Batches across copies, each with data of its own, some fed by the one before."""
    rng = np.random.default_rng(seed)
    shape = programs.SHAPES[seed % len(programs.SHAPES)]

    def run(w, sets):
        carried, results = w, []
        for k, x in enumerate(sets):
            values = programs.run_tensors(steps[:6], [w, x, carried if k % 2 else w])
            results.append(values[-1])
            same = [v for v in values if v.shape == w.shape]
            carried = same[-1] if same else carried
        return programs.total(results), results

    def calls():
        w, *sets = (np.asarray(rng.normal(size=shape) * 0.5) for _ in range(copies + 1))
        return w, sets

    first, second = calls(), calls()
    assert_replays(run, first, second)
    assert_replays(tr.value_and_grad(run, argnums=(0, 1), has_aux=True), first, second)


# --- recurrences


def cell_step(h, x, w, u, b):
    return tr.ops.tanh(x @ w + (h @ u + b))


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_recurrence_with_a_loss_at_each_step(steps, batch, dtype):
    rng = np.random.default_rng(steps)

    def arguments():
        sizes = {"w": (2, 4), "u": (4, 4), "b": (4,), "v": (4, 3)}
        p = {k: (rng.normal(size=s) * 0.6).astype(dtype) for k, s in sizes.items()}
        x = rng.normal(size=(steps, batch, 2)).astype(dtype)
        return p, x, rng.integers(0, 3, size=(steps, batch)), np.zeros((batch, 4), dtype)

    def loss(p, x, targets, h):
        net = tr.unroll(lambda x, h: cell_step(h, x, p["w"], p["u"], p["b"]), x, state=h)
        parts = net.each(lambda y, t: tr.cross_entropy(y @ p["v"], t), [targets[t] for t in range(steps)])
        return tr.add_n([*parts, tr.ops.sum(net.final_state) * 0.1])

    assert_replays(tr.value_and_grad(loss), arguments(), arguments())


@pytest.mark.parametrize("truncate", [1, 2, 3, 10])
def test_a_truncated_recurrence(truncate):
    rng = np.random.default_rng(truncate)

    def arguments():
        return rng.normal(size=(3, 3)) * 0.7, rng.normal(size=(7, 2, 3)), rng.normal(size=(2, 3))

    def loss(w, x, h):
        net = tr.unroll(lambda x, h: tr.ops.tanh(x + h @ w), x, state=h, truncate=truncate)
        return tr.add_n(net.each(lambda y: tr.ops.sum(y**2))), net.states

    assert_replays(tr.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True), arguments(), arguments())


def test_a_recurrence_of_values():
    rng = np.random.default_rng(0)

    def arguments():
        return rng.normal(size=(2, 2)).tolist(), rng.normal(size=(5, 2)).tolist(), rng.normal(size=2).tolist()

    def loss(w, x, h):
        cell = lambda x, h: [tr.ops.tanh(tr.ops.sum_of_products(*h, *row) + x[k]) for k, row in enumerate(w)]  # noqa: E731
        net = tr.unroll(cell, x, state=h)
        return tr.add_n(net.each(lambda h: h[0] * h[0] - h[1]))

    assert_replays(tr.value_and_grad(loss, argnums=(0, 1, 2)), arguments(), arguments())


STACKS = [
    (kind, layers, bidirectional, batch, ragged)
    for kind in (tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU)
    for layers, bidirectional, batch, ragged in [
        (1, False, 2, False), (2, False, 1, False), (2, True, 3, True), (1, True, 2, False), (1, False, 3, True),
    ]
]  # fmt: skip


@pytest.mark.parametrize(("kind", "layers", "bidirectional", "batch", "ragged"), STACKS)
def test_stacks_of_cells(kind, layers, bidirectional, batch, ragged):
    model = kind(2, 3, layers, bidirectional, rng=np.random.default_rng(1))
    rng = np.random.default_rng(2)

    def loss(model, x, lengths):
        y, state = model(x, lengths=lengths if ragged else None)
        parts = state if isinstance(state, tuple) else (state,)
        return tr.ops.sum(y**2) + tr.add_n([tr.ops.sum(tr.ops.sin(s)) for s in parts]), (y, state)

    def arguments():
        return model, rng.normal(size=(4, batch, 2)), rng.integers(0, 5, size=batch)

    assert_replays(tr.value_and_grad(loss, argnums=(0, 1), has_aux=True), arguments(), arguments())


@pytest.mark.parametrize("kind", [tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU])
@pytest.mark.parametrize(("steps", "dtype"), [(0, np.float64), (1, np.float64), (3, np.float32)])
def test_short_sequences_and_single_precision(kind, steps, dtype):
    model = kind(2, 3, rng=np.random.default_rng(1), dtype=dtype)
    rng = np.random.default_rng(2)
    calls = [(model, rng.normal(size=(steps, 2))) for _ in range(2)]
    assert_replays(lambda m, x: m(x), *calls)
    assert_replays(tr.grad(lambda m, x: tr.ops.sum(m(x)[0] ** 2)), *calls)


@pytest.mark.parametrize("kind", [tr.nn.RNN, tr.nn.LSTM, tr.nn.GRU])
def test_dropout_draws_what_the_eager_run_draws(kind):
    model = kind(2, 4, 3, dropout=0.5, rng=np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(4, 2, 2))

    def loss(model, x, rng):
        return tr.ops.sum(model(x, rng=rng)[0] ** 2)

    replay, a, b = compile(tr.value_and_grad(loss)), np.random.default_rng(3), np.random.default_rng(3)
    values = []
    for k in range(3):
        values.append(replay(model, x + k, a))
        assert_same(values[-1], tr.value_and_grad(loss)(model, x + k, b))
    assert a.random() == b.random()
    assert_same(replay(model, x, np.random.default_rng(3)), values[0])


@pytest.mark.parametrize("kind", [tr.nn.RNNCell, tr.nn.LSTMCell, tr.nn.GRUCell])
@pytest.mark.parametrize("batch", [None, 1, 4])
def test_single_cells_to_second_order(kind, batch):
    cell = kind(2, 3, rng=np.random.default_rng(1))
    rng = np.random.default_rng(2)
    shape = (lambda n: (n,)) if batch is None else (lambda n: (batch, n))

    def arguments():
        h = rng.normal(size=shape(3))
        return rng.normal(size=shape(2)), (h, h * 0.5) if kind is tr.nn.LSTMCell else h

    def loss(x, state):
        out = cell(x, state)
        return tr.add_n([tr.ops.sum(tr.ops.sin(s)) for s in (out if isinstance(out, tuple) else (out,))])

    assert_replays(tr.value_and_grad(loss, argnums=(0, 1)), arguments(), arguments())
    assert_replays(lambda x, s: tr.hvp(lambda x: loss(x, s), x, x), arguments(), arguments())
