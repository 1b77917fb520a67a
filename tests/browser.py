"""A real browser for what pages do: any Chromium or Chrome of this machine, never one that a package downloads."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
UNTESTED = "the page was NOT tested in a browser"  # by this the summary finds the tests that were left out
# What a browser does of itself: looking for updates, translations, a proxy, ... No name can be looked up at all.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class NoBrowserError(RuntimeError):
    """No browser was found, or none of those found could be started."""


def browsers() -> list[str]:
    """Return the paths of the browsers that are installed, those on PATH first."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    return found + [path for path in PLACES if os.access(path, os.X_OK)]


@contextmanager
def started() -> Iterator[Any]:
    """Yield a running browser without a window (playwright's ``Browser``), closed on leaving.

    While it runs, the thread has a running event loop: no ``asyncio.run`` can be called.

    Raises:
        NoBrowserError: there is none, and why.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise NoBrowserError(f"the package playwright is missing ({error})") from None
    paths = browsers()
    if not paths:
        raise NoBrowserError(f"no Chromium or Chrome was found on PATH ({', '.join(NAMES)})")
    root = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    reasons = []
    with sync_playwright() as playwright:
        for path in paths:
            try:
                browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, *root])
            except Error as error:
                reasons.append(f"{path} does not start: {str(error).splitlines()[0]}")
                continue
            try:
                yield browser
            finally:
                browser.close()
            return
    raise NoBrowserError("; ".join(reasons))


@contextmanager
def watched(browser: Any, problems: list[str], **settings: Any) -> Iterator[Any]:
    """Yield a new, isolated context of the browser, which reaches no network; what goes wrong is added to ``problems``.

    That is: every request but that for the page's own file (``file:`` in the address bar), every error or warning that
    a page logs, every exception that it does not catch.

    Args:
        settings: of playwright's ``new_context``, such as ``color_scheme="dark"``.
    """

    def answer(route: Any) -> None:
        request = route.request
        if request.url.startswith("file:") and request.is_navigation_request():
            route.continue_()
        else:
            problems.append(f"request: {request.method} {request.url}")
            route.abort()

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"console {message.type}: {message.text}")

    context = browser.new_context(service_workers="block", **settings)
    try:
        context.route("**/*", answer)
        context.route_web_socket("**/*", lambda socket: problems.append(f"request: web socket {socket.url}"))
        context.on("console", heard)
        context.on("weberror", lambda error: problems.append(f"uncaught: {error.error}"))
        yield context
    finally:
        context.close()
