"""The pages in a browser: both themes, by keyboard, without scripts, and nothing that axe-core finds fault with."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.chromium import ARGUMENTS, TIMEOUT_MS, contrasts, executable, fits
from tests.live.support import Stand
from tests.live.test_pages import SECRET, history
from tests.runtime.support import quiet
from worker.fold.outcome import Event
from worker.instants import DAY_MS, HOUR_MS
from worker.live.server import LiveServer
from worker.transports.simulator.clock import START_MS

pytestmark = pytest.mark.browser

LONG = "a-very-long-name-without-any-place-to-break-it-" * 4 + "@example.com"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    stand = Stand().ready()
    old = [Event(START_MS - 90 * DAY_MS, "form.submitted", "f-0", "/site", SECRET, {"kind": "pricing"})]
    later = [
        Event(START_MS - 3 * DAY_MS, "meeting.held", "h-1", "/cal", SECRET, {"outcome": "done"}),
        Event(START_MS - 2 * DAY_MS, "sales.rejected", "s-1", "/crm", SECRET, {"reason": "no budget"}),
        Event(START_MS - HOUR_MS, "email.replied", "r-1", "/mail", SECRET, {"sentiment": "positive"}),
    ]
    stand.fold([*old, *history(), *later, *history(LONG)])
    bound = socket.create_server(("127.0.0.1", 0))
    with LiveServer(stand.application, bound, quiet()):
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield running
        running.close()


def opened(browser: Any, theme: str, width: int = 1200) -> Page:
    page: Page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=True
    )
    page.set_default_timeout(TIMEOUT_MS)
    return page


def shot(page: Page, name: str) -> None:
    """A picture to look at, where a folder is named for it."""
    folder = os.environ.get("LIFECYCLE_TEST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


PATHS = {
    "home": "/",
    "contact": f"/contacts?id={SECRET.replace('+', '%2B')}&why-not=sql",
    "unknown": "/contacts/nobody",
    "long": f"/contacts/{LONG}",
    "refused": "/contacts?id=a&why-not=nothing",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_whole_in_each_theme(browser: Any, address: str, path: str, theme: str) -> None:
    page = opened(browser, theme)
    faults: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + PATHS[path])
    shot(page, f"{path}-{theme}")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert contrasts(page, "p, dd, dt, li, code, label, button, h1, h2, time, .good, .bad, a") >= 4.5
    assert fits(page)
    assert faults == []
    assert len(asked) == 1, "a page needs nothing but itself"
    page.set_viewport_size({"width": 360, "height": 740})
    shot(page, f"{path}-{theme}-narrow")
    assert fits(page)
    page.close()


def test_a_contact_is_asked_for_by_keyboard_without_scripts(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(address)
    page.keyboard.press("Tab")  # the heading's link
    page.keyboard.press("Tab")
    page.keyboard.type(SECRET)
    page.keyboard.press("Tab")
    page.keyboard.type("SQL")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts?**")
    page.get_by_role("heading", name=SECRET).wait_for()
    page.get_by_role("heading", name="Why not sql").wait_for()
    assert page.get_by_label("Contact’s id").input_value() == SECRET
    assert page.locator("select").input_value() == "sql"
    context.close()
