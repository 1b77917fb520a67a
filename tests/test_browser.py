"""The browser fixtures see what they must: requests, logged errors, exceptions; and its absence is said loudly."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import browser as finding
from tests.browser import NoBrowserError, browsers, started

ROOT = Path(__file__).parent.parent
PROBE = "tests/viz/test_page_fixture.py"


def test_browsers_are_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browsers() == []
    for name in ("google-chrome-stable", "chromium"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    assert [Path(path).name for path in browsers()] == ["chromium", "google-chrome-stable"]


def test_no_browser_is_an_error_that_says_what_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "browsers", list)
    with pytest.raises(NoBrowserError, match=r"no Chromium or Chrome was found .*google-chrome"), started():
        pass


def test_a_browser_that_does_not_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(finding, "browsers", lambda: [str(broken)])
    with pytest.raises(NoBrowserError, match=r"chromium does not start"), started():
        pass


def run_probe(folder: Path, *arguments: str) -> Any:
    """Run the tests of the fixture with a PATH on which there is no browser, in a home that is empty."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    environment = {**kept, "PATH": str(folder), "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PROBE, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_its_absence_is_said_loudly(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    if any(os.access(place, os.X_OK) for place in finding.PLACES):
        pytest.skip("this machine has a browser that is found without PATH")
    done = run_probe(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "!! THE PAGE WAS NOT TESTED !!" in done.stdout
    assert "tests of what pages do in a browser were left out: no Chromium or Chrome was found" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].endswith("s")
    assert " skipped in " in done.stdout.rstrip().splitlines()[-1]


def test_nothing_is_said_where_there_is_one(tmp_path: Path) -> None:
    if not browsers():
        pytest.skip("this machine has no browser")
    wrapper = tmp_path / "chromium"  # a script, since the browser's own start-up script needs the whole PATH
    wrapper.write_text(
        f'#!/bin/sh\nPATH="{os.environ["PATH"]}" exec "{browsers()[0]}" "$@"\n', encoding="utf-8"
    )
    wrapper.chmod(0o755)
    done = run_probe(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT TESTED" not in done.stdout
    assert "skipped" not in done.stdout
