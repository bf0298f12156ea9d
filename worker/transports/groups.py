"""Group membership as values: members, generations, cooperative-sticky assignment. No clock, no log, no I/O.

The embedded log keeps a `Group` in a row of its file, the simulator in memory; a `Membership` is a member's own side,
what it believes of the group as of its last poll.

A rebalance begins when somebody comes, goes or has given something up. It ends when every member has joined it, which
each does in its next poll, telling what it holds. Then the generation rises and everyone has its assignment. What
moves from one member to another is taken from the first in one generation and given to the second in the next, so
that nobody stops for what doesn't move (KIP-429). A static member that comes back takes its old place (KIP-345).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from worker.transports.base import GroupMetadata, TopicPartition
from worker.transports.errors import Fenced

Partitions = frozenset[TopicPartition]
NOTHING: Partitions = frozenset()
NO_GENERATION = -1


class Member(msgspec.Struct):
    id: str
    instance: str | None
    topics: frozenset[str]
    held: Partitions = NOTHING  # what it said it has when it joined
    assigned: Partitions = NOTHING  # what `generation` gives it
    generation: int = NO_GENERATION
    joined: bool = True


class Group(msgspec.Struct):
    """The coordinator's side. `counts` are the partitions of each topic, as of now."""

    name: str
    generation: int = 0
    rebalancing: bool = False
    numbers: int = 0
    members: dict[str, Member] = {}

    def join(self, client: str, instance: str | None, topics: Sequence[str], counts: Mapping[str, int]) -> Member:
        """A new member. A static one that was there takes its old place, and in quiet times nobody notices."""
        self.numbers += 1
        member = Member(f"{client}-{self.numbers}", instance, frozenset(topics))
        before = None if instance is None else self._of_instance(instance)
        if before is None:
            self._rebalance()
        else:
            del self.members[before.id]
            # What its predecessor was to give up and did not, nobody else would give up.
            unfinished = bool(before.held - before.assigned)
            if (unfinished or before.topics != member.topics) and not self.rebalancing:
                self._rebalance()
            if not self.rebalancing:  # else it begins with nothing: what it adopted now could be given away meanwhile
                member.held = member.assigned = before.assigned
                member.generation = before.generation
        self.members[member.id] = member
        self._complete(counts)
        return member

    def poll(self, member: Member, held: Partitions, counts: Mapping[str, int]) -> None:
        """The member joins the rebalance that there may be, with what it holds."""
        if self.rebalancing and not member.joined:
            member.joined = True
            member.held = held
            self._complete(counts)

    def gave_up(self, member: Member, held: Partitions, counts: Mapping[str, int]) -> None:
        """The member has let go of what was taken from it: somebody may have it in the next generation."""
        self._rebalance()
        self.poll(member, held, counts)

    def remove(self, member_id: str, counts: Mapping[str, int]) -> None:
        """The member's partitions go to the others; nothing happens where it is not in the group."""
        if self.members.pop(member_id, None) is not None:
            self._rebalance()
            self._complete(counts)

    def remove_instance(self, instance: str, counts: Mapping[str, int]) -> None:
        member = self._of_instance(instance)
        if member is not None:
            self.remove(member.id, counts)

    def check(self, metadata: GroupMetadata) -> None:
        """Raises `Fenced` unless the metadata is that of a member in the current generation."""
        if metadata.member not in self.members:
            raise Fenced(f"group {self.name}: {metadata.member or 'somebody'} is no member any more")
        if metadata.generation != self.generation:
            raise Fenced(
                f"group {self.name}: offsets of generation {metadata.generation}, the group is at {self.generation}"
            )

    def given(self) -> Partitions | None:
        """What the members have by the current generation; None where that isn't settled, or there are none."""
        if self.rebalancing or not self.members:
            return None
        return frozenset().union(*(member.assigned for member in self.members.values()))

    def taken(self, instance: str | None) -> bool:
        """Somebody has this static place."""
        return instance is not None and self._of_instance(instance) is not None

    def _of_instance(self, instance: str) -> Member | None:
        return next((member for member in self.members.values() if member.instance == instance), None)

    def _rebalance(self) -> None:
        self.rebalancing = True
        for member in self.members.values():
            member.joined = False

    def _complete(self, counts: Mapping[str, int]) -> None:
        if not self.rebalancing or not all(member.joined for member in self.members.values()):
            return
        self.rebalancing = False
        self.generation += 1
        held_by = {partition: member.id for member in self.members.values() for partition in member.held}
        for name, partitions in balance(self.members, counts).items():
            member = self.members[name]
            member.generation = self.generation
            member.assigned = frozenset(partition for partition in partitions if held_by.get(partition, name) == name)


class Membership:
    """A member's own side, as of its last poll. `held` partitions stay with it until it learns otherwise."""

    def __init__(self, client: str, instance: str | None, topics: Sequence[str]) -> None:
        self.client = client
        self.instance = instance
        self.topics = topics
        self.id: str | None = None
        self.generation = NO_GENERATION
        self.held: Partitions = NOTHING
        self._lost = False

    def lost(self) -> bool:
        """True once after partitions were lost without a revocation."""
        lost, self._lost = self._lost, False
        return lost

    def metadata(self, group: str) -> GroupMetadata:
        return GroupMetadata(group, self.generation, self.id or "")

    def poll(self, group: Group, counts: Mapping[str, int]) -> None:
        """What the group has decided becomes visible here: an eviction, a rebalance to join, a new assignment.

        Raises `Fenced` where somebody else has this member's static place.
        """
        member = group.members.get(self.id) if self.id is not None else None
        if member is None:
            if self.id is not None:
                self._put_out(group)
            member = group.join(self.client, self.instance, self.topics, counts)
            self.id = member.id
        else:
            group.poll(member, self.held, counts)
        if member.generation != self.generation:
            self.generation = member.generation
            gives_up = self.held - member.assigned
            self.held = member.assigned
            if gives_up:
                group.gave_up(member, self.held, counts)

    def end(self) -> None:
        """It is no member any more, and knows it."""
        self.id = None
        self.generation = NO_GENERATION
        self.held = NOTHING

    def _put_out(self, group: Group) -> None:
        self._lost = self._lost or bool(self.held)
        self.end()
        if group.taken(self.instance):
            raise Fenced(
                f"group {group.name}: another process runs as instance {self.instance}",
                "give every worker an --instance-id of its own",
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
        wants = {}
        for place, name in enumerate(takers):
            lot = least + (1 if place < over else 0)
            kept = sorted(free & members[name].held)[:lot]
            free -= set(kept)
            given[name] += kept
            wants[name] = lot - len(kept)
        left = sorted(free)
        for name in takers:
            given[name] += left[: wants[name]]
            left = left[wants[name] :]
    return given
