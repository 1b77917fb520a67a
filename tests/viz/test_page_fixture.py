"""The browser of the tests notices whatever a page must not do."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser import watched

IMAGE = '<img src="{}" alt="">'
SCRIPT = "<script>{}</script>"

FORBIDDEN = {
    "an image of the network": (IMAGE.format("http://example.org/x.png"), "request: GET http://example.org/x.png"),
    "an image of another file": (IMAGE.format("x.png"), "request: GET file://"),
    "a fetch": (SCRIPT.format("fetch('https://example.org/f').catch(() => 0)"), "request: GET https://example.org/f"),
    "a frame": ('<iframe src="http://example.org/"></iframe>', "request: GET http://example.org/"),
    "a web socket": (SCRIPT.format("new WebSocket('ws://example.org/s')"), "request: web socket ws://example.org/s"),
    "a beacon": (SCRIPT.format("navigator.sendBeacon('http://example.org/b')"), "request: POST http://example.org/b"),
    "a logged error": (SCRIPT.format("console.error('wrong', 3)"), "console error: wrong 3"),
    "a logged warning": (SCRIPT.format("console.warn('hm')"), "console warning: hm"),
    "an exception": (SCRIPT.format("setTimeout(() => missing())"), "missing is not defined"),
    "a rejected promise": (SCRIPT.format("Promise.reject(new Error('late'))"), "late"),
    "what a policy refuses": (
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
        + IMAGE.format("http://example.org/x.png"),
        "console error: Loading the image",
    ),
}  # fmt: skip


def opened(page: Any, folder: Path, body: str) -> None:
    path = folder / "page.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><title>t</title>{body}", encoding="utf-8")
    page.goto(path.as_uri())


@pytest.mark.parametrize(("body", "problem"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_it_notices(browser: Any, tmp_path: Path, body: str, problem: str) -> None:
    problems: list[str] = []
    with watched(browser, problems) as context:
        page = context.new_page()
        opened(page, tmp_path, body)
        for _ in range(100):
            if problems:
                break
            page.wait_for_timeout(20)
    assert problem in problems[0]


def test_a_page_of_one_file_is_no_problem(page: Any, tmp_path: Path) -> None:
    body = '<p>h₂</p><iframe sandbox="allow-scripts" srcdoc="<p id=a>inside</p>"></iframe>'
    opened(page, tmp_path, body + IMAGE.format("data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="))
    assert page.inner_text("p") == "h₂"
    assert page.frame_locator("iframe").locator("#a").inner_text() == "inside"


@pytest.mark.parametrize("context_settings", [{"color_scheme": "dark"}], ids=["dark"])
def test_a_test_chooses_the_settings(page: Any) -> None:
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is True
