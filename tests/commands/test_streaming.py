"""send, run, watch and redrive over one log in a file: what is put in comes out, and dead letters go back once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_verbs import lifecycle
from tests.replay.support import DAY, HOUR, event

LIMIT_SECONDS = 60


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return "embedded:log.db"


def worked(broker: str, until: int) -> str:
    """Run the worker in a process of its own until so much is published; then stop it in order. What it logged."""
    program = [sys.executable, "-c", "from worker.commands import main; main()"]
    with subprocess.Popen(
        [*program, "run", "-l", "10ex", "--broker", broker, "--state-dir", "state", "--log-format", "json"],
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            # `watch` waits for the topic's records itself; the topic is there once the worker has begun.
            assert worker.stderr is not None
            logged = []
            for line in worker.stderr:
                logged.append(line)
                if "worker-started" in line:
                    break
            shown = subprocess.run(
                [*program, "watch", "--broker", broker, "--from-start", "--count", str(until), "--json"],
                capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True,
            )  # fmt: skip
            assert len(shown.stdout.splitlines()) == until
        finally:
            worker.send_signal(signal.SIGTERM)
            logged.append(worker.communicate(timeout=LIMIT_SECONDS)[1])
        assert worker.returncode == 0, "".join(logged)
        return "".join(logged)


def test_what_is_sent_is_worked_and_watched(broker: str, tmp_path: Path) -> None:
    lines = [
        event(0, "form.submitted", "ada", kind="demo", traits={"icp_fit": True}),
        event(HOUR, "page.viewed", "ben"),
    ]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    sent = lifecycle("send", "events.jsonl", "--broker", broker)
    assert (sent.exit_code, sent.stdout) == (0, "Sent 2 events to engagement.\n")
    assert "made topic engagement with 6 partitions" in sent.stderr
    logged = worked(broker, 6)
    assert "ada" not in logged, "no contact's id above debug level"
    shown = lifecycle("watch", "--broker", broker, "--once", "--contact", "ada")
    assert shown.exit_code == 0
    assert "lead → mql" in shown.stdout
    assert "ben" not in shown.stdout
    rows = [json.loads(line) for line in lifecycle("watch", "--broker", broker, "--once", "--json").stdout.splitlines()]
    assert {row["subject"] for row in rows} == {"ada", "ben"}
    replayed = json.loads(lifecycle("replay", broker, "-l", "10ex", "--json").stdout)
    assert (replayed["events"], replayed["contacts"], replayed["dead_letters"]) == (2, 2, 0)


def test_a_line_that_is_no_event_is_told_and_the_others_are_sent(broker: str) -> None:
    lines = b"\n".join([b"nonsense", event(0, "form.submitted"), b""])
    sent = lifecycle("send", "-", "--broker", broker, given=lines)
    assert sent.exit_code == 1
    assert "Sent 1 event to engagement." in sent.stdout
    assert "standard input:1: not-json" in sent.stderr
    as_it_is = lifecycle("send", "-", "--broker", broker, "--as-it-is", given=lines)
    assert (as_it_is.exit_code, as_it_is.stdout) == (0, "Sent 2 events to engagement.\n")


def test_a_line_that_the_topic_does_not_take_is_told_and_the_others_are_sent(broker: str) -> None:
    lines = [event(0, "form.submitted", "ada"), b"x" * 2_000_000, event(0, "form.submitted", "ben"), b"y" * 2_000_000]
    sent = lifecycle("send", "-", "--broker", broker, "--as-it-is", given=b"\n".join(lines))
    assert (sent.exit_code, sent.stdout) == (1, "Sent 2 events to engagement.\n")
    assert "standard input:2: not sent: a record of 2000070 bytes" in sent.stderr
    assert "raise max.message.bytes" in sent.stderr
    assert "2 lines not sent" in sent.stderr
    assert json.loads(lifecycle("replay", broker, "-l", "10ex", "--json").stdout)["contacts"] == 2


def test_events_sent_as_of_now_keep_their_distances(broker: str) -> None:
    lines = [event(0, "form.submitted"), event(2 * HOUR, "meeting.booked")]
    assert lifecycle("send", "-", "--broker", broker, "--now", given=b"\n".join(lines)).exit_code == 0
    out = lifecycle("replay", broker, "-l", "10ex", "--out", "out")
    assert out.exit_code == 0
    (row,) = [json.loads(line) for line in Path("out/contacts.jsonl").read_text().splitlines()]
    assert row["visits"]["prospect"]["seconds"] == 0
    assert row["entered_at"] > "2026-01-06"


def test_dead_letters_go_back_once_by_reason_and_dated_now(broker: str) -> None:
    lines = [event(60 * DAY, "page.viewed"), event(0, "form.submitted"), event(1, "meeting.booked"), b"nonsense"]
    lifecycle("send", "-", "--broker", broker, "--as-it-is", given=b"\n".join(lines))
    worked(broker, 1)
    # The worker commits outputs and dead letters together, or the dead letters in a batch of their own: wait for them.
    counted = json.loads(lifecycle("redrive", "--broker", broker, "--dry-run", "--json").stdout)
    assert counted == {"dry_run": True, "put_back": counted["put_back"], "left": {}}
    assert counted["put_back"]["too-late"] == 2
    first = lifecycle("redrive", "--broker", broker, "--reason", "too-late", "--as-now", "--json")
    assert json.loads(first.stdout)["put_back"] == {"too-late": 2}
    again = lifecycle("redrive", "--broker", broker, "--reason", "too-late", "--as-now", "--json")
    assert json.loads(again.stdout)["put_back"] == {"too-late": 0}
    rest = json.loads(lifecycle("redrive", "--broker", broker, "--json").stdout)["put_back"]
    assert rest["too-late"] == 0
    lifecycle("replay", broker, "-l", "10ex", "--out", "out")
    (row,) = [json.loads(line) for line in Path("out/contacts.jsonl").read_text().splitlines()]
    assert row["stage"] == "lead", "what was too late counts as of now"


def test_the_same_settings_come_from_flags_environment_and_file(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = event(0, "form.submitted")
    (tmp_path / "worker.toml").write_text(f'broker = "{broker}"\ninput_topic = "of-file"\n')
    assert "to of-file." in lifecycle("send", "-", "--config", "worker.toml", given=given).stdout
    monkeypatch.setenv("LIFECYCLE_INPUT_TOPIC", "of-environment")
    assert "to of-environment." in lifecycle("send", "-", "--config", "worker.toml", given=given).stdout
    flag = lifecycle("send", "-", "--config", "worker.toml", "--input-topic", "of-flag", given=given)
    assert "to of-flag." in flag.stdout
