"""What tests of the live endpoint share: an application over a worker that isn't there, and figures read back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.fold.world import plan_of
from worker.fold.engine import Engine
from worker.fold.outcome import Event
from worker.live.application import Application
from worker.live.figures import Figures
from worker.live.health import Health, Limits
from worker.live.lookup import Lookup
from worker.live.pages import Pages
from worker.runtime.metrics import Metrics
from worker.stores.base import Store, Write
from worker.stores.memory import MemoryStore
from worker.transports.partitioner import named
from worker.transports.simulator.clock import SimulatedClock

PARTITIONS = 3
LIMITS = Limits(stall_seconds=120, frozen_seconds=60)
MURMUR2 = named("murmur2")

Figure = tuple[str, tuple[tuple[str, str], ...]]


class Stand:
    """Everything behind the endpoint, without a worker: the test writes into `metrics` and `store` as a loop would."""

    def __init__(
        self, lifecycle: str = "10ex", *, local: bool = True, store: Store | None = None, secret: bytes = b""
    ) -> None:
        self.metrics = Metrics()
        self.clock = SimulatedClock()
        self.store = store or MemoryStore()
        self.engine = Engine(plan_of(lifecycle), grace=True, secret=secret)
        self.stopping = threading.Event()
        self.loop = threading.current_thread()
        self.health = Health(self.metrics, self.clock, self.loop, LIMITS, self.stopping.is_set)
        plan = self.engine.plan
        self.lookup = Lookup(self.engine, plan, self.store, self.metrics, self.clock, MURMUR2)
        figures = Figures(self.metrics, self.health, self.clock, plan.stages, {"lifecycle": lifecycle}, Path("absent"))
        pages = Pages({name: stage.name for name, stage in plan.lifecycle.stages.items()}, "A lifecycle")
        self.application = Application(self.metrics, self.health, figures, self.lookup, pages, local=local)

    def ready(self) -> Stand:
        """As after everything was restored and read."""
        every = range(PARTITIONS)
        metrics = self.metrics
        metrics.member, metrics.partitions = True, PARTITIONS
        metrics.held = metrics.live = frozenset(every)
        metrics.caught_up = set(every)
        metrics.lag_records = dict.fromkeys(every, 0)
        self.turn()
        return self

    def turn(self) -> None:
        """The loop turns, and nothing stands still."""
        self.metrics.turned = self.clock.monotonic()
        self.metrics.advanced = dict.fromkeys(self.metrics.live, self.clock.monotonic())

    def fold(self, events: Iterable[Event]) -> None:
        """What the worker would keep of these events, a batch each."""
        for event in events:
            key, number = self.engine.key_of(event), MURMUR2(event.subject.encode()) % PARTITIONS
            outcome = self.engine.apply(key, self.store.get(number, key), [event], self.clock.wall_ms())
            if outcome.changed:
                self.store.apply(number, [Write(key, outcome.state, outcome.due)], 1)


def read(text: str) -> dict[Figure, float]:
    """The samples of an exposition, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(figures: dict[Figure, float], name: str, **labels: str) -> float:
    """A figure, 0 where it was never counted."""
    return figures.get((name, tuple(sorted(labels.items()))), 0.0)


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for it, with a limit."""
    waiting = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError(f"not within {seconds:g} s: {what}")
