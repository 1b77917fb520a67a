"""How much is tried, and a table of it at the end: `make stress`, and `make stress NIGHTLY=1` for the large size."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("NIGHTLY", "") not in ("", "0")
LINES = pytest.StashKey[list[str]]()
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
    lines: list[str] = request.config.stash.setdefault(LINES, [])
    return lines.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("nightly" if NIGHTLY else "stress")
        for line in lines:
            terminalreporter.write_line(line)
