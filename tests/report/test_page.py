"""The page in a browser: it draws, it filters, it is used by keyboard, and loads nothing from anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page

from tests.chromium import contrasts, fits, opened, violations
from tests.report.published import OWNERS, STAGES, changed, touch, write
from worker.report import Tables, figures
from worker.report.drawn import drawn
from worker.report.page import page
from worker.report.rows import rows

pytest.importorskip("duckdb", reason="the extra `report` is not installed")
pytest.importorskip("vl_convert", reason="the extra `report` is not installed")
pytestmark = pytest.mark.browser
DRAWN = list(drawn(STAGES))

Theme = Literal["light", "dark"]


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_drawn_and_can_be_used_by_all(html: Path, theme: Theme) -> None:
    with opened(html, theme) as page:  # which asks for nothing else
        whole(page)
        for figure in DRAWN:
            assert page.locator(f"#{figure}-plot[role=img][aria-label] svg").count() == 1, figure
        assert violations(page) == []
        assert contrasts(page, "p, dt, dd, th, td, label, select, button, summary, .soft") >= 4.5
        unfold(page)
        assert violations(page) == []
        page.set_viewport_size({"width": 400, "height": 800})
        assert fits(page)


def test_a_filter_draws_every_chart_anew_in_its_place(html: Path) -> None:
    with opened(html) as page:
        before = whole(page)
        page.select_option("#source", "ads")
        filtered = whole(page)
        assert all(page.locator(f"#{figure}-plot svg").count() == 1 for figure in DRAWN)
        assert {"lead", "2 ever, 0 now"} <= set(filtered["funnel"])
        assert "2026-01-05 (1)" in filtered["cohorts"] and "<b>fair</b></script> (1)" not in filtered["attribution"]
        assert "2026-01-19" in before["trend"] and "2026-01-19" not in filtered["trend"]
        assert "price: mql → lead" in before["returned"]
        assert page.locator("#returned-none").is_visible() and not page.locator("#returned-plot").is_visible()
        page.select_option("#owner", "sales")
        assert "lead" not in whole(page)["funnel"]
        page.select_option("#owner", "")
        page.select_option("#source", "")
        assert whole(page) == before


def test_the_script_adds_up_the_rows_that_were_drawn_here(html: Path) -> None:
    with opened(html) as page:
        told = page.evaluate("() => Object.keys(CHARTS).map(id => [id, ROWS[id](chosen(), S.map((_, i) => i))])")
    assert dict(told) == rows(held(html, "data"))


def test_filters_narrow_the_counts_and_reset_by_keyboard(html: Path) -> None:
    with opened(html) as page:
        assert page.locator("#count").inner_text() == "4 of 4 contacts"
        page.locator("#source").focus()
        page.keyboard.type("ads")
        shown(page, "2 of 4 contacts")
        page.select_option("#owner", "sales")
        assert page.locator("#funnel-table tbody tr").count() == 1
        page.locator("button[type=reset]").focus()
        page.keyboard.press("Enter")
        shown(page, "4 of 4 contacts")
        assert page.locator("#funnel-table tbody tr").count() == 4


def test_each_filter_chooses_and_what_nothing_is_left_of_says_so(html: Path) -> None:
    with opened(html) as page:
        page.select_option("#campaign", "ads-1")
        shown(page, "2 of 4 contacts")
        weeks = page.locator("#since option").all_text_contents()
        page.select_option("#since", weeks[-1])
        shown(page, "0 of 4 contacts")
        assert page.locator("#cohorts-none", has_text="Nothing with these filters").is_visible()
        page.select_option("#campaign", "")
        shown(page, "1 of 4 contacts")
        page.select_option("#since", weeks[0])
        page.select_option("#until", weeks[0])
        shown(page, "1 of 4 contacts")


def test_the_whole_page_is_reached_by_keyboard(html: Path) -> None:
    with opened(html) as page:
        page.keyboard.press("Tab")
        assert focused(page) == "To the figures"
        path = []
        for _ in range(9):
            page.keyboard.press("Tab")
            path.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert path[:8] == ["theme", "source", "campaign", "owner", "since", "until", "BUTTON", "SUMMARY"]
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        page.locator("#funnel-table").wait_for(state="visible")
        page.locator("#theme").focus()
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.keyboard.press("Enter")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_prints_whole_without_filters_and_with_its_numbers(html: Path, theme: Theme) -> None:
    with opened(html, theme, width=720) as page:  # A4 but for its margins
        page.emulate_media(media="print")
        assert not page.locator("#filters").is_visible()
        for figure in DRAWN:
            assert page.locator(f"#{figure}-table").is_visible(), figure
        assert contrasts(page, "p, dt, dd, th, td") >= 4.5
        cut = page.evaluate(
            "() => [...document.querySelectorAll('table, svg')].filter(one =>"
            " one.getBoundingClientRect().right > innerWidth).map(one => one.id || one.outerHTML.slice(0, 80))"
        )
        assert cut == []
        printed = page.pdf(format="A4")
        assert printed.count(b"/Type /Page\n") >= 3


def test_without_javascript_every_drawing_and_table_is_what_the_script_makes_of_all(html: Path) -> None:
    def cells(page: Page) -> dict[str, list[str]]:
        return {figure: page.locator(f"#{figure}-table").locator("th, td").all_text_contents() for figure in DRAWN}

    with opened(html) as page:
        scripted = whole(page), cells(page)
    with opened(html, script=False) as page:
        assert page.locator("#funnel-table").is_visible() and not page.locator("#filters").is_visible()
        assert "need JavaScript" in page.locator("main noscript").inner_text()
        assert cells(page) == scripted[1]
        for figure, told in texts(page).items():
            assert told == scripted[0][figure], figure
    assert all(scripted[0].values()) and all(scripted[1].values())


def whole(page: Page) -> dict[str, list[str]]:
    """What is written in the charts, in their order, once all of them are drawn."""
    page.locator("#figures[aria-busy=false]").wait_for()
    return texts(page)


def texts(page: Page) -> dict[str, list[str]]:
    return {figure: page.locator(f"#{figure}-plot svg text").all_text_contents() for figure in DRAWN}


def held(html: Path, name: str) -> dict[str, Any]:
    found = re.search(rf'id="{name}">(.*?)</script>', html.read_text(encoding="utf-8"))
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def unfold(page: Page) -> None:
    for one in page.locator("summary").all():
        one.click()


def shown(page: Page, text: str) -> None:
    page.locator("#count", has_text=text).wait_for(timeout=5_000)  # the page's policy allows no evaluated strings


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent"))
