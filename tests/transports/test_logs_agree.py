"""The embedded log and the simulated cluster show a reader the same, whatever producers do to them, in any order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from worker.transports.base import EARLIEST, Consumer, Producer, Send, TopicPartition, TopicSpec, Transport
from worker.transports.embedded import EmbeddedTransport
from worker.transports.errors import TransportError
from worker.transports.simulator import SimulatedCluster

PARTITIONS = [TopicPartition("topic", number) for number in range(2)]
LIMIT_MS = 10_000
names = st.sampled_from(["a", "b"])


class Side:
    """One of the two logs, with its producers, a member of a group, and what a reader has seen so far."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.transport.admin().create(TopicSpec("topic", len(PARTITIONS), config={"max.message.bytes": "1000"}))
        self.producers: dict[str, Producer] = {}
        self.member: Consumer = transport.consumer("group", ["topic"], None)
        while len(self.member.assignment()) < len(PARTITIONS):
            self.member.poll(1, 1)
        self.reader = transport.reader()
        self.reader.assign(dict.fromkeys(PARTITIONS, EARLIEST))
        self.seen: dict[int, list[bytes | None]] = {partition.partition: [] for partition in PARTITIONS}

    def attempt(self, call: Callable[[Side], object]) -> str:
        """How it went: the error's name, or nothing."""
        try:
            call(self)
        except TransportError as error:
            return type(error).__name__
        return ""

    def read(self) -> dict[int, list[bytes | None]]:
        """All that can be seen; two polls without a record mean that the rest is held back."""
        empty = 0
        while empty < 2:
            records = self.reader.poll(0, 3)
            empty = 0 if records else empty + 1
            for record in records:
                self.seen[record.partition].append(record.value)
        return self.seen


class LogsAgree(RuleBasedStateMachine):
    """Rules call on either side the same; outcomes and what is visible afterwards are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.embedded = EmbeddedTransport(Path(self.folder) / "log", session_ms=600_000, transaction_ms=600_000)
        cluster = SimulatedCluster(session_timeout_ms=600_000_000, transaction_timeout_ms=600_000_000)
        self.sides = [Side(self.embedded), Side(cluster.connect("one"))]
        self.values = 0
        self.state: dict[str, str] = {}

    def both(self, call: Callable[[Side], object]) -> str:
        first, second = (side.attempt(call) for side in self.sides)
        assert first == second
        return first

    def on(self, name: str, call: Callable[[Producer], object], after: str = "open") -> None:
        """The same call of the producer `name` on both sides. After an error it is one to be replaced."""
        failed = self.both(lambda side: call(side.producers[name]))
        self.state[name] = "failed" if failed else after

    def open(self, name: str) -> None:
        """The producer has a transaction open; a failed one is replaced first."""
        if self.state.get(name, "failed") == "failed":
            self.both(lambda side: side.producers.update({name: side.transport.producer(name)}))
            self.state[name] = "ready"
        if self.state[name] == "ready":
            self.on(name, lambda producer: producer.begin())

    @rule(name=names, places=st.lists(st.integers(0, 1), max_size=4), flush=st.booleans())
    def send(self, name: str, places: list[int], flush: bool) -> None:
        self._send(name, [(place, 10) for place in places])
        if flush and self.state[name] == "open":
            self.on(name, lambda producer: producer.flush(LIMIT_MS))

    @rule(name=names)
    def send_one_too_large(self, name: str) -> None:
        self._send(name, [(0, 10), (1, 2_000)])

    def _send(self, name: str, records: list[tuple[int, int]]) -> None:
        batch = []
        for place, size in records:
            self.values += 1
            batch.append(Send("topic", place, b"k", (b"%d" % self.values).rjust(size)))
        self.open(name)
        self.on(name, lambda producer: producer.send(batch))

    @rule(name=names, offset=st.integers(0, 9), place=st.integers(0, 1))
    def send_offsets(self, name: str, offset: int, place: int) -> None:
        self.open(name)
        offsets = {PARTITIONS[place]: offset}
        failed = self.both(
            lambda side: side.producers[name].send_offsets(offsets, side.member.group_metadata(), LIMIT_MS)
        )
        self.state[name] = "failed" if failed else "open"

    @rule(name=names)
    def commit(self, name: str) -> None:
        self.open(name)
        self.on(name, lambda producer: producer.commit(LIMIT_MS), "ready")

    @rule(name=names)
    def abort(self, name: str) -> None:
        self.open(name)
        self.on(name, lambda producer: producer.abort(LIMIT_MS), "ready")

    @rule(name=names)
    def out_of_turn(self, name: str) -> None:
        self.open(name)
        assert self.both(lambda side: side.producers[name].begin()) == "Fatal"

    @rule(name=names)
    def somebody_else_takes_the_name(self, name: str) -> None:
        self.both(lambda side: side.transport.producer(name).close())

    @rule(place=st.integers(0, 1))
    def committed(self, place: int) -> None:
        found: list[object] = []
        self.both(lambda side: found.append(side.member.committed([PARTITIONS[place]], timeout_ms=1)))
        assert found in ([], found[:1] * 2)

    @invariant()
    def readers_see_the_same(self) -> None:
        first, second = (side.read() for side in self.sides)
        assert first == second

    def teardown(self) -> None:
        self.sides[0].member.close()
        self.embedded.close()
        shutil.rmtree(self.folder)


TestLogsAgree = LogsAgree.TestCase
TestLogsAgree.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
