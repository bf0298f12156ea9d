"""Each code is shown by a definition and not by its near twin; nothing else is said of either."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.lint.cases import BREAKS, HERE, SOUND, broken
from worker.lint import lint
from worker.lint.codes import CODES
from worker.lint.findings import Finding
from worker.lint.reader_codes import READER

FAULTS = ("Fault", "ExpressionError", "fail", "finding", "_fault", "_whole")
DEFINITION = Path(__file__).parents[2] / "worker" / "definition"


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_is_shown_by_its_case_and_not_by_the_twin(code: str) -> None:
    shown, twin = lint(HERE / f"{code}.yaml"), lint(HERE / f"{code}.twin.yaml")
    assert code in codes(shown)
    assert codes(shown) - {"unsigned"} == {code} - {"unsigned"}, "the case shows one thing"
    assert codes(twin) <= {"unsigned"} - {code}, "the twin shows nothing"


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_finding_stands_at_its_line_and_says_what_to_do(code: str) -> None:
    text = (HERE / f"{code}.yaml").read_text()
    for finding in lint(HERE / f"{code}.yaml"):
        line = text.splitlines()[finding.line - 1]
        assert line[finding.column - 1].strip(), f"column {finding.column} of {line!r} is blank"
        assert finding.severity == CODES[finding.code].severity
        assert ";" in finding.message or finding.code == "switched-off", "what is wrong; what to do"


@pytest.mark.parametrize("code", sorted(BREAKS))
def test_a_break_of_the_form_is_an_error_of_its_own_code(code: str) -> None:
    found = lint(broken(code), "own.yaml")
    assert codes(found) == {code}
    assert {finding.severity for finding in found} == {"error"}
    assert {finding.file for finding in found} == {"own.yaml"}


def test_of_a_sound_signed_definition_nothing_is_said() -> None:
    assert lint(SOUND) == []


@pytest.mark.parametrize(
    ("given", "code"), [(b"", "empty"), (b"lifecycle: \xff", "encoding"), (b"a: " + b"x" * 2**20, "too-large")]
)
def test_what_is_no_definition_is_told_as_such(given: bytes, code: str) -> None:
    assert codes(lint(given, "own.yaml")) == {code}


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert codes(lint(tmp_path / "gone.yaml")) == {"unreadable"}


def test_a_file_of_scenarios_is_read_for_its_form(tmp_path: Path) -> None:
    path = tmp_path / "own.scenarios.yaml"
    path.write_text(
        "- {name: a, lifecycle: 10ex, events: [{at: 2026-01-05T09:00:00Z, type: page.viewed}], expect: {}}\n"
    )
    assert lint(path) == []
    path.write_text("- {name: a, lifecycle: 10ex, evnts: [], expect: {}}\n")
    assert codes(lint(path)) == {"unknown-field"}


def test_every_code_of_the_reader_is_documented() -> None:
    """Texts in the reader's code that look like codes and stand where codes stand."""
    found: set[str] = set()
    for path in DEFINITION.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            if name in FAULTS:
                found |= {text for text in texts if re.fullmatch(r"[a-z]+(-[a-z]+)*", text)}
            if name in ("unknown", "_unknown") and texts and isinstance(node.args[0], ast.Constant):
                found.add(texts[-1] if len(texts) > 1 else f"unknown-{texts[0]}")
    assert found <= set(READER)


def test_every_code_of_the_reader_has_a_break_or_is_about_the_file_itself() -> None:
    assert set(READER) - set(BREAKS) == {"unreadable", "encoding", "empty"}
