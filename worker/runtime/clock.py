"""Time as the runtime asks for it: an argument, so that a test or the simulator can stand in for the real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def wall_ms(self) -> int:
        """Now, in milliseconds since the epoch (UTC). May jump, also backwards."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary point, never backwards: for durations and limits."""


class SystemClock:
    """The machine's clock."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class Deadline:
    """One time budget that all steps of a piece of work share."""

    __slots__ = ("_clock", "_ends")

    def __init__(self, clock: Clock, budget_ms: int) -> None:
        self._clock = clock
        self._ends = clock.monotonic() + budget_ms / 1000

    def left_ms(self) -> int:
        """Milliseconds left, at least 1: a call without any time would be one without a limit with some clients."""
        return max(1, int((self._ends - self._clock.monotonic()) * 1000))

    def over(self) -> bool:
        return self._clock.monotonic() >= self._ends


CrashPoint = Callable[[str], None]
"""Called with the name of each numbered step after it; tests raise from it as if the process had died there."""


def no_crash(_step: str) -> None:
    """Nothing happens: what runs outside of tests."""
