"""A real browser for the tests that open pages in one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
TIMEOUT_MS = 30_000


def executable() -> str:
    """The browser of this machine; who has none is told, and in CI fails."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium on this machine")
        pytest.skip("there is no Chromium on this machine")
    return chromium


@contextmanager
def opened(
    path: Path, theme: Literal["light", "dark"] = "light", width: int = 1200, *, script: bool = True
) -> Iterator[Page]:
    """The page as a reader has it. Fails in the end where it logged an error or asked for anything but itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        try:
            page = browser.new_page(
                viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=script
            )
            page.set_default_timeout(TIMEOUT_MS)
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(path.as_uri())
            yield page
            assert not faults
            assert asked == [path.as_uri()], "a page needs nothing but itself"
        finally:
            browser.close()


def fits(page: Page) -> bool:
    """Whether the page can be read without moving it sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def contrasts(page: Page, selector: str) -> float:
    """The least contrast (WCAG) of text matching the selector with what is behind it."""
    return float(page.evaluate(_CONTRAST, selector))


_CONTRAST = """selector => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const part = [r, g, b].map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2]; };
  let least = 21;
  for (const element of document.querySelectorAll(selector)) {
    let behind = element, area = [0, 0, 0, 0];
    while (behind && area[3] === 0) {
      area = rgb(getComputedStyle(behind).backgroundColor);
      behind = behind.parentElement;
    }
    if (area[3] === 0) area = [255, 255, 255, 255];
    const one = light(rgb(getComputedStyle(element).color)), other = light(area);
    least = Math.min(least, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
  }
  return least;
}"""


def violations(page: Page) -> list[str]:
    """What axe-core finds in the page as it is shown now: the rule, what it means, and the first element at fault."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}" for one in found]
