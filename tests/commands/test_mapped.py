"""`replay --mapping` and `send --mapping`: another system's records go in, from files and topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from worker.commands import group
from worker.events import decode
from worker.fold.outcome import Event
from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec
from worker.transports.embedded import EmbeddedTransport

AT = 1_767_603_600
GOOD = [
    {"email": "ada@example.com", "event": "click", "timestamp": AT, "sg_event_id": "1", "url": "https://x"},
    {"email": "ada@example.com", "event": "processed", "timestamp": AT, "sg_event_id": "2"},
    {"email": "bob@example.com", "event": "click", "timestamp": AT + 60, "sg_event_id": "4", "url": "https://y"},
]
BAD = {"email": "ada@example.com", "event": "open", "timestamp": "noon", "sg_event_id": "3"}
WEBHOOKS = [json.dumps([GOOD[0], GOOD[1], BAD]).encode(), b'[{"cut', json.dumps([GOOD[2]]).encode()]


def lifecycle(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(group, list(arguments), input=given)


def read(log: Path, topic: str, partitions: int) -> list[Record]:
    transport = EmbeddedTransport(log)
    reader = transport.reader()
    reader.assign({TopicPartition(topic, number): EARLIEST for number in range(partitions)})
    found: list[Record] = []
    while polled := reader.poll(0, 1_000):
        found += polled
    reader.close()
    transport.close()
    return found


@pytest.fixture
def captured(tmp_path: Path) -> str:
    path = tmp_path / "captured.jsonl"
    path.write_bytes(b"\n".join(WEBHOOKS) + b"\n")
    return str(path)


@pytest.fixture
def topic(tmp_path: Path) -> str:
    """The same webhooks as the receiver leaves them: on a topic, without keys."""
    transport = EmbeddedTransport(tmp_path / "in.db")
    transport.admin().create(TopicSpec("sendgrid", 2))
    producer = transport.producer("test")
    producer.begin()
    producer.send([Send("sendgrid", number % 2, None, value) for number, value in enumerate(WEBHOOKS)])
    producer.flush(5_000)
    producer.commit(5_000)
    producer.close()
    transport.close()
    return f"embedded:{tmp_path / 'in.db'}#sendgrid"


@pytest.mark.parametrize("source", ["captured", "topic"])
def test_replay_folds_what_a_mapping_makes_of_records(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    result = lifecycle(
        "replay", request.getfixturevalue(source), "-l", "10ex", "--mapping", "sendgrid", "--json", "--out", str(out)
    )
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    # Events are counted with the refused ones, as those of a file are.
    assert (told["contacts"], told["dead_letters"]) == (2, 2)
    letters = [json.loads(line) for line in (out / "dead-letters.jsonl").read_text().splitlines()]
    assert len(letters) == 2
    places = " ".join(json.dumps(letter) for letter in letters)
    assert ("captured.jsonl:2" if source == "captured" else "sendgrid[1]@0") in places
    contacts = {json.loads(line)["contact"] for line in (out / "contacts.jsonl").read_text().splitlines()}
    assert contacts == {"ada@example.com", "bob@example.com"}


@pytest.mark.parametrize("source", ["captured", "topic"])
def test_send_puts_a_mappings_events_under_their_subjects(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    log = tmp_path / "out.db"
    result = lifecycle("send", request.getfixturevalue(source), "-m", "sendgrid", "--broker", f"embedded:{log}")
    assert result.exit_code == 1, result.output
    assert "Sent 2 events to engagement." in result.stdout
    assert "2 records not sent" in result.stderr and "bad-time" in result.stderr
    records = read(log, "engagement", 6)
    events = [decode(record.key, record.value, record.headers) for record in records]
    assert sorted((event.type, event.subject, event.id) for event in events if isinstance(event, Event)) == [
        ("email.clicked", "ada@example.com", "1"),
        ("email.clicked", "bob@example.com", "4"),
    ]
    assert {record.key for record in records} == {b"ada@example.com", b"bob@example.com"}


def test_records_from_standard_input_and_an_unknown_mapping(tmp_path: Path) -> None:
    log = f"embedded:{tmp_path / 'out.db'}"
    result = lifecycle("send", "-", "-m", "sendgrid", "--broker", log, given=json.dumps(GOOD).encode())
    assert result.exit_code == 0, result.output
    assert "Sent 2 events" in result.stdout
    assert lifecycle("send", "-", "-m", "sendgird", "--broker", log, given=b"{}").exit_code == 2
    missing = lifecycle("send", str(tmp_path / "none.jsonl"), "-m", "sendgrid", "--broker", log)
    assert missing.exit_code == 2 and "there is no such file" in missing.stderr


def test_records_come_from_parquet_too(tmp_path: Path) -> None:
    """A row is a record: nested columns as objects, times as texts, and a column that holds JSON by `from_json`."""
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    from datetime import UTC, datetime
    from decimal import Decimal

    from pyarrow import parquet

    at = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    rows = [
        {"who": {"mail": "ada@example.com"}, "at": at,
         "amount": Decimal("12.50"), "raw": b"{\"id\": \"o1\"}", "x": float("nan")},
        {"who": {"mail": None}, "at": at, "amount": None, "raw": b"", "x": 1.0},
    ]  # fmt: skip
    file, own = tmp_path / "orders.parquet", tmp_path / "own.yaml"
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    own.write_text(
        "mapping: orders\nsource: /orders\nid: from_json(raw).id\ntime: {iso: at}\n"
        "ids: {email: {email: who.mail}}\nsubject: [email]\n"
        "rules:\n  - {type: purchase.confirmed, data: {amount: amount}}\n"
    )
    told = lifecycle("map", str(file), "--mapping", str(own), "--json")
    first, second = [json.loads(line) for line in told.stdout.splitlines()]
    assert first["record"].endswith("orders.parquet: row 1")
    assert "purchase.confirmed" in json.dumps(first)
    assert "no-subject" in json.dumps(second)
    out = tmp_path / "out"
    told = lifecycle("replay", str(file), "--mapping", str(own), "-l", "10ex", "--out", str(out))
    assert told.exit_code == 0, told.output
    (contact,) = [json.loads(line) for line in (out / "contacts.jsonl").read_text().splitlines()]
    assert contact["contact"] == "ada@example.com"
    assert len((out / "dead-letters.jsonl").read_text().splitlines()) == 1


def test_each_source_of_a_receivers_topic_has_its_mapping(tmp_path: Path) -> None:
    log = tmp_path / "hooks.db"
    transport = EmbeddedTransport(log)
    transport.admin().create(TopicSpec("webhooks", 1))
    own = {"specversion": "1.0", "id": "1", "source": "/own", "type": "page.viewed", "subject": "bob"}
    sends = [
        Send("webhooks", 0, None, json.dumps([GOOD[0]]).encode(), (("lifecycle-source", b"mail"),)),
        Send(
            "webhooks",
            0,
            None,
            json.dumps({**own, "time": "2026-01-05T09:00:00Z"}).encode(),
            (("lifecycle-source", b"site"),),
        ),
        Send("webhooks", 0, None, json.dumps([GOOD[2]]).encode(), ()),
    ]
    producer = transport.producer("test")
    producer.begin()
    producer.send(sends)
    producer.flush(5_000)
    producer.commit(5_000)
    producer.close()
    transport.close()
    out = tmp_path / "out"
    told = lifecycle(
        "replay", f"embedded:{log}#webhooks", "--mapping", "mail=sendgrid", "-l", "10ex", "--out", str(out)
    )
    assert told.exit_code == 0, told.output
    assert [json.loads(line)["contact"] for line in (out / "contacts.jsonl").read_text().splitlines()] == [
        "ada@example.com"
    ]
    reasons = [json.loads(line)["reason"] for line in (out / "dead-letters.jsonl").read_text().splitlines()]
    assert reasons == ["unknown-source", "unknown-source"]
    twice = lifecycle("replay", "x", "--mapping", "sendgrid", "--mapping", "stripe", "-l", "10ex")
    assert twice.exit_code == 2
    assert "given twice" in twice.stderr
