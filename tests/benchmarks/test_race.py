"""The contest is fair: whoever computes something else is refused, and nobody is timed on another's account."""

import time

import numpy as np
import pytest

from tests.benchmarks.figures import matrix
from tests.benchmarks.race import Step, timed
from tests.benchmarks.train_steps import entered, selected
from tests.benchmarks.workloads import Workload

TINY = Workload("GRU", 2, 3, 4, 5, "float64")


def sleeper(seconds: float, gradient: float = 1.0) -> Step:
    def step() -> tuple[float, list[np.ndarray]]:
        time.sleep(seconds)
        return 1.0, [np.full(2, gradient)]

    return step


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_contestants_agree(cell: str) -> None:
    workload = Workload(cell, 2, 3, 4, 5, "float64")
    who = ["hand", "naive", "eager", "eager-each", "compile", "compile-each", "autograd"]
    timings = timed(workload, entered(workload, who), 0.0)
    assert {"hand", "naive", "eager", "eager-each"} <= {timing.who for timing in timings}
    assert all(timing.rounds == 3 for timing in timings)


def test_another_gradient_is_refused() -> None:
    steps = {"hand": sleeper(0.0), "wrong": sleeper(0.0, 1.0 + 1e-8)}
    with pytest.raises(ArithmeticError, match=r"wrong on GRU-2x3x4x5-float64: array 1 is off"):
        timed(TINY, steps, 0.0)


def test_another_shape_is_refused() -> None:
    steps: dict[str, Step] = {"hand": sleeper(0.0), "wrong": lambda: (1.0, [np.ones((2, 1))])}
    with pytest.raises(ArithmeticError, match=r"gradient 1 has shape \(2, 1\)"):
        timed(TINY, steps, 0.0)


def test_ratio_of_known_times() -> None:
    quick, slow = timed(TINY, {"hand": sleeper(0.02), "slow": sleeper(0.1)}, 0.0)
    assert quick.seconds >= 0.02
    assert slow.seconds >= 0.1
    *_, line = matrix([quick, slow]).split("\n")
    assert line.startswith("GRU-2x3x4x5-float64")
    assert float(line.split()[-1].rstrip("x")) == pytest.approx(5, rel=0.5)


def test_selection_by_parts_of_names() -> None:
    names = [workload.name for workload in selected(["RNN-1x25", "LSTM-1x", "float32"])]
    assert names == ["RNN-1x25x65x100-float32", "LSTM-1x100x65x128-float32"]
    assert len(selected([])) > len(selected(["float64"])) > len(selected(["scalar"])) == 3
