"""Remake the README's pictures of the explorer: ``python -m docs.make_screenshots`` needs playwright and a Chromium.

They show the page of the network of the ten lines in four steps, in the middle of the backward sweep.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import tinygrad_rnn as tr
from docs.make_pictures import FOLDER, differentiated_network

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
STEPS_BACK = 18  # from the end of the sweep: the state S_2 gets the second part of its gradient
SIZE = {"width": 1280, "height": 800}
SCREENSHOTS = {"explorer.png": "light", "explorer-dark.png": "dark"}


def make_screenshots(folder: Path) -> list[Path]:
    """Write the screenshots into ``folder`` and return their paths.

    Raises:
        FileNotFoundError: there is no Chromium or Chrome.
    """
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise FileNotFoundError(f"no browser was found: install one of {', '.join(BROWSERS)}")
    paths = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        page_path = Path(scratch) / "explorer.html"
        tr.explore(differentiated_network(4)).save(page_path)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, scheme in SCREENSHOTS.items():
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(page_path.as_uri())
            page.wait_for_selector("svg g.node")
            page.keyboard.press("End")
            for _ in range(STEPS_BACK):
                page.keyboard.press("ArrowLeft")
            page.keyboard.press("0")
            page.wait_for_timeout(800)
            page.screenshot(path=folder / name)
            paths.append(folder / name)
        browser.close()
    return paths


if __name__ == "__main__":
    for path in make_screenshots(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(path)
