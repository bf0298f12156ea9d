"""Kafka through confluent-kafka (librdkafka), an extra: `pip install 'lifecycle-worker[confluent]'`.

What librdkafka does of itself, and what is made of it here:

- It positions new partitions from committed offsets. Here they are assigned at their end and paused at once, and read
  from where the worker positions them.
- `consume` waits until it has all the records it was asked for. Here what is there is taken first, and only where there
  is nothing, one record is waited for.
- It does not tell the position behind the last record, where transaction markers and aborted records lie. Its events
  for a partition's end do.
- Membership comes as opaque bytes. The generation is read out of them, to tell one membership from another.
"""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as TheirPartition
from confluent_kafka.admin import AdminClient

from worker.transports.base import EARLIEST, GroupMetadata, Record, TopicPartition
from worker.transports.confluent_admin import ConfluentAdmin
from worker.transports.confluent_errors import kafka_error, translate
from worker.transports.confluent_producer import LIBRARY, ConfluentProducer, discard
from worker.transports.errors import Fatal, Retriable, TransportError
from worker.transports.options import CLIENT_STEM, Options, check, never_answered, refuse_strangers, servers

CLIENT_ID = CLIENT_STEM + "confluent"
CONNECT_SECONDS = 10.0
CONNECT_STEP_SECONDS = 1.0
START_SECONDS = 15.0  # a predecessor's transaction may have to be ended first
SEEK_SECONDS = 5.0
NOT_STARTED = ("_STATE", "_PREV_IN_PROGRESS")
HEARD = 20  # the latest of the client's reports are kept

KEPT = {
    "bootstrap.servers": "the address is that of --broker",
    "metadata.broker.list": "the address is that of --broker",
    "group.id": "the group is that of --group",
    "group.instance.id": "the instance is that of --instance-id",
    "group.protocol": "all members must use cooperative-sticky",
    "transactional.id": "it is made of the group and the instance",
    "isolation.level": "the stability of committed offsets depends on read_committed",
    "enable.auto.commit": "offsets are committed in the transaction that they belong to",
    "enable.auto.offset.store": "offsets are committed in the transaction that they belong to",
    "auto.offset.reset": "a lost position is refused, never reset",
    "enable.partition.eof": "positions are read from it",
    "enable.idempotence": "transactions need it",
    "acks": "transactions need all of them",
    "request.required.acks": "transactions need all of them",
    "partition.assignment.strategy": "all members must use cooperative-sticky",
    "partitioner": "the worker chooses the partition itself (--partitioner)",
    "allow.auto.create.topics": "topics are made by the worker, with settings that it knows",
}

COMMON = {
    "client.id": CLIENT_ID,
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 2_000,
    "socket.timeout.ms": 15_000,
    "allow.auto.create.topics": False,
}

READING = {
    **COMMON,
    "isolation.level": "read_committed",  # offsets asked for are then the stable ones, too (KIP-447)
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": 4 << 20,
    "queued.max.messages.kbytes": 64 << 10,
    "fetch.queue.backoff.ms": 10,  # a second, by default, in which nothing is read after the queue was full
}

JOINING = {
    **READING,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 30_000,
    "heartbeat.interval.ms": 1_000,
}

WRITING = {
    **COMMON,
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 0,
    "batch.size": 512 << 10,
    "batch.num.messages": 100_000,
    "message.max.bytes": 16 << 20,
    "queue.buffering.max.messages": 1_000_000,
    "retry.backoff.ms": 5,
    # A dead worker's open transaction holds back every reader until it times out; a record must fail before that.
    "transaction.timeout.ms": 10_000,
    "message.timeout.ms": 8_000,
    "socket.timeout.ms": 5_000,
}

IN_KAFKA_PYTHON = {
    "client.id": "client_id",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.crl.location": "ssl_crlfile",
}


class ConfluentTransport:
    """See `worker.transports.base.Transport`."""

    def __init__(self, url: str, options: Options | None = None, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        """Connects to nothing yet. Options are librdkafka's, which says at the first client which it doesn't have."""
        self._connect_seconds = connect_seconds
        self.servers = servers(url)
        self._options = {str(name): value for name, value in (options or {}).items()}
        check(self._options, (), KEPT, "librdkafka")

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> ConfluentConsumer:
        admin = self.admin()
        refuse_strangers(group, admin.clients(group), CLIENT_ID)
        ours = {**JOINING, "group.id": group}
        if instance_id is not None:
            ours["group.instance.id"] = instance_id
        return ConfluentConsumer(self._made(Consumer, ours), group, topics, instance_id, admin)

    def reader(self) -> ConfluentReader:
        group = f"{CLIENT_ID}-reader-{uuid.uuid4()}"  # never joined: the client wants a name all the same
        client = self._made(Consumer, {**READING, "group.id": group})
        return ConfluentReader(client)

    def producer(self, transactional_id: str) -> ConfluentProducer:
        client = self._made(Producer, {**WRITING, "transactional.id": transactional_id})
        try:
            client.init_transactions(START_SECONDS)
        except LIBRARY as error:
            discard(client)
            raise translate(error, f"beginning to write as {transactional_id!r}") from error
        return ConfluentProducer(client, self._topic_limit)

    def admin(self) -> ConfluentAdmin:
        client = self._made(AdminClient, COMMON)
        return ConfluentAdmin(client, self._member_admin)

    def close(self) -> None:
        """Nothing is held here: what was handed out is closed by who asked for it."""

    def __repr__(self) -> str:
        return f"<confluent-kafka at {self.servers}>"

    def _made(self, kind: Any, ours: Mapping[str, Any]) -> Any:
        """A client that has answered once, by our settings, then the user's. Raises what kept it from it.

        librdkafka tries on whatever the cause; what it reports meanwhile tells a wrong secret from a broker away.
        """
        doing = f"connecting to {self.servers}"
        heard: deque[Any] = deque(maxlen=HEARD)
        settings = {
            **ours,
            **self._options,
            "bootstrap.servers": self.servers,
            "logger": quiet_logger(),
            "error_cb": heard.append,
        }
        try:
            client = kind(settings)
        except LIBRARY as error:
            raise translate(error, f"making a client for {self.servers}") from error
        deadline = time.monotonic() + self._connect_seconds
        while True:
            left = max(0.01, deadline - time.monotonic())
            try:
                client.list_topics(timeout=min(CONNECT_STEP_SECONDS, left))
                return client
            except LIBRARY as error:
                failure = translate(error, doing)
                with suppress(*LIBRARY):
                    client.poll(0)  # hands over what was reported
                causes = [translate(each, doing) for each in heard]
                for cause in causes:
                    if isinstance(cause, Fatal):
                        raise cause from error
                if not isinstance(failure, Retriable):
                    raise failure from error
                if left <= CONNECT_STEP_SECONDS:
                    text = str(causes[-1] if causes else failure)
                    raise Retriable(text, never_answered(self.servers, "security.protocol")) from error

    def _topic_limit(self, topic: str) -> int | None:
        try:
            return int(self.admin().config(topic)["max.message.bytes"])
        except (TransportError, KeyError, ValueError):
            return None  # the error at hand is told without it

    def _member_admin(self) -> Any:
        """kafka-python's administrator, with our options for reaching and trusting the broker in its names."""
        from worker.transports.kafka_python import KafkaPythonTransport

        known = {IN_KAFKA_PYTHON[name]: value for name, value in self._options.items() if name in IN_KAFKA_PYTHON}
        return KafkaPythonTransport(f"kafka://{self.servers}", known).admin()


class Positions:
    """Where a consumer stands in each partition, from the records and the partition ends that it was given."""

    def __init__(self) -> None:
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
        for message in messages:
            error = message.error()
            where = TopicPartition(message.topic(), message.partition())
            if error is None:
                if where not in places:
                    continue  # read before the worker positioned it
                offset = message.offset()
                headers = message.headers()
                fields = (*where, offset, message.timestamp()[1], message.key(), message.value())
                records.append(new(Record, (*fields, tuple(headers) if headers else ())))
                places[where] = offset + 1
            elif error.name() == "_PARTITION_EOF":
                if where in places:
                    places[where] = max(places[where], message.offset())
            elif where in places or where[0] is None or error.fatal():
                failure = translate(error, doing)
                if isinstance(failure, Retriable):
                    continue  # the client goes on by itself
                if not records:
                    raise failure
                self._put_off = self._put_off or failure
        return records


class ConfluentConsumer:
    """A member of the group; see `worker.transports.base.Consumer`."""

    def __init__(
        self, client: Any, group: str, topics: Sequence[str], instance_id: str | None, admin: ConfluentAdmin
    ) -> None:
        self._client = client
        self._group = group
        self._instance_id = instance_id
        self._admin = admin
        self._positions = Positions()
        self._assignment: frozenset[TopicPartition] = frozenset()
        self._metadata = GroupMetadata(group, -1, "")
        self._paused: set[TopicPartition] = set()
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
        close_consumer(self._client)

    # The callbacks run within `poll`, on its thread.

    def _assigned(self, client: Any, added: Sequence[Any]) -> None:
        # At the end: it exists, always. An offset that was deleted would leave the partition beyond any later seek.
        client.incremental_assign([TheirPartition(each.topic, each.partition, OFFSET_END) for each in added])
        client.pause(list(added))
        self._assignment |= {TopicPartition(each.topic, each.partition) for each in added}

    def _revoked(self, client: Any, removed: Sequence[Any]) -> None:
        gone = {TopicPartition(each.topic, each.partition) for each in removed}
        client.incremental_unassign(list(removed))
        self._assignment -= gone
        self._paused -= gone
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

    def __init__(self, client: Any) -> None:
        self._client = client
        self._positions = Positions()
        self._closed = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        try:
            starts = {partition: self._start(partition, offset) for partition, offset in positions.items()}
            self._positions = Positions()
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
            close_consumer(self._client)

    def _start(self, partition: TopicPartition, offset: int) -> int:
        if offset != EARLIEST:
            return offset
        low, _ = self._client.get_watermark_offsets(TheirPartition(*partition), CONNECT_SECONDS)
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


def close_consumer(client: Any) -> None:
    """Closed, whether the broker hears of it or not: then the member's session ends by itself."""
    with suppress(*LIBRARY):
        client.close()


def quiet_logger() -> logging.Logger:
    """Where librdkafka's own lines go: to logging, not past it to standard error."""
    return logging.getLogger(__name__ + ".client")
