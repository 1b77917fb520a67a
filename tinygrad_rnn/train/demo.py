"""The demonstration: a network learns to write from real text, and its differentiated graph is shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad_rnn.train.baseline import WordShare, word_share
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.checkpoint import save
from tinygrad_rnn.train.corpus import Corpus
from tinygrad_rnn.train.history import History
from tinygrad_rnn.train.loop import Trainer, next_character_loss
from tinygrad_rnn.train.optim import Adam
from tinygrad_rnn.train.text import Text
from tinygrad_rnn.viz import draw, explore

UPDATES = 1_500
"""The most updates of a demonstration: a machine that is fast enough ends there, with the same model."""

_SAMPLED = 2_000  # characters from which the share of words is measured
_SHOWN = 300  # characters of a sample that are printed
_PROMPT = "The "


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demonstration measured; `bits` are bits per character on the held-out part of the text."""

    sha1: str
    bits: float
    bigram_bits: float
    words: WordShare
    untrained_words: WordShare
    history: History
    files: tuple[Path, ...]


def run_demo(
    folder: str | os.PathLike[str] = "demo",
    seconds: float = 60.0,
    updates: int = UPDATES,
    seed: int = 0,
    report: Callable[[str], object] = print,
    progress: bool | None = None,
    *,
    eager: bool = False,
) -> DemoResult:
    """Return what was measured while a GRU learned the default corpus, for `seconds` or for `updates`.

    In the folder it leaves `model.npz`, `loss.png`, `rolled.svg`, `unrolled.svg` and `explorer.html`.

    Raises:
        ImportError: matplotlib is missing.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus.of(Text.python_topics())
    report(
        f"corpus: {corpus.text.name}, {len(corpus.text):,} characters, {len(corpus.vocabulary)} different, "
        f"SHA-1 {corpus.text.sha1}"
    )
    model = CharModel(corpus.vocabulary, "gru", dtype=np.float32, rng=np.random.default_rng(seed))
    untrained = word_share(_sample(model, _SAMPLED, seed), corpus.text.characters)
    trainer = Trainer(
        model, next_character_loss, Adam(model, lr=5e-3), clip_norm=1.0, carry=True, eager=eager
    )
    history = _train(trainer, corpus, (seconds, updates, seed), report, progress)
    sample = _sample(model, _SAMPLED, seed)
    words = word_share(sample, corpus.text.characters)
    bits = corpus.held_out_bits(model)
    report(f"after {history.updates} updates the model writes:\n{_quoted(sample)}")
    report(f"held-out bits per character: {bits:.3f} (a bigram model: {corpus.bigram_bits:.3f})")
    report(f"words of 4 or more letters that occur in the corpus: {words} (untrained: {untrained})")
    files = _leave(folder, model, history)
    report("written: " + ", ".join(str(file) for file in files))
    return DemoResult(corpus.text.sha1, bits, corpus.bigram_bits, words, untrained, history, files)


def _train(
    trainer: Trainer,
    corpus: Corpus,
    limits: tuple[float, int, int],
    report: Callable[[str], object],
    progress: bool | None,
) -> History:
    """Return the history of training; at each third of it a sample is reported."""
    seconds, updates, seed = limits
    shown = 0

    def show(history: History) -> None:
        nonlocal shown
        done = max(history.updates / updates, history.seconds[-1] / seconds)
        if shown < 2 and done > (shown + 1) / 3:
            shown += 1
            bits = sum(history.bits[-20:]) / len(history.bits[-20:])
            sample = _quoted(_sample(trainer.model, _SHOWN, seed))
            report(f"update {history.updates}, {bits:.3f} bits per character:\n{sample}")

    return trainer.fit(corpus.chunks, updates, seconds=seconds, progress=progress, callback=show)


def _sample(model: CharModel, length: int, seed: int) -> str:
    """Return what the model writes after the prompt."""
    return model.sample(_PROMPT, length, temperature=0.8, rng=np.random.default_rng(seed))


def _quoted(sample: str) -> str:
    """Return the beginning of a sample, with its prompt, as an indented paragraph."""
    return "".join(f"    | {line}\n" for line in (_PROMPT + sample[:_SHOWN]).splitlines())


def _leave(folder: Path, model: CharModel, history: History) -> tuple[Path, ...]:
    """Write the five files and return their paths."""
    names = ("model.npz", "loss.png", "rolled.svg", "unrolled.svg", "explorer.html")
    files = tuple(folder / name for name in names)
    save(files[0], model)
    history.plot("learning to write").savefig(files[1])
    drawn = model.unroll(_PROMPT)
    drawn.loss.backward()
    for file, level in zip(files[2:4], ("rolled", "op"), strict=True):
        file.write_bytes(draw(drawn.loss, level=level).pipe(format="svg"))
    explore(drawn.loss).save(files[4])
    return files
