"""The group coordinator: members, generations, cooperative-sticky assignment, committed offsets.

A rebalance begins when somebody comes, goes or has given something up. It ends when every member has joined it, which
each does in its next poll, telling what it holds. Then the generation rises and everyone has its assignment. What
moves from one member to another is taken from the first in one generation and given to the second in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from worker.transports.base import GroupMetadata, TopicPartition
from worker.transports.errors import Fenced
from worker.transports.simulator.clock import SimulatedClock

if TYPE_CHECKING:
    from worker.transports.simulator.transactions import Transaction

Partitions = frozenset[TopicPartition]
NOTHING: Partitions = frozenset()


class Member:
    __slots__ = ("assigned", "generation", "held", "id", "instance", "joined", "polled_ms", "topics")

    def __init__(self, name: str, instance: str | None, topics: Sequence[str], now_ms: int) -> None:
        self.id = name
        self.instance = instance
        self.topics = frozenset(topics)
        self.held = NOTHING  # what it said it has when it joined
        self.assigned = NOTHING  # what `generation` gives it
        self.generation = -1
        self.joined = True
        self.polled_ms = now_ms


class Group:
    def __init__(self, name: str, clock: SimulatedClock, counts: Mapping[str, int], poll_interval_ms_max: int) -> None:
        self.name = name
        self.generation = 0
        self.members: dict[str, Member] = {}
        self.instances: dict[str, str] = {}
        self.offsets: dict[TopicPartition, int] = {}
        self.unstable: dict[TopicPartition, set[Transaction]] = {}
        self._rebalancing = False
        self._numbers = 0
        self._clock = clock
        self._counts = counts  # partitions by topic, as of now
        self._poll_interval_ms_max = poll_interval_ms_max

    def join(self, client: str, instance: str | None, topics: Sequence[str]) -> Member:
        """A new member. A static one that was there takes its old place, and in quiet times nobody notices."""
        self._numbers += 1
        member = Member(f"{client}-{self._numbers}", instance, topics, self._clock.now_ms)
        if instance is None or instance not in self.instances:
            self._rebalance()
        else:
            before = self.members.pop(self.instances[instance])
            member.held = member.assigned = before.assigned
            member.generation = before.generation
            if before.topics != member.topics:
                self._rebalance()
        if instance is not None:
            self.instances[instance] = member.id
        self.members[member.id] = member
        self._complete()
        return member

    def expire(self) -> None:
        """Who did not poll for the maximum interval is put out."""
        oldest = self._clock.now_ms - self._poll_interval_ms_max
        for member in [member for member in self.members.values() if member.polled_ms < oldest]:
            self.remove(member.id)

    def poll(self, member: Member, held: Partitions) -> None:
        """The member was heard of: it joins the rebalance that there may be, with what it holds."""
        member.polled_ms = self._clock.now_ms
        if self._rebalancing and not member.joined:
            member.joined = True
            member.held = held
            self._complete()

    def gave_up(self) -> None:
        """A member has let go of what was taken from it: somebody may have it in the next generation."""
        self._rebalance()

    def remove(self, member_id: str) -> None:
        member = self.members.pop(member_id, None)
        if member is None:
            return
        if member.instance is not None:
            del self.instances[member.instance]
        self._rebalance()
        self._complete()

    def fenced(self, member_id: str, instance: str | None) -> bool:
        """Somebody else has this member's static place."""
        return instance is not None and self.instances.get(instance, member_id) != member_id

    def check(self, metadata: GroupMetadata) -> None:
        """Raises `Fenced` unless the metadata is that of a member in the current generation."""
        if metadata.member not in self.members:
            raise Fenced(f"group {self.name}: {metadata.member} is no member any more")
        if metadata.generation != self.generation:
            raise Fenced(
                f"group {self.name}: offsets of generation {metadata.generation}, the group is at {self.generation}"
            )

    def _rebalance(self) -> None:
        self._rebalancing = True
        for member in self.members.values():
            member.joined = False

    def _complete(self) -> None:
        if not self._rebalancing or not all(member.joined for member in self.members.values()):
            return
        self._rebalancing = False
        self.generation += 1
        for member in self.members.values():
            member.generation = self.generation
        wanted = balance(self.members, self._counts)
        held_by = {partition: member.id for member in self.members.values() for partition in member.held}
        for name, partitions in wanted.items():
            self.members[name].assigned = frozenset(
                partition for partition in partitions if held_by.get(partition, name) == name
            )


def balance(members: Mapping[str, Member], counts: Mapping[str, int]) -> dict[str, list[TopicPartition]]:
    """All partitions of each topic over the members that want it, as evenly as can be, moving as few as can be."""
    given: dict[str, list[TopicPartition]] = {name: [] for name in members}
    for topic in sorted({topic for member in members.values() for topic in member.topics}):
        everything = [TopicPartition(topic, number) for number in range(counts.get(topic, 0))]
        takers = sorted(name for name in members if topic in members[name].topics)
        takers.sort(key=lambda name: -sum(partition.topic == topic for partition in members[name].held))
        least, over = divmod(len(everything), len(takers))
        free = set(everything)
        lots = {}
        for place, name in enumerate(takers):
            lot = least + (1 if place < over else 0)
            kept = sorted(free & members[name].held)[:lot]
            free -= set(kept)
            given[name] += kept
            lots[name] = lot - len(kept)
        left = sorted(free)
        for name in takers:
            given[name] += left[: lots[name]]
            left = left[lots[name] :]
    return given
