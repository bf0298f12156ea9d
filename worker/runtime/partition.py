"""A partition that this worker holds: how far it has folded, whether it may fold, and what time it is there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from worker.transports.base import TopicPartition

PROBES_MAX = 64  # one a second: with more than a minute of lag the clock moves in steps of what it catches up


class PartitionClock:
    """The latest wall time whose end offsets, looked up at that time, have been read.

    Timers fire up to it: while the worker lags, an event that would have come before a timer's deadline may still
    be unread, so wall time alone would fire too early.
    """

    __slots__ = ("_probes", "passed", "reached")

    def __init__(self) -> None:
        self.reached: int | None = None
        self.passed = 0  # input offset up to which all is folded, transactions' markers included
        self._probes: deque[tuple[int, int, int]] = deque()

    def probe(self, wall_ms: int, input_end: int, internal_end: int) -> None:
        """Remember the ends of input and internal partition, looked up after the clock said `wall_ms`."""
        if len(self._probes) < PROBES_MAX:
            self._probes.append((wall_ms, input_end, internal_end))

    def known_ms(self, now_ms: int) -> int:
        """The wall time up to which all is surely read; where that is unknown, when it was first looked at."""
        if self.reached is not None:
            return self.reached
        return self._probes[0][0] if self._probes else now_ms

    def waiting(self) -> tuple[int, int] | None:
        """The ends that must be reached for the clock to move on, None where nothing is known."""
        return self._probes[0][1:] if self._probes else None

    def advance(self, input_position: int, internal_position: int) -> None:
        """Move on to the newest time whose ends are reached by these positions."""
        probes = self._probes
        while probes and probes[0][1] <= input_position and probes[0][2] <= internal_position:
            wall_ms, self.passed, _ = probes.popleft()
            if self.reached is None or wall_ms > self.reached:  # the wall clock may have been set back
                self.reached = wall_ms


@dataclass(slots=True, eq=False)
class Held:
    """One assigned partition. Offsets are next offsets; `live` is true once its store equals the changelog."""

    number: int
    input: TopicPartition
    internal: TopicPartition
    changelog: TopicPartition
    live: bool = False
    next: int = 0
    internal_next: int = 0
    purged: int = 0  # internal records below this are deleted
    committed_at: float | None = None  # monotonic seconds of the last commit by this worker
    deployment: bytes | None = None  # to be written with the next transaction, None where it is there
    clock: PartitionClock = field(default_factory=PartitionClock)
    feeds: dict[TopicPartition, int] = field(default_factory=dict)  # other topics' partitions that go with it
    unknown: frozenset[TopicPartition] = frozenset()  # of its sources, those without a committed offset when restored
    passed: int | None = None  # the wall time of the newest passage that its clock was told of
