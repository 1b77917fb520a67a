"""Ragged sequences in one graph, beside the same ones batched by hand; what replay promises."""

from collections.abc import Callable

import pytest

from tests.benchmarks.contest import Row, milliseconds
from tests.benchmarks.race import timed
from tests.benchmarks.ragged import CONTESTANTS, HandPadded, Ragged, hand

MOST = 1.5  # times the time of hand-written numpy


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_contestants_agree(dtype: str) -> None:
    ragged = Ragged(1, 6, B=5, I=3, H=4, C=3, dtype=dtype)
    timings = timed(ragged, {who: make(ragged) for who, make in CONTESTANTS.items()}, 0.0)
    assert [timing.who for timing in timings] == list(CONTESTANTS)


def test_the_yardstick_reads_nothing_of_the_padding() -> None:
    ragged = Ragged(1, 6, B=5, I=3, H=4, C=3)
    step, (x, y, mask), parameters = hand(ragged), ragged.padded(), ragged.parameters()
    assert mask.sum() == ragged.lengths().sum()
    loss, gradients = step()
    kept = [gradient.copy() for gradient in gradients]
    x[~mask] = 100.0
    y[~mask] = 2
    again, gradients = HandPadded(ragged)(x, y, *parameters)
    assert again == pytest.approx(loss, rel=1e-12)
    for a, b in zip(gradients, kept, strict=True):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-12)


def test_ragged(report: Callable[[Row], None]) -> None:
    ragged = Ragged()
    steps = {who: CONTESTANTS[who](ragged) for who in ("hand", "separate", "batched")}
    by_hand, *others = timed(ragged, steps, 5.0)
    for other in others:
        ratio = other.seconds / by_hand.seconds
        report(
            Row(
                ragged.name,
                other.who,
                milliseconds(other.seconds),
                f"hand {milliseconds(by_hand.seconds)}",
                ratio,
                f"<= {MOST}x" if other.who == "separate" else "",
                ratio <= MOST,
                held=False,
            )
        )
