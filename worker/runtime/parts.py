"""What outlives a membership: everything that a session is made with, and how large a batch may be."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from worker.runtime.batch import Rule, Sorter
from worker.runtime.clock import Clock, CrashPoint
from worker.runtime.deployment import Deployments
from worker.runtime.detection import Detector
from worker.runtime.engine import Engine
from worker.runtime.feeds import Feeds
from worker.runtime.folding import Folder
from worker.runtime.metrics import Metrics
from worker.runtime.restore import Restorer
from worker.runtime.settings import Settings
from worker.runtime.topics import Topics
from worker.runtime.upkeep import Upkeep
from worker.stores.base import Store
from worker.transports.base import Transport


class BatchLimit:
    """How many records a batch may have: fewer after one that was too much, more again after those that were not."""

    __slots__ = ("_max", "records")

    def __init__(self, records_max: int) -> None:
        self._max = records_max
        self.records = records_max

    def shrink(self, size: int) -> None:
        """A batch of this size was too much."""
        self.records = max(1, size // 2)

    def grow(self) -> None:
        self.records = min(self._max, self.records * 2)


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives a membership."""

    transport: Transport
    store: Store
    engine: Engine
    settings: Settings
    clock: Clock
    log: FilteringBoundLogger
    metrics: Metrics
    topics: Topics
    limit: BatchLimit
    limits: dict[str, int]  # bytes of a record by topic; lowered where the log turns out to take less
    sorter: Sorter
    detector: Detector
    folder: Folder
    deployments: Deployments
    upkeep: Upkeep
    restorer: Restorer
    rule: Rule
    feeds: Feeds
    crossing: bool  # whether records may belong to other partitions than where they are read
    worker_version: str
    crash_point: CrashPoint
