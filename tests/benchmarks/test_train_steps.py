"""Train steps of RNN, LSTM, GRU and of scalar graphs beside others, in a process of their own; what replay promises."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.benchmarks.contest import Row, milliseconds
from tests.benchmarks.figures import by_workload, load
from tests.benchmarks.race import Timing

ROOT = Path(__file__).parents[2]
# Targets of the replay, shown beside what is measured; not all are reached, so a miss does not fail the run.
# (who is measured, beside whom, times better at least, at which batch sizes, up to which H)
ANY = range(1, 1000)
PROMISES = [
    ("compile", "hand", 1 / 1.1, ANY, 256),
    ("compile-each", "hand", 1 / 1.1, ANY, 256),
    ("compile", "torch", 1, ANY, 128),
    ("compile", "torch.compile", 1, ANY, 128),
    ("compile", "autograd", 1, ANY, 128),
    ("compile-numba", "jax", 1.2, (1,), 256),
    ("compile-numba", "jax", 1, (16, 32), 256),
    ("compile", "micrograd", 25, ANY, 128),
    ("compile-numba", "micrograd", 600, ANY, 128),
]
SOONER = 20  # the first result, beside JAX's first call


def contest(arguments: list[str], folder: Path) -> list[Timing]:
    """Run the command line in its own process, where no warning of a peer is an error; return its timings."""
    command = [sys.executable, "-m", "tests.benchmarks.train_steps", "--out", str(folder), *arguments]
    subprocess.run(command, check=True, cwd=ROOT)
    return load(folder)


def rows(workload: str, timings: list[Timing], promised: bool) -> Iterator[Row]:
    """The lines of one workload: what was promised, or for want of that the engine beside the others."""
    by_name = {timing.who: timing for timing in timings}
    B, *_, H = map(int, workload.split("-")[1].split("x")) if workload[0].isupper() else (1, 0)
    for who, other, least, batches, largest in PROMISES:
        if who in by_name and other in by_name and B in batches and largest >= H:
            yield row(workload, by_name[who], by_name[other], least if promised else None)
    if "compile" in by_name and "jax" in by_name:
        ratio = by_name["jax"].first / by_name["compile"].first
        measured, beside = (milliseconds(by_name[who].first) for who in ("compile", "jax"))
        promise = f">= {SOONER}x" if promised else ""
        kept = not promised or ratio >= SOONER
        yield Row(
            workload, "compile, first call", measured, f"jax {beside}", ratio, promise, kept, held=False
        )
    if "compile" not in by_name:
        first, *others = timings
        for other in others:
            yield row(workload, other, first, None)


def row(workload: str, mine: Timing, other: Timing, least: float | None) -> Row:
    ratio = other.seconds / mine.seconds
    promise = "" if least is None else f">= {least:.3g}x"
    beside = f"{other.who} {milliseconds(other.seconds)}"
    return Row(
        workload,
        mine.who,
        milliseconds(mine.seconds),
        beside,
        ratio,
        promise,
        least is None or ratio >= least,
        held=False,
    )


ONE_THREAD = ["--threads", "1", "--clock", "cpu"]  # the processor's time: other programs disturb it least
DEFAULT_THREADS = ["--threads", "default", "--only", "float64", "1x100", "32x50", "16x200"]
DEFAULT_THREADS += ["--who", "hand,eager,compile,compile-each,compile-numba,torch,jax"]


@pytest.mark.parametrize("options", [ONE_THREAD, DEFAULT_THREADS], ids=["one thread", "default threads"])
def test_train_steps(options: list[str], report: Callable[[Row], None]) -> None:
    """Targets are set for one thread; the figures stay in build/bench."""
    timings = contest([*options, "--seconds", "1"], ROOT / "build" / "bench" / f"threads-{options[1]}")
    for workload, group in by_workload(timings).items():
        for line in rows(workload, group, promised=options is ONE_THREAD):
            report(line)
