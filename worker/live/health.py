"""Is the worker alive, and is it where it should be? Judged from the loop's own figures, without asking anyone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from worker.runtime.clock import Clock
from worker.runtime.metrics import Metrics

NAMED_MAX: Final = 20  # partitions named in an answer; there may be thousands


class Loop(Protocol):
    """The thread that the worker runs in."""

    def is_alive(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`stall`: how long a turn of the loop may take; `frozen`: how long a partition with lag may stand still."""

    stall_seconds: float
    frozen_seconds: float


class Health:
    """`stopping` says whether the worker has been told to end."""

    def __init__(
        self, metrics: Metrics, clock: Clock, loop: Loop, limits: Limits, stopping: Callable[[], bool]
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._loop = loop
        self._limits = limits
        self.stopping = stopping

    def age_seconds(self) -> float:
        """Since the loop last began a turn."""
        return max(0.0, self._clock.monotonic() - self._metrics.turned)

    def ill(self) -> list[str]:
        """Why the process should be started again; nothing where it shouldn't."""
        if not self._loop.is_alive():
            return ["the loop has ended"]
        age, limit = self.age_seconds(), self._limits.stall_seconds
        return [f"the loop has not turned for {age:.0f} s, the limit is {limit:g} s"] if age > limit else []

    def unready(self) -> list[str]:
        """Why its output is not up to date, or soon won't be; nothing where it is."""
        metrics = self._metrics
        why = self.ill()
        if self.stopping():
            why.append("it has been told to stop")
        if metrics.attempts:
            why.append(f"the log is waited for, {metrics.attempts} attempts so far")
        if not metrics.member:
            return [*why, "it is no member of the group yet"]
        found = list(self._partitions())
        if len(found) > NAMED_MAX:
            found[NAMED_MAX:] = [f"and {len(found) - NAMED_MAX} more partitions"]
        return why + found

    def frozen(self) -> list[int]:
        """Partitions that have something unread and have not moved for longer than the limit."""
        now, limit = self._clock.monotonic(), self._limits.frozen_seconds
        return sorted(number for number, at in self._metrics.advanced.copy().items() if now - at > limit)

    def _partitions(self) -> Iterator[str]:
        metrics = self._metrics
        live, caught_up, left = metrics.live, metrics.caught_up.copy(), metrics.restore_left.copy()
        frozen = set(self.frozen())
        for number in sorted(metrics.held):
            if number not in live:
                records = f", {left[number]:,} records left" if number in left else ""
                yield f"partition {number} is not restored{records}"
            elif number in frozen:
                records = f"{metrics.lag_records.get(number, 0):,} records behind"
                yield f"partition {number} is frozen, {records}"
            elif number not in caught_up:
                yield f"partition {number} has not caught up, {metrics.lag_records.get(number, 0):,} records behind"
