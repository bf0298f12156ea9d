"""The page in a browser: it draws, it filters, it is used by keyboard, and loads nothing from anywhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.published import OWNERS, STAGES, changed, touch, write
from worker.report import Tables, figures
from worker.report.page import DRAWN, page

pytest.importorskip("duckdb", reason="the extra `report` is not installed")
pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    published = []
    for number, source in enumerate(["ads", "ads", "<b>fair</b></script>", None]):
        first = touch(source)
        due = {"due_at": "2026-01-06T00:00:00.000Z", "late": "sales"}
        deal = {f"d{number}": {"amount": 10.0, "currency": "EUR"}}
        published += [
            changed(f"c{number}", None, "lead", 200 * number, attribution=first),
            changed(
                f"c{number}", "lead", "mql", 200 * number + 5, 200 * number, attribution=first, sla=due, value=deal
            ),
        ]
    published.append(changed("c3", "mql", "lead", 650, 605, reason="price", attribution=touch(None)))
    with Tables(STAGES, OWNERS, folder) as tables:
        tables.changes(write(folder / "changes.jsonl", published), "changes.jsonl")
        tables.finish()
        path = folder / "report.html"
        path.write_text(page(tables, figures(tables, "made")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM and os.environ.get("CI") != "true":
        pytest.skip("no Chromium on this machine: set CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM or None, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_drawn_and_nothing_is_asked_of_the_network(browser: Any, html: Path, theme: str) -> None:
    tab = browser.new_page(color_scheme=theme)
    faults: list[str] = []
    asked: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(html.as_uri())
    for figure in DRAWN:
        assert tab.locator(f"#{figure}-plot svg[role=img]").count() == 1, figure
    assert faults == []
    assert asked == [html.as_uri()]
    tab.close()


def test_filters_narrow_the_counts_and_reset_by_keyboard(browser: Any, html: Path) -> None:
    tab = browser.new_page()
    tab.goto(html.as_uri())
    assert tab.locator("#count").inner_text() == "4 of 4 contacts"
    tab.locator("#source").focus()
    tab.keyboard.type("ads")
    shown = tab.get_by_text("2 of 4 contacts", exact=True)  # the page's policy allows no evaluated strings
    shown.wait_for(timeout=5_000)
    tab.select_option("#owner", "sales")
    assert tab.locator("#funnel-table tbody tr").count() == 1
    tab.locator("button[type=reset]").focus()
    tab.keyboard.press("Enter")
    tab.get_by_text("4 of 4 contacts", exact=True).wait_for(timeout=5_000)
    assert tab.locator("#funnel-table tbody tr").count() == 4
    tab.close()
