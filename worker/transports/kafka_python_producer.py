"""The transactional producer over kafka-python.

What the library does not do, and is done here (numbers: `docs/decisions/0006-kafka-clients.md`):

- A record that expires fails only its own result; `commit_transaction` then returns as if nothing were missing, and
  the offsets advance past an output that was lost (2). So `commit` waits for every record's result first, and a
  record that failed makes the producer useless.
- Committing, aborting and sending offsets wait without limit (4). Here the request is handed over as the library's own
  method does, and its result waited for with a limit.
- After any error the producer's view of the transaction can't be trusted (3): every call but `close` refuses from then
  on. The next producer of the same id ends what this one left open.
- `close` waits in a flush that may raise and leave the library's thread running: here the thread is ended first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from kafka import OffsetAndMetadata
from kafka import TopicPartition as TheirPartition
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from worker.transports.base import GroupMetadata, Send, TopicPartition
from worker.transports.errors import CommitUnknown, Fatal, Fenced, RecordTooLarge, Retriable, TransportError
from worker.transports.kafka_python_batches import PackedBatch, Packer, TooLong, usable
from worker.transports.kafka_python_errors import LIBRARY, translate

CLOSE_SECONDS = 1.0


class Outcome(NamedTuple):
    """The records that one result of the library speaks for: their places among those sent since `begin`."""

    places: Sequence[int]
    result: Any


class KafkaPythonProducer:
    """One transaction at a time; see `worker.transports.base.Producer`."""

    def __init__(self, producer: Any, packed: bool = True) -> None:
        """Takes over a producer whose `init_transactions` has ended."""
        self._producer = producer
        self._transactions = producer._transaction_manager
        self._packer = Packer(producer) if packed and usable() else None
        self._known: dict[str, set[int]] = {}
        self._outcomes: list[Outcome] = []
        self._count = 0
        self._offsets: list[int] | None = []
        self._broken: TransportError | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------------- the transaction

    def begin(self) -> None:
        self._usable()
        self._outcomes, self._count, self._offsets = [], 0, []
        try:
            self._producer.begin_transaction()
        except LIBRARY as error:
            raise self._fail(error, "beginning a transaction") from error

    def send(self, sends: Sequence[Send]) -> None:
        self._usable()
        if not sends:
            return
        start, self._offsets = self._count, None
        self._count += len(sends)
        groups: dict[tuple[str, int], list[int]] = {}
        for place, each in enumerate(sends):
            groups.setdefault((each[0], each[1]), []).append(place)
        try:
            for (topic, number), places in groups.items():
                self._exists(topic, number)
                partition = TheirPartition(topic, number)
                own = sends if len(groups) == 1 else [sends[place] for place in places]
                if self._packer is None:
                    self._send_singly(partition, own, [start + place for place in places])
                else:
                    self._send_packed(self._packer, partition, own, [start + place for place in places])
        except TransportError as error:
            self._broken = error
            raise
        except LIBRARY as error:
            raise self._fail(error, f"sending {len(sends)} records") from error

    def flush(self, timeout_ms: int) -> list[int]:
        self._usable()
        if self._offsets is not None:
            return self._offsets
        deadline = time.monotonic() + timeout_ms / 1000
        accumulator = self._producer._accumulator
        accumulator.begin_flush()  # nothing lingers, and the sender sees to these first
        self._producer._sender.wakeup()
        offsets = [-1] * self._count
        failures: list[tuple[BaseException, int]] = []
        try:
            for outcome in self._outcomes:
                self._settle(outcome, deadline, offsets, failures)
        except LIBRARY as error:
            raise self._fail(error, f"waiting for {self._count} records") from error
        finally:
            accumulator._flushes_in_progress.decrement()
        if failures:
            raise self._failed_records(failures)
        if -1 in offsets:
            raise self._fail(Retriable("the broker did not say where it put a record"), "waiting for records")
        self._offsets = offsets
        return offsets

    def send_offsets(self, offsets: Mapping[TopicPartition, int], group: GroupMetadata, timeout_ms: int) -> None:
        self._usable()
        if group.generation < 0 or not group.member:
            # The broker takes such offsets from anyone: nothing would be fenced.
            raise self._fail(Fenced(f"not a member of the group {group.group!r}"), "sending offsets")
        theirs = {
            TheirPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()
        }
        try:
            result = self._transactions.send_offsets_to_transaction(theirs, group.handle)
            self._wait(result, timeout_ms)
        except LIBRARY as error:
            topics = ", ".join(sorted({partition.topic for partition in offsets}))
            raise self._fail(error, f"sending offsets of {topics} for the group {group.group!r}") from error

    def commit(self, timeout_ms: int) -> None:
        started = time.monotonic()
        self.flush(timeout_ms)
        left = max(1, timeout_ms - int((time.monotonic() - started) * 1000))
        try:
            result = self._transactions.begin_commit()
        except LIBRARY as error:
            raise self._fail(error, "committing") from error
        try:
            self._wait(result, left)
        except LIBRARY as error:
            failure = translate(error, "committing")
            if isinstance(failure, Retriable):
                failure = CommitUnknown(str(failure), "the log says whether it happened: read the committed offsets")
            self._broken = failure
            raise failure from error

    def abort(self, timeout_ms: int) -> None:
        self._usable()
        try:
            self._wait(self._transactions.begin_abort(), timeout_ms)
        except LIBRARY as error:
            raise self._fail(error, "aborting") from error
        self._outcomes, self._count, self._offsets = [], 0, []

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        discard(self._producer)

    # ------------------------------------------------------------------------------------------- parts of it

    def _usable(self) -> None:
        if self._closed:
            raise Retriable("the producer is closed")
        if self._broken is not None:
            raise self._broken

    def _fail(self, error: BaseException, doing: str) -> TransportError:
        """The error as ours, by its true cause where the library kept it; the producer refuses from now on."""
        cause = self._transactions.last_error
        failure = translate(error, doing)
        if cause is not None and isinstance(failure, Retriable):
            failure = translate(cause, doing)
        self._broken = failure
        return failure

    def _wait(self, result: Any, timeout_ms: int) -> None:
        self._producer._sender.wakeup()
        if not result.wait(timeout_ms):
            raise KafkaTimeoutError(f"no answer within {timeout_ms} ms")

    def _exists(self, topic: str, number: int) -> None:
        if number not in self._known.get(topic, ()):
            self._known[topic] = self._producer.partitions_for(topic)
            if number not in self._known[topic]:
                raise Fatal(f"{topic}[{number}] does not exist: the topic has {len(self._known[topic])} partitions")

    def _send_packed(self, packer: Packer, partition: Any, sends: Sequence[Send], places: Sequence[int]) -> None:
        try:
            batches = packer.send(partition, sends)
        except TooLong as error:
            text = f"{partition}: a record of {error.size} bytes; the client takes {error.largest}"
            raise RecordTooLarge(text, places[error.place], error.largest) from error
        for first, batch in batches:
            self._outcomes.append(Outcome(places[first : first + batch.packed_count], batch))

    def _send_singly(self, partition: Any, sends: Sequence[Send], places: Sequence[int]) -> None:
        """By the library's own method: where its inner parts are not those that packing needs."""
        for send, place in zip(sends, places, strict=True):
            headers = list(send.headers)
            try:
                result = self._producer.send(partition.topic, send.value, send.key, headers, partition.partition)
            except MessageSizeTooLargeError as error:
                raise translate(error, str(partition), place) from error
            self._outcomes.append(Outcome([place], result))

    def _settle(
        self, outcome: Outcome, deadline: float, offsets: list[int], failures: list[tuple[BaseException, int]]
    ) -> None:
        """Wait for these records: their offsets into `offsets`, what went wrong with any into `failures`."""
        places, result = outcome
        if isinstance(result, PackedBatch):
            done = result.produce_future
            if not done.wait(max(0.0, deadline - time.monotonic())):
                raise KafkaTimeoutError("not written in time")
            if result.split is None:
                base, _, failure_of = done.value
                if failure_of is not None:
                    failures.extend((failure_of(number), place) for number, place in enumerate(places))
                elif base >= 0:
                    for number, place in enumerate(places):
                        offsets[place] = base + number
                return
            singly = result.split
        else:
            singly = [result]
        for place, single in zip(places, singly, strict=True):
            try:
                offsets[place] = single.get(max(0.0, deadline - time.monotonic())).offset
            except KafkaError as error:
                if not single.is_done:
                    raise
                failures.append((error, place))

    def _failed_records(self, failures: Sequence[tuple[BaseException, int]]) -> TransportError:
        """One error for all the records that failed: the first that is to blame, not one that failed along with it."""
        named = [(translate(error, "writing", place), place) for error, place in failures]
        for kind in (Fenced, RecordTooLarge, Fatal, Retriable):
            for failure, _ in named:
                if isinstance(failure, kind):
                    self._broken = failure
                    return failure
        raise AssertionError(f"no kind of failure: {named}")


def discard(producer: Any) -> None:
    """End the producer and its thread now; an open transaction is left to the next producer of its id to end."""
    producer._unregister_cleanup()  # its exit handler would flush
    producer._sender.force_close()
    producer._sender.join(CLOSE_SECONDS)
    with suppress(*LIBRARY):  # what could not be sent is what we came here to drop
        producer.close(timeout=0)
    producer._closed = True  # else its finalizer would wait for the same records once more
