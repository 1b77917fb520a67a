"""Any callable is a cell: structures, names, scopes, ragged rows, cuts, depth; numbers against loops in numpy."""

import gc
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tests.oracles import bptt, frozen
from tinygrad_rnn.core.tree import flatten, tree_map


def scalar_cell(w, u):
    return lambda x, h: (w * h + u * x).tanh()


def test_a_scalar_cell_has_the_gradient_of_the_recurrence_by_hand():
    w, u = tr.Value(0.7, name="w"), tr.Value(-1.3, name="u")
    xs = [0.5, -1.0, 2.0, 0.1]
    net = tr.unroll(scalar_cell(w, u), xs, state=0.25)
    net.final_state.backward()
    h, dw, du = 0.25, 0.0, 0.0
    for t, x in enumerate(xs):
        new = np.tanh(0.7 * h - 1.3 * x)
        slope = 1 - new**2
        dw, du = slope * (h + 0.7 * dw), slope * (x + 0.7 * du)
        h = new
        assert net.states[t].item() == pytest.approx(h, rel=1e-14)
    assert w.grad == pytest.approx(dw, rel=1e-13)
    assert u.grad == pytest.approx(du, rel=1e-13)


def test_each_step_has_its_scope_and_names():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(scalar_cell(w, w), [1.0, 2.0, 3.0], state=0.0)
    assert [x.name for x in net.inputs] == ["x_0", "x_1", "x_2"]
    assert [h.name for h in net.states] == ["h_0", "h_1", "h_2"]
    assert net.initial_state.name == "h_init"
    assert net.outputs[1] is net.states[1]
    assert net.previous_states[0] is net.initial_state
    assert net.previous_states[2] is net.states[1]
    assert net.final_state is net.states[2]
    assert len(net) == 3
    for t in range(3):
        assert net.scopes[t] == net.states[t].scope == net.inputs[t].scope == (f"t={t}",)
    assert {x.kind for x in net.inputs} == {"constant"}
    leaves = [node for node in tr.Graph.of(net.final_state) if node.kind == "leaf"]
    assert leaves == [w]


def test_scopes_lie_within_those_around():
    with tr.scope("net"):
        net = tr.unroll(lambda x, h: h + x, [1.0], state=0.0)
    assert net.states[0].scope == ("net", "t=0")
    (loss,) = net.each(lambda y: y * y)
    assert loss.scope == ("net", "t=0")


def test_a_name_given_by_the_cell_stays():
    net = tr.unroll(lambda x, h: (h + x).named("mine"), [1.0], state=0.0)
    assert net.states[0].name == "mine"


def test_a_cell_with_an_output_of_its_own_returns_a_pair():
    w = tr.Value(2.0)
    net = tr.unroll(lambda x, h: (10 * h, h + w * x), [1.0, 2.0], state=1.0)
    assert [y.item() for y in net.outputs] == [10.0, 30.0]
    assert [h.item() for h in net.states] == [3.0, 7.0]
    assert [y.name for y in net.outputs] == ["y_0", "y_1"]


def test_a_pair_state_is_not_mistaken_for_an_output_and_a_state():
    net = tr.unroll(lambda x, s: (s[0] + x, s[1] * 2), [1.0, 2.0], state=(0.0, 1.0))
    assert [h.item() for h in net.outputs] == [1.0, 3.0]
    assert [c.item() for _, c in net.states] == [2.0, 4.0]
    assert [node.name for node in net.final_state] == ["h_1", "c_1"]


@pytest.mark.parametrize(
    "state",
    [[1.0, 2.0], {"a": 1.0, "b": 2.0}, ((1.0,), [2.0]), {"a": (1.0, {"b": 2.0})}],
)
def test_a_state_is_any_nested_structure(state):
    def items(tree):
        if isinstance(tree, dict):
            tree = list(tree.values())
        return [v for item in tree for v in items(item)] if isinstance(tree, (list, tuple)) else [tree.item()]

    net = tr.unroll(lambda x, s: tree_map(lambda v: v * 2, s), [0.0, 0.0], state=state)
    assert items(net.initial_state) == [1.0, 2.0]
    assert items(net.final_state) == [4.0, 8.0]


def test_parts_of_a_state_are_named_by_their_places():
    def names(state):
        net = tr.unroll(lambda x, s: tree_map(lambda v: v * 2, s), [0.0], state=state)
        return [
            node.name for node in (net.final_state.values() if isinstance(state, dict) else net.final_state)
        ]

    assert names({"fast": 1.0, "slow": 2.0}) == ["fast_0", "slow_0"]
    assert names([1.0, 2.0]) == ["h[0]_0", "h[1]_0"]
    assert names((1.0, 2.0)) == ["h_0", "c_0"]


def test_an_array_of_inputs_becomes_constants_and_a_tensor_of_inputs_gets_a_gradient():
    raw = np.arange(6.0).reshape(3, 2)
    cell = lambda x, h: h + x * x  # noqa: E731
    plain = tr.unroll(cell, raw, state=np.zeros(2))
    assert [x.kind for x in plain.inputs] == ["constant"] * 3
    leaf = tr.Tensor(raw)
    net = tr.unroll(cell, leaf, state=np.zeros(2))
    assert np.array_equal(net.final_state.data, plain.final_state.data)
    net.final_state.sum().backward()
    assert np.array_equal(leaf.grad, 2 * raw)


def test_a_vector_input_of_a_net_of_values_is_a_list():
    w = [tr.Value(1.0), tr.Value(10.0)]
    net = tr.unroll(lambda x, h: h + tr.ops.dot(w, x), np.array([[1.0, 2.0], [3.0, 4.0]]), state=0.0)
    assert net.final_state.item() == 1 + 20 + 3 + 40
    assert [v.name for v in net.inputs[1]] == ["x_1[0]", "x_1[1]"]
    net.final_state.backward()
    assert [v.grad for v in w] == [4.0, 6.0]


@pytest.mark.parametrize("state", [0.5, tr.Value(0.5), np.ones((2, 3)), (0.5, np.ones(2))])
def test_no_steps_give_no_outputs_and_the_state_unchanged(state):
    net = tr.unroll(lambda x, s: s, [], state=state)
    assert (net.inputs, net.outputs, net.states, net.previous_states, net.scopes) == ([], [], [], [], [])
    assert net.final_state is net.initial_state
    assert net.each(lambda y: y) == []


def test_no_steps_of_an_nn_cell_give_its_zero_state():
    net = tr.unroll(tr.nn.LSTMCell(3, 4), np.zeros((0, 2, 3)))
    assert [part.shape for part in net.final_state] == [(2, 4), (2, 4)]


def test_each_makes_readouts_and_losses_inside_their_steps():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(scalar_cell(w, w), [1.0, 2.0], state=0.0)
    readouts = net.each(lambda h: 3 * h, name="y")
    losses = net.each(lambda h, y, t: (y - t) ** 2 + 0 * h, readouts, [1.0, -1.0])
    assert [node.name for node in readouts + losses] == ["y_0", "y_1", "L_0", "L_1"]
    assert [node.scope for node in readouts + losses] == [("t=0",), ("t=1",)] * 2
    total = tr.add_n(*losses)
    assert total.item() == sum(node.item() for node in losses)
    assert total.parents == tuple(losses)


@st.composite
def ragged(draw):
    steps, batch = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    return {
        "steps": steps,
        "lengths": draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)),
        "truncate": draw(st.none() | st.integers(1, 10)),
        "kind": draw(st.sampled_from(["rnn_tanh", "lstm", "gru"])),
        "seed": draw(st.integers(0, 2**16)),
    }


@given(ragged())
def test_ragged_rows_and_cuts_agree_with_bptt_by_hand(problem):
    """A cut every k steps is a run of k steps whose initial state sends nothing back."""
    rng = np.random.default_rng(problem["seed"])
    kind, steps, lengths = problem["kind"], problem["steps"], np.array(problem["lengths"])
    make = {"rnn_tanh": tr.nn.RNNCell, "lstm": tr.nn.LSTMCell, "gru": tr.nn.GRUCell}[kind]
    cell = make(2, 3, rng=rng)
    x = rng.normal(size=(steps, len(lengths), 2))
    cotangent = rng.normal(size=(steps, len(lengths), 3))
    names = bptt.CELLS[kind][1]
    state = {name: rng.normal(size=(len(lengths), 3)) for name in names}

    weights = bptt.Weights(*(leaf.data for leaf in cell.parameters()))
    block = problem["truncate"] or steps
    at, outputs, grads = state, [], []
    for start in range(0, steps, block):
        stop = min(start + block, steps)
        cotangents = {name: np.zeros_like(s) for name, s in state.items()} | {
            "outputs": cotangent[start:stop]
        }
        part = bptt.run(kind, weights, x[start:stop], at, np.clip(lengths - start, 0, None), cotangents)
        at, outputs = part.final, [*outputs, *part.outputs]
        grads = [*grads, part.grad]

    leaves = [tr.Tensor(s) for s in state.values()]
    net = tr.unroll(
        cell,
        x,
        tuple(leaves) if len(leaves) > 1 else leaves[0],
        lengths=lengths,
        truncate=problem["truncate"],
    )
    for got, expected in zip(net.outputs, outputs, strict=True):
        frozen.close(got.data, expected)
    tr.add_n(*net.each(lambda y, g: (y * g).sum(), cotangent)).backward()
    for name, leaf in zip(("W", "U", "bx", "bh"), cell.parameters(), strict=True):
        frozen.close(leaf.grad, weights.grad[name])
    for name, leaf in zip(names, leaves, strict=True):
        frozen.close(leaf.grad, grads[0][name])


def test_a_cut_is_a_visible_node_and_values_do_not_change():
    w = tr.Value(0.5, name="w")
    whole = tr.unroll(scalar_cell(w, w), [1.0] * 7, state=0.0)
    net = tr.unroll(scalar_cell(w, w), [1.0] * 7, state=0.0, truncate=3)
    assert [h.item() for h in net.states] == [h.item() for h in whole.states]
    cuts = [node for node in tr.Graph.of(net.final_state) if node.op is not None and node.op.name == "detach"]
    assert [(node.scope, node.name) for node in cuts] == [(("t=3",), "h_2"), (("t=6",), "h_5")]
    assert net.previous_states[3] is cuts[0]
    assert net.previous_states[4] is net.states[3]


def test_a_cut_beyond_the_end_is_none():
    w = tr.Value(0.5, name="w")
    net = tr.unroll(scalar_cell(w, w), [1.0] * 3, state=0.0, truncate=3)
    assert not any(node.op is not None and node.op.name == "detach" for node in tr.Graph.of(net.final_state))


def test_nested_outputs_rest_with_their_rows():
    """An output is a dict or tuple as well as a state; where a row has ended, each part of it is 0."""

    def cell(x, state):
        new = {"a": [tr.ops.tanh(x + state["a"][0])], "b": state["b"] + 1.0}
        return {"y": new["a"][0], "pair": (new["b"], -new["b"])}, new

    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    start = {"a": [np.zeros((2, 4))], "b": np.zeros((2, 1))}
    net = tr.unroll(cell, x, start, lengths=[3, 1])
    whole = tr.unroll(cell, x, start)
    for t, (ragged, plain) in enumerate(zip(net.outputs, whole.outputs, strict=True)):
        alive = np.array([[True], [t < 1]])
        for (_, got), (_, y) in zip(flatten(ragged), flatten(plain), strict=True):
            np.testing.assert_array_equal(got.data, np.where(alive, y.data, 0.0))
    first = tr.unroll(lambda x, s: [{"h": s[0]["h"] + x}], x, [{"h": np.zeros((2, 4))}], lengths=[3, 1])
    np.testing.assert_array_equal(first.outputs[2][0]["h"].data, [x[:, 0].sum(axis=0), np.zeros(4)])


def test_lengths_may_be_a_node():
    cell = tr.nn.RNNCell(2, 3, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(4, 2, 2))
    lengths = np.array([4, 1])
    raw, node = tr.unroll(cell, x, lengths=lengths), tr.unroll(cell, x, lengths=tr.constant(lengths))
    for a, b in zip(raw.outputs, node.outputs, strict=True):
        assert np.array_equal(a.data, b.data)


def test_reverse_walks_from_the_end_and_keeps_the_index_of_time():
    net = tr.unroll(lambda x, h: 10 * h + x, [1.0, 2.0, 3.0], state=0.0, reverse=True)
    assert [h.item() for h in net.states] == [321.0, 32.0, 3.0]
    assert net.final_state is net.states[0]
    assert net.previous_states[2] is net.initial_state
    assert [h.name for h in net.states] == ["h_0", "h_1", "h_2"]
    assert [h.scope for h in net.states] == [("t=0",), ("t=1",), ("t=2",)]


@pytest.mark.parametrize("carrier", ["Value", "Tensor"])
def test_twenty_thousand_steps_run_differentiate_and_are_freed(carrier):
    steps, w = 20_000, 0.999
    weight = tr.Value(w) if carrier == "Value" else tr.Tensor([w])
    start = tr.Value(1.0) if carrier == "Value" else tr.Tensor([1.0])
    assert sys.getrecursionlimit() <= 10_000
    gc.collect()
    gc.disable()
    try:
        net = tr.unroll(lambda x, h: weight * h, [0.0] * steps, state=start)
        middle = weakref.ref(net.states[steps // 2])
        net.final_state.backward()
        del net
        assert middle() is None  # without the cycle collector
    finally:
        gc.enable()
    assert np.asarray(start.grad).item() == pytest.approx(w**steps, rel=1e-10)
    assert np.asarray(weight.grad).item() == pytest.approx(steps * w ** (steps - 1), rel=1e-10)


def test_a_chunk_handed_over_carries_the_gradient_until_it_is_detached():
    w = tr.Value(0.5)
    first = tr.unroll(scalar_cell(w, w), [1.0, 2.0], state=0.0)
    tr.unroll(scalar_cell(w, w), [3.0], first.final_state).final_state.backward()
    through = w.grad
    w.grad = None
    tr.unroll(scalar_cell(w, w), [3.0], tr.detach(first.final_state)).final_state.backward()
    h, last = first.final_state.item(), np.tanh(0.5 * first.final_state.item() + 1.5)
    assert w.grad == pytest.approx((1 - last**2) * (h + 3.0), rel=1e-13)
    assert abs(through - w.grad) > 0.01


ADD = lambda x, h: h + x  # noqa: E731


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tr.unroll(3, [1.0], 0.0),
            TypeError,
            r"unroll: cell must be callable as cell\(x_t, state\), got int",
        ),
        (
            lambda: tr.unroll(ADD, [1.0]),
            TypeError,
            r"unroll: state is None and the cell has no initial_state\(x\)",
        ),
        (lambda: tr.unroll(tr.nn.RNNCell(1, 1), []), ValueError, "unroll: no steps and no state"),
        (
            lambda: tr.unroll(ADD, [1.0], 0.0, truncate=0),
            ValueError,
            "unroll: truncate must be at least 1, got 0",
        ),
        (
            lambda: tr.unroll(ADD, [1.0], 0.0, truncate=1.5),
            TypeError,
            "unroll: truncate must be a number of steps",
        ),
        (
            lambda: tr.unroll(lambda x, h: h if x.item() < 2 else (h, h, h), [0.0, 2.0], 0.0),
            ValueError,
            r"in step t=1 the cell returned the structure \(\*, \*, \*\); it must return the state's, \*",
        ),
        (
            lambda: tr.unroll(lambda x, h: tr.ops.stack([h, h]).reshape(4), [np.ones(2)], np.ones(2)),
            ValueError,
            r"in step t=0 state changed from float64 of shape \(2,\) to float64 of shape \(4,\)",
        ),
        (lambda: tr.unroll(lambda x, h: "h", [0.0], 0.0), ValueError, "in step t=0 state became a str"),
        (
            lambda: tr.unroll(ADD, np.ones((3, 2)), np.ones(2), lengths=[1, 4]),
            ValueError,
            "unroll: lengths must lie between 0 and T=3, got 1 to 4",
        ),
        (
            lambda: tr.unroll(ADD, np.ones((3, 2)), np.ones(2), lengths=[1]),
            ValueError,
            "unroll: lengths must be 2 integers",
        ),
        (
            lambda: tr.unroll(ADD, [1.0], 0.0, lengths=[1]),
            TypeError,
            "unroll: lengths need states that are Tensors",
        ),
        (
            lambda: tr.unroll(ADD, [1.0, 2.0], 0.0).each(lambda y, s: y, [1.0]),
            ValueError,
            "each: sequence 0 has 1 items, the network 2 steps",
        ),
    ],
)
def test_a_wrong_argument_or_step_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
