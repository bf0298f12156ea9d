"""The worker at work on made traffic: time goes as fast as it is told to, everything else is as in earnest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from worker.demo.traffic import START_MS, Arrival, Traffic
from worker.instants import HOUR_MS
from worker.runtime.loop import Worker
from worker.runtime.settings import Settings
from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec, Transport
from worker.transports.partitioner import partition_of

PARTITIONS: Final = 2
SLICE_MS: Final = 3 * HOUR_MS
TURNS_MAX: Final = 5_000  # of the worker in one slice
IDLE_TURNS: Final = 3  # that it does nothing before a slice counts as done
TIMEOUT_MS: Final = 10_000


class DemoClock:
    """The wall clock of the weeks that are played; it stands still until it is set."""

    def __init__(self, at: int = START_MS) -> None:
        self.at = at

    def wall_ms(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


@dataclass
class Slice:
    """Some hours: what went in and what came out of it."""

    start: int
    end: int
    sent: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)


def settings_for(lifecycle: str, log: str, state_dir: str) -> Settings:
    return Settings.model_validate(
        {
            "lifecycle": lifecycle,
            "broker": f"embedded:{log}",
            "group": "lifecycle-demo",
            "instance_id": "demo",
            "state_dir": state_dir,
            "partitions": PARTITIONS,
            "poll_ms": 1,
            "batch_wait_ms": 0,
            "log_level": "error",
            "contacts_topic": "lifecycle-contacts",
        }
    )


def play(
    worker: Worker, transport: Transport, settings: Settings, traffic: Traffic, clock: DemoClock
) -> Iterator[Slice]:
    """Slice by slice: events are sent as they arrive, time passes, the worker folds, what it published is read.

    Raises: RuntimeError where the worker doesn't come to rest; what the worker raises.
    """
    admin = transport.admin()
    admin.create(TopicSpec(settings.input_topic, PARTITIONS))
    for _ in range(TURNS_MAX):
        worker.step()
        if len(worker.live()) == PARTITIONS:
            break
    producer, reader = transport.producer("lifecycle-demo-traffic"), transport.reader()
    outputs = admin.partitions(settings.output_topic) or PARTITIONS
    reader.assign({TopicPartition(settings.output_topic, number): EARLIEST for number in range(outputs)})
    waiting = iter(traffic.arrivals)
    arrival: Arrival | None = next(waiting, None)
    try:
        for start in range(START_MS, traffic.end_ms, SLICE_MS):
            part = Slice(start, start + SLICE_MS)
            sends = []
            while arrival is not None and arrival.at < part.end:
                partition = partition_of(arrival.key, PARTITIONS)
                sends.append(Send(settings.input_topic, partition, arrival.key, arrival.value))
                arrival = next(waiting, None)
            if sends:
                producer.begin()
                producer.send(sends)
                producer.flush(TIMEOUT_MS)
                producer.commit(TIMEOUT_MS)
            part.sent = len(sends)
            clock.at = part.end
            _settle(worker)
            part.changes = [json.loads(record.value) for record in _read(reader) if record.value]
            yield part
    finally:
        producer.close()
        reader.close()
        admin.close()


def _settle(worker: Worker) -> None:
    """Turn until there is nothing left to do."""
    idle = 0
    for _ in range(TURNS_MAX):
        idle = 0 if worker.step() else idle + 1
        if idle >= IDLE_TURNS:
            return
    raise RuntimeError(f"the worker is not done after {TURNS_MAX} turns")


def _read(reader: Any) -> Iterator[Record]:
    while records := reader.poll(0, 1_000):
        yield from records
