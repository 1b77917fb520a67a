"""Timing of train steps side by side: every contestant in every round, after all were checked to agree."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Step = Callable[[], tuple[Any, Sequence[Any]]]
YARDSTICKS = ("hand", "micrograd")
TURN = 0.02  # seconds that a contestant runs in a row, at least
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
# "cpu" is the processor's time in all threads: on a busy machine steadier than the clock on the wall, with one thread.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Entered(Protocol):
    """A workload: what it is called, and the precision that its contestants are held to."""

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """What one contestant did on one workload: seconds on the wall of its first call, median of a call, rounds."""

    workload: str
    who: str
    first: float
    seconds: float
    rounds: int


def seconds_of(call: Callable[[], Any], clock: str, times: int = 1) -> float:
    """Return the seconds that one of several calls in a row takes."""
    now = CLOCKS[clock]
    start = now()
    for _ in range(times):
        call()
    return (now() - start) / times


def timed(workload: Entered, steps: Mapping[str, Step], seconds: float, clock: str = "wall") -> list[Timing]:
    """Return the timings of one workload, in interleaved rounds that take about ``seconds`` in all.

    In each round every contestant runs for at least ``TURN`` seconds, as many calls in a row as that takes, so that
    what a call leaves to the garbage collector is paid for; there are at least three rounds.

    Raises:
        ArithmeticError: the contestants do not agree.
    """
    first = {who: seconds_of(step, "wall") for who, step in steps.items()}
    results: dict[str, list[np.ndarray]] = {}
    calls: dict[str, int] = {}
    for who, step in steps.items():
        start = time.perf_counter()
        results[who] = as_arrays(*step())
        calls[who] = math.ceil(TURN / (time.perf_counter() - start))
    check_agreement(workload, results)
    rounds: dict[str, list[float]] = {who: [] for who in steps}
    gc.collect()
    gc.freeze()
    try:
        start, count = time.perf_counter(), 0
        while count < 3 or time.perf_counter() - start < seconds:
            count += 1
            for who, step in steps.items():
                rounds[who].append(seconds_of(step, clock, calls[who]))
                gc.collect()
    finally:
        gc.unfreeze()
    return [
        Timing(workload.name, who, first[who], statistics.median(times), len(times))
        for who, times in rounds.items()
    ]


def check_agreement(workload: Entered, results: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Check every loss and gradient against those of the first contestant.

    Raises:
        ArithmeticError: a contestant computes something else.
    """
    expected, *_ = results.values()
    tolerance = TOLERANCE[workload.dtype]
    for who, arrays in results.items():
        for i, (mine, other) in enumerate(zip(arrays, expected, strict=True)):
            if mine.shape != other.shape:
                raise ArithmeticError(f"{who} on {workload.name}: gradient {i} has shape {mine.shape}")
            error, size = np.abs(mine - other).max(), np.abs(other).max()
            if not error <= tolerance * size:
                raise ArithmeticError(f"{who} on {workload.name}: array {i} is off by {error} of {size}")


def as_arrays(loss: Any, gradients: Sequence[Any]) -> list[np.ndarray]:
    """Return copies of the loss and the gradients; gradients that are numbers as one array."""
    if isinstance(gradients[0], float):
        gradients = [gradients]
    return [np.array(float(loss)), *(np.array(gradient) for gradient in gradients)]


def ratios(timings: Sequence[Timing]) -> dict[str, float]:
    """Return everyone's time on one workload over the yardstick's; over the first's where that is absent."""
    times = {timing.who: timing.seconds for timing in timings}
    base = next((times[who] for who in YARDSTICKS if who in times), next(iter(times.values())))
    return {who: seconds / base for who, seconds in times.items()}
