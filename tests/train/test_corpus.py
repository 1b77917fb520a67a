"""A prepared corpus: nothing held out is trained on, and bits are counted once for each character."""

import math

import numpy as np
import pytest

from tinygrad_rnn.train.baseline import Bigram
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.corpus import Corpus, bits_per_character
from tinygrad_rnn.train.text import Text, TextError, Vocabulary

LETTERS = Text("the quick brown fox jumps over the lazy dog. " * 60 + "0123456789" * 30)  # 2,700 + 300


def test_the_held_out_part_is_never_in_a_chunk():
    corpus = Corpus.of(LETTERS, length=10, streams=4)
    seen = {int(index) for chunk in corpus.chunks for index in np.unique(chunk.targets)}
    digits = set(corpus.vocabulary.encode("0123456789").tolist())
    assert len(corpus.held_out) == 300
    assert set(corpus.held_out.tolist()) == digits
    assert not seen & digits


def test_the_bigram_model_is_fitted_to_the_training_part():
    corpus = Corpus.of(LETTERS)
    train = corpus.vocabulary.encode(LETTERS.characters[:2700])
    expected = Bigram.fit(train, len(corpus.vocabulary)).bits_per_character(corpus.held_out)
    assert corpus.bigram_bits == expected


def test_a_short_text_gets_fewer_streams():
    assert Corpus.of(LETTERS, length=48, streams=32).chunks.streams == 32
    assert Corpus.of(LETTERS, length=200, streams=32).chunks.streams == 2700 // 201
    with pytest.raises(TextError, match="too short: 2700 characters"):
        Corpus.of(LETTERS, length=2700)


def test_one_character_alone_teaches_nothing():
    with pytest.raises(TextError, match="all characters are 'x'"):
        Corpus.of(Text("x" * 2000))


def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_vocabulary():
    model = CharModel(Vocabulary("abcdefgh"), "rnn", 4, rng=np.random.default_rng(0))
    model.linear.weight.data = np.zeros((8, 4))
    model.linear.bias.data = np.zeros(8)
    indices = np.random.default_rng(1).integers(0, 8, 1_234)
    assert bits_per_character(model, indices) == pytest.approx(3.0, rel=1e-12)


def test_bits_are_the_mean_over_every_character():
    """A short text is one stream: each of its characters but the first is predicted once."""
    model = CharModel(Vocabulary("abc"), "lstm", 4, rng=np.random.default_rng(0))
    indices = np.random.default_rng(1).integers(0, 3, 150)
    logits = model(indices[:-1, np.newaxis])[0].data[:, 0]
    chosen = logits[np.arange(149), indices[1:]] - np.log(np.exp(logits).sum(axis=1))
    assert bits_per_character(model, indices) == pytest.approx(-chosen.mean() / math.log(2), rel=1e-12)
