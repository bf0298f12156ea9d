"""The page that leadership signs: everything of the definition is on it, and it can be read, printed and signed."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest

from tests.chromium import contrasts, fits, opened, violations
from worker.definition.model import Lifecycle
from worker.definition.reader import read
from worker.document import as_html, as_markdown, document
from worker.shipped import lifecycle_names, lifecycle_path

SHIPPED = lifecycle_names()


def lifecycle(name: str) -> Lifecycle:
    return read(lifecycle_path(name))


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("write", [as_html, as_markdown])
def test_everything_that_is_agreed_stands_on_the_page(name: str, write: object) -> None:
    assert callable(write)
    given = lifecycle(name)
    text = unescape(write(document(given))).replace("\\", "")
    wanted = [given.title, *given.notes]
    for stage in given.stages.values():
        wanted += [stage.name, stage.means.value, stage.goal.value]
        wanted += [part.value for part in (stage.journey, stage.content, stage.entry, stage.exit) if part is not None]
        wanted += stage.sla.met_by if stage.sla is not None else []
    wanted += [transition.says for transition in given.transitions]
    wanted += [*given.parameters, *(parameter.means for parameter in given.parameters.values())]
    wanted += [*given.conditions, *given.conditions.values(), *given.score.behaviour.points]
    wanted += [meaning.means for meaning in (given.statuses.meanings if given.statuses else {}).values()]
    wanted += [sign.role for sign in given.sign_off]
    missing = [one for one in wanted if one.replace("\\", "") not in text]
    assert not missing


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_assumed_is_listed_once_each(name: str) -> None:
    given = lifecycle(name)
    (section,) = [one for one in document(given).sections if one.title == "Still assumed"]
    text = as_markdown(document(given)).partition("## Still assumed")[2]
    for name_, parameter in given.parameters.items():
        assert (f"({name_})".replace("_", "\\_") in text) == parameter.assumed
    assert section.blocks


def test_a_definitions_own_markup_is_not_the_pages() -> None:
    given = lifecycle("10ex")
    stages = dict(given.stages)
    stages["lead"] = stages["lead"].model_copy(update={"name": "<script>alert(1)</script> & | `x`"})
    page = document(given.model_copy(update={"stages": stages, "title": "<b>T</b>"}))
    assert "<script" not in as_html(page) and "<b>T</b>" not in as_html(page)
    assert "<script" not in as_markdown(page).replace("\\<", "")


def test_words_of_several_lines_are_one_line_of_markdown() -> None:
    given = lifecycle("10ex")
    stages = dict(given.stages)
    stages["lead"] = stages["lead"].model_copy(update={"name": "Lead\nof [two](lines) `"})
    text = as_markdown(document(given.model_copy(update={"stages": stages, "title": "Title\n# of two"})))
    assert "# Title # of two\n" in text and "\n# of two" not in text
    assert "### 2. Lead of \\[two](lines) \\` (" in text
    assert not [line for line in text.splitlines() if line.startswith("|") != line.endswith("|")]


def test_a_page_of_one_stage_that_nobody_signs_reads_well() -> None:
    given = lifecycle("10ex")
    one = given.model_copy(update={"stages": {"lead": given.stages["lead"]}, "transitions": [], "sign_off": []})
    page = document(one)
    assert page.subtitle == "One stage, Lead"
    assert "list roles under sign_off" in as_html(page) and "`sign_off`" not in as_html(page)


def test_the_same_definition_gives_the_same_page() -> None:
    assert as_html(document(lifecycle("mops"))) == as_html(document(lifecycle("mops")))


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_legible_in_a_browser(tmp_path: Path, theme: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(as_html(document(lifecycle("clarity"))))
    with opened(file, "dark" if theme == "dark" else "light") as page:
        assert page.title() == lifecycle("clarity").title
        assert page.locator("article.stage").count() == len(lifecycle("clarity").stages)
        assert page.get_by_role("img").count() == 1
        assert page.locator("h1").count() == 1
        assert fits(page)
        assert violations(page) == []
        assert contrasts(page, "p, li, dt, dd, th, td, a, .assumed, .owner, .soft, code") >= 4.5
        page.set_viewport_size({"width": 400, "height": 800})
        assert fits(page)
        letters = page.locator("svg .says").first.bounding_box()
        assert letters is not None and letters["height"] >= 12, (
            "on a phone the picture is moved sideways, and can be read"
        )


@pytest.mark.browser
def test_the_page_prints_on_a4(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(as_html(document(lifecycle("10ex"))))
    with opened(file, "dark") as page:
        printed = page.pdf(format="A4", prefer_css_page_size=True)
        pages = printed.count(b"/Type /Page\n") or printed.count(b"/Type /Page")
        assert 4 <= pages <= 40
        page.emulate_media(media="print", color_scheme="light")
        assert contrasts(page, "p, li, dt, dd, th, td") >= 4.5  # ink on paper, whatever the reader's theme
