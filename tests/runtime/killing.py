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
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import InvalidPartitionsError, KafkaError

from tests.broker.kafka import Broker
from tests.processes import bound, kill
from tests.runtime import reading
from tests.runtime.arriving import PARTITIONS, Mixed, Plain
from tests.runtime.reading import Body
from tests.runtime.traffic import Cast, Traffic
from worker.instants import format_instant
from worker.transports import open_transport
from worker.transports.base import EARLIEST, Admin, Producer, Record, TopicPartition, TopicSpec
from worker.transports.errors import Retriable, TransportError

PLACES = 3
CAST = Cast(contacts=150, quiet=30, pairs=12, chains=6, crossings=8, circles=4, anonymous=10)
DAY_MS = 86_400_000
START_BEFORE_MS = 400 * DAY_MS  # so that every timer of the traffic is due, and the fold of a lagging worker is late
SPAN_MS = 3 * DAY_MS  # of event time; within the horizon, so that no event is too late
WAIT_SECONDS = 90.0
QUIET_SECONDS = 4.0  # longer than a session in the group lasts
CHECKS_MAX = 5
POLL_MS = 200
CALL_MS = 30_000

LIFECYCLE = [sys.executable, "-c", "from worker.commands import main; main()"]


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
            self.process = subprocess.Popen(bound(self.command), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.stopped = False

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            kill(self.process)
            self.process = None

    def end(self, seconds: float) -> int:
        """Told to end, and gone; its exit status."""
        assert self.process is not None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds:g} s:\n{self.tail()}") from None
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
        mixed: bool = False,
    ) -> None:
        """With `broker`, it is that one that meets with misfortune, and not the workers.

        `mixed`: most of the traffic comes from other topics, by mappings, and our own events lie under wrong keys too.
        """
        self.broker = broker
        self.random = random.Random(f"chaos {seed}")
        self.seed = seed
        self.traffic = Traffic(seed, events, int(time.time() * 1000) - START_BEFORE_MS, SPAN_MS, CAST)
        unique = f"kill-{seed}-{os.getpid()}-{time.time_ns() % 1_000_000}"
        self.arriving = Mixed(f"{unique}-in", seed) if mixed else Plain(f"{unique}-in")
        self.topics = {name: f"{unique}-{name}" for name in ("out", "dead", "contacts")}
        self.group = unique
        self.folder = folder
        self.address = f"kafka://{address}"
        config = folder / "worker.toml"
        session = "session_timeout_ms" if client == "kafka-python" else '"session.timeout.ms"'
        config.write_text(f"[kafka]\n{session} = 3000\n", encoding="utf-8")
        self.command = [
            *LIFECYCLE, "run",
            "--lifecycle", "10ex", "--broker", self.address, "--client", client, "--config", str(config),
            "--group", self.group, "--input-topic", self.arriving.input, "--output-topic", self.topics["out"],
            "--dead-letter-topic", self.topics["dead"], "--contacts-topic", self.topics["contacts"],
            "--transaction-timeout-ms", "5000", "--batch-records", "200", "--timer-keys", "50",
            "--purge-interval-ms", "2000", "--refresh-interval-ms", "3000", "--clock-interval-ms", "200",
            # Limits on what a busy machine makes of this; none of them is what is tried here.
            "--startup-timeout-ms", "120000", "--stop-timeout-ms", "60000", "--fenced-max", "100",
            *self.arriving.arguments(folder),
        ]  # fmt: skip
        self.places = [Place(f"place-{number}", self.command, folder) for number in range(PLACES)]
        self.stack = ExitStack()
        self.deeds: Counter[str] = Counter()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.stack.close()
            raise
        return self

    def _open(self) -> None:
        self.transport = open_transport(self.address)
        self.stack.callback(self.transport.close)
        self.admin: Admin = self.transport.admin()
        self.stack.callback(self.admin.close)
        for topic, partitions in self.arriving.topics.items():
            self.admin.create(TopicSpec(topic, partitions))
        self.producer: Producer | None = None
        for place in self.places:
            self.stack.callback(place.kill)
            place.start()
        self._begun()

    def _begun(self) -> None:
        """A worker has made the topics: on a busy machine that takes longer than processes live from now on."""
        ends = time.monotonic() + WAIT_SECONDS
        topics = [*self.topics.values(), f"{self.group}-internal"]
        while any(self.admin.partitions(topic) is None for topic in topics):
            self._in_time(ends, "no worker made its topics")
            for place in self.places:
                place.look()
            threading.Event().wait(0.2)

    def __exit__(self, *_: object) -> None:
        with self.stack:
            if self.producer is not None:
                self.producer.close()

    # ------------------------------------------------------------------------------------------------ what happens

    def run(self, seconds: float) -> None:
        """Events arrive for so long, and processes meet with misfortune."""
        over = threading.Event()
        # A daemon, joined with a limit: nothing waits for ever for a client that hangs.
        sending = threading.Thread(target=self._traffic, args=(seconds, over), name="traffic", daemon=True)
        sending.start()
        ends = time.monotonic() + seconds + WAIT_SECONDS
        try:
            while sending.is_alive():
                assert time.monotonic() < ends, "the events could not be sent"
                sending.join(self.random.uniform(0.4, 2.0))
                self._misfortune()
        finally:
            over.set()
            sending.join(WAIT_SECONDS)
        assert not sending.is_alive(), "a call of the sending client does not end"
        assert self.traffic.made == self.traffic.events, "the sending thread ended before its time"

    def _traffic(self, seconds: float, over: threading.Event) -> None:
        """All events, evenly over the time."""
        begun, sent = time.monotonic(), 0
        while sent < self.traffic.events and not over.is_set():
            due = min(self.traffic.events, int((time.monotonic() - begun) / seconds * self.traffic.events))
            if self.arriving.growing is not None and sent >= self.traffic.events // 2:
                self._grow(self.arriving.growing)
            portion = min(due - sent, 200)
            if portion > 0:
                self._send(portion)
                sent += portion
            else:
                over.wait(0.02)

    def _send(self, count: int) -> None:
        """Some records in one transaction: so the input has markers too."""
        sends = self.arriving.sends([self.traffic.next() for _ in range(count)])
        try:
            if self.producer is None:
                self.producer = self.transport.producer(f"{self.group}-traffic")
            self.producer.begin()
            self.producer.send(sends)
            self.producer.flush(CALL_MS)
            self.producer.commit(CALL_MS)
        except TransportError:  # it came or it didn't: what the topic holds is what was sent
            if self.producer is not None:
                self.producer.close()
                self.producer = None

    def _grow(self, topic: str) -> None:
        """Once, the topic gets as many partitions again, and the next records lie in these as well."""
        wanted = 2 * self.arriving.topics[topic]
        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.address.removeprefix("kafka://"))) as admin:
                admin.create_partitions({topic: wanted})
        except InvalidPartitionsError:
            pass  # it has them: that was not heard the last time
        except KafkaError:
            return  # asked again, before the next records
        self.arriving.topics[topic] = wanted
        self.arriving.growing = None
        if self.producer is not None:  # another client knows the new ones from the start
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
        """All processes run, nothing goes wrong any more, and all there is has been folded."""
        for place in self.places:
            if place.process is None:
                place.start()
            elif place.stopped:
                place.signal(signal.SIGCONT)
                place.stopped = False
        ends = time.monotonic() + WAIT_SECONDS
        while not (self._quiet(ends) and self._folded()):
            self._in_time(ends, "not everything was folded")

    def check(self) -> None:
        """What readers saw is right; the processes end when told to.

        Timers may still be due although every record is folded, and nothing outside says so: what is not right yet
        has as long to become so as something is still written.
        """
        for attempt in range(1, CHECKS_MAX + 1):
            before = self._ends()
            try:
                self._check()
                break
            except AssertionError:
                ends = time.monotonic() + WAIT_SECONDS
                self._quiet(ends)
                if attempt == CHECKS_MAX or self._ends() == before:
                    raise
        for place in self.places:
            status = place.end(WAIT_SECONDS)
            assert status == 0, f"{place.name} ended with {status}:\n{place.tail()}"

    def _quiet(self, ends: float) -> bool:
        """True once nothing was written for a while."""
        before, since = self._ends(), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            self._in_time(ends, "something is written all the time")
            threading.Event().wait(0.25)
            for place in self.places:
                place.look()
            now = self._ends()
            if now != before:
                before, since = now, time.monotonic()
        return True

    def _in_time(self, ends: float, what: str) -> None:
        if time.monotonic() > ends:
            raise AssertionError(f"{what} within {WAIT_SECONDS:g} s:\n" + "\n".join(p.tail() for p in self.places))

    def _ends(self) -> dict[TopicPartition, int]:
        written = [self.topics["out"], self.topics["dead"], self.topics["contacts"], f"{self.group}-internal"]
        places = [TopicPartition(topic, number) for topic in written for number in range(PARTITIONS)]
        try:
            return self.admin.end_offsets(places)
        except Retriable:
            return {}

    def _folded(self) -> bool:
        """The group's committed offsets are past the last record of every partition it reads."""
        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.address.removeprefix("kafka://"))) as admin:
                committed = admin.list_group_offsets(self.group)[self.group]
            last: dict[TopicPartition, int] = {}
            for topic in (*self.arriving.topics, f"{self.group}-internal"):
                for record in self.read(topic):
                    last[TopicPartition(topic, record.partition)] = record.offset
        except (KafkaError, Retriable):
            return False  # asked again, within the limit of who asks
        at = {TopicPartition(place.topic, place.partition): told.offset for place, told in committed.items()}
        return all(at.get(place, -1) > offset for place, offset in last.items())

    def _stands(self) -> str:
        """How far the group and its topics are: for whoever looks for what is missing."""
        with closing(KafkaAdminClient(bootstrap_servers=self.address.removeprefix("kafka://"))) as admin:
            committed = admin.list_group_offsets(self.group)[self.group]
        at = sorted((place.topic, place.partition, told.offset) for place, told in committed.items())
        ends = {str(place): end for place, end in self._ends().items()}
        return f"committed {at}\nends {ends}\n" + "\n".join(place.tail() for place in self.places)

    def read(self, topic: str) -> list[Record]:
        """All that a read_committed reader sees of the topic."""
        places = [TopicPartition(topic, number) for number in range(self.arriving.topics.get(topic, PARTITIONS))]
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

    def _check(self) -> None:
        """Nothing lost, nothing twice, nothing out of order, no torn batch, and the end as `replay` has it."""
        published = [json.loads(record.value or b"") for record in self.read(self.topics["out"])]
        found = reading.by_contact(published)
        reading.check_revisions(found)
        latest: dict[str, Body | None] = {}
        for record in self.read(self.topics["contacts"]):
            latest[(record.key or b"").decode()] = None if record.value is None else json.loads(record.value)
        reading.check_present(found, latest)
        taken = [record for topic in self.arriving.topics for record in self.read(topic)]
        lines = self.arriving.lines(taken, self.folder)
        sent = {json.loads(line)["id"] for line in lines}
        try:
            messages = self.arriving.check_dead(taken, self.read(self.topics["dead"]))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._stands()}") from None
        crossings = [claims for claims in self.traffic.crossings if sent.issuperset(claims)]
        refused = reading.check_refused(messages, crossings)
        wanted, contacts, companies = self.replay(lines, refused)
        reading.check_histories(found, wanted)
        reading.check_stands(latest, contacts)
        assert reading.companies(published) == companies
        ended = {contact for contact, claim in self.traffic.ended.items() if claim in sent}
        assert not ended & contacts.keys(), f"merged, and still there: {ended & contacts.keys()}"

    def replay(
        self, lines: list[bytes], refused: set[str]
    ) -> tuple[dict[str, list[Body]], dict[str, Body], dict[str, str]]:
        """The same events through the offline fold: events out by contact, where contacts stand, companies' stages.

        By time, as topics are read one after the other and longer traffic than the horizon would come too late so; and
        what was `refused` last, so that of crossing claims the same ones are.
        """
        events, out = self.folder / "events.jsonl", self.folder / "replayed"
        lines = sorted(lines, key=lambda line: ((event := json.loads(line))["id"] in refused, event["time"]))
        events.write_bytes(b"".join(line + b"\n" for line in lines))
        until = format_instant(int(time.time() * 1000) - 3_600_000)
        command = [*LIFECYCLE, "replay", str(events), "-l", "10ex", "--out", str(out), "--as-of", until]
        subprocess.run(bound(command), check=True, timeout=WAIT_SECONDS, stdout=subprocess.DEVNULL)

        def told(name: str) -> list[Body]:
            return [json.loads(line) for line in (out / name).read_text(encoding="utf-8").splitlines()]

        assert reading.refused_events(line["message"] for line in told("dead-letters.jsonl")) == refused
        companies = {line["company"]: line["stage"] for line in told("companies.jsonl") if line["stage"] is not None}
        contacts = {line["contact"]: line for line in told("contacts.jsonl")}
        return reading.by_contact(told("stage-changes.jsonl")), contacts, companies
