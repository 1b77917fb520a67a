"""A text made ready for a character model: chunks, a held-out part and the bigram model's score on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinygrad_rnn.core.contexts import no_grad
from tinygrad_rnn.train.baseline import Bigram
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.chunks import Chunks, Indices
from tinygrad_rnn.train.loop import next_character_loss
from tinygrad_rnn.train.text import Text, TextError, Vocabulary

_EVALUATION_STREAMS = 16
_EVALUATION_LENGTH = 100


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """What `Corpus.of(text)` prepared.

    Attributes:
        text: the whole text.
        vocabulary: of the whole text, so that the held-out part can be encoded.
        chunks: of the training part.
        held_out: indices of the held-out part, shape (n,).
        bigram_bits: bits per character of a bigram model, fitted to the training part, on the held-out part.
    """

    text: Text
    vocabulary: Vocabulary
    chunks: Chunks
    held_out: Indices
    bigram_bits: float

    @classmethod
    def of(cls, text: Text, length: int = 32, streams: int = 64, held_out: float = 0.1) -> Corpus:
        """Return the corpus of a text, with fewer streams where it is too short for so many.

        Raises:
            TextError: the text is too short for a single chunk, or has only one character.
        """
        vocabulary = text.vocabulary
        if len(vocabulary) < 2:
            raise TextError(
                f"{text.name}: all characters are {vocabulary.characters!r}; nothing can be learned"
            )
        train, rest = (vocabulary.encode(part.characters) for part in text.split(held_out))
        chunks = Chunks(train, length, max(min(streams, train.size // (length + 1)), 1))
        bigram_bits = Bigram.fit(train, len(vocabulary)).bits_per_character(rest)
        return cls(text, vocabulary, chunks, rest, bigram_bits)

    def held_out_bits(self, model: CharModel) -> float:
        """Return the model's bits per character on the held-out part."""
        return bits_per_character(model, self.held_out)


def bits_per_character(model: CharModel, indices: Indices) -> float:
    """Return the mean of -log2 P(next | all before) over a text, in bits.

    The text is read as up to 16 streams side by side, each from the state zero: slightly pessimistic, much
    faster.

    Raises:
        TextError: fewer than 2 characters.
    """
    if not isinstance(model, CharModel):
        raise TypeError(f"bits_per_character: model must be a CharModel, got {type(model).__name__}")
    if not isinstance(indices, np.ndarray):
        raise TypeError(f"bits_per_character: indices must be an array, got {type(indices).__name__}")
    streams = max(min(_EVALUATION_STREAMS, indices.size // _EVALUATION_LENGTH), 1)
    total, count, state = 0.0, 0, None
    for chunk in Chunks(indices, _EVALUATION_LENGTH, streams, partial=True):
        with no_grad():
            loss, state = next_character_loss(model, chunk, state)
        total += float(loss) * chunk.tokens
        count += chunk.tokens
    return total / count / math.log(2.0)
