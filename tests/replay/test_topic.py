"""A topic replayed: every record up to its end, what the worker would refuse refused, places that can be found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.support import HOUR, Replayed, event, job
from worker.replay import ReplayError, replay
from worker.replay.topic import copy_topic, records
from worker.transports.base import Send, TopicSpec
from worker.transports.embedded import EmbeddedTransport
from worker.transports.partitioner import partition_of

TOPIC = "engagement"
LIMIT_MS = 10_000


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[EmbeddedTransport]:
    transport = EmbeddedTransport(tmp_path / "log.db")
    admin = transport.admin()
    admin.create(TopicSpec(TOPIC, 3))
    admin.close()
    yield transport
    transport.close()


def put(transport: EmbeddedTransport, *sends: Send, commit: bool = True) -> None:
    producer = transport.producer(f"test-{len(sends)}-{commit}")
    producer.begin()
    producer.send(sends)
    producer.flush(LIMIT_MS)
    if commit:
        producer.commit(LIMIT_MS)
    else:
        producer.abort(LIMIT_MS)
    producer.close()


def send(contact: str, value: bytes, headers: tuple[tuple[str, bytes | None], ...] = ()) -> Send:
    key = contact.encode()
    return Send(TOPIC, partition_of(key, 3), key, value, headers)


def of_topic(transport: EmbeddedTransport, folder: Path, rekey: bool = False) -> Replayed:
    folder.mkdir()
    source, dead = copy_topic(transport, TOPIC, folder, 0, partitioner="murmur2", rekey=rekey)
    summary = replay(job([source]), folder / "out", refused=dead)
    return Replayed(folder / "out", summary)


def test_a_topic_is_replayed_to_its_end(transport: EmbeddedTransport, tmp_path: Path) -> None:
    contacts = [f"c{number}" for number in range(20)]
    put(transport, *(send(contact, event(number, "page.viewed", contact)) for number, contact in enumerate(contacts)))
    put(transport, send("c1", event(HOUR, "form.submitted", "c1")), commit=False)
    put(transport, send("c2", event(HOUR, "form.submitted", "c2")))
    result = of_topic(transport, tmp_path / "replay")
    assert set(result.contacts) == set(contacts)
    assert (result.contacts["c1"]["stage"], result.contacts["c2"]["stage"]) == ("prospect", "lead")


def test_records_in_the_wrong_place_are_refused_unless_rekeyed(transport: EmbeddedTransport, tmp_path: Path) -> None:
    right = partition_of(b"c1", 3)
    put(
        transport,
        Send(TOPIC, 0, None, event(0, "form.submitted", "c0")),
        Send(TOPIC, partition_of(b"other", 3), b"other", event(0, "form.submitted", "c2")),
        Send(TOPIC, (right + 1) % 3, b"c1", event(0, "form.submitted", "c1")),
        Send(TOPIC, right, b"c1", None),
        send("c3", event(0, "form.submitted", "c3")),
    )
    result = of_topic(transport, tmp_path / "replay")
    assert sorted(row["reason"] for row in result.dead) == [
        "key-is-not-subject",
        "no-key",
        "null-value",
        "off-partition",
    ]
    assert set(result.contacts) == {"c3"}
    places = {row["source"] for row in result.dead}
    assert len(places) == 4
    assert all(place.startswith(f"{TOPIC}[") and "@" in place for place in places)
    assert result.summary.totals.events == 5
    rekeyed = of_topic(transport, tmp_path / "rekeyed", rekey=True)
    assert set(rekeyed.contacts) == {"c0", "c1", "c2", "c3"}


def test_binary_events_and_values_of_several_lines_are_events(transport: EmbeddedTransport, tmp_path: Path) -> None:
    headers = tuple(
        (f"ce_{name}", value.encode())
        for name, value in {
            "specversion": "1.0", "id": "1", "source": "/s", "type": "form.submitted", "subject": "c1",
            "time": "2026-01-05T09:00:00Z",
        }.items()
    )  # fmt: skip
    pretty = event(0, "form.submitted", "c2").replace(b",", b",\n  ")
    put(transport, send("c1", b'{"kind":"content"}', headers), send("c2", pretty), send("c3", b"not\njson"))
    result = of_topic(transport, tmp_path / "replay")
    assert {contact: row["stage"] for contact, row in result.contacts.items()} == {"c1": "lead", "c2": "lead"}
    assert [(row["reason"], row["record"]) for row in result.dead] == [("not-json", "not\njson")]


def test_partitions_come_side_by_side_by_record_time(transport: EmbeddedTransport) -> None:
    for number in range(30):
        put(transport, send(f"c{number % 7}", b"%d" % number))
    found = list(records(transport, TOPIC, 3))
    assert len(found) == 30
    assert [record.timestamp for record in found] == sorted(record.timestamp for record in found)
    for partition in range(3):
        offsets = [record.offset for record in found if record.partition == partition]
        assert offsets == sorted(offsets)


def test_a_topic_that_is_not_there_is_told(transport: EmbeddedTransport, tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="there is no topic nothing"):
        copy_topic(transport, "nothing", tmp_path, 0, partitioner="murmur2", rekey=False)
