"""A shorter demonstration ends with the landmarks that the long one prints."""

import math

import pytest

from tinygrad_rnn.train.checkpoint import load
from tinygrad_rnn.train.demo import run_demo
from tinygrad_rnn.train.text import Text


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "left here"
    lines = []
    result = run_demo(folder, seconds=math.inf, updates=150, report=lines.append, progress=False)
    return folder, result, "\n".join(lines)


@pytest.mark.slow
def test_the_network_beats_the_bigram_model(demo):
    _, result, _ = demo
    assert 3.0 < result.bigram_bits < 4.0
    assert result.bits < result.bigram_bits - 0.5


@pytest.mark.slow
def test_the_network_learned_words(demo):
    _, result, _ = demo
    assert result.words.sampled > 50
    assert result.words.share > result.untrained_words.share + 0.08


@pytest.mark.slow
def test_the_demonstration_prints_its_landmarks(demo):
    _, result, printed = demo
    assert f"SHA-1 {Text.python_topics().sha1}" in printed
    assert (
        f"held-out bits per character: {result.bits:.3f} (a bigram model: {result.bigram_bits:.3f})"
        in printed
    )
    assert f"occur in the corpus: {result.words} (untrained: {result.untrained_words})" in printed
    assert printed.count("bits per character:\n    | The ") == 2  # on the way
    assert "after 150 updates the model writes:\n    | The " in printed


@pytest.mark.slow
def test_the_demonstration_leaves_its_files(demo):
    folder, result, _ = demo
    assert sorted(file.name for file in folder.iterdir()) == [
        "explorer.html",
        "loss.png",
        "model.npz",
        "rolled.svg",
        "unrolled.svg",
    ]
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    for name in ("rolled.svg", "unrolled.svg"):
        drawing = (folder / name).read_text(encoding="utf-8")
        assert "<svg" in drawing
        assert "not computed" not in drawing
    assert "t=3" not in (folder / "rolled.svg").read_text(encoding="utf-8")
    assert "t=2" in (folder / "unrolled.svg").read_text(encoding="utf-8")
    explorer = (folder / "explorer.html").read_text(encoding="utf-8")
    assert explorer.lower().startswith("<!doctype html>")
    assert 'id="payload"' in explorer
    model = load(folder / "model.npz")
    assert len(model.sample("The ", 20)) == 20
    assert result.history.updates == 150
    assert result.history.loss[0] == pytest.approx(math.log(len(model.vocabulary)), rel=0.05)
