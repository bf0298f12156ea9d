"""Virtual time: stands still until somebody moves it; what is scheduled happens when it is passed."""

from __future__ import annotations

import heapq
from collections.abc import Callable

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class SimulatedClock:
    """Wall and monotonic time of a simulation; serves the runtime as its clock."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self.now_ms = 0  # since the start, never backwards
        self._wall_ms = start_ms
        self._scheduled: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = 0

    def wall_ms(self) -> int:
        """Now, in milliseconds since the epoch (UTC)."""
        return self._wall_ms + self.now_ms

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.now_ms / 1000

    def advance(self, by_ms: int) -> None:
        """Time has passed, and what fell due meanwhile has happened, each at its own time and in its order."""
        until = self.now_ms + max(0, by_ms)
        scheduled = self._scheduled
        while scheduled and scheduled[0][0] <= until:
            at, _, action = heapq.heappop(scheduled)
            if at > self.now_ms:
                self.now_ms = at
            action()
        if until > self.now_ms:
            self.now_ms = until

    def jump(self, by_ms: int) -> None:
        """The wall clock was set, forwards or back; monotonic time goes on as it was."""
        self._wall_ms += by_ms

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """`action` happens once that time has passed."""
        self._numbers += 1  # keeps equal times in the order in which they were scheduled
        heapq.heappush(self._scheduled, (self.now_ms + delay_ms, self._numbers, action))

    def next_ms(self) -> int | None:
        """How long until something scheduled happens, None where nothing is."""
        return max(0, self._scheduled[0][0] - self.now_ms) if self._scheduled else None
