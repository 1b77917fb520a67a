"""How much is tried, and a table of it at the end: `make stress`, and `make stress NIGHTLY=1` for the large size."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("NIGHTLY", "") not in ("", "0")
LINE = "a line of the table"  # travels from a worker process in its test's report
settings.register_profile(
    "stress",
    max_examples=50_000 if NIGHTLY else 1000,
    deadline=None,
    derandomize=not NIGHTLY,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("stress")


@dataclass(frozen=True)
class Size:
    """How many of each."""

    scalar_graphs: int = 1_000_000 if NIGHTLY else 20_000
    tensor_graphs: int = 250_000 if NIGHTLY else 5_000
    processes: int = 100 if NIGHTLY else 20
    chain: int = 1_000_000
    seed: int = int.from_bytes(os.urandom(4)) if NIGHTLY else 0


@pytest.fixture(scope="session")
def size() -> Size:
    return Size()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Take a line for the table."""
    return lambda line: request.node.user_properties.append((LINE, line))


@pytest.fixture
def progress(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Callable[[int, int], None]:
    """Say how far a long test has come, once a minute, past what pytest captures."""
    start = last = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 60.0:
            last = now
            with capsys.disabled():
                minutes = (now - start) / 60.0
                print(
                    f"\n{request.node.name}: {done:,} of {of:,} in {minutes:.0f} min",
                    file=sys.stderr,
                    flush=True,
                )

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    done = [
        r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, []) if r.when == "call"
    ]
    lines = [line for report in done for name, line in report.user_properties if name == LINE]
    if lines:
        terminalreporter.section("nightly" if NIGHTLY else "stress")
        for line in lines:
            terminalreporter.write_line(line)
