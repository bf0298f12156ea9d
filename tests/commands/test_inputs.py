"""`run --input`, `run --rekey` and `redrive` on a log: records of others in, histories out, what failed put back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.runtime.support import header, quiet
from worker.commands import group
from worker.commands._serve import routers_of, worker_of
from worker.definition.errors import DefinitionError
from worker.instants import format_instant
from worker.mapping.router import ITEMS
from worker.runtime.clock import SystemClock
from worker.runtime.loop import Worker
from worker.runtime.settings import Settings, load
from worker.transports import open_transport
from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec

HOOKS, INPUT, OUTPUT, DEAD, CONTACTS = "hooks", "in", "out", "dead", "contacts"
AT = 1_767_603_600
TURNS_MAX = 3_000
CLICK = {"event": "click", "url": "https://x"}


def lifecycle(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=False)


class Log:
    """A log with a foreign topic of three partitions, and workers on it; `prefix` keeps topics of a shared broker
    apart."""

    def __init__(self, url: str, folder: Path, prefix: str = "") -> None:
        self.url, self.folder, self.prefix = url, folder, prefix
        self.transport = open_transport(url)
        self.admin = self.transport.admin()
        for topic, partitions in ((HOOKS, 3), (INPUT, 2)):
            self.admin.create(TopicSpec(prefix + topic, partitions))

    def put(self, *sends: Send) -> None:
        producer = self.transport.producer(f"{self.prefix}test")
        producer.begin()
        producer.send([send._replace(topic=self.prefix + send.topic) for send in sends])
        producer.flush(30_000)
        producer.commit(30_000)
        producer.close()

    def read(self, topic: str) -> list[Record]:
        name = self.prefix + topic
        places = [TopicPartition(name, number) for number in range(self.admin.partitions(name) or 0)]
        ends = self.admin.end_offsets(places)
        reader = self.transport.reader()
        reader.assign(dict.fromkeys(places, EARLIEST))
        found: list[Record] = []
        for _ in range(300):
            found += reader.poll(50, 1_000)
            if all(reader.position(place) >= ends[place] for place in places):
                break
        reader.close()
        return found

    def settings(self, **flags: Any) -> Settings:
        topics = {"input_topic": INPUT, "output_topic": OUTPUT, "dead_letter_topic": DEAD, "contacts_topic": CONTACTS}
        return load(
            {
                "lifecycle": "10ex", "broker": self.url, "group": f"{self.prefix}group", "instance_id": "one",
                "state_dir": self.folder / "state", "poll_ms": 20, "clock_interval_ms": 50,
                **{name: self.prefix + topic for name, topic in topics.items()}, **flags,
            }
        )  # fmt: skip

    @contextmanager
    def worker(self, **flags: Any) -> Iterator[Worker]:
        with worker_of(self.settings(**flags), SystemClock(), quiet(), transport=self.transport) as worker:
            yield worker

    def stages(self) -> dict[str, str]:
        latest = {(each.key or b"").decode(): json.loads(each.value) for each in self.read(CONTACTS) if each.value}
        return {contact: now["stage"] for contact, now in latest.items()}

    def flags(self) -> list[str]:
        topics = ["--input-topic", self.prefix + INPUT, "--dead-letter-topic", self.prefix + DEAD]
        return ["--broker", self.url, *topics, "--input", f"{self.prefix}{HOOKS}=sendgrid"]

    def close(self) -> None:
        self.admin.close()
        self.transport.close()


def until(worker: Worker, condition: Callable[[], bool], what: str) -> None:
    for turn in range(TURNS_MAX):
        worker.step()
        if turn % 5 == 0 and condition():
            return
    raise AssertionError(f"not within {TURNS_MAX} turns: {what}")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(f"embedded:{tmp_path / 'log.db'}", tmp_path)
    yield log
    log.close()


def own(contact: str, kind: str, number: int, **data: Any) -> bytes:
    body = {"specversion": "1.0", "id": f"{contact}-{number}", "source": "/own", "type": kind, "subject": contact,
            "time": format_instant((AT + number * 60) * 1_000), "data": data}  # fmt: skip
    return json.dumps(body).encode()


def mails(*items: dict[str, Any]) -> bytes:
    return json.dumps(list(items)).encode()


def mail(contact: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "email": f"{contact}@example.com",
        "timestamp": AT + number,
        "sg_event_id": f"{contact}{number}",
        **CLICK,
        **more,
    }


def check_rekeying(log: Log) -> None:
    contacts = [f"c{number}" for number in range(8)]
    sends = []
    for number, contact in enumerate(contacts):
        keys = (contact.encode(), b"session", None)
        sends.append(
            Send(INPUT, number % 2, keys[number % 3], own(contact, "contact.imported", 0, traits={"icp_fit": True}))
        )
        sends.append(
            Send(
                INPUT, (number + 1) % 2, keys[(number + 1) % 3], own(contact, "email.replied", 1, sentiment="positive")
            )
        )
    log.put(*sends)
    with log.worker(rekey=True) as worker:
        until(worker, lambda: len(log.stages()) == len(contacts), "all contacts")
        until(worker, lambda: set(log.stages().values()) == {"mql"}, "all replies")
    with log.worker(rekey=True) as worker:  # once: a restart reads none of it again
        log.put(Send(INPUT, 0, b"session", own("c0", "page.viewed", 2)))
        until(worker, lambda: worker.metrics.rekeyed > 0, "one more")
        assert worker.metrics.rekeyed == 1
    assert not log.read(DEAD)
    published = [json.loads(each.value or b"") for each in log.read(OUTPUT)]
    ids = [body["id"] for body in published]
    assert len(ids) == len(set(ids))


def test_events_under_keys_that_are_no_subjects_are_folded_with_rekey(log: Log) -> None:
    check_rekeying(log)


@pytest.mark.broker
def test_events_under_keys_that_are_no_subjects_are_folded_on_a_real_broker(broker: str, tmp_path: Path) -> None:
    log = Log(f"kafka://{broker}", tmp_path, prefix=f"rekey-{tmp_path.name}-{id(tmp_path)}-")
    try:
        check_rekeying(log)
    finally:
        log.close()


def test_what_a_mapping_could_not_read_is_put_back_and_read_in_those_places_only(log: Log, tmp_path: Path) -> None:
    """The mapping was wrong: with the right one, the refused item of the record comes to its event, no other again."""
    broken = tmp_path / "broken.yaml"
    text = lifecycle("map", "--show", "sendgrid").output
    broken.write_text(text.replace("seconds: timestamp", "milliseconds: timestamp"))
    body = mails(mail("ann", 1), {**mail("bob", 2), "timestamp": (AT + 2) * 1_000})
    log.put(Send(HOOKS, 2, b"k", body, (("h", b"1"),)))
    with log.worker(input=(f"{HOOKS}={broken}",)) as worker:
        until(worker, lambda: bool(log.read(DEAD)), "the dead letter")
        until(worker, lambda: bool(log.stages()), "the other item")
    assert list(log.stages()) == ["bob@example.com"]
    (dead,) = log.read(DEAD)
    assert (dead.key, dead.value, header(dead, "h"), header(dead, ITEMS)) == (b"k", body, "1", "$[0]")
    told = lifecycle("redrive", *log.flags())
    assert "1 dead letter put back" in told.stdout
    with log.worker(input=(f"{HOOKS}=sendgrid",)) as worker:
        until(worker, lambda: len(log.stages()) == 2, "both")
        assert worker.metrics.duplicates == 0 and worker.metrics.rekeyed == 1
    again = log.read(HOOKS)[-1]
    assert (again.partition, again.key, again.value) == (2, b"k", body)
    assert not any(name.startswith("lifecycle-source") for name, _ in again.headers)
    assert len(log.read(DEAD)) == 1


def test_a_mapped_event_that_came_too_late_is_put_on_the_input_topic_as_of_now(log: Log) -> None:
    log.put(Send(HOOKS, 0, None, mails(mail("ann", 0))), Send(HOOKS, 0, None, mails(mail("ann", -30 * 86_400))))
    with log.worker(input=(f"{HOOKS}=sendgrid",)) as worker:
        until(worker, lambda: bool(log.read(DEAD)), "the late one")
    (dead,) = log.read(DEAD)
    assert header(dead, "lifecycle-reason") == "too-late"
    assert header(dead, "lifecycle-mapped") == "sendgrid"
    told = lifecycle("redrive", *log.flags(), "--as-now", "--json")
    assert json.loads(told.stdout)["put_back"] == {"too-late": 1}
    (back,) = log.read(INPUT)
    body = json.loads(back.value or b"")
    assert (back.key, body["subject"]) == (b"ann@example.com", "ann@example.com")
    assert body["data"]["true_time"].startswith("2025-12-06")
    assert not back.headers
    with log.worker(input=(f"{HOOKS}=sendgrid",)) as worker:
        until(worker, lambda: worker.metrics.records == 1, "folded")
    assert len(log.read(DEAD)) == 1


def test_dead_letters_of_topics_that_are_not_named_stay(log: Log) -> None:
    log.put(Send(HOOKS, 0, None, b"[{"))
    with log.worker(input=(f"{HOOKS}=sendgrid",)) as worker:
        until(worker, lambda: bool(log.read(DEAD)), "the bad one")
    told = lifecycle("redrive", *log.flags()[:-2])
    assert "0 dead letters put back" in told.stdout
    assert "from topic hooks, which is not among the inputs" in told.stderr


def test_a_mapping_that_is_not_there_is_told_by_name() -> None:
    told = lifecycle("run", "-l", "10ex", "--broker", "embedded:x", "--input", "hooks=hubsopt")
    assert told.exit_code == 2
    assert "did you mean 'hubspot'" in told.stderr


@pytest.mark.parametrize(
    ("given", "says"), [("hooks=", "expected TOPIC"), ("engagement=hubspot", "used for two things")]
)
def test_an_input_that_cannot_be_is_told(given: str, says: str) -> None:
    told = lifecycle("run", "-l", "10ex", "--broker", "embedded:x", "--input", given)
    assert told.exit_code == 2
    assert says in told.stderr


def test_inputs_come_from_flags_the_environment_and_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"
    file.write_text('lifecycle = "10ex"\nbroker = "embedded:x"\n[input]\n"a" = "stripe"\n"b/c" = "hubspot"\nd = ""\n')
    settings = load({}, file)
    assert [str(each) for each in settings.input] == ["a=stripe", "b/c=hubspot", "d"]
    monkeypatch.setenv("LIFECYCLE_INPUT", "e=segment,f=stripe")
    assert [str(each) for each in load({}, file).input] == ["e=segment", "f=stripe"]
    assert [str(each) for each in load({"input": ("g",)}, file).input] == ["g"]
    assert routers_of(load({}, file)).keys() == {"e", "f"}
    with pytest.raises(DefinitionError):
        routers_of(load({"input": ("g=nothing",)}, file))


def test_a_worker_stops_between_turns_with_inputs(log: Log) -> None:
    stop = threading.Event()
    log.put(Send(HOOKS, 0, None, mails(mail("ann", 0))))
    with log.worker(input=(f"{HOOKS}=sendgrid",)) as worker:
        until(worker, lambda: bool(log.stages()), "a contact")
        stop.set()
        worker.run(stop)
