"""What tests of the runtime share: settings, events as records, a worker on the simulated cluster."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from tests.runtime.standin import Contact, StandIn, read
from worker.instants import format_instant
from worker.mapping.router import Router
from worker.runtime.changelog import DEPLOYMENT_KEY, to_write
from worker.runtime.clock import CrashPoint, no_crash
from worker.runtime.engine import Engine
from worker.runtime.loop import Worker
from worker.runtime.restore import Progress
from worker.runtime.settings import Settings
from worker.stores.base import Store
from worker.stores.memory import MemoryStore
from worker.transports.base import Record, Send, TopicSpec
from worker.transports.simulator import SimulatedCluster, SimulatedTransport

INPUT, OUTPUT, DEAD, CONTACTS = "engagement", "lifecycle", "lifecycle-dead-letters", "contacts"
GROUP = "group"
CHANGELOG, INTERNAL = f"{GROUP}-changelog", f"{GROUP}-internal"
TURNS_MAX = 3_000


def partition_of(key: bytes, partitions: int) -> int:
    """Where the workers of these tests, and whoever writes for them, put a key."""
    return zlib.crc32(key) % partitions


def settings(**changed: Any) -> Settings:
    values: dict[str, Any] = {
        "lifecycle": "stand-in",
        "broker": "embedded:simulated",
        "group": GROUP,
        "instance_id": "one",
        "state_dir": Path("unused"),
        "partitions": 2,
        "contacts_topic": CONTACTS,
        "batch_wait_ms": 0,
        "partitioner": "crc32",  # quick to compute, and another than the default
        "poll_ms": 10,
        "backoff_ms": 10,
        "backoff_ms_max": 1_000,
        **changed,
    }
    return Settings(**values)


def event(kind: str, subject: str, at: int, name: str, **data: Any) -> bytes:
    """An event as it comes over the wire; `at` in epoch ms."""
    body = {
        "specversion": "1.0",
        "id": name,
        "source": "test",
        "type": kind,
        "subject": subject,
        "time": format_instant(at),
        "data": data,
    }
    return json.dumps(body).encode()


def quiet() -> FilteringBoundLogger:
    """A logger that says nothing."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger(50)
    )
    return logger


class Listener:
    """A logger that keeps what it is told, as (level, event, values)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def logger(self) -> FilteringBoundLogger:
        def keep(_logger: Any, level: str, values: Any) -> Any:
            line = dict(values)
            self.lines.append((level, line.pop("event"), line))
            raise structlog.DropEvent

        logger: FilteringBoundLogger = structlog.wrap_logger(
            structlog.PrintLogger(), processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        return logger

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [values for _, name, values in self.lines if name == event]


def worker(
    transport: SimulatedTransport,
    *,
    store: Store | None = None,
    engine: Engine | None = None,
    crash_point: CrashPoint = no_crash,
    logger: FilteringBoundLogger | None = None,
    report: Callable[[Progress], None] | None = None,
    with_settings: Settings | None = None,
    routers: Mapping[str, Router] | None = None,
    **changed: Any,
) -> Worker:
    """A worker on the cluster of `transport`, with the stand-in engine unless another is given."""
    return Worker(
        transport,
        store if store is not None else MemoryStore(),
        engine or StandIn(),
        with_settings or settings(**changed),
        transport.cluster.clock,
        logger or quiet(),
        routers=routers,
        report=report,
        crash_point=crash_point,
    )


class Bench:
    """A cluster that does as told, and a worker on it."""

    def __init__(self, partitions: int = 2, **changed: Any) -> None:
        self.cluster = SimulatedCluster()
        self.cluster.create(TopicSpec(INPUT, partitions))
        self.partitions = partitions
        self.store = MemoryStore()
        self.listener = Listener()
        self.engine = StandIn()
        self.changed = changed
        self.names = 0
        self.transport = self.cluster.connect("one")
        self.worker = self.start()

    def start(self, *, report: Callable[[Progress], None] | None = None, **changed: Any) -> Worker:
        """A new worker in place of the one before, as another process; with the same store and settings."""
        self.transport = self.cluster.connect("one")
        self.changed = {**self.changed, **changed}
        self.worker = worker(
            self.transport,
            store=self.store,
            engine=self.engine,
            logger=self.listener.logger(),
            crash_point=self.transport.crash_point,
            report=report,
            **self.changed,
        )
        return self.worker

    def send(self, kind: str, subject: str, name: str = "", *, at: int | None = None, **data: Any) -> str:
        """Put an event on the input topic, in its key's partition; its id."""
        self.names += 1
        name = name or f"e{self.names}"
        value = event(kind, subject, self.cluster.clock.wall_ms() if at is None else at, name, **data)
        self.put(subject.encode(), value)
        return name

    def put(self, key: bytes | None, value: bytes | None, *, partition: int | None = None, headers: Any = ()) -> int:
        """Put any record on the input topic; its offset."""
        if partition is None:
            partition = partition_of(key or b"", self.partitions)
        return self.cluster.append([Send(INPUT, partition, key, value, headers)])[0]

    def turn(self, times: int = 1, each_ms: int = 1) -> None:
        for _ in range(times):
            self.worker.step()
            self.cluster.clock.advance(each_ms)

    def until(self, condition: Callable[[], bool], what: str = "what was waited for", each_ms: int = 1) -> None:
        for _ in range(TURNS_MAX):
            if condition():
                return
            self.turn(each_ms=each_ms)
        raise AssertionError(f"not within {TURNS_MAX} turns: {what}")

    def settle(self) -> None:
        """Everything that is on the input topic and between contacts has been folded."""
        self.until(lambda: settled(self.cluster, self.partitions), "everything folded")

    def outputs(self) -> list[tuple[str, str, str, int]]:
        return outputs(self.cluster)

    def published(self) -> list[str]:
        """What was published, in the order of partitions and offsets, as `contact kind by number`."""
        return [f"{contact} {kind} {by} {number}" for contact, kind, by, number in self.outputs()]

    def dead(self) -> list[Record]:
        return self.cluster.records(DEAD)

    def reasons(self) -> list[str]:
        return [header(record, "lifecycle-reason") for record in self.dead()]

    def states(self) -> dict[bytes, Contact]:
        return states(self.cluster)


def settled(cluster: SimulatedCluster, partitions: int) -> bool:
    """The committed offsets are at the last record that a reader sees, and no transaction is open."""
    committed = cluster.committed(GROUP)
    if not cluster.settled():
        return False
    for topic in (INPUT, INTERNAL):
        last = dict.fromkeys(range(partitions), -1)
        if topic not in cluster.topics:
            return False
        for record in cluster.records(topic):
            last[record.partition] = record.offset
        at = {place.partition: offset for place, offset in committed.items() if place.topic == topic}
        if any(at.get(number, 0) <= offset for number, offset in last.items()):
            return False
    return True


def outputs(cluster: SimulatedCluster) -> list[tuple[str, str, str, int]]:
    found = []
    for record in cluster.records(OUTPUT) if OUTPUT in cluster.topics else ():
        body = msgspec.json.decode(record.value or b"")
        assert (record.key or b"").decode() == body["subject"]
        found.append((body["subject"], body["type"], body["data"]["by"], body["data"]["number"]))
    return found


def states(cluster: SimulatedCluster) -> dict[bytes, Contact]:
    """What the changelog says: the last committed state of each key."""
    found: dict[bytes, Contact] = {}
    for record in cluster.records(CHANGELOG):
        write = to_write(record)
        if write.key == DEPLOYMENT_KEY:
            continue
        if write.value is None:
            found.pop(write.key, None)
        else:
            found[write.key] = read(write.value)
    return found


def stored(store: Store, partitions: Iterable[int]) -> dict[bytes, Contact]:
    """What the store says of these partitions."""
    return {key: read(value) for number in partitions for key, value in store.items(number) if key != DEPLOYMENT_KEY}


def header(record: Record, name: str) -> str:
    return next((value or b"").decode() for found, value in record.headers if found == name)
