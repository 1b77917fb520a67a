"""Long sequences: what a shared weight, a total loss and a deep graph must not cost."""

import sys
import time

import pytest

import tinygrad_rnn as tr
from tests.viz.networks import cell_loss
from tests.viz.pictures import program
from tinygrad_rnn.viz.engine import Program

resource = pytest.importorskip("resource", reason="processor time of children is told on POSIX only")
MOST_GROWTH = 40.0  # of processor time from 100 to 400 steps; with a weight drawn as one hub it is hundreds


def layout_seconds(source: str, chosen: Program) -> float:
    """Return the processor time of one layout: other work on the machine counts little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert chosen.run(source, "svg").startswith(b"<?xml")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell"])
def test_400_steps_unfolded_are_laid_out_in_nearly_linear_time(kind):
    """On an idle desk computer the larger of the two takes 3.7 s, and 9.4 s with dot 2.43; a shared one is no clock."""
    chosen = program("graphviz-pure")
    short, long = (tr.draw(cell_loss(kind, steps), fold=False) for steps in (100, 400))
    assert long.source.count("subgraph cluster_") == 401
    base = min(layout_seconds(short.source, chosen) for _ in range(2))
    spent = layout_seconds(long.source, chosen)
    assert spent < MOST_GROWTH * max(base, 0.1), (base, spent)
    assert spent < 60.0


@pytest.mark.slow
def test_100_steps_unfolded_are_laid_out_by_dot_too():
    assert layout_seconds(tr.draw(cell_loss("LSTMCell", 100), fold=False).source, program("dot")) < 15.0


@pytest.mark.slow
def test_10_000_steps_folded_are_drawn_in_seconds():
    loss = cell_loss("LSTMCell", 10_000)
    start = time.process_time()
    drawing = tr.draw(loss)
    assert time.process_time() - start < 15.0  # 1.7 s on an idle desk computer
    assert drawing.boxes < 250
    assert "<b>" in drawing.source, "what is folded small is drawn with care"
    assert program("graphviz-pure").run(drawing.source, "svg")


@pytest.mark.slow
def test_a_deep_chain_is_drawn_as_text_without_recursion():
    assert sys.getrecursionlimit() <= 1_000
    y = x = tr.Value(1.0, name="x")
    for _ in range(100_000):
        y = y * x
    y.backward()
    start = time.process_time()
    source = tr.draw(y, fold=False).source
    assert time.process_time() - start < 20.0  # 1.5 s on an idle desk computer
    assert source.count(" [label=") >= 100_001
