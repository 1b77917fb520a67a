"""The bigram model against counts made by hand, and the share of words."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.train.baseline import Bigram, WordShare, word_share, words
from tinygrad_rnn.train.text import TextError


def by_hand(indices, size):
    """The documented formula, pair by pair."""
    table = np.zeros((size, size))
    for a in range(size):
        followers = [y for x, y in itertools.pairwise(indices) if x == a]
        for b in range(size):
            unigram = (indices.count(b) + 1) / (len(indices) + size)
            if followers:
                different = len(set(followers))
                table[a, b] = (followers.count(b) + different * unigram) / (len(followers) + different)
            else:
                table[a, b] = unigram
    return table


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_probabilities_are_the_formula(indices):
    bigram = Bigram.fit(np.array(indices), 4)
    np.testing.assert_allclose(bigram.probabilities, by_hand(indices, 4), rtol=1e-13)
    np.testing.assert_allclose(bigram.probabilities.sum(axis=1), 1.0, rtol=1e-13)
    assert (bigram.probabilities > 0.0).all()


def test_bits_are_the_mean_surprise_of_each_pair():
    table = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert Bigram(table).bits_per_character(np.array([0, 1, 0, 0])) == pytest.approx((1 + 2 + 1) / 3)


def test_uniform_noise_costs_the_logarithm_of_the_alphabet():
    noise = np.random.default_rng(0).integers(0, 8, 100_000)
    assert Bigram.fit(noise, 8).bits_per_character(noise) == pytest.approx(math.log2(8), abs=1e-2)


def test_one_character_is_too_few():
    with pytest.raises(TextError, match="1 characters"):
        Bigram.fit(np.array([0]), 1)
    with pytest.raises(TextError, match="0 characters"):
        Bigram(np.ones((1, 1))).bits_per_character(np.array([], np.int64))


def test_words_end_at_everything_but_letters():
    assert words("Über_all: don't stop2start façade end") == ["über", "stop", "start", "façade"]


def test_the_share_counts_every_occurrence():
    share = word_share("Lists tuples lists xyzzy of", "the lists, and (tuples)!")
    assert (share.found, share.sampled, str(share)) == (3, 4, "75% (3 of 4)")


def test_no_words_have_share_zero():
    assert word_share("a b c", "corpus words").share == 0.0
    assert WordShare(0, 0).share == 0.0


def test_a_part_of_a_word_is_no_word():
    assert word_share("stat", "statement").found == 0


def test_shorter_words_count_on_request():
    assert word_share("the sea", "the old sea", minimum=3) == WordShare(2, 2)
