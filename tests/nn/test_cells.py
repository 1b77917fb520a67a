"""One step of each cell, against PyTorch's frozen numbers."""

import itertools

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.oracles import frozen

A_VALUE = tr.Value(1.0)
KINDS = ["rnn_tanh", "rnn_relu", "lstm", "gru", "gru_reset_before"]


def make(kind, bias=True, rng=None, dtype=np.float64, sizes=(3, 4)):
    if kind.startswith("rnn"):
        return tr.nn.RNNCell(*sizes, nonlinearity=kind.removeprefix("rnn_"), bias=bias, rng=rng, dtype=dtype)
    if kind == "lstm":
        return tr.nn.LSTMCell(*sizes, bias=bias, rng=rng, dtype=dtype)
    return tr.nn.GRUCell(*sizes, bias=bias, reset_after=kind == "gru", rng=rng, dtype=dtype)


def nodes_of(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("kind", "bias"), list(itertools.product(KINDS, [True, False])))
def test_a_step_and_its_gradients_are_pytorchs(kind, bias):
    expected = frozen.case("cells", f"{kind}_{'bias' if bias else 'nobias'}")
    cell = make(kind, bias)
    cell.load_state_dict({name: expected[name] for name in cell.named_parameters()})
    inputs = {name: tr.Tensor(expected[name], name=name) for name in ("x", "h", "c") if name in expected}
    x, *state = inputs.values()
    outputs = nodes_of(cell(x, tuple(state) if kind == "lstm" else state[0]))
    for name, out in zip(("h", "c"), outputs, strict=False):
        frozen.close(out.data, expected[f"out/{name}"])
    weighted = [out * expected[f"cotangent/{name}"] for name, out in zip(("h", "c"), outputs, strict=False)]
    sum(item.sum() for item in weighted).backward()
    checked = {key for key in expected if key.startswith("grad/")}
    assert checked == {f"grad/{name}" for name in (*inputs, *cell.named_parameters())}
    for name, leaf in (inputs | cell.named_parameters()).items():
        frozen.close(leaf.grad, expected[f"grad/{name}"])


@pytest.mark.parametrize("kind", KINDS)
def test_one_example_without_a_batch_axis_is_that_row_of_the_batch(kind):
    cell = make(kind, rng=np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(5, 3))
    batch, single = nodes_of(cell(x)), nodes_of(cell(x[2]))
    for whole, row in zip(batch, single, strict=True):
        assert row.shape == (4,)
        frozen.close(row.data, whole.data[2])


@pytest.mark.parametrize("kind", KINDS)
def test_no_state_is_the_zero_state(kind):
    cell = make(kind, rng=np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(5, 3))
    zeros = np.zeros((5, 4))
    for absent, given in zip(
        nodes_of(cell(x)), nodes_of(cell(x, (zeros, zeros) if kind == "lstm" else zeros)), strict=True
    ):
        assert np.array_equal(absent.data, given.data)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_those_of_the_gradient(kind):
    """The Hessian times a vector against central differences of the gradient (error about 1e-9)."""
    cell = make(kind, rng=np.random.default_rng(3), sizes=(2, 3))
    rng = np.random.default_rng(4)
    x, h, c, v = rng.normal(size=(2, 2)), *rng.normal(size=(3, 2, 3))

    def loss(h):
        out = nodes_of(cell(x, (h, c) if kind == "lstm" else h))
        return sum((node**3).sum() for node in out)

    step = 1e-5
    numeric = (tr.grad(loss)(h + step * v) - tr.grad(loss)(h - step * v)) / (2 * step)
    frozen.close(tr.hvp(loss, (h,), (v,))[0], numeric, 1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_float32_cell_stays_float32(kind):
    cell = make(kind, rng=np.random.default_rng(1), dtype=np.float32)
    x = np.random.default_rng(2).normal(size=(5, 3))  # float64: cast
    out = nodes_of(cell(x))
    assert {node.dtype for node in out} == {np.dtype(np.float32)}
    sum(node.sum() for node in out).backward()
    assert {leaf.grad.dtype for leaf in cell.parameters()} == {np.dtype(np.float32)}
    exact = make(kind, rng=np.random.default_rng(1))
    for narrow, wide in zip(out, nodes_of(exact(x)), strict=True):
        frozen.close(narrow.data, wide.data, 1e-6)


def test_a_float64_input_node_of_a_float32_cell_gets_a_float64_gradient():
    cell = make("gru", rng=np.random.default_rng(1), dtype=np.float32)
    x = tr.Tensor(np.ones((2, 3)))
    cell(x).sum().backward()
    assert x.grad.dtype == np.float64
    assert np.all(x.grad != 0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_batch_at_all_works(kind):
    cell = make(kind)
    for node in nodes_of(cell(np.zeros((0, 3)))):
        assert node.shape == (0, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_named_and_drawn_as_pytorch_does(kind):
    cell = make(kind, rng=np.random.default_rng(0), sizes=(50, 100))
    gates = {"rnn": 1, "lst": 4, "gru": 3}[kind[:3]]
    assert {name: leaf.shape for name, leaf in cell.named_parameters().items()} == {
        "weight_ih": (gates * 100, 50),
        "weight_hh": (gates * 100, 100),
        "bias_ih": (gates * 100,),
        "bias_hh": (gates * 100,),
    }
    for name, leaf in cell.named_parameters().items():
        assert leaf.name == name
        assert 0.09 < np.max(np.abs(leaf.data)) <= 0.1  # 1/sqrt(100)
        assert abs(np.std(leaf.data) - 0.1 / 3**0.5) < 0.01
    again = make(kind, rng=np.random.default_rng(0), sizes=(50, 100))
    assert all(
        np.array_equal(a.data, b.data) for a, b in zip(cell.parameters(), again.parameters(), strict=True)
    )


def test_a_cell_without_biases_has_two_parameters():
    cell = make("lstm", bias=False)
    assert list(cell.named_parameters()) == ["weight_ih", "weight_hh"]
    assert cell.bias_ih is None


def test_a_step_reads_as_its_formula():
    """Visible operations: no more nodes than the equation has, the weights as single leaves."""
    counts = {}
    for kind in KINDS:
        cell = make(kind)
        x, state = tr.Tensor(np.ones((2, 3))), cell.initial_state(np.ones((2, 3)))
        graph = tr.Graph.of(*nodes_of(cell(x, state)))
        counts[kind] = sum(node.kind == "op" for node in graph)
        assert [n.name for n in graph if n.kind == "leaf"].count("weight_hh") == 1
    # matmul and transpose twice; three adds; the nonlinearity
    assert counts["rnn_tanh"] == counts["rnn_relu"] == 8
    assert counts["lstm"] == 7 + 4 + 4 + 4 + 1
    assert counts["gru"] == 6 + 6 + 2 + 2 + 3 + 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda c: c(np.zeros((2, 5))),
            ValueError,
            r"LSTMCell: x must have shape \(B, I=3\) or \(I=3,\), got \(2, 5\)",
        ),
        (lambda c: c(np.zeros((7, 2, 3))), ValueError, r"LSTMCell: x must have shape .* got \(7, 2, 3\)"),
        (
            lambda c: c(np.zeros((2, 3)), (np.zeros((2, 4)), np.zeros((3, 4)))),
            ValueError,
            r"LSTMCell: c must have shape \(B=2, H=4\), got \(3, 4\)",
        ),
        (
            lambda c: c(np.zeros((2, 3)), np.zeros((2, 4))),
            TypeError,
            r"state must be the tuple \(h, c\), got ndarray",
        ),
        (lambda c: c(["a"]), TypeError, "LSTMCell: x must hold real numbers, got dtype <U1"),
        (lambda c: c(A_VALUE), TypeError, "LSTMCell: x must be a Tensor or an array, got a Value"),
    ],
)
def test_a_wrong_argument_is_named_before_any_node_is_made(call, error, message):
    cell = make("lstm")
    before = tr.Tensor(0.0)._stamp
    with pytest.raises(error, match=message):
        call(cell)
    assert tr.Tensor(0.0)._stamp == before + 1


@pytest.mark.parametrize(
    ("make_cell", "error", "message"),
    [
        (lambda: tr.nn.RNNCell(0, 4), ValueError, "RNNCell: input_size must be at least 1, got 0"),
        (lambda: tr.nn.GRUCell(3, 4.0), TypeError, "GRUCell: hidden_size must be an integer, got float"),
        (
            lambda: tr.nn.RNNCell(3, 4, "sigmoid"),
            ValueError,
            "RNNCell: nonlinearity must be 'tanh' or 'relu', got 'sigmoid'",
        ),
        (
            lambda: tr.nn.LSTMCell(3, 4, dtype=np.int64),
            TypeError,
            "LSTMCell: dtype must be float32 or float64, got int64",
        ),
    ],
)
def test_a_cell_that_cannot_be_says_what_is_legal(make_cell, error, message):
    with pytest.raises(error, match=message):
        make_cell()
