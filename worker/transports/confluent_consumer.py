"""Reading over confluent-kafka, as a member of a group or outside of any.

What librdkafka does of itself, and what is made of it here:

- It positions new partitions from committed offsets. Here they are assigned at their end and paused at once, and read
  from where the worker positions them. The end exists always; an offset that was deleted would leave the partition
  beyond any later seek. It is asked for beforehand: assigned at "the end", the client asks itself, and an answer that
  comes after a seek undoes it. Where nobody could be asked, a seek first waits for that answer.
- `consume` waits until it has all the records it was asked for. Here what is there is taken first, and only where there
  is nothing, one record is waited for.
- It looks for the coordinator of a reader's group too, which none joins; that there is no right to it says nothing.
- It does not tell the position behind the last record, where transaction markers and aborted records lie. Its events
  for a partition's end do.
- Membership comes as opaque bytes. The generation is read out of them, to tell one membership from another. It may be
  newer than the assignment that `poll` has shown so far; what that takes away goes to nobody else before it was shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_END, KafkaException
from confluent_kafka import TopicPartition as TheirPartition

from worker.transports.base import EARLIEST, GroupMetadata, Record, TopicPartition
from worker.transports.confluent_admin import ConfluentAdmin
from worker.transports.confluent_calls import Calls
from worker.transports.confluent_errors import LIBRARY, kafka_error, translate
from worker.transports.errors import Retriable, TransportError

ANSWER_SECONDS = 10.0
SEEK_SECONDS = 5.0
NOT_STARTED = ("_STATE", "_PREV_IN_PROGRESS")
OF_THE_GROUP = frozenset({"GROUP_AUTHORIZATION_FAILED"})


class Positions:
    """Where a consumer stands in each partition, from the records and the partition ends that it was given.

    Errors whose codes are `ignored` are none.
    """

    def __init__(self, ignored: frozenset[str] = frozenset()) -> None:
        self._ignored = ignored
        self.next: dict[TopicPartition, int] = {}
        self._put_off: TransportError | None = None

    def take(self, client: Any, timeout_ms: int, max_records: int, doing: str) -> list[Record]:
        """Records of positioned partitions. An error behind some records is raised by the next call."""
        if self._put_off is not None:
            error, self._put_off = self._put_off, None
            raise error
        try:
            messages = client.consume(max_records, 0)
            if not messages and timeout_ms > 0:
                messages = client.consume(1, timeout_ms / 1000)
                if messages and max_records > 1:
                    messages += client.consume(max_records - 1, 0)
        except LIBRARY as error:
            raise translate(error, doing) from error
        return self._records(messages, doing)

    def _records(self, messages: Sequence[Any], doing: str) -> list[Record]:
        new, places = tuple.__new__, self.next
        records: list[Record] = []
        where, known = TopicPartition("", -1), False  # of the record before: they come in runs of a partition
        for message in messages:
            error, topic, partition = message.error(), message.topic(), message.partition()
            if partition != where[1] or topic != where[0]:
                where = TopicPartition(topic, partition)
                known = where in places
            if error is None:
                if not known:
                    continue  # read before the worker positioned it
                offset, headers = message.offset(), message.headers()
                fields = (*where, offset, message.timestamp()[1], message.key(), message.value())
                records.append(new(Record, (*fields, tuple(headers) if headers else ())))
                places[where] = offset + 1
            elif error.name() == "_PARTITION_EOF":
                if where in places:
                    places[where] = max(places[where], message.offset())
            elif error.name() not in self._ignored and (where in places or where[0] is None or error.fatal()):
                failure = translate(error, doing if where[0] is None else f"{doing}, {where[0]}")
                if isinstance(failure, Retriable):
                    continue  # the client goes on by itself
                if not records:
                    raise failure
                self._put_off = self._put_off or failure
        return records


class ConfluentConsumer:
    """A member of the group; see `worker.transports.base.Consumer`."""

    def __init__(
        self,
        client: Any,
        calls: Calls,
        group: str,
        topics: Sequence[str],
        instance_id: str | None,
        admin: ConfluentAdmin,
    ) -> None:
        self._client = client
        self._calls = calls
        self._group = group
        self._instance_id = instance_id
        self._admin = admin
        self._positions = Positions()
        self._assignment: frozenset[TopicPartition] = frozenset()
        self._metadata = GroupMetadata(group, -1, "")
        self._paused: set[TopicPartition] = set()
        self._unsettled: set[TopicPartition] = set()  # assigned at an end that the client may still be asking for
        self._lost = False
        self._closed = False
        client.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._dropped)

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        doing = f"reading as a member of {self._group!r}"
        try:
            return self._positions.take(self._client, timeout_ms, max_records, doing)
        finally:
            self._note_membership()

    def assignment(self) -> frozenset[TopicPartition]:
        return self._assignment

    def lost(self) -> bool:
        lost, self._lost = self._lost, False
        return lost

    def group_metadata(self) -> GroupMetadata:
        return self._metadata

    def committed(
        self, partitions: Sequence[TopicPartition], timeout_ms: int = 30_000
    ) -> dict[TopicPartition, int | None]:
        doing = f"reading the committed offsets of {self._group!r}"
        if not partitions:
            return {}
        try:
            answers = self._client.committed([TheirPartition(*each) for each in partitions], timeout_ms / 1000)
        except LIBRARY as error:
            raise translate(error, doing) from error
        found: dict[TopicPartition, int | None] = {}
        for answer in answers:
            if answer.error is not None:
                raise translate(answer.error, doing)
            found[TopicPartition(answer.topic, answer.partition)] = None if answer.offset < 0 else answer.offset
        return found

    def position(self, partition: TopicPartition) -> int:
        self._check(partition)
        if partition not in self._positions.next:
            raise LookupError(f"{partition} has no position yet")
        return self._positions.next[partition]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._check(partition)
        if partition in self._unsettled:
            settle(self._client, partition)
            self._unsettled.discard(partition)
        seek(self._client, partition, offset)
        self._positions.next[partition] = offset
        if partition not in self._paused:
            self._client.resume([TheirPartition(*partition)])

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._assignment.intersection(partitions):
            self._paused.add(partition)
            self._client.pause([TheirPartition(*partition)])

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._assignment.intersection(partitions):
            self._paused.discard(partition)
            if partition in self._positions.next:
                self._client.resume([TheirPartition(*partition)])

    def leave(self) -> None:
        if self._closed:
            return
        self.close()
        if self._instance_id is not None:
            self._admin.remove_member(self._group, self._instance_id)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._calls.end([self._client])

    # The callbacks run within `poll`, on its thread.

    def _assigned(self, client: Any, added: Sequence[Any]) -> None:
        places = [TopicPartition(each.topic, each.partition) for each in added]
        try:
            starts = self._admin.end_offsets(places)
        except TransportError:
            starts = dict.fromkeys(places, OFFSET_END)
            self._unsettled.update(places)
        client.incremental_assign([TheirPartition(*place, starts[place]) for place in places])
        client.pause(list(added))
        self._assignment |= {TopicPartition(each.topic, each.partition) for each in added}

    def _revoked(self, client: Any, removed: Sequence[Any]) -> None:
        gone = {TopicPartition(each.topic, each.partition) for each in removed}
        client.incremental_unassign(list(removed))
        self._assignment -= gone
        self._paused -= gone
        self._unsettled -= gone
        for partition in gone:
            self._positions.next.pop(partition, None)

    def _dropped(self, client: Any, removed: Sequence[Any]) -> None:
        self._lost = True
        self._revoked(client, removed)

    def _note_membership(self) -> None:
        """The membership under which this poll's records came; a member without one keeps the last, to be refused."""
        if self._closed:
            return
        handle = self._client.consumer_group_metadata()
        if handle is not None and handle != self._metadata.handle:
            generation, member = membership(handle)
            if generation >= 0 and member:
                self._metadata = GroupMetadata(self._group, generation, member, handle)

    def _check(self, partition: TopicPartition) -> None:
        if partition not in self._assignment:
            raise LookupError(f"{partition} is not assigned to this member of {self._group!r}")


class ConfluentReader:
    """Reads outside of any group; see `worker.transports.base.Reader`."""

    def __init__(self, client: Any, calls: Calls) -> None:
        self._client = client
        self._calls = calls
        self._positions = Positions(OF_THE_GROUP)
        self._closed = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        try:
            starts = {partition: self._start(partition, offset) for partition, offset in positions.items()}
            self._positions = Positions(OF_THE_GROUP)
            self._positions.next.update(starts)
            self._client.assign([TheirPartition(*partition, offset) for partition, offset in starts.items()])
        except LIBRARY as error:
            raise translate(error, f"beginning to read {', '.join(map(str, positions))}") from error

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        return self._positions.take(self._client, timeout_ms, max_records, "reading")

    def position(self, partition: TopicPartition) -> int:
        if partition not in self._positions.next:
            raise LookupError(f"{partition} is not assigned to this reader")
        return self._positions.next[partition]

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._client.pause([TheirPartition(*partition) for partition in partitions])

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._client.resume([TheirPartition(*partition) for partition in partitions])

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._calls.end([self._client])

    def _start(self, partition: TopicPartition, offset: int) -> int:
        if offset != EARLIEST:
            return offset
        low, _ = self._client.get_watermark_offsets(TheirPartition(*partition), ANSWER_SECONDS)
        return int(low)


def membership(handle: bytes) -> tuple[int, str]:
    """The generation and the member id in librdkafka's serialised group metadata; (-1, "") where it is unreadable.

    Its form, as the library writes it: seven letters, a generation of four bytes in the machine's order, then the
    group and the member id, each ended by a zero.
    """
    head, rest = handle[:7], handle[11:]
    if head != b"CGMDv2:" or rest.count(b"\0") < 2:
        return -1, ""
    generation = int.from_bytes(handle[7:11], sys.byteorder, signed=True)
    return generation, rest.split(b"\0")[1].decode()


def seek(client: Any, partition: TopicPartition, offset: int) -> None:
    """Position a partition; one just assigned isn't being fetched yet, which the client takes a moment to begin."""
    deadline = time.monotonic() + SEEK_SECONDS
    while True:
        try:
            client.seek(TheirPartition(*partition, offset))
            return
        except KafkaException as error:
            theirs = kafka_error(error)
            if theirs is None or theirs.name() not in NOT_STARTED or time.monotonic() > deadline:
                raise translate(error, f"positioning {partition}") from error
        time.sleep(0.005)


def settle(client: Any, partition: TopicPartition) -> None:
    """What the client has asked the partition's leader so far is answered: answers of a connection come in order."""
    try:
        client.get_watermark_offsets(TheirPartition(*partition), ANSWER_SECONDS)
    except LIBRARY as error:
        raise translate(error, f"positioning {partition}") from error
