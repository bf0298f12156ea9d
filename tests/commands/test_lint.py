"""`lifecycle lint`: findings on stderr or as JSON, silence when clean, and an exit status that a pipeline can go by."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from tests.lint.cases import HERE, SOUND, broken
from worker.commands import group

LINE = re.compile(r"(?P<file>\S+):(?P<line>\d+):(?P<column>\d+): (?P<code>[a-z-]+): .+ \[(error|warning|note)\]")
KEYS = {"file", "line", "column", "code", "severity", "message"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["lint", *map(str, arguments)])


def test_a_clean_definition_is_passed_over_in_silence() -> None:
    result = run(SOUND)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_an_error_is_a_line_on_stderr_and_exit_status_1() -> None:
    result = run(HERE / "shadowed.yaml")
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = [match["code"] for line in result.stderr.splitlines() if (match := LINE.fullmatch(line))]
    assert lines == ["shadowed", "unsigned"]


def test_warnings_and_notes_leave_the_exit_status_0() -> None:
    assert run(HERE / "order-decides.yaml").exit_code == 0
    assert run(HERE / "switched-off.yaml").exit_code == 0


def test_strict_fails_on_warnings_and_not_on_notes() -> None:
    assert run(HERE / "order-decides.yaml", "--strict").exit_code == 1
    assert run(HERE / "switched-off.yaml", "--strict").exit_code == 0


def test_a_witness_stands_below_its_finding() -> None:
    lines = run(HERE / "bounce.yaml").stderr.splitlines()
    place = next(place for place, line in enumerate(lines) if ": bounce: " in line)
    assert lines[place + 1].startswith("    ")
    assert lines[place + 1].endswith("mql → lead → mql")


def test_json_is_an_object_for_each_finding() -> None:
    result = run(HERE / "bounce.yaml", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.stderr == ""
    assert all(set(finding) - {"witness"} == KEYS for finding in found)
    bounce = next(finding for finding in found if finding["code"] == "bounce")
    assert {"events", "shows"} <= set(bounce["witness"])
    assert bounce["witness"]["events"][-1]["type"] == "sales.recycled"
    assert (bounce["severity"], bounce["line"]) == ("warning", 60)


def test_a_definition_that_cannot_be_read_is_told_in_the_same_form(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(broken("unknown-name"))
    result = run(path, "--json")
    finding = json.loads(result.stdout)
    assert result.exit_code == 1
    assert set(finding) == KEYS
    assert (finding["code"], finding["severity"], finding["line"]) == ("unknown-name", "error", 24)
    text = run(path)
    assert text.exit_code == 1
    assert LINE.fullmatch(text.stderr.strip())


def test_every_file_is_looked_at_even_after_one_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(broken("yaml"))
    result = run(path, HERE / "shadowed.yaml", "--json")
    assert {json.loads(line)["code"] for line in result.stdout.splitlines()} == {"yaml", "shadowed", "unsigned"}


def test_names_mean_the_shipped_definitions() -> None:
    result = run("mops", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert {Path(finding["file"]).name for finding in found} == {"mops.yaml"}


def test_without_names_all_shipped_definitions_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def look(path: Path) -> list[object]:
        looked_at.append(path.name)
        return []

    monkeypatch.setattr("worker.lint.lint", look)
    assert run().exit_code == 0
    assert looked_at == ["10ex.yaml", "agency34.yaml", "aspiration.yaml", "clarity.yaml", "mops.yaml"]


def test_a_name_that_is_nothing_is_wrong_usage() -> None:
    result = run("10xe")
    assert result.exit_code == 2
    assert "10ex" in result.stderr


def test_the_hook_for_pre_commit_runs_the_command() -> None:
    root = Path(__file__).parents[2]
    hook = YAML(typ="safe").load((root / ".pre-commit-hooks.yaml").read_text())[0]
    assert hook["entry"] == "lifecycle lint"
    assert run(root / "statemachine" / "mops.yaml", root / "statemachine" / "mops.scenarios.yaml").exit_code == 0
    assert re.search(hook["files"], "statemachine/mops.yaml")
