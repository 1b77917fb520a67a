"""Interleaved timing: each round runs every contestant once, so that a slow minute of the machine hits all alike."""

import gc
import importlib
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: the workload.
        who: the contestant that is measured.
        measured: its figure, with the unit.
        beside: the other's figure, with who that is; "" where there is none.
        ratio: how many times better than the other; None where there is no other.
        promise: "" or what was promised, such as ">= 4x".
        kept: whether the promise is kept.
        held: whether a promise that is not kept fails the run.
    """

    what: str
    who: str
    measured: str
    beside: str = ""
    ratio: float | None = None
    promise: str = ""
    kept: bool = True
    held: bool = True


def interleaved(
    benchmark: Any, measured: Callable[[], Any], *others: Callable[[], Any], rounds: int, updates: int = 1
) -> list[float]:
    """Return the median seconds that one call of ``measured`` takes, and one of each of ``others``.

    ``benchmark`` is pytest-benchmark's fixture: it times ``measured`` and keeps it for comparison with other runs. In
    every round each contestant is called ``updates`` times in a row, as in training: what a call leaves to the
    garbage collector (a graph with reference cycles) is paid for in the calls after it. Between contestants the
    garbage is collected outside of the time.
    """
    for contestant in (measured, *others):
        contestant()

    def in_a_row(contestant: Callable[[], Any]) -> None:
        for _ in range(updates):
            contestant()

    times: list[list[float]] = [[] for _ in others]

    def run_others() -> None:
        for contestant, seconds in zip(others, times, strict=True):
            gc.collect()
            start = time.perf_counter()
            in_a_row(contestant)
            seconds.append(time.perf_counter() - start)
        gc.collect()

    benchmark.pedantic(lambda: in_a_row(measured), setup=run_others, rounds=rounds, iterations=1)
    return [median / updates for median in (benchmark.stats.stats.median, *map(statistics.median, times))]


def bytes_held(make: Callable[[], Any]) -> int:
    """Return the bytes that Python holds for what ``make`` returned, beyond what it held before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    del made
    return after - before


def peer(name: str) -> ModuleType | None:
    """Return the module of a peer, None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def milliseconds(seconds: float) -> str:
    """Return a time as text."""
    return f"{1e3 * seconds:,.1f} ms"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text under a heading."""
    cells = [("workload", "who", "measured", "beside", "ratio", "promised", "")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        verdict = "" if not row.promise else "kept" if row.kept else "MISSED"
        cells.append((row.what, row.who, row.measured, row.beside, ratio, row.promise, verdict))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
