"""One run of one system over one topic, timed the same way for all, and void where it did another job."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cluster import Cluster
from benchmarks.processes import Child, Void
from benchmarks.systems import Place, System

POLL_SECONDS: Final = 0.02
RUN_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Run:
    """From the first record (or right before it) to the commit of the last; CPU is the system's own, all threads."""

    events: int
    seconds: float
    cpu_seconds: float
    changes: int
    anonymous_bytes: int

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.events / self.cpu_seconds


def run(system: System, cluster: Cluster, topic: str, events: int, expected: int | None = None) -> Run:
    """Run the system over all of the topic. Raises `Void`, where it fails or publishes not `expected` changes."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    place = Place(cluster.address, name, topic, f"{name}-out", folder)
    cluster.create(place.output)
    try:
        with Child(system.command(place), system.begins, system.environment) as child:
            begun = child.begun()
            wait_committed(cluster, child, name, topic, events)
            ended = child.moment()
            child.check()
            child.stop()
        changes = cluster.read(place.output, system.is_change)
        if expected is not None and changes != expected:
            raise Void(f"{system.name} published {changes} changes, not {expected}")
        return Run(events, ended.at - begun.at, ended.cpu - begun.cpu, changes, child.peak_anonymous_bytes)
    finally:
        cluster.delete(*cluster.topics(name))
        shutil.rmtree(folder, ignore_errors=True)


def wait_committed(cluster: Cluster, child: Child, group: str, topic: str, events: int) -> None:
    """Return right after the group has committed that many records. Raises `Void` where it doesn't."""
    deadline = time.monotonic() + RUN_SECONDS
    pause = threading.Event()
    while (done := cluster.committed(group, topic)) < events:
        child.check()
        if time.monotonic() > deadline:
            raise Void(f"{done} of {events} events within {RUN_SECONDS:g} s: {child.tail()}")
        pause.wait(POLL_SECONDS)


def alternate(systems: Sequence[tuple[System, str, int, int | None]], cluster: Cluster, rounds: int) -> list[list[Run]]:
    """Each system in its turn, over and over, so that what else the machine does meets all of them alike."""
    runs: list[list[Run]] = [[] for _ in systems]
    for _ in range(rounds):
        for mine, (system, topic, events, expected) in zip(runs, systems, strict=True):
            mine.append(run(system, cluster, topic, events, expected))
    return runs


def in_turns(rounds: int) -> str:
    """For a table's words: how often each was run, and what its figures are then."""
    return "1 run each" if rounds == 1 else f"{rounds} runs each in turns (median)"


def median(values: Iterable[float]) -> float:
    return statistics.median(values)
