"""Training: optimizers, a loop that can be watched, character models of real text, and their files."""

from tinygrad_rnn.train.baseline import Bigram, WordShare, word_share
from tinygrad_rnn.train.charmodel import CharModel, Reading
from tinygrad_rnn.train.checkpoint import CheckpointError, load, save
from tinygrad_rnn.train.chunks import Chunk, Chunks
from tinygrad_rnn.train.clip import (
    NonFiniteGradientError,
    clip_grad_norm,
    clip_grad_value,
    clipped_by_norm,
    clipped_by_value,
)
from tinygrad_rnn.train.corpus import Corpus, bits_per_character
from tinygrad_rnn.train.history import History
from tinygrad_rnn.train.loop import NonFiniteLossError, OneShotBatchesError, Trainer, next_character_loss
from tinygrad_rnn.train.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from tinygrad_rnn.train.rules import AdagradRule, AdamRule, RMSpropRule, Rule, SGDRule
from tinygrad_rnn.train.tasks import FeedForward, learn_xor, xor_pairs
from tinygrad_rnn.train.text import Text, TextError, Vocabulary

__all__ = [
    "SGD",
    "Adagrad",
    "AdagradRule",
    "Adam",
    "AdamRule",
    "AdamW",
    "Bigram",
    "CharModel",
    "CheckpointError",
    "Chunk",
    "Chunks",
    "Corpus",
    "FeedForward",
    "History",
    "NonFiniteGradientError",
    "NonFiniteLossError",
    "OneShotBatchesError",
    "Optimizer",
    "RMSprop",
    "RMSpropRule",
    "Reading",
    "Rule",
    "SGDRule",
    "Text",
    "TextError",
    "Trainer",
    "Vocabulary",
    "WordShare",
    "bits_per_character",
    "clip_grad_norm",
    "clip_grad_value",
    "clipped_by_norm",
    "clipped_by_value",
    "learn_xor",
    "load",
    "next_character_loss",
    "save",
    "word_share",
    "xor_pairs",
]
