"""A chain of a million operations: made, sorted, differentiated and freed."""

import gc
import sys
import time
from collections.abc import Callable

import tinygrad_rnn as tr
from tests.stress.conftest import Size

PROMISED = 10.0  # seconds


def test_a_million_nodes(size: Size, report: Callable[[str], None]) -> None:
    assert sys.getrecursionlimit() <= 10_000
    gc.collect()
    start = time.process_time()
    x = tr.Value(1.0)
    y = x
    for _ in range(size.chain):
        y = y * 0.999999
    made = time.process_time()
    y.backward()
    differentiated = time.process_time()
    value = float(y)
    del y
    freed = time.process_time()
    assert abs(x.grad / value - 1) < 1e-12
    total = freed - start
    report(
        f"chain of {size.chain:,} operations: {total:.2f} s of CPU ({made - start:.2f} made, "
        f"{differentiated - made:.2f} backward, {freed - differentiated:.2f} freed); promised {PROMISED:g} s"
    )
    assert total < PROMISED
