"""Whole sequences: PyTorch's frozen numbers, and BPTT by hand for sizes that Hypothesis draws."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.oracles import bptt, frozen

KINDS = ["rnn_tanh", "rnn_relu", "lstm", "gru"]
VARIANTS = ["state", "unbatched", "ragged_state", "ragged"]
STACKS = {"rnn": tr.nn.RNN, "lstm": tr.nn.LSTM, "gru": tr.nn.GRU}


def make(kind, sizes=(3, 4), **settings):
    name, _, nonlinearity = kind.partition("_")
    if nonlinearity:
        settings["nonlinearity"] = nonlinearity
    return STACKS[name](*sizes, **settings)


def parts_of(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize(("kind", "layers", "directions"), list(itertools.product(KINDS, [1, 2, 3], [1, 2])))
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stack_and_all_its_gradients_are_pytorchs(kind, layers, directions, variant):
    given = frozen.case("stacks", f"{kind}_layers{layers}_directions{directions}")
    expected = {k.removeprefix(f"{variant}/"): a for k, a in given.items() if k.startswith(f"{variant}/")}
    net = make(kind, num_layers=layers, bidirectional=directions == 2)
    sizes = [leaf.data.size for leaf in net.parameters()]
    blocks = np.split(given["parameters"], np.cumsum(sizes)[:-1])
    net.load_state_dict(
        {
            name: block.reshape(p.shape)
            for (name, p), block in zip(net.named_parameters().items(), blocks, strict=True)
        }
    )
    example = (slice(None), 0) if variant == "unbatched" else (slice(None),)
    leaves = {"x": tr.Tensor(given["x"][example])}
    state = None
    if "state" in variant:
        leaves |= {name: tr.Tensor(given[name]) for name in ("h", "c") if name in given}
        state = tuple(leaves[name] for name in leaves if name != "x")
        state = state if kind == "lstm" else state[0]
    lengths = frozen.load("stacks")["lengths"] if "ragged" in variant else None
    outputs, final = net(leaves["x"], state, lengths=lengths)
    results = dict(zip(("outputs", "h", "c"), (outputs, *parts_of(final)), strict=False))
    for name, node in results.items():
        frozen.close(node.data, expected[f"out/{name}"])
    weighted = [node * given[f"cotangent/{name}"][example] for name, node in results.items()]
    sum(item.sum() for item in weighted).backward()
    for name, leaf in leaves.items():
        frozen.close(leaf.grad, expected[f"grad/{name}"])
    frozen.close(np.concatenate([p.grad.ravel() for p in net.parameters()]), expected["grad/parameters"])


@st.composite
def problems(draw):
    """A kind, sizes, ragged lengths (0 too) and a seed for the numbers."""
    steps, batch = draw(st.integers(0, 9)), draw(st.integers(1, 4))
    return {
        "kind": draw(st.sampled_from(KINDS)),
        "sizes": (draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        "steps": steps,
        "batch": batch,
        "lengths": draw(st.none() | st.lists(st.integers(0, steps), min_size=batch, max_size=batch)),
        "seed": draw(st.integers(0, 2**16)),
    }


@given(problems())
def test_any_network_agrees_with_bptt_by_hand(problem):
    rng = np.random.default_rng(problem["seed"])
    kind, (inputs, hidden) = problem["kind"], problem["sizes"]
    steps, batch, lengths = problem["steps"], problem["batch"], problem["lengths"]
    net = make(kind, (inputs, hidden), rng=rng)
    x = rng.normal(size=(steps, batch, inputs))
    names = bptt.CELLS[kind][1]
    state = {name: rng.normal(size=(batch, hidden)) for name in names}
    cotangents = {"outputs": rng.normal(size=(steps, batch, hidden))}
    cotangents |= {name: rng.normal(size=(batch, hidden)) for name in names}
    weights = bptt.Weights(*(leaf.data for leaf in net.parameters()))
    full = np.full(batch, steps) if lengths is None else np.array(lengths)
    expected = bptt.run(kind, weights, x, state, full, cotangents)

    leaves = {name: tr.Tensor(s[None]) for name, s in state.items()}
    xs = tr.Tensor(x)
    given_state = tuple(leaves.values()) if kind == "lstm" else leaves["h"]
    outputs, final = net(xs, given_state, lengths=lengths)
    frozen.close(outputs.data, expected.outputs)
    total = (outputs * cotangents["outputs"]).sum()
    for name, node in zip(names, parts_of(final), strict=True):
        frozen.close(node.data[0], expected.final[name])
        total = total + (node[0] * cotangents[name]).sum()
    total.backward()
    frozen.close(xs.grad, expected.grad["x"])
    for name, leaf in leaves.items():
        frozen.close(leaf.grad[0], expected.grad[name])
    for name, leaf in zip(("W", "U", "bx", "bh"), net.parameters(), strict=True):
        frozen.close(leaf.grad, expected.grad[name])


@pytest.mark.parametrize("kind", KINDS)
def test_the_second_derivative_through_time_is_that_of_the_gradient(kind):
    net = make(kind, (2, 3), num_layers=2, bidirectional=True, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(2, 5, 2, 2))

    def loss(x):
        return (net(x, lengths=[5, 3])[0] ** 3).sum()

    step = 1e-5
    numeric = (tr.grad(loss)(x + step * v) - tr.grad(loss)(x - step * v)) / (2 * step)
    frozen.close(tr.hvp(loss, (x,), (v,))[0], numeric, 1e-8)


def test_parameters_have_pytorchs_names_shapes_and_order():
    net = tr.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    assert {name: leaf.shape for name, leaf in net.named_parameters().items()} == {
        f"{name}_l{layer}{direction}": shape
        for layer, width in ((0, 3), (1, 8))
        for direction in ("", "_reverse")
        for name, shape in (
            ("weight_ih", (16, width)),
            ("weight_hh", (16, 4)),
            ("bias_ih", (16,)),
            ("bias_hh", (16,)),
        )
    }
    assert all(leaf.name == name for name, leaf in net.named_parameters().items())
    order = list(net.named_parameters())
    assert order[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse"]
    assert list(tr.nn.GRU(3, 4, bias=False).named_parameters()) == ["weight_ih_l0", "weight_hh_l0"]


def test_a_gru_whose_reset_gate_acts_first_is_its_cell_over_time():
    net = tr.nn.GRU(3, 4, reset_after=False, rng=np.random.default_rng(0))
    cell = tr.nn.GRUCell(3, 4, reset_after=False)
    cell.load_state_dict({name.removesuffix("_l0"): a for name, a in net.state_dict().items()})
    x, h = np.random.default_rng(1).normal(size=(5, 2, 3)), None
    outputs, _ = net(x)
    for t in range(5):
        h = cell(x[t], h)
        assert np.array_equal(outputs.data[t], h.data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_steps_give_no_outputs_and_the_initial_state(kind, bidirectional):
    net = make(kind, num_layers=2, bidirectional=bidirectional)
    rows = 4 if bidirectional else 2
    start = tr.Tensor(np.random.default_rng(0).normal(size=(rows, 3, 4)))
    outputs, final = net(np.zeros((0, 3, 3)), (start, start) if kind == "lstm" else start)
    assert outputs.shape == (0, 3, 8 if bidirectional else 4)
    for part in parts_of(final):
        assert np.array_equal(part.data, start.data)
    parts_of(final)[0].sum().backward()
    assert np.array_equal(start.grad, np.ones(start.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_no_batch_works(kind):
    outputs, final = make(kind)(np.zeros((5, 0, 3)))
    assert outputs.shape == (5, 0, 4)
    assert parts_of(final)[0].shape == (1, 0, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    """Bitwise: what lies past a length is not read, and gets exactly zero gradient."""
    net = make(kind, num_layers=2, bidirectional=True, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(6, 2, 3))
    garbage = x.copy()
    garbage[4:, 0], garbage[1:, 1] = 1e6, -1e6
    leaves = [tr.Tensor(x), tr.Tensor(garbage)]
    results = []
    for leaf in leaves:
        net.zero_grad()
        outputs, _ = net(leaf, lengths=[4, 1])
        (outputs**2).sum().backward()
        results.append([outputs.data, leaf.grad, *(p.grad for p in net.parameters())])
    for mine, other in zip(*results, strict=True):
        assert np.array_equal(mine, other)
    assert np.all(results[0][0][4:, 0] == 0)
    assert np.all(results[0][0][1:, 1] == 0)
    assert np.all(results[0][1][4:, 0] == 0)
    assert np.all(results[0][1][:4, 0] != 0)


@pytest.mark.parametrize("kind", KINDS)
def test_two_chunks_with_the_state_handed_over_are_one_run(kind):
    net = make(kind, num_layers=2, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(7, 2, 3))
    whole, end = net(x)
    first, state = net(x[:3])
    second, last = net(x[3:], state)
    assert np.array_equal(np.concatenate([first.data, second.data]), whole.data)
    for mine, other in zip(parts_of(last), parts_of(end), strict=True):
        assert np.array_equal(mine.data, other.data)
    (whole**2).sum().backward()
    expected = [p.grad for p in net.parameters()]
    net.zero_grad()
    ((first**2).sum() + (second**2).sum()).backward()
    for leaf, grad in zip(net.parameters(), expected, strict=True):
        frozen.close(leaf.grad, grad)


def test_a_stack_stays_float32():
    net = make("gru", num_layers=2, bidirectional=True, dtype=np.float32)
    outputs, final = net(np.ones((4, 2, 3)), lengths=[4, 2])
    assert outputs.dtype == final.dtype == np.float32
    outputs.sum().backward()
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float32)}


def test_dropout_acts_between_layers_and_only_with_a_generator():
    net = tr.nn.LSTM(3, 50, num_layers=2, dropout=0.4, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(6, 4, 3))
    without = tr.nn.LSTM(3, 50, num_layers=2)
    without.load_state_dict(net.state_dict())
    plain, _ = without(x)
    assert np.array_equal(net(x)[0].data, plain.data)
    dropped, _ = net(x, rng=np.random.default_rng(2))
    assert not np.array_equal(dropped.data, plain.data)
    assert np.array_equal(net(x, rng=np.random.default_rng(2))[0].data, dropped.data)
    assert np.all(dropped.data != 0)  # not after the last layer
    single = tr.nn.LSTM(3, 5, dropout=0.4)
    assert np.array_equal(single(x)[0].data, single(x, rng=np.random.default_rng(2))[0].data)


def test_dropout_zeroes_its_share_and_scales_the_rest():
    net = tr.nn.RNN(3, 50, num_layers=2, dropout=0.4, rng=np.random.default_rng(0))
    run = net.unroll(np.ones((20, 8, 3)), rng=np.random.default_rng(2))
    draws = [node for node in tr.Graph.of(*run.outputs) if node.op is not None and node.op.name == "random"]
    assert len(draws) == 20
    assert all(node.parents == () for node in draws)
    kept = np.mean([node.data >= 0.4 for node in draws])
    assert abs(kept - 0.6) < 0.02
    first = next(
        node for node in tr.Graph.of(*run.outputs) if node.op is not None and node.op.name == "multiply"
    )
    share = first.data == 0
    assert np.array_equal(share, draws[0].data < 0.4)
    h = next(
        parent
        for parent in first.parents
        if parent.kind == "op" and parent.shape == (8, 50) and parent.name == "h_0"
    )
    assert np.allclose(first.data[~share], h.data[~share] / 0.6)


def test_the_unrolled_stack_has_scopes_names_and_states():
    net = tr.nn.LSTM(3, 4, num_layers=2, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(5, 2, 3))
    run = net.unroll(x)
    outputs, (h, c) = net(x)
    assert len(run.outputs) == len(run.inputs) == len(run.states) == 5
    assert np.array_equal(np.stack([o.data for o in run.outputs]), outputs.data)
    assert run.inputs[3].name == "x_3"
    assert run.outputs[3].scope == ("layer 1", "t=3")
    (h0, c0), (h1, c1) = run.final_state
    assert h0.scope == ("layer 0", "t=4")
    assert h0.name == h1.name == "h_4"
    for got, expected in ((h0, h.data[0]), (h1, h.data[1]), (c0, c.data[0]), (c1, c.data[1])):
        assert np.array_equal(got.data, expected)
    assert run.previous_states[3] == run.states[2]
    assert run.previous_states[0] == run.initial_state
    weights = [node for node in tr.Graph.of(*run.outputs) if node.kind == "leaf"]
    assert sorted(node.name for node in weights) == sorted(net.named_parameters())


def test_both_directions_read_the_same_inputs_in_scopes_of_their_own():
    run = tr.nn.GRU(3, 4, bidirectional=True).unroll(np.random.default_rng(0).normal(size=(5, 2, 3)))
    graph = tr.Graph.of(*run.outputs)
    assert [node.name for node in graph if node.name.startswith("x_")] == [f"x_{t}" for t in range(5)]
    forward, reverse = run.states[3]
    assert (forward.scope, reverse.scope) == (("layer 0", "t=3"), ("layer 0 reverse", "t=3"))
    assert run.outputs[3].parents == (forward, reverse)
    assert (run.outputs[3].name, run.outputs[3].scope) == ("y_3", ("layer 0", "t=3"))
    assert run.final_state == (run.states[4][0], run.states[0][1])
    assert run.previous_states[3] == (run.states[2][0], run.states[4][1])


def test_one_layer_unrolls_to_the_states_of_its_cell():
    run = tr.nn.GRU(3, 4).unroll(np.ones((5, 3)))
    assert run.outputs[2] is run.states[2]
    assert run.outputs[2].scope == ("layer 0", "t=2")
    assert run.initial_state.name == "h_init"


def test_losses_of_each_step_lie_in_that_step():
    run = tr.nn.RNN(3, 4, num_layers=2).unroll(np.ones((5, 3)))
    losses = run.each(lambda y: (y * y).sum())
    assert [node.name for node in losses] == ["L_0", "L_1", "L_2", "L_3", "L_4"]
    assert losses[2].scope[-1] == "t=2"


X = np.zeros((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda n: n(np.zeros((5, 2, 4))),
            ValueError,
            r"LSTM: x must have shape \(T, B, I=3\) or \(T, I=3\), got \(5, 2, 4\)",
        ),
        (lambda n: n(np.zeros(3)), ValueError, r"got \(3,\)"),
        (
            lambda n: n(X, np.zeros((2, 2, 4))),
            TypeError,
            r"LSTM: state must be the tuple \(h, c\), got ndarray",
        ),
        (
            lambda n: n(X, (np.zeros((2, 2, 4)), np.zeros((1, 2, 4)))),
            ValueError,
            r"LSTM: c must have shape \(L\*D=2, B=2, H=4\), got \(1, 2, 4\)",
        ),
        (
            lambda n: n(X[:, 0], (np.zeros((2, 2, 4)),) * 2),
            ValueError,
            r"h must have shape \(L\*D=2, H=4\), got \(2, 2, 4\)",
        ),
        (lambda n: n(X, lengths=[5, 6]), ValueError, r"LSTM: lengths must lie in 0\.\.5, got 6"),
        (lambda n: n(X, lengths=[5]), ValueError, r"LSTM: lengths must have shape \(B=2,\), got \(1,\)"),
        (lambda n: n(X, lengths=[5.0, 5.0]), TypeError, "LSTM: lengths must be integers, got dtype float64"),
        (lambda n: n(X, rng=7), TypeError, "LSTM: rng must be a numpy.random.Generator, got int"),
    ],
)
def test_a_wrong_argument_is_named_before_any_node_is_made(call, error, message):
    net = tr.nn.LSTM(3, 4, num_layers=2)
    before = tr.Tensor(0.0)._stamp
    with pytest.raises(error, match=message):
        call(net)
    assert tr.Tensor(0.0)._stamp == before + 1


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: tr.nn.RNN(3, 4, num_layers=0), ValueError, "RNN: num_layers must be at least 1, got 0"),
        (lambda: tr.nn.GRU(3, 4, dropout=1.0), ValueError, r"GRU: dropout must lie in \[0, 1\), got 1.0"),
        (
            lambda: tr.nn.RNN(3, 4, nonlinearity="sin"),
            ValueError,
            "RNN: nonlinearity must be 'tanh' or 'relu', got 'sin'",
        ),
    ],
)
def test_a_stack_that_cannot_be_says_what_is_legal(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_dropout_lies_in_the_layer_whose_outputs_it_drops():
    net = tr.nn.RNN(2, 3, num_layers=3, dropout=0.5, rng=np.random.default_rng(0))
    run = net.unroll(np.ones((2, 1, 2)), rng=np.random.default_rng(1))
    draws = [
        node.scope for node in tr.Graph.of(*run.outputs) if node.op is not None and node.op.name == "random"
    ]
    assert sorted(draws) == [(f"layer {layer}", f"t={t}") for layer in (0, 1) for t in (0, 1)]


def test_inputs_stand_in_the_steps_of_the_first_layer():
    net = tr.nn.RNN(3, 2, num_layers=2, bidirectional=True)
    run = net.unroll(np.zeros((2, 1, 3)))
    inputs = [node for node in tr.Graph.of(*run.outputs) if node.kind == "constant" and node.shape == (1, 3)]
    assert {node.scope for node in inputs} == {("layer 0", "t=0"), ("layer 0", "t=1")}
