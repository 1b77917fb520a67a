"""What a module, a loss or unroll is given is checked where it enters, and named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr

RAGGED = [[1.0], [1.0, 2.0]]
CELL = tr.nn.RNNCell(2, 3, rng=np.random.default_rng(0))
STACK = tr.nn.GRU(2, 3, rng=np.random.default_rng(0))
STEPS = np.ones((4, 2, 2))


@pytest.mark.parametrize("kind", [tr.nn.RNNCell, tr.nn.LSTM, tr.nn.Linear, tr.nn.Embedding])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rng": 3}, "rng must be a numpy.random.Generator, got int"),
        ({"dtype": "float"}, None),
        ({"dtype": object()}, "dtype must be float32 or float64, got <object"),
        ({"dtype": "abc"}, "dtype must be float32 or float64, got abc"),
    ],
)
def test_settings(kind: Any, options: dict[str, Any], message: str | None) -> None:
    if message is None:
        kind(2, 3, **options)
        return
    with pytest.raises(TypeError, match=f"{kind.__name__}: {message}"):
        kind(2, 3, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tr.nn.RNNCell(2, 10**400), ValueError, "RNNCell: hidden_size is larger than any memory"),
        (lambda: tr.nn.Embedding(0, 3), ValueError, "^Embedding: num_embeddings must be at least 1, got 0"),
        (lambda: tr.nn.Embedding(3, 0), ValueError, "^Embedding: embedding_dim must be at least 1, got 0"),
        (lambda: tr.nn.Linear(0, 3), ValueError, "^Linear: in_features must be at least 1, got 0"),
        (lambda: tr.nn.Linear(3, 0), ValueError, "^Linear: out_features must be at least 1, got 0"),
        (lambda: CELL(RAGGED), TypeError, "RNNCell: x must be an array: "),
        (lambda: tr.nn.Embedding(3, 2)(RAGGED), TypeError, "Embedding: indices must be an array: "),
        (lambda: tr.nn.Embedding(3, 2)(tr.Value(1.0)), TypeError, "Embedding: indices must be an array: a Value"),
        (lambda: STACK(STEPS, lengths=RAGGED), TypeError, "GRU: lengths must be an array: "),
        (lambda: CELL.load_state_dict(None), TypeError, "load_state_dict: needs a dict of arrays by parameter name"),
        (lambda: tr.cross_entropy(np.ones((2, 3)), RAGGED), TypeError, "cross_entropy: targets must be an array"),
        (
            lambda: tr.mean_squared_error(np.ones(2), np.ones(2, complex)), TypeError,
            "mean_squared_error: targets must hold real numbers, got dtype complex128",
        ),
        (
            lambda: tr.cross_entropy(np.ones((2, 3)), [0, 1], mask=RAGGED), TypeError,
            "cross_entropy: mask must be an array",
        ),
        (lambda: tr.unroll(CELL, None), TypeError, r"unroll: inputs must be T items or an array \(T, ...\), got None"),
        (lambda: tr.unroll(CELL, "abc"), TypeError, "unroll: inputs must be T items or an array .*, got str"),
        (lambda: tr.unroll(CELL, {0: STEPS}), TypeError, "unroll: inputs must be T items or an array .*, got dict"),
        (lambda: tr.unroll(CELL, np.array(1.0)), TypeError, "unroll: inputs .* got a single number"),
        (lambda: tr.unroll(CELL, ["a"], np.ones(3)), TypeError, "unroll: x_0: constant: dtype <U1"),
        (lambda: tr.unroll(CELL, STEPS, {"h": "a"}), TypeError, r"unroll: state\['h'\] must be a node, .* got str"),
        (lambda: tr.unroll(CELL, STEPS, np.ones(3, complex)), TypeError, "unroll: h_init: constant: dtype complex128"),
        (lambda: tr.unroll(CELL, STEPS, lengths=RAGGED), TypeError, "unroll: lengths must be an array"),
        (
            lambda: tr.unroll(CELL, STEPS, lengths=tr.constant(np.ones((2, 2), int))), ValueError,
            r"unroll: lengths must have shape \(2,\), got \(2, 2\)",
        ),
    ],
)  # fmt: skip
def test_what_is_given_to_a_call(call: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
