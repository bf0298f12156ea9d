"""replay, test, list, copy and demo: what they print, what they write, how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_verbs import lifecycle
from tests.replay.support import DAY, event
from worker.shipped import lifecycle_names, lifecycle_path, scenarios_path

FIELDS = ["events", "contacts", "stage_changes", "duplicates", "late", "dead_letters", "seconds"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_replay_ends_with_one_object() -> None:
    line = event(0, "form.submitted", kind="demo", traits={"icp_fit": True})
    told = lifecycle("replay", "-", "-l", "10ex", "--json", given=b"\n".join([line, line, b"x"]))
    assert told.exit_code == 0
    summary = json.loads(told.stdout)
    assert list(summary)[: len(FIELDS)] == FIELDS
    assert [summary[name] for name in FIELDS[:-1]] == [3, 1, 3, 1, 0, 1]


def test_replay_writes_four_files_and_says_what_came_of_it() -> None:
    given = event(0, "form.submitted", kind="demo", traits={"icp_fit": True})
    told = lifecycle("replay", "-", "-l", "10ex", "--out", "out", "--as-of", "2026-02-01", given=given)
    assert told.exit_code == 0
    assert "1 event of 1 contact" in told.stdout
    assert "as of 2026-02-01T00:00:00.000Z" in told.stdout
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "companies.jsonl", "contacts.jsonl", "dead-letters.jsonl", "stage-changes.jsonl"
    ]  # fmt: skip


def test_a_parameter_may_be_turned() -> None:
    given = event(0, "form.submitted", traits={"icp_fit": True})
    stages = []
    for score in ("50", "10"):
        lifecycle("replay", "-", "-l", "10ex", "--out", score, "--set", f"mql_score={score}", given=given)
        stages.append(json.loads(Path(score, "contacts.jsonl").read_text())["stage"])
    assert stages == ["lead", "mql"]


def test_scenarios_of_a_file_pass_or_fail_the_command() -> None:
    told = lifecycle("test", str(scenarios_path(lifecycle_path("10ex"))))
    assert told.exit_code == 0
    assert "all pass" in told.stdout
    Path("own.scenarios.yaml").write_text(
        "- name: wrong\n  lifecycle: 10ex\n  events: [{at: '2026-01-05T09:00:00Z', type: form.submitted}]\n"
        "  expect: {stage: customer}\n"
    )
    failed = lifecycle("test", "own.scenarios.yaml")
    assert failed.exit_code == 1
    assert "FAILED own.scenarios.yaml:1: wrong" in failed.stdout
    assert 'expected "customer", came out "lead"' in failed.stdout
    assert "prospect → lead" in failed.stdout, "the history"
    as_json = lifecycle("test", "own.scenarios.yaml", "--json")
    assert as_json.exit_code == 1
    row = json.loads(as_json.stdout)
    assert [row[name] for name in ("file", "name", "passed")] == ["own.scenarios.yaml", "wrong", False]
    assert row["differences"] == [{"what": "stage", "expected": "customer", "actual": "lead"}]


def test_the_shipped_lifecycles_are_listed() -> None:
    rows = [json.loads(line) for line in lifecycle("list", "--json").stdout.splitlines()]
    assert [row["lifecycle"] for row in rows] == lifecycle_names()
    one = lifecycle("list", "10ex")
    assert one.exit_code == 0
    assert "mql_score" in one.stdout


@pytest.mark.parametrize("name", lifecycle_names())
def test_a_copy_is_a_lifecycle_of_its_own_whose_scenarios_pass(name: str) -> None:
    copied = lifecycle("copy", name, "own.yaml")
    assert copied.exit_code == 0, copied.output
    assert json.loads(lifecycle("list", "own.yaml", "--json").stdout)["lifecycle"] == "own"
    assert lifecycle("test", "own.scenarios.yaml").exit_code == 0
    again = lifecycle("copy", name, "own.yaml")
    assert again.exit_code == 2
    assert "--force" in again.stderr


def test_the_demo_runs_and_its_replay_agrees() -> None:
    told = lifecycle("demo", "--contacts", "30", "--seed", "3", "--keep", "kept")
    assert told.exit_code == 0, told.output
    assert "The funnel after four weeks" in told.stdout
    assert "contacts stand where the worker put them" in told.stdout
    assert "\x1b" not in told.stdout, "no colours where nobody watches"
    assert max(map(len, told.stdout.splitlines())) <= 100
    assert lifecycle("watch", "--broker", "embedded:kept/log.db", "--once", "--count", "3").exit_code == 0
    again = lifecycle("demo", "--keep", "kept")
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_the_demo_writes_its_traffic_the_same_for_a_seed() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert lifecycle("demo", "--contacts", "20", "--seed", seed, "--events", name).exit_code == 0
    assert Path("a").read_bytes() == Path("b").read_bytes() != Path("c").read_bytes()
    assert json.loads(lifecycle("replay", "a", "-l", "mops", "--as-of", "2026-02-02", "--json").stdout)["contacts"] > 15


def test_an_event_too_late_is_told_with_its_reason() -> None:
    given = b"\n".join([event(60 * DAY, "page.viewed"), event(0, "form.submitted")])
    told = lifecycle("replay", "-", "-l", "10ex", given=given)
    assert "1 dead letter: too-late" in told.stderr
