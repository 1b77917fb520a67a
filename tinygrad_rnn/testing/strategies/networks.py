"""Recurrent cells, their sequences, ragged batches, truncations and settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tinygrad_rnn import nn
from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.nn.inputs import float_dtype
from tinygrad_rnn.testing.strategies.arrays import DOMAIN, arrays

CELLS: dict[str, Callable[..., Any]] = {
    "rnn": nn.RNNCell,
    "rnn relu": lambda i, h, bias, **common: nn.RNNCell(i, h, "relu", bias, **common),
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "gru reset before": lambda i, h, bias, **common: nn.GRUCell(i, h, bias, False, **common),
}
GAINS = (1.0, 2.5, 0.1)  # ordinary, chaotic, vanishing


def cells(
    *,
    kinds: Sequence[str] = tuple(CELLS),
    max_inputs: int = 3,
    max_hidden: int = 4,
    gains: Sequence[float] = GAINS,
    dtype: Any = np.float64,
) -> SearchStrategy[Any]:
    """Return recurrent cells with drawn sizes and weights.

    Args:
        kinds: some of "rnn", "rnn relu", "lstm", "gru", "gru reset before".
        max_inputs: the largest input_size.
        max_hidden: the largest hidden_size.
        gains: what the weights, uniform within 1/sqrt(H), are multiplied by; above 2 long sequences are chaotic.
        dtype: float64 or float32.
    """
    names = check.some_of("cells: kinds", kinds, CELLS)
    inputs = check.whole("cells: max_inputs", max_inputs, 1)
    hidden = check.whole("cells: max_hidden", max_hidden, 1)
    kind = float_dtype("cells: dtype", dtype)
    factors = [check.number("cells: gains: each", gain) for gain in check.items("cells: gains", gains)]
    if not factors:
        raise ValueError("cells: gains must not be empty")
    return st.builds(
        make_cell,
        st.sampled_from(names),
        st.tuples(st.integers(1, inputs), st.integers(1, hidden)),
        bias=st.booleans(),
        gain=st.sampled_from(factors),
        seed=st.integers(0, 2**16),
        dtype=st.just(kind.name),
    )


def make_cell(
    kind: str,
    sizes: tuple[int, int],
    *,
    bias: bool = True,
    gain: float = 1.0,
    seed: int = 0,
    dtype: Any = np.float64,
) -> Any:
    """Return a cell by what :func:`cells` prints of it.

    Args:
        kind: "rnn", "rnn relu", "lstm", "gru" or "gru reset before".
        sizes: input_size and hidden_size.
        bias: whether it has biases.
        gain: what the weights, uniform within 1/sqrt(H), are multiplied by.
        seed: of the weights.
        dtype: float64 or float32.
    """
    made = CELLS[check.one_of("make_cell: kind", kind, CELLS)]
    inputs, hidden = check.extent("make_cell: sizes", sizes, axes=2)
    check.truth("make_cell: bias", bias)
    check.number("make_cell: gain", gain)
    rng = np.random.default_rng(check.whole("make_cell: seed", seed, 0))
    cell = made(inputs, hidden, bias=bias, rng=rng, dtype=float_dtype("make_cell: dtype", dtype))
    for leaf in cell.parameters():
        leaf.data = leaf.data * leaf.dtype.type(gain)
    return cell


def sequences(
    *,
    input_size: int,
    min_steps: int = 0,
    max_steps: int = 8,
    max_batch: int = 3,
    domain: tuple[float, float] = DOMAIN,
) -> SearchStrategy[np.ndarray]:
    """Return inputs of a recurrent network: arrays of shape (T, B, input_size), no steps and a batch of one included.

    Args:
        input_size: I.
        min_steps: the smallest T.
        max_steps: the largest.
        max_batch: the largest B.
        domain: where the entries lie.
    """
    size = check.whole("sequences: input_size", input_size, 1)
    least = check.whole("sequences: min_steps", min_steps, 0)
    most = check.whole("sequences: max_steps", max_steps, least)
    batch = check.whole("sequences: max_batch", max_batch, 1)
    shapes = st.tuples(st.integers(least, most), st.integers(1, batch), st.just(size))
    return arrays(shapes, domain=domain)


class RaggedBatch(NamedTuple):
    """Sequences of unequal length, padded to the longest.

    Attributes:
        x: (T, B, I); what lies beyond a length is padding, and often not zero.
        lengths: (B,) integers from 0 to T.
    """

    x: np.ndarray
    lengths: np.ndarray


def ragged_batches(
    *, input_size: int, max_steps: int = 8, max_batch: int = 3, domain: tuple[float, float] = DOMAIN
) -> SearchStrategy[RaggedBatch]:
    """Return padded batches with their lengths, rows of no steps included.

    Args:
        input_size: I.
        max_steps: the largest T.
        max_batch: the largest B.
        domain: where the entries lie.
    """
    check.whole("ragged_batches: input_size", input_size, 1)
    check.whole("ragged_batches: max_steps", max_steps, 1)
    check.whole("ragged_batches: max_batch", max_batch, 1)
    return _ragged(
        sequences(input_size=input_size, min_steps=1, max_steps=max_steps, max_batch=max_batch, domain=domain)
    )


@st.composite
def _ragged(draw: DrawFn, padded: SearchStrategy[np.ndarray]) -> RaggedBatch:
    x = draw(padded)
    lengths = draw(st.lists(st.integers(0, len(x)), min_size=x.shape[1], max_size=x.shape[1]))
    return RaggedBatch(x, np.array(lengths, dtype=np.intp))


def truncations(*, steps: int) -> SearchStrategy[int | None]:
    """Return lengths of the blocks of truncated BPTT: None, and 1 to one more than the number of steps.

    Args:
        steps: T.
    """
    most = check.whole("truncations: steps", steps, 0)
    return st.none() | st.integers(1, most + 1)


def _logarithmic(low: int, high: int) -> SearchStrategy[float]:
    """10^low to 10^high, evenly by digits."""
    return st.sampled_from([digit * 10.0**n for n in range(low, high) for digit in (1.0, 2.0, 5.0)])


_DECAY = st.sampled_from([0.0, 0.01])
_RATE = {"lr": _logarithmic(-4, -1)}
_STACK = {
    "input_size": st.integers(1, 3),
    "hidden_size": st.integers(1, 4),
    "num_layers": st.integers(1, 2),
    "bidirectional": st.booleans(),
    "dropout": st.sampled_from([0.0, 0.25]),
    "bias": st.booleans(),
}
_BETAS = st.tuples(st.sampled_from([0.9, 0.0]), st.sampled_from([0.999, 0.5]))
SETTINGS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "rnn": _STACK | {"nonlinearity": st.sampled_from(["tanh", "relu"])},
    "lstm": _STACK,
    "gru": _STACK | {"reset_after": st.booleans()},
    "sgd": _RATE
    | {"momentum": st.sampled_from([0.0, 0.9]), "nesterov": st.booleans(), "weight_decay": _DECAY},
    "adagrad": _RATE | {"lr_decay": _DECAY, "weight_decay": _DECAY, "eps": _logarithmic(-10, -6)},
    "rmsprop": _RATE
    | {
        "alpha": st.sampled_from([0.99, 0.5]),
        "momentum": st.sampled_from([0.0, 0.9]),
        "centered": st.booleans(),
        "weight_decay": _DECAY,
        "eps": _logarithmic(-8, -6),
    },
    "adam": _RATE | {"betas": _BETAS, "weight_decay": _DECAY, "eps": _logarithmic(-8, -6)},
    "adamw": _RATE | {"betas": _BETAS, "weight_decay": _DECAY, "eps": _logarithmic(-8, -6)},
}


def hyper_parameters(*, of: str) -> SearchStrategy[dict[str, Any]]:
    """Return keyword arguments for a network or an optimizer, all within what it accepts.

    Args:
        of: "rnn", "lstm", "gru" (for ``tr.nn.RNN`` and so on), "sgd", "adagrad", "rmsprop", "adam" or "adamw".

    Example:
        >>> from hypothesis import find
        >>> find(hyper_parameters(of="gru"), lambda settings: not settings["reset_after"])["num_layers"]
        1
    """
    check.one_of("hyper_parameters: of", of, SETTINGS)
    drawn = st.fixed_dictionaries(SETTINGS[of])
    return drawn.map(_consistent) if of == "sgd" else drawn


def _consistent(settings: dict[str, Any]) -> dict[str, Any]:
    """Nesterov's step needs a momentum."""
    return settings | {"nesterov": settings["nesterov"] and settings["momentum"] > 0}
