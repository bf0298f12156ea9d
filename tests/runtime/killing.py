"""Worker processes on a real broker, killed, stopped and wiped at random moments, and what a reader may see of it.

    with Chaos(address, folder, seed) as chaos:
        chaos.run(seconds=30)          events arrive, processes die
        chaos.settle()                 nothing dies any more, what is left is folded
        chaos.check()                  raises AssertionError

The checker reads the topics as any `read_committed` consumer does, and holds them against `replay` of the same events.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from kafka import KafkaAdminClient

from tests.broker.kafka import Broker
from worker.instants import format_instant
from worker.transports import open_transport
from worker.transports.base import EARLIEST, Admin, Producer, Record, Send, TopicPartition, TopicSpec
from worker.transports.errors import Retriable, TransportError
from worker.transports.partitioner import partition_of

PARTITIONS = 4
PLACES = 3
CONTACTS = 150
DAY_MS = 86_400_000
START_BEFORE_MS = 400 * DAY_MS  # so that every timer of the traffic is due, and the fold of a lagging worker is late
SPAN_MS = 3 * DAY_MS  # of event time; within the horizon, so that no event is too late
WAIT_SECONDS = 120.0
POLL_MS = 200
NO_EVENT = b"no event"
COMPANY_CHANGED = "lifecycle.company.changed.v1"
CALL_MS = 30_000

Body = dict[str, Any]

LIFECYCLE = [sys.executable, "-c", "from worker.commands import main; main()"]

KINDS: tuple[tuple[float, str, Callable[[random.Random], Body]], ...] = (
    (5, "contact.imported", lambda r: {"traits": {"icp_fit": r.random() < 0.6, "company_id": f"co-{r.randrange(8)}"}}),
    (4, "form.submitted", lambda r: {"form": "f", "kind": r.choice(["newsletter", "demo", "pricing", "content"])}),
    (6, "email.replied", lambda r: {"sentiment": r.choice(["positive", "neutral", "negative", "auto"])}),
    (20, "page.viewed", lambda r: {"url": "/pricing", "high_intent": r.random() < 0.3}),
    (2, "meeting.booked", lambda r: {"kind": "discovery"}),
    (2, "sales.accepted", lambda r: {}),
    (2, "sales.qualified", lambda r: {"need": True, "budget": True, "next_step": "call"}),
    (3, "webinar.attended", lambda r: {"webinar": "w"}),
    (1, "crm.status_changed", lambda r: {"status": r.choice(["connected", "not_interested", "unqualified"])}),
    (0.5, "deal.won", lambda r: {"deal_id": f"deal-{r.randrange(50)}", "amount": 100}),
    (0.5, "deal.lost", lambda r: {"deal_id": f"deal-{r.randrange(50)}"}),
)  # fmt: skip


class Traffic:
    """Believable and hard: some late, some twice, some that are no events, a tenth of them on one contact."""

    def __init__(self, seed: int, events: int) -> None:
        self.random = random.Random(f"traffic {seed}")
        self.events = events
        self.begin_ms = int(time.time() * 1000) - START_BEFORE_MS
        self.made = 0
        self.recent: deque[tuple[str, bytes]] = deque(maxlen=200)

    def next(self) -> tuple[bytes, bytes]:
        """Key and value of the next record."""
        pick = self.random.random
        number = self.made
        self.made += 1
        if pick() < 0.01:
            return f"contact-{number}".encode(), NO_EVENT
        if pick() < 0.08 and self.recent:
            key, value = self.random.choice(self.recent)
        else:
            key, value = self._event(number)
        self.recent.append((key, value))
        return key.encode(), value

    def _event(self, number: int) -> tuple[str, bytes]:
        pick = self.random.random
        contact = "contact-0" if pick() < 0.1 else f"contact-{int(pick() ** 2 * CONTACTS)}"
        at = self.begin_ms + number * SPAN_MS // self.events
        if pick() < 0.1:
            at -= int(pick() * 10 * 3_600_000)
        _, kind, fields = self.random.choices(KINDS, [weight for weight, _, _ in KINDS])[0]
        body = {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": "traffic",
            "type": kind,
            "subject": contact,
            "time": format_instant(at),
            "data": fields(self.random),
        }
        return contact, json.dumps(body).encode()


class Place:
    """A worker's instance id and state folder, and its process."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self.command = [*command, "--instance-id", name, "--state-dir", str(folder / name)]
        self.state = folder / name
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False
        self.ends: Counter[int] = Counter()

    def start(self) -> None:
        assert self.process is None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.stopped = False

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def end(self, seconds: float) -> int:
        """Told to end, and gone; its exit status."""
        assert self.process is not None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        self.process = None
        self.ends[status] += 1
        return status

    def wipe(self) -> None:
        shutil.rmtree(self.state, ignore_errors=True)

    def look(self) -> None:
        """Raises where the process ended by itself."""
        if self.process is not None and (status := self.process.poll()) is not None:
            raise AssertionError(f"{self.name} ended with {status}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""


class Chaos:
    """A group of workers on the broker at `address`, their traffic and their misfortunes, all by a seed."""

    def __init__(
        self,
        address: str,
        folder: Path,
        seed: int,
        *,
        events: int,
        client: str = "kafka-python",
        broker: Broker | None = None,
    ) -> None:
        """With `broker`, it is that one that meets with misfortune, and not the workers."""
        self.broker = broker
        self.random = random.Random(f"chaos {seed}")
        self.seed = seed
        self.traffic = Traffic(seed, events)
        unique = f"kill-{seed}-{os.getpid()}-{time.time_ns() % 1_000_000}"
        self.topics = {name: f"{unique}-{name}" for name in ("in", "out", "dead", "contacts")}
        self.group = unique
        self.folder = folder
        self.address = f"kafka://{address}"
        config = folder / "worker.toml"
        session = "session_timeout_ms" if client == "kafka-python" else '"session.timeout.ms"'
        config.write_text(f"[kafka]\n{session} = 3000\n", encoding="utf-8")
        self.command = [
            *LIFECYCLE, "run",
            "--lifecycle", "10ex", "--broker", self.address, "--client", client, "--config", str(config),
            "--group", self.group, "--input-topic", self.topics["in"], "--output-topic", self.topics["out"],
            "--dead-letter-topic", self.topics["dead"], "--contacts-topic", self.topics["contacts"],
            "--transaction-timeout-ms", "5000", "--batch-records", "200", "--timer-keys", "50",
            "--purge-interval-ms", "2000", "--refresh-interval-ms", "3000", "--clock-interval-ms", "200",
        ]  # fmt: skip
        self.places = [Place(f"place-{number}", self.command, folder) for number in range(PLACES)]
        self.stack = ExitStack()
        self.deeds: Counter[str] = Counter()

    def __enter__(self) -> Self:
        transport = open_transport(self.address)
        self.stack.callback(transport.close)
        self.transport = transport
        self.admin: Admin = transport.admin()
        self.stack.callback(self.admin.close)
        self.admin.create(TopicSpec(self.topics["in"], PARTITIONS))
        self.producer: Producer | None = None
        for place in self.places:
            self.stack.callback(place.kill)
            place.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.producer is not None:
            self.producer.close()
        self.stack.close()

    # ------------------------------------------------------------------------------------------------ what happens

    def run(self, seconds: float) -> None:
        """Events arrive for so long, and processes meet with misfortune."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            traffic = pool.submit(self._traffic, seconds, over)
            try:
                while not traffic.done():
                    wait([traffic], self.random.uniform(0.4, 2.0))
                    self._misfortune()
            finally:
                over.set()
            traffic.result(WAIT_SECONDS)

    def _traffic(self, seconds: float, over: threading.Event) -> None:
        """All events, evenly over the time."""
        begun, sent = time.monotonic(), 0
        while sent < self.traffic.events and not over.is_set():
            due = min(self.traffic.events, int((time.monotonic() - begun) / seconds * self.traffic.events))
            portion = min(due - sent, 200)
            if portion > 0:
                self._send(portion)
                sent += portion
            else:
                over.wait(0.02)

    def _send(self, count: int) -> None:
        """Some records in one transaction: so the input has markers too."""
        topic = self.topics["in"]
        records = [self.traffic.next() for _ in range(count)]
        try:
            if self.producer is None:
                self.producer = self.transport.producer(f"{self.group}-traffic")
            self.producer.begin()
            self.producer.send([Send(topic, partition_of(key, PARTITIONS), key, value) for key, value in records])
            self.producer.flush(CALL_MS)
            self.producer.commit(CALL_MS)
        except TransportError:  # it came or it didn't: what the topic holds is what was sent
            if self.producer is not None:
                self.producer.close()
                self.producer = None

    def _misfortune(self) -> None:
        """One of the workers is killed, stopped, continued, wiped, ended or started; or the broker is."""
        if self.broker is not None:
            self._misfortune_of(self.broker)
            return
        for place in self.places:
            place.look()
            if place.process is None and self.random.random() < 0.6:
                place.start()
                self.deeds["start"] += 1
        place = self.random.choice(self.places)
        if place.process is None:
            return
        if place.stopped:
            place.signal(signal.SIGCONT)
            place.stopped = False
            self.deeds["continue"] += 1
            return
        deed = self.random.choice(("kill", "kill", "wipe", "stop", "stop", "end"))
        self.deeds[deed] += 1
        if deed in ("kill", "wipe"):
            place.kill()
            if deed == "wipe":
                place.wipe()
        elif deed == "stop":
            place.signal(signal.SIGSTOP)
            place.stopped = True
        else:
            status = place.end(WAIT_SECONDS)
            # Told to end before it could listen, it dies of the signal.
            assert status in (0, -signal.SIGTERM), f"{place.name} ended with {status}:\n{place.tail()}"

    def _misfortune_of(self, broker: Broker) -> None:
        """The broker hangs, is killed or ends, for longer than sessions and transactions last; then it is back."""
        for place in self.places:
            place.look()
        deed = self.random.choice(("hang", "kill", "end"))
        self.deeds[deed] += 1
        if deed == "hang":
            broker.pause()
        elif deed == "kill":
            broker.kill()
        else:
            broker.stop()
        threading.Event().wait(self.random.uniform(1, 8))
        if deed == "hang":
            broker.resume()
        else:
            broker.start()
        threading.Event().wait(3)  # enough for the workers to find their way back, or not quite

    def settle(self) -> None:
        """All processes run, and have folded all there is: nothing is written any more."""
        for place in self.places:
            if place.process is None:
                place.start()
            elif place.stopped:
                place.signal(signal.SIGCONT)
                place.stopped = False
        ends = time.monotonic() + WAIT_SECONDS
        before: dict[TopicPartition, int] = {}
        quiet_since = time.monotonic()
        while True:
            for place in self.places:
                place.look()
            now = self._ends()
            if now != before:
                quiet_since, before = time.monotonic(), now
            if time.monotonic() - quiet_since > 4 and self._folded():
                break
            if time.monotonic() > ends:
                raise AssertionError(
                    f"not settled within {WAIT_SECONDS} s:\n" + "\n".join(p.tail() for p in self.places)
                )
            threading.Event().wait(0.25)
        for place in self.places:
            status = place.end(WAIT_SECONDS)
            assert status == 0, f"{place.name} ended with {status}:\n{place.tail()}"

    def _ends(self) -> dict[TopicPartition, int]:
        written = [self.topics["out"], self.topics["dead"], self.topics["contacts"], f"{self.group}-internal"]
        places = [TopicPartition(topic, number) for topic in written for number in range(PARTITIONS)]
        try:
            return self.admin.end_offsets(places)
        except Retriable:
            return {}

    def _folded(self) -> bool:
        """The group's committed offsets are past the last record of every partition it reads."""
        admin = KafkaAdminClient(bootstrap_servers=self.address.removeprefix("kafka://"))
        try:
            committed = admin.list_group_offsets(self.group)[self.group]
        finally:
            admin.close()
        at = {TopicPartition(place.topic, place.partition): told.offset for place, told in committed.items()}
        last: dict[TopicPartition, int] = {}
        for topic in (self.topics["in"], f"{self.group}-internal"):
            for record in self.read(topic):
                last[TopicPartition(topic, record.partition)] = record.offset
        return all(at.get(place, -1) > offset for place, offset in last.items())

    def read(self, topic: str) -> list[Record]:
        """All that a read_committed reader sees of the topic."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        reader = self.transport.reader()
        try:
            reader.assign(dict.fromkeys(places, EARLIEST))
            ends = self.admin.end_offsets(places)
            found: list[Record] = []
            limit = time.monotonic() + WAIT_SECONDS
            while any(reader.position(place) < end for place, end in ends.items()):
                assert time.monotonic() < limit, f"{topic} could not be read to its end"
                found += reader.poll(POLL_MS, 10_000)
            return found
        finally:
            reader.close()

    # ------------------------------------------------------------------------------------------------ what came of it

    def check(self) -> None:
        """Nothing lost, nothing twice, nothing out of order, no torn batch, and the end as `replay` has it."""
        published = [json.loads(record.value or b"") for record in self.read(self.topics["out"])]
        by_contact: dict[str, list[Body]] = defaultdict(list)
        for body in published:
            if "contact" in body["data"]:
                by_contact[body["subject"]].append(body)
        for contact, bodies in by_contact.items():
            revisions = [body["data"]["current"]["revision"] for body in bodies]
            assert revisions == list(range(1, len(revisions) + 1)), (
                f"{contact}: lost, twice or out of order: {revisions}"
            )
        self.taken = self.read(self.topics["in"])  # what the topic took; a contact's events in their order
        expected, contacts, companies = self.replay()
        self._check_contacts(by_contact)
        self._check_history(by_contact, expected, contacts)
        self._check_companies(published, companies)
        self._check_dead()

    def _check_contacts(self, by_contact: dict[str, list[Body]]) -> None:
        """The contacts topic was written in the same transactions as the events."""
        latest: dict[str, Body] = {}
        for record in self.read(self.topics["contacts"]):
            latest[(record.key or b"").decode()] = json.loads(record.value or b"")
        for contact, bodies in by_contact.items():
            current = bodies[-1]["data"]["current"]
            assert {name: latest[contact][name] for name in current} == current, f"{contact}: a torn batch"
        assert latest.keys() == by_contact.keys()

    def _check_history(
        self, by_contact: dict[str, list[Body]], expected: dict[str, list[Body]], stands: dict[str, Body]
    ) -> None:
        """What stands after corrections is what `replay` says of the same events, in its order."""
        for contact in expected.keys() | by_contact.keys():
            found = [body["id"] for body in standing(by_contact[contact])]
            wanted = [body["id"] for body in expected[contact]]
            assert found == wanted, difference(contact, standing(by_contact[contact]), expected[contact])
            last = by_contact[contact][-1]["data"]["current"]
            for name in ("stage", "status", "qualified", "entered_at"):
                assert last[name] == stands[contact][name], f"{contact}: {name}"

    def _check_companies(self, published: list[Body], companies: dict[str, Body]) -> None:
        """What crosses partitions came across: each company is at the end where `replay` has it."""
        latest = {body["subject"]: body["data"]["stage_to"] for body in published if body["type"] == COMPANY_CHANGED}
        assert latest == {name: company["stage"] for name, company in companies.items()}

    def replay(self) -> tuple[dict[str, list[Body]], dict[str, Body], dict[str, Body]]:
        """The same events through the offline fold: events out by contact, then where contacts and companies stand."""
        events, out = self.folder / "events.jsonl", self.folder / "replayed"
        events.write_bytes(b"".join(each.value + b"\n" for each in self.taken if each.value not in (None, NO_EVENT)))
        command = [
            sys.executable,
            "-c",
            "from worker.commands import main; main()",
            "replay",
            str(events),
            "-l",
            "10ex",
        ]
        until = format_instant(int(time.time() * 1000) - 3_600_000)
        subprocess.run(
            [*command, "--out", str(out), "--as-of", until], check=True, timeout=WAIT_SECONDS, stdout=subprocess.DEVNULL
        )
        by_contact: dict[str, list[Body]] = defaultdict(list)
        for line in (out / "stage-changes.jsonl").read_text(encoding="utf-8").splitlines():
            body = json.loads(line)
            if "contact" in body["data"]:
                by_contact[body["subject"]].append(body)
        contacts, companies = (
            {line[name]: line for line in map(json.loads, (out / file).read_text(encoding="utf-8").splitlines())}
            for name, file in (("contact", "contacts.jsonl"), ("company", "companies.jsonl"))
        )
        return by_contact, contacts, companies

    def _check_dead(self) -> None:
        dead = self.read(self.topics["dead"])
        places = Counter(
            tuple(value for name, value in record.headers if name.startswith("lifecycle-source")) for record in dead
        )
        assert set(places.values()) <= {1}, "a dead letter twice"
        bad = sum(each.value == NO_EVENT for each in self.taken)
        assert len(dead) == bad, f"{len(dead)} dead letters of {bad} bad records"


def standing(bodies: list[Body]) -> list[Body]:
    """What a reader holds who takes out what is withdrawn and adds what is restated, in the order of time."""
    held: list[Body] = []
    for body in bodies:
        if body["type"] != "lifecycle.corrected.v1":
            held.append(body)
            continue
        gone = set(body["data"]["withdrawn"])
        missing = gone - {each["id"] for each in held}
        assert not missing, f"withdrawn, but not there: {missing}"
        held = [each for each in held if each["id"] not in gone] + body["data"]["restated"]
    return held


def difference(contact: str, found: list[Body], wanted: list[Body]) -> str:
    def told(bodies: list[Body]) -> str:
        return "\n  ".join(f"{b['id'][:8]} {b['time']} {b['type']} {b['data'].get('to', '')}" for b in bodies)

    return f"{contact}: published\n  {told(found)}\nreplayed\n  {told(wanted)}"
