"""`lifecycle map`: what a person sees, and what a program reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from worker.commands import group
from worker.mapping import library
from worker.mapping.scenario import read_scenarios

RECORDS: list[dict[str, Any]] = [
    {"email": "ada@example.com", "event": "click", "timestamp": 1767603600, "sg_event_id": "1", "url": "https://x"},
    {"email": "ada@example.com", "event": "processed", "timestamp": 1767603600, "sg_event_id": "2"},
    {"email": "ada@example.com", "event": "open", "timestamp": "noon", "sg_event_id": "3", "category": ["a"]},
]


def lifecycle(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(group, ["map", *arguments], input=given)


@pytest.fixture
def captured(tmp_path: Path) -> str:
    path = tmp_path / "captured.json"
    path.write_text(json.dumps(RECORDS, indent=1))
    return str(path)


def test_each_record_is_shown_with_what_it_becomes_and_why_not(captured: str) -> None:
    result = lifecycle(captured, "--mapping", "sendgrid")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "  email.clicked  2026-01-05T09:00:00.000Z  ada@example.com  id 1" in lines
    assert '    data  url: "https://x", machine: false' in lines
    assert "  dropped: a mail on its way is nobody's act" in lines
    assert "  refused (bad-time): $[2].timestamp: expected seconds since 1970, got text" in lines
    assert lines[-1] == "1 record, 1 event, 1 dropped, 1 refused"


def test_a_program_reads_a_line_a_record(captured: str) -> None:
    result = lifecycle(captured, "-m", "sendgrid", "--json")
    (line,) = result.stdout.splitlines()
    told: dict[str, Any] = json.loads(line)
    assert [item["path"] for item in told["items"]] == ["$[0]", "$[1]", "$[2]"]
    (first,), (second,), (third,) = (item["results"] for item in told["items"])
    assert first["event"]["type"] == "email.clicked"
    assert first["event"]["specversion"] == "1.0"
    assert second == {"dropped": "a mail on its way is nobody's act"}
    assert (third["refused"], third["path"]) == ("bad-time", "$[2].timestamp")
    assert told["items"][0]["rule"] == "event == 'click'"


def test_fields_that_nothing_used_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    path.write_text("".join(json.dumps([{**RECORDS[0], "smtp-id": "x", "attempt": n}]) + "\n" for n in (1, 2)))
    result = lifecycle(str(path), "-m", "sendgrid")
    assert result.exit_code == 0
    assert result.stdout.count("  not used: [].smtp-id, [].attempt") == 2
    assert "not used, most often: [].smtp-id (2), [].attempt (2)" in result.stdout


def test_standard_input_is_read_and_a_broken_record_refused() -> None:
    result = lifecycle("-", "-m", "sendgrid", given='[{"email": "a')
    assert result.exit_code == 1
    assert "refused (not-json)" in result.stdout


def test_a_draft_loads_and_maps(captured: str, tmp_path: Path) -> None:
    drafted = lifecycle(captured, "--new")
    assert drafted.exit_code == 0
    own = tmp_path / "own.yaml"
    own.write_text(drafted.stdout)
    assert "mapping: captured" in drafted.stdout
    mapped = lifecycle(captured, "-m", str(own))
    assert "email.clicked" in mapped.stdout


def test_the_shipped_ones_are_listed_and_written_out() -> None:
    listed = lifecycle("--list").stdout
    assert "stripe  " in listed
    assert len(lifecycle("--list", "--json").stdout.splitlines()) == len(library.names())
    assert lifecycle("--show", "stripe").stdout == (library.folder() / "stripe.yaml").read_text()


def test_scenarios_are_checked(tmp_path: Path) -> None:
    shipped = str(library.folder() / "calendly.scenarios.yaml")
    good = lifecycle(shipped, "-m", "calendly", "--check")
    count = len(read_scenarios(Path(shipped)))
    assert (good.exit_code, good.stdout) == (0, f"{count} scenarios, all pass\n")
    own = tmp_path / "own.scenarios.yaml"
    own.write_text((library.folder() / "calendly.scenarios.yaml").read_text().replace("kind: demo", "kind: sales"))
    bad = lifecycle(str(own), "-m", "calendly", "--check")
    assert bad.exit_code == 1
    assert f"FAILED {own}:1: a booking" in bad.stdout
    assert bad.stdout.endswith(f"{count} scenarios, 1 failed\n")
    told = [
        json.loads(line)["passed"]
        for line in lifecycle(str(own), "-m", "calendly", "--check", "--json").stdout.splitlines()
    ]
    assert told.count(False) == 1


def test_an_own_list_of_machines_is_used(captured: str, tmp_path: Path) -> None:
    own = tmp_path / "machines.yaml"
    own.write_text("fastest_click_ms: 0\nmachines: [{contains: '', is: x}]")
    wrong = lifecycle(captured, "-m", "sendgrid", "--machines", str(own))
    assert wrong.exit_code == 2
    assert "ambiguous" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "one of --mapping, --new, --list and --show"),
        (["--list", "--new"], "one of --mapping, --new, --list and --show"),
        (["-m", "stripe"], "name a FILE"),
        (["x.json", "-m", "strip"], "did you mean 'stripe'"),
        (["gone.json", "-m", "stripe"], "can't be read"),
        (["--show", "strip"], "did you mean 'stripe'"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], told: str) -> None:
    result = lifecycle(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
