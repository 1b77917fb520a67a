"""Fixtures for the tests that need a real browser; without one they are skipped, and the summary says so loudly."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import UNTESTED, NoBrowserError, started, watched


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a running browser.

    It serves one module, since tests of other modules may call ``asyncio.run``, which its event loop forbids.
    """
    running = started()
    try:
        found = running.__enter__()
    except NoBrowserError as error:
        pytest.skip(f"{UNTESTED}: {error}")
    yield found
    running.__exit__(None, None, None)


@pytest.fixture
def problems() -> list[str]:
    """Return what went wrong in the page so far; a test that provokes something checks it and clears the list."""
    return []


@pytest.fixture
def context_settings() -> dict[str, Any]:
    """Return the settings of the browser's context; a test module or a parametrization may override them."""
    return {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture
def page(browser: Any, problems: list[str], context_settings: dict[str, Any]) -> Iterator[Any]:
    """Yield an empty page without a network; the test fails if it asks for one, or logs an error or a warning."""
    with watched(browser, problems, **context_settings) as context:
        yield context.new_page()
    assert problems == []
