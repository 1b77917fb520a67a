"""The table at the end of `make bench`: every contest with its times, its ratio and what was promised."""

import os
import platform
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.benchmarks.contest import Row, table

ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Callable[[Row], None]]:
    """Take rows for the table; a row that misses its promise fails the test, after all were taken."""
    rows: list[Row] = []
    yield rows.append
    request.config.stash.setdefault(ROWS, []).extend(rows)
    missed = [row for row in rows if row.held and not row.kept]
    if missed:
        pytest.fail(table(missed), pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.section("beside others, in one interleaved run")
        threads = os.environ.get("OPENBLAS_NUM_THREADS", "not limited")
        terminalreporter.write_line(
            f"Python {platform.python_version()}, numpy {np.__version__}, BLAS threads: {threads}; medians"
        )
        terminalreporter.write_line(table(rows))
        terminalreporter.write_line(
            "(times are for one update; a round in the table below is several updates)"
        )
