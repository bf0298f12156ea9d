"""docs/lint.md says what lint does."""

from __future__ import annotations

from tests.lint.documentation import PAGE, render
from worker.lint.codes import CODES
from worker.lint.reader_codes import READER


def test_the_page_is_what_the_codes_and_cases_say() -> None:
    assert PAGE.read_text() == render(), "python -m tests.lint.documentation"


def test_every_code_has_its_heading() -> None:
    text = PAGE.read_text()
    missing = [code for code in (*CODES, *READER) if f"\n### {code}\n" not in text]
    assert missing == []
