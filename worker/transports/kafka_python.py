"""Kafka through kafka-python, the default client.

Facts about version 3.0.12 that this module answers to (numbers: the design's list):

1. Without the C checksum it is six times slower: refused at the start.
5. Rebalance listeners run on the library's network thread, where any wait deadlocks: they only take notes here.
6. The generation can change between polls: it is noted with each poll, and only of a settled member. A member that
   fell out of the group shows the generation -1, under which the broker checks nothing at all.
7. `retry_backoff_ms` is what a small transaction waits for: five milliseconds. `max_request_size` is raised.

Also: the library positions new partitions by itself, from committed offsets or by a reset policy. Here a new partition
is paused until the worker has positioned it, and there is no policy: nothing is skipped or read twice unseen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import kafka
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as TheirPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.future import Future
from kafka.record import util as checksums
from kafka.structs import MemberState

from worker.transports.base import EARLIEST, GroupMetadata, Record, TopicPartition
from worker.transports.errors import Fatal, Fenced, Retriable, TransportError
from worker.transports.kafka_python_admin import KafkaPythonAdmin
from worker.transports.kafka_python_errors import Overheard, translate
from worker.transports.kafka_python_producer import LIBRARY, KafkaPythonProducer, discard
from worker.transports.kafka_python_records import decode_by_batch
from worker.transports.options import CLIENT_STEM, Options, check, never_answered, refuse_strangers, servers, typed

CLIENT_ID = CLIENT_STEM + "kafka-python"
OLDEST = (3, 0, 12)
CLOSE_MS = 3_000
METADATA_SECONDS = 2.0

KEPT = {
    "bootstrap_servers": "the address is that of --broker",
    "group_id": "the group is that of --group",
    "group_instance_id": "the instance is that of --instance-id",
    "transactional_id": "it is made of the group and the instance",
    "isolation_level": "the stability of committed offsets depends on read_committed",
    "enable_auto_commit": "offsets are committed in the transaction that they belong to",
    "auto_offset_reset": "a lost position is refused, never reset",
    "enable_idempotence": "transactions need it",
    "acks": "transactions need all of them",
    "retries": "the delivery timeout is the limit",
    "partition_assignment_strategy": "all members must use cooperative-sticky",
    "partitioner": "the worker chooses the partition itself (--partitioner)",
    "allow_auto_create_topics": "topics are made by the worker, with settings that it knows",
    "key_serializer": "the worker writes bytes",
    "value_serializer": "the worker writes bytes",
    "key_deserializer": "the worker reads bytes",
    "value_deserializer": "the worker reads bytes",
    "consumer_timeout_ms": "the worker polls with limits of its own",
}

COMMON = {"client_id": CLIENT_ID, "bootstrap_timeout_ms": 10_000, "reconnect_backoff_max_ms": 2_000}

READING = {
    **COMMON,
    "isolation_level": "read_committed",  # OffsetFetch then asks for stable offsets, too (KIP-447)
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
    "retry_backoff_ms": 50,
    "request_timeout_ms": 15_000,
    "max_partition_fetch_bytes": 4 << 20,
}

JOINING = {
    **READING,
    "partition_assignment_strategy": (CooperativeStickyAssignor,),
    "session_timeout_ms": 30_000,
    "heartbeat_interval_ms": 1_000,
}

WRITING = {
    **COMMON,
    "enable_idempotence": True,
    "acks": "all",
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
    "retry_backoff_ms": 5,
    "linger_ms": 0,
    "batch_size": 512 << 10,
    "max_request_size": 16 << 20,
    # A dead worker's open transaction holds back every reader until it times out; a record must fail before that.
    "transaction_timeout_ms": 10_000,
    "delivery_timeout_ms": 8_000,
    "request_timeout_ms": 5_000,
    "max_block_ms": 8_000,
}

MANAGING = {**COMMON, "request_timeout_ms": 15_000, "retry_backoff_ms": 50}


class KafkaPythonTransport:
    """See `worker.transports.base.Transport`."""

    def __init__(self, url: str, options: Options | None = None, *, packed: bool = True) -> None:
        """Connects to nothing yet. `packed` False reads and writes record by record, by the library's own methods."""
        self.servers = servers(url)
        if getattr(checksums, "crc32c_c", None) is None:
            raise Fatal(
                "kafka-python runs without its C checksum, six times slower", "pip install 'kafka-python[crc32c]'"
            )
        version = tuple(int(part) for part in kafka.__version__.split(".")[:3] if part.isdigit())
        if version < OLDEST:
            raise Fatal(f"kafka-python {kafka.__version__} is too old", "pip install 'kafka-python[crc32c]>=3.0.12'")
        known = {**KafkaConsumer.DEFAULT_CONFIG, **KafkaProducer.DEFAULT_CONFIG, **KafkaAdminClient.DEFAULT_CONFIG}
        check(options or {}, known, KEPT, "kafka-python")
        self._options = {name: typed(value, known[name]) for name, value in (options or {}).items()}
        self._packed = packed
        keep_secrets_out_of_logs()

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> KafkaPythonConsumer:
        admin = self.admin()
        try:
            refuse_strangers(group, admin.clients(group), CLIENT_ID)
            client = self._made(KafkaConsumer, JOINING, group_id=group, group_instance_id=instance_id)
        except BaseException:
            admin.close()
            raise
        if self._packed:
            decode_by_batch(client)
        return KafkaPythonConsumer(client, group, topics, instance_id, admin)

    def reader(self) -> KafkaPythonReader:
        client = self._made(KafkaConsumer, READING, group_id=None)
        if self._packed:
            decode_by_batch(client)
        return KafkaPythonReader(client)

    def producer(self, transactional_id: str) -> KafkaPythonProducer:
        client = self._made(KafkaProducer, WRITING, transactional_id=transactional_id)
        try:
            client.init_transactions()
        except LIBRARY as error:
            discard(client)
            raise translate(error, f"beginning to write as {transactional_id!r}") from error
        return KafkaPythonProducer(client, self._packed)

    def admin(self) -> KafkaPythonAdmin:
        return KafkaPythonAdmin(self._made(KafkaAdminClient, MANAGING))

    def close(self) -> None:
        """Nothing is held here: what was handed out is closed by who asked for it."""

    def __repr__(self) -> str:
        return f"<kafka-python at {self.servers}>"

    def _made(self, kind: Any, ours: Mapping[str, Any], **more: Any) -> Any:
        """A client of this kind, by our settings, then the user's where the kind has them, then what is given here."""
        theirs = {name: value for name, value in self._options.items() if name in kind.DEFAULT_CONFIG}
        settings = {**ours, **theirs, "bootstrap_servers": self.servers.split(","), **more}
        with Overheard() as heard:
            try:
                return kind(**settings)
            except LIBRARY as error:
                failure = translate(error, f"connecting to {self.servers}")
                causes = [translate(each, f"connecting to {self.servers}") for each in heard.causes()]
                for cause in causes:
                    if isinstance(cause, Fatal):  # a wrong secret, an unknown certificate: never mended by waiting
                        raise cause from error
                if isinstance(failure, Retriable):
                    text = str(causes[-1] if causes else failure)
                    raise Retriable(text, never_answered(self.servers, "security_protocol")) from error
                raise failure from error


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
        self._client.seek(theirs, offset)
        self._notes.unpositioned.discard(theirs)
        if theirs not in self._paused:
            self._client.resume(theirs)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._assignment.intersection(partitions):
            theirs = TheirPartition(*partition)
            self._paused.add(theirs)
            self._client.pause(theirs)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._assignment.intersection(partitions):
            theirs = TheirPartition(*partition)
            self._paused.discard(theirs)
            if theirs not in self._notes.unpositioned:
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
    except LIBRARY as error:
        raise translate(error, f"asking for the position of {partition}") from error
    if offset is None:
        raise LookupError(f"{partition} has no position yet")
    return int(offset)


def close_consumer(client: Any) -> None:
    """Closed, whether the broker hears of it or not: then the member's session ends by itself."""
    with suppress(*LIBRARY, TransportError):
        client.close(autocommit=False, timeout_ms=CLOSE_MS)


class NoSecrets(logging.Filter):
    """Drops the library's debug lines that hold credentials: its settings, requests that log in, bytes on the wire."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            return True
        if record.name == "kafka.protocol.parser" or "with configuration" in str(record.msg):
            return False
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        return not any(type(argument).__name__.startswith("Sasl") for argument in arguments)


def keep_secrets_out_of_logs() -> None:
    for name in ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, NoSecrets) for each in logger.filters):
            logger.addFilter(NoSecrets())
