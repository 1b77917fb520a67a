"""A character model: embedding, recurrent layers and a linear readout over the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant
from tinygrad_rnn.core.contexts import no_grad
from tinygrad_rnn.nn.inputs import float_dtype, generator, positive
from tinygrad_rnn.nn.linear import Embedding, Linear
from tinygrad_rnn.nn.losses import cross_entropy
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.recurrent import GRU, LSTM, RNN
from tinygrad_rnn.nn.unroll import Unrolled
from tinygrad_rnn.train.text import TextError, Vocabulary

CELLS = ("lstm", "gru", "rnn")
"""The legal values of `CharModel(cell=)`."""

_GATES = {"lstm": 4, "gru": 3, "rnn": 1}
_LAYERS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as a model reads it, step by step.

    Attributes:
        unrolled: the recurrent layers, step t reading character t.
        losses: for each step -log P(next character), in nats.
        loss: their sum as one node: call `.backward()` on it, draw it.
    """

    unrolled: Unrolled
    losses: list[Any]
    loss: Any


@final
class CharModel(Module):
    """A network that gives the logits of the next character.

    x_t = E[i_t]; h_t, s_t = layers(x_t, s_{t-1}); logits_t = W h_t + b, with an embedding of a quarter of the
    hidden size. Parameters: `embedding.weight` (V, H//4), `rnn.*` with PyTorch's names, `linear.weight` (V,
    H) and `linear.bias` (V,), where V is the size of the vocabulary.

    Args:
        vocabulary: the characters that it reads and writes.
        cell: "lstm", "gru" or "rnn" (tanh).
        hidden_size: H, at least 1.
        num_layers: recurrent layers above each other, at least 1.
        dtype: float64, or float32, which is about twice as fast.
        rng: where the initial weights come from; fresh entropy if None.

    Raises:
        ValueError: an unknown cell, or a size below 1.

    >>> model = CharModel(Vocabulary("abc"), "gru", 8, rng=np.random.default_rng(0))
    >>> logits, state = model(np.array([[0, 2], [1, 1]]))
    >>> logits.shape, state.shape
    ((2, 2, 3), (1, 2, 8))
    >>> len(model.sample("ab", 10))
    10
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        cell: str = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        dtype: DTypeLike = np.float64,
        rng: np.random.Generator | None = None,
    ) -> None:
        if not isinstance(vocabulary, Vocabulary):
            raise TypeError(f"CharModel: vocabulary must be a Vocabulary, got {type(vocabulary).__name__}")
        check.one_of("CharModel: cell", cell, CELLS)
        positive("CharModel: hidden_size", hidden_size)
        positive("CharModel: num_layers", num_layers)
        rng = generator("CharModel: rng", rng)
        self.vocabulary = vocabulary
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dtype = float_dtype("CharModel: dtype", dtype)
        size, width = len(vocabulary), embedding_size(hidden_size)
        self.embedding = Embedding(size, width, rng=rng, dtype=self.dtype)
        self.rnn = _LAYERS[cell](width, hidden_size, num_layers=num_layers, rng=rng, dtype=self.dtype)
        self.linear = Linear(hidden_size, size, rng=rng, dtype=self.dtype)
        for name, leaf in self.named_parameters().items():
            leaf.name = name.removeprefix("rnn.")  # a drawing shows two layers with a "weight" otherwise

    def __call__(self, indices: Any, state: Any = None) -> tuple[Any, Any]:
        """Return (logits (time, batch, V), the state after the last step) of indices (time, batch)."""
        outputs, state = self.rnn(self.embedding(indices), state)
        return self.linear(outputs), state

    def unroll(self, text: str) -> Reading:
        """Return the graph of reading a text and predicting each next character, one step for each prediction.

        Raises:
            TextError: the text has fewer than 2 characters, or one that is not in the vocabulary.
        """
        if len(text) < 2:
            raise TextError(f"unroll: at least 2 characters, the text has {len(text)}: {text!r}")
        indices = self.vocabulary.encode(text)
        embedded = self.embedding(constant(indices[:-1], name="characters"))
        unrolled = self.rnn.unroll(embedded)
        losses = unrolled.each(self._loss, indices[1:])
        loss = ops.add_n(losses)
        embedded.name, loss.name = "embedded", "loss"
        return Reading(unrolled, losses, loss)

    def sample(
        self, prompt: str, length: int, temperature: float = 1.0, rng: np.random.Generator | None = None
    ) -> str:
        """Return the `length` characters that the model writes after the prompt.

        Each is drawn from softmax(logits / temperature) and read again as the next input; temperature 0 takes
        the most probable one. After an empty prompt the first character is drawn uniformly from the
        vocabulary.

        Raises:
            TextError: the prompt has a character that is not in the vocabulary.
            ValueError: `length` is negative; `temperature` is negative, infinite or not a number.
        """
        check.text("sample: prompt", prompt)
        check.whole("sample: length", length, 0)
        check.number("sample: temperature", temperature, 0.0)
        try:
            indices = self.vocabulary.encode(prompt).tolist()
        except TextError as error:
            raise TextError(f"sample: prompt: {error}") from None
        rng = generator("sample: rng", rng)
        first = [] if indices or not length else [int(rng.integers(len(self.vocabulary)))]
        rest = self._written(indices or first, temperature, rng, length - len(first))
        return self.vocabulary.decode([*first, *rest])

    def _loss(self, output: Any, target: Any) -> Any:
        """Return -log P(target) after an output (H,)."""
        return cross_entropy(self.linear(output), target)

    def _written(
        self, seen: list[int], temperature: float, rng: np.random.Generator, length: int
    ) -> Iterator[int]:
        """Yield `length` indices that follow those seen, one step of the network for each."""
        state: Any = None
        for _ in range(length):
            with no_grad():
                logits, state = self(np.array(seen)[:, np.newaxis], state)  # (time, 1, V)
            seen = [_drawn(logits.data[-1, 0].astype(np.float64), temperature, rng)]
            yield seen[0]


def embedding_size(hidden_size: int) -> int:
    """Return the width of the embedding below layers of a hidden size: a quarter of it, at least 1."""
    return max(hidden_size // 4, 1)


def parameter_shapes(
    vocabulary_size: int, cell: str, hidden_size: int, num_layers: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (name, shape) of each parameter of such a CharModel, without making it."""
    rows, width = _GATES[cell] * hidden_size, embedding_size(hidden_size)
    yield "embedding.weight", (vocabulary_size, width)
    for layer in range(num_layers):
        yield f"rnn.weight_ih_l{layer}", (rows, hidden_size if layer else width)
        yield f"rnn.weight_hh_l{layer}", (rows, hidden_size)
        yield f"rnn.bias_ih_l{layer}", (rows,)
        yield f"rnn.bias_hh_l{layer}", (rows,)
    yield "linear.weight", (vocabulary_size, hidden_size)
    yield "linear.bias", (vocabulary_size,)


def _drawn(
    logits: np.ndarray[Any, np.dtype[np.float64]], temperature: float, rng: np.random.Generator
) -> int:
    """Return an index drawn from softmax(logits / temperature), the most probable one at temperature 0.

    The largest logit is subtracted before the division: a temperature of 1e-300 must not make inf - inf.
    """
    if temperature == 0.0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):  # (a negative number) / 1e-300 is -inf, whose exponential is the right 0
        weights = np.exp((logits - logits.max()) / temperature)
    cumulative = np.cumsum(weights)
    drawn = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return min(int(drawn), len(cumulative) - 1)  # the product may round up to the total itself
