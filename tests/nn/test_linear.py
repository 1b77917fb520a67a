"""Linear and Embedding, against their formulas in numpy."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.oracles import frozen


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_an_affine_map_with_these_gradients(shape, bias):
    rng = np.random.default_rng(0)
    layer = tr.nn.Linear(3, 2, bias, rng=rng)
    x = tr.Tensor(rng.normal(size=shape))
    y = layer(x)
    frozen.close(y.data, x.data @ layer.weight.data.T + (layer.bias.data if bias else 0))
    cotangent = rng.normal(size=y.shape)
    y.backward(cotangent)
    rows = cotangent.reshape(-1, 2)
    frozen.close(x.grad, cotangent @ layer.weight.data)
    frozen.close(layer.weight.grad, rows.T @ x.data.reshape(-1, 3))
    if bias:
        frozen.close(layer.bias.grad, rows.sum(0))


def test_linear_draws_as_pytorch_does():
    layer = tr.nn.Linear(100, 50, rng=np.random.default_rng(0), dtype=np.float32)
    assert {n: (p.shape, p.dtype.name, p.name) for n, p in layer.named_parameters().items()} == {
        "weight": ((50, 100), "float32", "weight"),
        "bias": ((50,), "float32", "bias"),
    }
    assert 0.09 < np.max(np.abs(layer.weight.data)) <= 0.1
    assert layer(np.ones(100)).dtype == np.float32


def test_embedding_looks_rows_up_and_adds_repeated_gradients():
    table = tr.nn.Embedding(5, 3, rng=np.random.default_rng(0))
    tokens = np.array([[0, 4], [4, 2]])
    rows = table(tokens)
    assert np.array_equal(rows.data, table.weight.data[tokens])
    cotangent = np.random.default_rng(1).normal(size=(2, 2, 3))
    rows.backward(cotangent)
    expected = np.zeros((5, 3))
    for place in np.ndindex(2, 2):
        expected[tokens[place]] += cotangent[place]
    frozen.close(table.weight.grad, expected)


def test_embedding_takes_one_index_a_node_or_nothing():
    table = tr.nn.Embedding(5, 3)
    assert np.array_equal(table(4).data, table.weight.data[4])
    assert np.array_equal(table(tr.constant(np.array([4, 1]))).data, table.weight.data[[4, 1]])
    assert table([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tr.nn.Linear(3, 2)(np.zeros((4, 5))),
            ValueError,
            r"Linear: x must have shape \(\.\.\., in=3\), got \(4, 5\)",
        ),
        (lambda: tr.nn.Linear(3, 2)(1.0), ValueError, r"in=3\), got \(\)"),
        (lambda: tr.nn.Linear(3, 0), ValueError, "Linear: out_features must be at least 1, got 0"),
        (lambda: tr.nn.Embedding(5, 3)([0, 5]), IndexError, r"Embedding: indices must lie in 0\.\.4, got 5"),
        (lambda: tr.nn.Embedding(5, 3)([-1]), IndexError, r"got -1"),
        (
            lambda: tr.nn.Embedding(5, 3)([0.0]),
            TypeError,
            "Embedding: indices must be integers, got dtype float64",
        ),
        (
            lambda: tr.nn.Embedding(True, 3),
            TypeError,
            "Embedding: num_embeddings must be an integer, got bool",
        ),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_weight_of_an_embedding_has_a_name() -> None:
    assert tr.nn.Embedding(3, 2).weight.name == "weight"


def test_an_input_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match="Linear: x must hold real numbers, got dtype <U1"):
        tr.nn.Linear(2, 2)(np.array(["a", "b"]))


def test_a_replay_checks_the_indices_it_is_given() -> None:
    table = tr.nn.Embedding(3, 2, rng=np.random.default_rng(0))
    step = tr.compile(lambda i: table(i))
    assert step(np.array([0, 2])).tolist() == table.weight.data[[0, 2]].tolist()
    for wrong in (np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(IndexError, match=r"Embedding: indices must lie in 0\.\.2"):
            step(wrong)
