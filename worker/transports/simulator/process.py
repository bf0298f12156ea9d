"""A process that clients belong to: it runs, is suspended, or is dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from worker.transports.simulator.clock import SimulatedClock
from worker.transports.simulator.faults import SimulatedCrash
from worker.transports.simulator.groups import SimulatedGroup


class Belongs(Protocol):
    """A client that may be a member of a group."""

    def membership(self) -> tuple[SimulatedGroup, str] | None:
        """The group and the member's id, None where it is in none."""


class Process:
    def __init__(self, clock: SimulatedClock, name: str, session_timeout_ms: int, away_ms: Callable[[], int]) -> None:
        self.name = name
        self.dead = False
        self.suspended = False
        self.consumers: list[Belongs] = []
        self._clock = clock
        self._session_timeout_ms = session_timeout_ms
        self._away_ms = away_ms
        self._silences = 0

    def running(self, operation: str) -> None:
        """Raises for a call that such a process can't make: `finally` clauses of a dead one have no effect."""
        if self.dead:
            raise SimulatedCrash(f"{self.name} is dead: {operation} has no effect")
        if self.suspended:
            raise RuntimeError(f"{self.name} is suspended, so it can't call {operation}: resume it first")

    def members(self) -> Iterator[tuple[SimulatedGroup, str]]:
        for consumer in self.consumers:
            membership = consumer.membership()
            if membership is not None:
                yield membership

    def crash(self) -> None:
        """It ends without a word; its sessions expire in their time."""
        if not self.dead:
            self.dead = True
            self._fall_silent()

    def suspend(self) -> None:
        """It stands still, as by SIGSTOP, and doesn't know it afterwards."""
        self.suspended = True
        self._fall_silent()

    def resume(self) -> None:
        self.suspended = False

    def _fall_silent(self) -> None:
        self._silences += 1
        silence = self._silences
        for group, member in self.members():
            self.expire(group, member, lambda: (self.dead or self.suspended) and silence == self._silences)

    def expire(self, group: SimulatedGroup, member: str, silent: Callable[[], bool]) -> None:
        """The member is put out after a session without a sign of life. While the cluster is away no session ends."""

        def end() -> None:
            if not silent():
                return
            if self._away_ms():
                self._clock.after(self._away_ms() + self._session_timeout_ms, end)
            else:
                group.remove(member)

        self._clock.after(self._session_timeout_ms, end)
