"""What the worker asks of a log: a subscribed consumer, a free reader, a transactional producer and an administrator.

One conformance suite (`tests/transports/conformance.py`) runs over every implementation: kafka-python,
confluent-kafka, the embedded SQLite log and the seeded simulator. The runtime uses nothing of a client beyond
these protocols, so a behaviour that only one client shows is a fault of its adapter, not a branch in the loop.

All offsets are next offsets: the offset of the record to be read next, as Kafka commits them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes | None], ...]
EARLIEST = -2  # a position: the first offset that the log still holds


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Record(NamedTuple):
    """One record as the log holds it. `timestamp` is the record's own, in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Send(NamedTuple):
    """One record to be written. The partition is always chosen by the caller, so that both clients agree on it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class GroupMetadata(NamedTuple):
    """Membership at the moment a batch was polled; `handle` is the client's own object, passed back untouched.

    It must be taken with the batch: the generation can change between two polls, and offsets sent under a newer
    generation than the batch's would not be fenced.
    """

    group: str
    generation: int
    member: str
    handle: object = None


@dataclass(frozen=True)
class TopicSpec:
    name: str
    partitions: int
    replication: int | None = None  # None: as the broker allows (its default, at most the number of brokers)
    config: Mapping[str, str] = field(default_factory=dict)


class Consumer(Protocol):
    """A member of the group, subscribed to the input topics only; reads `read_committed`, commits nothing by itself.

    Assignments and losses become visible in `poll` and nowhere else: clients' rebalance callbacks only record that
    something changed. A partition that `poll` newly assigned has no position and yields nothing before `seek` gives
    it one, so that its state can be restored first; one that stays assigned over a rebalance keeps its position and
    its pause. Assignment is cooperative: what a member keeps is never taken away in between.
    """

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        """Up to `max_records` records of assigned, positioned, unpaused partitions, in offset order per partition.

        Raises `OffsetOutOfRange` where a position is not in the log (never a reset), `Fatal` for want of rights.
        """

    def assignment(self) -> frozenset[TopicPartition]:
        """As of the last `poll`."""

    def lost(self) -> bool:
        """True once after partitions were lost without a revocation (session expired, fenced): drop what is held."""

    def group_metadata(self) -> GroupMetadata:
        """Membership as of the last `poll`."""

    def committed(
        self, partitions: Sequence[TopicPartition], timeout_ms: int = 30_000
    ) -> dict[TopicPartition, int | None]:
        """Stable committed offsets, None where there is none: waits for transactions that hold offsets of these
        partitions (KIP-447). Raises `Retriable` where one is still open at the end of the time."""

    def position(self, partition: TopicPartition) -> int:
        """The next offset. Raises `LookupError` where the partition isn't assigned or has no position yet."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """The next `poll` goes on from here; what was fetched ahead is dropped. Raises `LookupError` as above."""

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing of these from the next `poll` on; no record is lost or skipped by it. Unassigned ones are ignored."""

    def resume(self, partitions: Sequence[TopicPartition]) -> None: ...

    def leave(self) -> None:
        """Leave the group for good, a static member too; then close."""

    def close(self) -> None:
        """A dynamic member leaves; a static one keeps its place until its session ends. A second call does nothing."""


class Reader(Protocol):
    """Reads assigned partitions outside of any group, `read_committed`. Used for changelogs and internal topics."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets on (`EARLIEST` for the log's start)."""

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        """As a consumer's, `OffsetOutOfRange` included."""

    def position(self, partition: TopicPartition) -> int:
        """The next offset, past transaction markers and aborted records already skipped."""

    def pause(self, partitions: Sequence[TopicPartition]) -> None: ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None: ...

    def close(self) -> None: ...


class Producer(Protocol):
    """One transaction at a time. After any error the object is useless: `close` it and ask for a new one.

    No call blocks beyond its time limit: it raises `Retriable` then, `commit` a `CommitUnknown`. A call that finds
    out that a newer producer of the same id exists, or that the batch's generation is over, raises `Fenced`.
    """

    def begin(self) -> None: ...

    def send(self, sends: Sequence[Send]) -> None:
        """Hand over records of the open transaction.

        Raises `RecordTooLarge` for one the log can't take, here or in `flush`; its `index` counts all records sent
        since `begin`.
        """

    def flush(self, timeout_ms: int) -> list[int]:
        """Wait for every record sent since `begin`; their offsets, in the order of sending. Raises if any failed."""

    def send_offsets(self, offsets: Mapping[TopicPartition, int], group: GroupMetadata, timeout_ms: int) -> None:
        """Make the committed offsets of the group part of the transaction: with the batch's metadata, not newer."""

    def commit(self, timeout_ms: int) -> None:
        """All or nothing of the transaction is visible. Raises rather than commit without a record that failed."""

    def abort(self, timeout_ms: int) -> None:
        """Nothing of the transaction is ever visible; the producer may begin the next one."""

    def close(self) -> None:
        """An open transaction will not be committed. Never blocks for long, never raises for the log being away."""


class Admin(Protocol):
    def partitions(self, topic: str) -> int | None:
        """The topic's number of partitions, None where there is no such topic."""

    def create(self, spec: TopicSpec) -> bool:
        """Make the topic and wait until it can be used; False where it was there already (and is left as it is)."""

    def config(self, topic: str) -> dict[str, str]:
        """The topic's settings in Kafka's names, defaults included. Raises `Fatal` where there is no such topic."""

    def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still held. Raises `Fatal` where a partition does not exist, as `end_offsets` does."""

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The `read_uncommitted` end: what is written, open transactions included (never the last stable offset)."""

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Nothing below these offsets is readable afterwards."""

    def assigned(self, group: str) -> frozenset[TopicPartition] | None:
        """All that the group's members have been given; None while it rebalances, and where it has no members."""

    def remove_member(self, group: str, instance_id: str) -> None:
        """The static member's partitions go to the others at once; nothing happens where it is not in the group."""

    def close(self) -> None: ...


class Transport(Protocol):
    """A log and how to reach it: what the settings name by `kafka://…` or `embedded:FILE`."""

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> Consumer: ...

    def reader(self) -> Reader: ...

    def producer(self, transactional_id: str) -> Producer:
        """A producer whose `init_transactions` has ended: an earlier one of this id is fenced, its transaction over."""

    def admin(self) -> Admin: ...

    def close(self) -> None: ...
