"""The worker's figures as Prometheus reads them, made from the loop's counters when somebody asks.

Nothing is counted here: the loop counts once a transaction, and what is asked for is written from that. Labels are
partitions, stages, reasons and types, of which there are few; a contact is in none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from worker.live.health import Health
from worker.runtime.clock import Clock
from worker.runtime.metrics import DURATIONS, Metrics
from worker.runtime.version import worker_version
from worker.stores.environment import FILE

PREFIX: Final = "lifecycle_"
Labels = tuple[str, ...]


class Figures(Collector):
    """Everything that `/metrics` tells. `stages` are the definition's, by place; `folder` holds the store."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        clock: Clock,
        stages: tuple[str, ...],
        about: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._stages = stages
        self._about = {**about, "worker_version": worker_version()}
        self._file = folder / FILE
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The figures in the format that the reader accepts, and that format's content type."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind

    def collect(self) -> Iterator[Metric]:
        yield from self._standing()
        yield from self._partitions()
        yield from self._work()
        yield from self._lifecycle()

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked for at registration."""
        return ()

    def _standing(self) -> Iterator[Metric]:
        metrics, health = self._metrics, self._health
        about = _gauge("info", "Always 1; the labels say what runs", tuple(self._about))
        about.add_metric(list(self._about.values()), 1)
        yield about
        yield _one("ready", "1 where /readyz answers 200, else 0", not health.unready())
        yield _one("loop_age_seconds", "Seconds since the loop last began a turn", health.age_seconds())
        yield _one("log_attempts", "Errors of the log in a row that are being waited out, 0 where it answers",
                   metrics.attempts)  # fmt: skip
        yield _one("partitions_assigned", "Partitions that the group gave to this worker", metrics.partitions_assigned)
        yield _one("partitions_live", "Of those, the ones restored and being folded", metrics.partitions_live)
        yield _one("partitions_frozen", "Of those, the ones with something unread that stand still",
                   len(health.frozen()))  # fmt: skip

    def _partitions(self) -> Iterator[Metric]:
        metrics, now = self._metrics, self._clock.wall_ms()
        behind = {number: max(0, now - at) / 1000 for number, at in metrics.read_until_ms.copy().items()}
        partition = ("partition",)
        yield _gauge("lag_records", "Input records not folded yet", partition, _by_number(metrics.lag_records))
        yield _gauge("lag_seconds", "Seconds since the moment up to which all input is folded", partition,
                     _by_number(behind))  # fmt: skip
        yield _gauge("restore_left_records", "Changelog records still to be read before the partition is folded",
                     partition, _by_number(metrics.restore_left))  # fmt: skip
        yield _gauge("state_keys", "States in the local store: contacts, companies, memberships, forwardings",
                     partition, _by_number(metrics.keys))  # fmt: skip
        size = _size(self._file)
        if size is not None:
            yield _one("state_bytes", "Bytes that the local store takes on the disk", size)

    def _work(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _count("records", "Input records in committed transactions", metrics.records)
        yield _count("messages", "Records of the internal topic in committed transactions", metrics.messages)
        yield _count("duplicates", "Events that were there already and changed nothing", metrics.duplicates)
        yield _count("late_events", "Events put in their place behind newer ones", metrics.late)
        yield _count("rekeyed", "Records sent through the internal topic for their key", metrics.rekeyed)
        yield _count("timers", "Contacts whose timers fired", metrics.timers)
        yield _count("states_written", "States written to the changelog", metrics.states_written)
        yield self._transactions()
        yield _count(
            "transactions_failed", "Transactions that were given up and done again", metrics.transactions_failed
        )
        yield _count("fold_seconds", "Seconds spent folding", metrics.fold_seconds)
        yield _count("restored_records", "Changelog records read to restore partitions", metrics.restored)
        yield _count("purged_records", "Internal records deleted after they were folded", metrics.purged)
        yield _count("waits", "Times an error of the log was waited out", metrics.waits)
        yield _count("rebalances", "Times the group's generation changed under this worker", metrics.rebalances)

    def _transactions(self) -> Metric:
        metrics = self._metrics
        family = HistogramMetricFamily(
            f"{PREFIX}transaction_seconds",
            "Seconds from the beginning of a committed transaction to its store",
            labels=(),
        )
        below = list(accumulate(metrics.transaction_times.copy()))
        bounds = [*(f"{bound:g}" for bound in DURATIONS), "+Inf"]
        family.add_metric((), list(zip(bounds, map(float, below), strict=True)), metrics.transaction_seconds)
        return family

    def _lifecycle(self) -> Iterator[Metric]:
        metrics = self._metrics
        refused = {self._stages[place]: count for place, count in metrics.refused.copy().items()}
        yield _counts("outputs", "Events published, by CloudEvents type", ("type",), _by_name(metrics.outputs))
        yield _counts("moves", "Stage changes published, by stage left (none: its first) and stage entered",
                      ("from", "to"), metrics.moves.copy())  # fmt: skip
        yield _counts("refusals", "Events that a transition out of the contact's stage waits for, and did not move it",
                      ("stage",), _by_name(refused))  # fmt: skip
        yield _counts("corrections", "Corrections published, by the stage that the contact is in by them",
                      ("stage",), _by_name(metrics.corrections))  # fmt: skip
        yield _counts("sla_breaches", "Promises not kept, by stage", ("stage",), _by_name(metrics.breaches))
        yield _counts("dead_letters", "Records not accepted, by reason", ("reason",), _by_name(metrics.dead_letters))


def _gauge(name: str, says: str, labels: Labels, values: Mapping[Labels, float] | None = None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, says, labels=labels)
    for label, value in (values or {}).items():
        family.add_metric(label, value)
    return family


def _one(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, says, value=float(value))


def _count(name: str, says: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, says, value=float(value))


def _counts(name: str, says: str, labels: Labels, values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, says, labels=labels)
    for label, value in sorted(values.items()):
        family.add_metric(label, value)
    return family


def _by_number(values: Mapping[int, float]) -> dict[Labels, float]:
    return {(str(number),): float(value) for number, value in sorted(dict(values).items())}


def _by_name(values: Mapping[str, int]) -> dict[Labels, float]:
    return {(name,): float(value) for name, value in dict(values).items()}


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_blocks * 512
    except OSError:
        return None
