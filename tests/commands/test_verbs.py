"""The command as a whole: its verbs, their help, its errors, what it loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from worker.commands import group
from worker.commands._verbs import ORDER

VERBS = sorted(path.stem for path in Path(group.__class__.__module__ and "worker/commands").glob("[!_]*.py"))


def lifecycle(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(group, arguments, input=given, prog_name="lifecycle")


def test_the_list_of_verbs_says_of_each_what_it_does() -> None:
    shown = lifecycle("--help")
    assert shown.exit_code == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb}  +[A-Z].{{10}}", shown.stdout, re.M), verb


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb: str) -> None:
    shown = lifecycle(verb, "--help")
    assert shown.exit_code == 0, shown.output
    examples = shown.stdout.partition("Examples:")[2] or shown.stdout.partition("Example:")[2]
    assert f"lifecycle {verb}" in examples
    assert re.search(r"^  [A-Z].{20}", shown.stdout, re.M), "says what it does"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_in_the_order_of_the_help(verb: str) -> None:
    assert verb in ORDER, "a new verb gets its place in worker/commands/_verbs.py"


def test_a_misspelt_verb_is_told_its_neighbour() -> None:
    told = lifecycle("repaly")
    assert told.exit_code == 2
    assert "there is no verb 'repaly'; did you mean 'replay'?" in told.stderr


def test_a_missing_option_is_wrong_usage() -> None:
    told = lifecycle("replay", "events.jsonl")
    assert told.exit_code == 2
    assert "--lifecycle" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("replay", "nowhere.jsonl", "-l", "10ex"), 2, "nowhere.jsonl: can't be read: No such file or directory"),
        (("replay", "-", "-l", "10xe"), 2, "no lifecycle or file named '10xe'; did you mean '10ex'?"),
        (("replay", "-", "-l", "10ex", "--set", "mql_scor=1"), 2, "did you mean 'mql_score'?"),
        (("replay", "-", "-l", "10ex", "--set", "mql_score"), 2, "is not NAME=VALUE"),
        (("replay", "-", "-l", "10ex", "--as-of", "soon"), 2, "'soon' is not an RFC 3339 time"),
        (("run", "-l", "10ex"), 2, "setting broker: is needed: --broker, LIFECYCLE_BROKER, or broker in the TOML file"),
        (("run", "-l", "10ex", "--broker", "kafka"), 2, "expected kafka://host:port,… or embedded:FILE"),
        (("run", "-l", "10ex", "--broker", "embedded:x", "--config", "none.toml"), 2, "there is no file none.toml"),
        (("watch", "--broker", "embedded:empty.db"), 1, "there is no topic lifecycle"),
        (("redrive", "--broker", "embedded:empty.db"), 1, "there is no topic lifecycle-dead-letters"),
        (("copy", "10ex", "own.txt"), 2, "a definition is a YAML file"),
        (("test", "nothing.yaml"), 2, "nothing.yaml"),
        (("list", "none"), 2, "no lifecycle or file named 'none'"),
        (("replay", "embedded:empty.db#nothing", "-l", "10ex"), 1, "there is no topic nothing"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    arguments: tuple[str, ...], status: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = lifecycle(*arguments, given="")
    assert told.exit_code == status, told.output
    assert says in told.stderr.replace("\n", " ")
    assert "Traceback" not in told.output
    assert told.stdout == ""


def test_faults_of_a_definition_are_told_by_line_and_column(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("lifecycle: own\nversion: one\n")
    told = lifecycle("replay", "-", "-l", str(own), given="")
    assert told.exit_code == 2
    assert re.search(r"own\.yaml:2:10: ", told.stderr)


SLIPPED = """\
- name: slipped
  lifecycle: 10ex
  events: [{at: 2026-01-05T09:00:00Z, type: page.viewed}]
  expect: {stage: prospct}
- name: whole
  lifecycle: 10ex
  events: [{at: 2026-01-05T09:00:00Z, type: page.viewed}]
  expect: {stage: prospect}
"""


def test_a_scenario_that_names_what_is_not_there_fails_and_the_others_are_run(tmp_path: Path) -> None:
    file = tmp_path / "own.scenarios.yaml"
    file.write_text(SLIPPED)
    told = lifecycle("test", str(file))
    assert told.exit_code == 1
    assert "own.scenarios.yaml:4:19: unknown-stage: 'prospct' is no stage; did you mean 'prospect'?" in told.stderr
    assert "2 scenarios, 1 failed" in told.stdout
    told = lifecycle("test", "--json", str(file))
    assert told.exit_code == 1
    slipped, whole = map(json.loads, told.stdout.splitlines())
    assert (slipped["passed"], whole["passed"], whole["faults"]) == (False, True, [])
    assert "did you mean 'prospect'" in slipped["faults"][0]
    file.write_text(SLIPPED.replace("10ex", "10xe", 1))
    told = lifecycle("test", str(file))
    assert told.exit_code == 1
    assert "own.scenarios.yaml:2:14: unknown-lifecycle: no lifecycle or file named '10xe'; did you mean" in told.stderr
    assert "2 scenarios, 1 failed" in told.stdout


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("worker.replay.replay", broken)
    told = lifecycle("replay", "-", "-l", "10ex", given="")
    assert isinstance(told.exception, ZeroDivisionError)


def modules_after(*arguments: str) -> set[str]:
    """What a fresh interpreter has loaded after this command line."""
    code = (
        "import sys\n"
        "from worker.commands import group\n"
        "try:\n"
        f"    group({list(arguments)!r}, prog_name='lifecycle')\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(ran.stderr.split())


def test_the_list_of_verbs_loads_next_to_nothing() -> None:
    heavy = {"pydantic", "rich", "kafka", "msgspec", "statemachine", "structlog", "lmdb", "ruamel.yaml", "zstandard"}
    assert not modules_after("--help") & heavy


def test_a_verb_loads_no_client_that_it_does_not_use() -> None:
    loaded = modules_after("test", "--help") | modules_after("replay", "--help")
    assert not loaded & {"kafka", "confluent_kafka", "lmdb", "pyarrow", "statemachine"}


def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    program = f"{sys.executable} -c 'from worker.commands import main; main()' list --json"
    ran = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {program} | true"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stderr == ""
