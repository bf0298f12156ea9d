"""Reading over kafka-python, as a member of a group or outside of any.

Facts about version 3.0.12 that this module answers to (numbers: `docs/decisions/0006-kafka-clients.md`):

5. Rebalance listeners run on the library's network thread, where any wait deadlocks: they only take notes here.
6. The generation can change between polls: it is noted with each poll, and only of a settled member. A member that
   fell out of the group shows the generation -1, under which the broker checks nothing at all.

Also: the library positions new partitions by itself, from committed offsets or by a reset policy. Here a new partition
is paused until the worker has positioned it, and there is no policy: nothing is skipped or read twice unseen. Three
traps in its rebalances and pauses are told where they are avoided.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import ConsumerRebalanceListener
from kafka import TopicPartition as TheirPartition
from kafka.errors import IllegalStateError
from kafka.future import Future
from kafka.structs import MemberState

from worker.transports.base import EARLIEST, GroupMetadata, Record, TopicPartition
from worker.transports.errors import Fenced, TransportError
from worker.transports.kafka_python_admin import KafkaPythonAdmin
from worker.transports.kafka_python_errors import LIBRARY, translate

CLOSE_MS = 3_000
METADATA_SECONDS = 2.0


class Notes(ConsumerRebalanceListener):  # type: ignore[misc]
    """What rebalances did, noted on the library's network thread while `poll` waits for it.

    `pause` and `seek` are notes, too: they set fields and wait for nothing. They must be made here, before the same
    poll goes on to position partitions that have no position.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.unpositioned: set[TheirPartition] = set()
        self.changed = False
        self.lost = False

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.changed = True
        for partition in assigned:
            self.unpositioned.add(partition)
            self._client.pause(partition)
            self._client.seek(partition, 0)

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.changed = True
        self.unpositioned -= set(revoked)

    def on_partitions_lost(self, lost: Any) -> None:
        self.on_partitions_revoked(lost)
        self.lost = True


class KeptResult(Future):  # type: ignore[misc]
    """A result that is there already, and says so only to who waits for it."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self._kept = value

    def add_errback(self, *arguments: Any, **more: Any) -> Any:
        """The last thing that the library does before it waits."""
        super().add_errback(*arguments, **more)
        return self if self.is_done else self.success(self._kept)

    def __await__(self) -> Any:
        if not self.is_done:
            self.success(self._kept)
        return super().__await__()


class KafkaPythonConsumer:
    """A member of the group; see `worker.transports.base.Consumer`."""

    def __init__(
        self, client: Any, group: str, topics: Sequence[str], instance_id: str | None, admin: KafkaPythonAdmin
    ) -> None:
        self._client = client
        self._group = group
        self._instance_id = instance_id
        self._admin = admin
        self._notes = Notes(client)
        self._assignment: frozenset[TopicPartition] = frozenset()
        self._metadata = GroupMetadata(group, -1, "")
        self._paused: set[TheirPartition] = set()
        self._closed = False
        client.subscribe(list(topics), listener=self._notes)
        # A member that leads before it knows the topics would assign nothing of them to anybody.
        deadline = time.monotonic() + METADATA_SECONDS
        while time.monotonic() < deadline and any(
            client._cluster.partitions_for_topic(each) is None for each in topics
        ):
            time.sleep(0.002)

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        self._finish_rejoining()
        try:
            batches = poll(self._client, timeout_ms, max_records)
        except LIBRARY as error:
            raise translate(error, f"reading as a member of {self._group!r}") from error
        finally:
            self._take_notes()
        if self._displaced():
            raise Fenced(f"another worker runs as {self._instance_id!r} in the group {self._group!r}")
        return records_of(batches)

    def assignment(self) -> frozenset[TopicPartition]:
        return self._assignment

    def lost(self) -> bool:
        lost, self._notes.lost = self._notes.lost, False
        return lost

    def group_metadata(self) -> GroupMetadata:
        return self._metadata

    def committed(
        self, partitions: Sequence[TopicPartition], timeout_ms: int = 30_000
    ) -> dict[TopicPartition, int | None]:
        deadline = time.monotonic() + timeout_ms / 1000
        found: dict[TopicPartition, int | None] = {}
        try:
            for partition in partitions:
                left = max(1.0, (deadline - time.monotonic()) * 1000)
                found[partition] = self._client.committed(TheirPartition(*partition), timeout_ms=left)
        except LIBRARY as error:
            raise translate(error, f"reading the committed offsets of {self._group!r}") from error
        return found

    def position(self, partition: TopicPartition) -> int:
        theirs = self._positioned(partition)
        return next_offset(self._client, theirs)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        theirs = self._assigned(partition)
        try:
            self._client.seek(theirs, offset)
        except ValueError as error:  # taken away since the last poll, on the library's thread; the next one tells
            raise LookupError(f"{partition} is no longer assigned to this member of {self._group!r}") from error
        self._notes.unpositioned.discard(theirs)
        if theirs not in self._paused:
            with suppress(KeyError):
                self._client.resume(theirs)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._assignment.intersection(partitions):
            theirs = TheirPartition(*partition)
            self._paused.add(theirs)
            with suppress(KeyError):  # taken away since the last poll, on the library's thread
                self._client.pause(theirs)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._assignment.intersection(partitions):
            theirs = TheirPartition(*partition)
            self._paused.discard(theirs)
            if theirs not in self._notes.unpositioned:
                with suppress(KeyError):
                    self._client.resume(theirs)

    def leave(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            close_consumer(self._client)
            if self._instance_id is not None:
                self._admin.remove_member(self._group, self._instance_id)
        finally:
            self._admin.close()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        close_consumer(self._client)
        self._admin.close()

    def _take_notes(self) -> None:
        """Make visible what this poll changed: the assignment, and the membership under which its records came."""
        if self._notes.changed:
            self._notes.changed = False
            theirs = self._client.assignment()
            self._assignment = frozenset(TopicPartition(*partition) for partition in theirs)
            self._paused &= theirs
        now = self._client.group_metadata()
        if now.state == MemberState.STABLE and now.generation_id >= 0 and now != self._metadata.handle:
            self._metadata = GroupMetadata(self._group, now.generation_id, now.member_id, now)

    def _finish_rejoining(self) -> None:
        """A way out of two traps in the library, for polls that end while the group is being joined.

        The next poll is to go on with that joining, which runs meanwhile. But it first looks whether there still is a
        reason to rejoin. Where the reason was new metadata, joining has just removed it: the assignment is never
        taken, the heartbeat stays off, nothing is read again (seen: for ever, in 3.0.12). And where the joining has
        ended between two polls, it begins another one, which has every member rejoin, and so on.
        """
        coordinator = self._client._coordinator
        if coordinator.rejoining:
            joined = coordinator._join_task
            if joined is not None and joined.succeeded() and coordinator.group_metadata().generation_id >= 0:
                coordinator._join_task = KeptResult(joined.value)
            if not coordinator.rejoin_needed:
                coordinator.request_rejoin()

    def _displaced(self) -> bool:
        """Whether a newer worker took this instance's place: the library stops its heartbeat and goes on reading."""
        coordinator = self._client._coordinator
        return (
            self._instance_id is not None
            and self._metadata.generation >= 0
            and coordinator.state == MemberState.STABLE
            and not coordinator.need_rejoin()
            and not getattr(coordinator, "_heartbeat_enabled", True)
        )

    def _assigned(self, partition: TopicPartition) -> TheirPartition:
        if partition not in self._assignment:
            raise LookupError(f"{partition} is not assigned to this member of {self._group!r}")
        return TheirPartition(*partition)

    def _positioned(self, partition: TopicPartition) -> TheirPartition:
        theirs = self._assigned(partition)
        if theirs in self._notes.unpositioned:
            raise LookupError(f"{partition} has no position yet")
        return theirs


class KafkaPythonReader:
    """Reads outside of any group; see `worker.transports.base.Reader`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._closed = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        theirs = {TheirPartition(*partition): offset for partition, offset in positions.items()}
        earliest = [partition for partition, offset in theirs.items() if offset == EARLIEST]
        try:
            if earliest:
                theirs.update(self._client.beginning_offsets(earliest))
            self._client.assign(list(theirs))
            for partition, offset in theirs.items():
                self._client.seek(partition, offset)
                self._client.resume(partition)
        except LIBRARY as error:
            raise translate(error, f"beginning to read {', '.join(map(str, positions))}") from error

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        try:
            return records_of(poll(self._client, timeout_ms, max_records))
        except LIBRARY as error:
            raise translate(error, "reading") from error

    def position(self, partition: TopicPartition) -> int:
        return next_offset(self._client, self._assigned(partition))

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._client.pause(*map(self._assigned, partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._client.resume(*map(self._assigned, partitions))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            close_consumer(self._client)

    def _assigned(self, partition: TopicPartition) -> TheirPartition:
        theirs = TheirPartition(*partition)
        if theirs not in self._client.assignment():
            raise LookupError(f"{partition} is not assigned to this reader")
        return theirs


def poll(client: Any, timeout_ms: int, max_records: int) -> Mapping[Any, Sequence[Any]]:
    """The library's `poll`, and a way out of a trap in it.

    Records fetched of a partition that is then paused are put aside, and taken up again after its resumption only
    once the library's place for the fetch in hand is None. A fetch that was used up stays in that place, though: the
    resumed partition is neither read nor fetched again (seen: for ever, in 3.0.12). So a used-up fetch is removed.
    """
    fetcher = client._fetcher
    if getattr(fetcher, "_paused_partition_records", None) and not fetcher._next_partition_records:
        fetcher._next_partition_records = None
    batches: Mapping[Any, Sequence[Any]] = client.poll(timeout_ms, max_records)
    return batches


def records_of(batches: Mapping[Any, Sequence[Any]]) -> list[Record]:
    """The records of all partitions in one list; the library's own, where it decoded them, as ours."""
    new = tuple.__new__
    found: list[Record] = []
    for (topic, partition), records in batches.items():
        if type(records[0]) is Record:
            found.extend(records)
        else:
            for each in records:  # by place, not by name, which halves what this costs a record
                found.append(new(Record, (topic, partition, each[3], each[4], each[6], each[7], tuple(each[8]))))
    return found


def next_offset(client: Any, partition: TheirPartition) -> int:
    try:
        offset = client.position(partition, timeout_ms=5_000)
    except IllegalStateError as error:
        raise LookupError(f"{partition} is no longer assigned") from error
    except LIBRARY as error:
        raise translate(error, f"asking for the position of {partition}") from error
    if offset is None:
        raise LookupError(f"{partition} has no position yet")
    return int(offset)


def close_consumer(client: Any) -> None:
    """Closed, whether the broker hears of it or not: then the member's session ends by itself."""
    with suppress(*LIBRARY, TransportError):
        client.close(autocommit=False, timeout_ms=CLOSE_MS)
