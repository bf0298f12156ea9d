"""Groups as the simulated cluster holds them: membership, committed offsets, and who was heard of when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from worker.transports.base import GroupMetadata, TopicPartition
from worker.transports.groups import Group, Membership
from worker.transports.simulator.clock import SimulatedClock

if TYPE_CHECKING:
    from worker.transports.simulator.transactions import Transaction


class SimulatedGroup:
    def __init__(self, name: str, clock: SimulatedClock, counts: Mapping[str, int], poll_interval_ms_max: int) -> None:
        self.name = name
        self.offsets: dict[TopicPartition, int] = {}
        self.unstable: dict[TopicPartition, set[Transaction]] = {}  # by open transactions that hold an offset
        self._group = Group(name)
        self._polled_ms: dict[str, int] = {}
        self._clock = clock
        self._counts = counts
        self._poll_interval_ms_max = poll_interval_ms_max

    def poll(self, membership: Membership) -> None:
        """The member was heard of. Who did not poll for the maximum interval is put out before."""
        oldest = self._clock.now_ms - self._poll_interval_ms_max
        for member_id in list(self._group.members):
            if self._polled_ms[member_id] < oldest:
                self._group.remove(member_id, self._counts)
        membership.poll(self._group, self._counts)
        if membership.id is not None:
            self._polled_ms[membership.id] = self._clock.now_ms

    def check(self, metadata: GroupMetadata) -> None:
        self._group.check(metadata)

    def given(self) -> frozenset[TopicPartition] | None:
        return self._group.given()

    def remove(self, member_id: str) -> None:
        self._group.remove(member_id, self._counts)

    def remove_instance(self, instance: str) -> None:
        self._group.remove_instance(instance, self._counts)
