"""The transactional producer over confluent-kafka (librdkafka)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import TopicPartition as TheirPartition

from worker.transports.base import GroupMetadata, Send, TopicPartition
from worker.transports.confluent_calls import GRACE_SECONDS, Calls
from worker.transports.confluent_errors import LIBRARY, kafka_error, translate
from worker.transports.errors import CommitUnknown, Fatal, Fenced, RecordTooLarge, Retriable, TransportError

BEGIN_SECONDS = 5.0  # nothing is sent yet: the client's own thread answers
CAUSE_SECONDS = 1.0  # for an answer that the client has at hand
PURGED = frozenset({"_PURGE_QUEUE", "_PURGE_INFLIGHT"})  # dropped, as the transaction can't be committed any more
QUEUE_PATIENCE_SECONDS = 8.0  # for room in the client's own queue; no longer than a record may wait anyway

Reports = list[Any]  # of one partition, in the order of sending: the offset, or the client's error


class ConfluentProducer:
    """One transaction at a time; see `worker.transports.base.Producer`.

    One callback a partition takes the delivery reports of all its records, which come in the order of sending. A
    failed record makes the client refuse the commit by itself; the reports tell which one it was.
    """

    def __init__(self, client: Any, calls: Calls, topic_limit: Callable[[str], int | None]) -> None:
        """Takes over a client; `start` comes first. `topic_limit` gives a topic's max.message.bytes."""
        self._client = client
        self._calls = calls
        self._topic_limit = topic_limit
        self._reports: dict[tuple[str, int], tuple[Reports, Callable[[Any, Any], None]]] = {}
        self._sent: list[Send] = []
        self._offsets: list[int] | None = []
        self._broken: TransportError | None = None
        self._closed = False

    def start(self, doing: str, seconds: float) -> None:
        """An earlier producer of this id is fenced, and its transaction over."""
        try:
            self._within(seconds, lambda client: client.init_transactions(seconds))
        except LIBRARY as error:
            raise self._fail(error, doing) from error

    def begin(self) -> None:
        self._usable()
        self._reports, self._sent, self._offsets = {}, [], []
        try:
            self._within(BEGIN_SECONDS, lambda client: client.begin_transaction())
        except LIBRARY as error:
            raise self._fail(error, "beginning a transaction") from error

    def send(self, sends: Sequence[Send]) -> None:
        self._usable()
        if not sends:
            return
        self._offsets = None
        start = len(self._sent)
        self._sent.extend(sends)
        produce = self._client.produce
        place = 0
        deadline = time.monotonic() + QUEUE_PATIENCE_SECONDS
        while place < len(sends):
            try:
                for place in range(place, len(sends)):  # noqa: B020 (goes on where a full queue stopped it)
                    topic, number, key, value, headers = sends[place]
                    where = (topic, number)
                    reports = self._reports.get(where) or self._reporting(where)
                    if headers:
                        produce(topic, value, key, number, reports[1], headers=list(headers))
                    else:
                        produce(topic, value, key, number, reports[1])
                return
            except BufferError as error:
                if time.monotonic() > deadline:
                    del produce  # an error keeps this frame, and would keep the client
                    raise self._fail(error, "waiting for room in the client's queue") from error
                self._client.poll(0.05)
            except LIBRARY as error:
                where_text = f"{sends[place].topic}[{sends[place].partition}]"
                failure = translate(error, f"sending to {where_text}", start + place)
                self._broken = failure
                del produce
                raise failure from error

    def flush(self, timeout_ms: int) -> list[int]:
        self._usable()
        if self._offsets is not None:
            return self._offsets
        try:
            left = self._client.flush(timeout_ms / 1000)
        except LIBRARY as error:
            raise self._fail(error, f"waiting for {len(self._sent)} records") from error
        offsets: list[int] = []
        failures: list[tuple[int, Any]] = []
        following = {where: iter(reports) for where, (reports, _) in self._reports.items()}
        for place, send in enumerate(self._sent):
            report = next(following[send[0], send[1]], None)
            if isinstance(report, int):
                offsets.append(report)
            else:
                failures.append((place, report))
        if any(report is not None for _, report in failures):
            failure = self._blamed([(place, report) for place, report in failures if report is not None])
            if isinstance(failure, Retriable) and any(report.name() in PURGED for _, report in failures if report):
                failure = self._cause() or failure
            self._broken = failure
            raise failure
        if left or failures:
            raise self._fail(Retriable(f"{len(failures)} records not written within {timeout_ms} ms"), "flushing")
        self._offsets = offsets
        return offsets

    def send_offsets(self, offsets: Mapping[TopicPartition, int], group: GroupMetadata, timeout_ms: int) -> None:
        self._usable()
        if group.generation < 0 or not group.member:
            # The broker takes such offsets from anyone: nothing would be fenced.
            raise self._fail(Fenced(f"not a member of the group {group.group!r}"), "sending offsets")
        theirs = [TheirPartition(*partition, offset) for partition, offset in offsets.items()]
        limit = timeout_ms / 1000
        try:
            self._within(limit, lambda client: client.send_offsets_to_transaction(theirs, group.handle, limit))
        except LIBRARY as error:
            raise self._fail(error, f"sending offsets of the group {group.group!r}") from error

    def commit(self, timeout_ms: int) -> None:
        started = time.monotonic()
        self.flush(timeout_ms)
        left = max(0.001, timeout_ms / 1000 - (time.monotonic() - started))
        try:
            self._within(left, lambda client: client.commit_transaction(left))
        except LIBRARY as error:
            failure = translate(error, "committing")
            theirs = kafka_error(error)
            if isinstance(failure, Retriable) and not (theirs is not None and theirs.txn_requires_abort()):
                failure = CommitUnknown(str(failure), "the log says whether it happened: read the committed offsets")
            self._broken = failure
            raise failure from error

    def abort(self, timeout_ms: int) -> None:
        self._usable()
        try:
            self._within(timeout_ms / 1000, lambda client: client.abort_transaction(timeout_ms / 1000))
        except LIBRARY as error:
            raise self._fail(error, "aborting") from error
        self._reports, self._sent, self._offsets = {}, [], []

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        held, self._client = [self._client], None
        self._calls.end(held)

    def _within(self, seconds: float, call: Callable[[Any], None]) -> None:
        """A call that was given so many seconds has ended, or is left to itself soon after them."""
        self._calls.within(seconds + GRACE_SECONDS, self._client, call)

    def _usable(self) -> None:
        if self._closed:
            raise Retriable("the producer is closed")
        if self._broken is not None:
            raise self._broken

    def _fail(self, error: BaseException, doing: str) -> TransportError:
        failure = translate(error, doing)
        self._broken = failure
        return failure

    def _reporting(self, where: tuple[str, int]) -> tuple[Reports, Callable[[Any, Any], None]]:
        reports: Reports = []
        add = reports.append

        def report(error: Any, message: Any) -> None:
            add(message.offset() if error is None else error)

        self._reports[where] = (reports, report)
        return self._reports[where]

    def _blamed(self, failures: Sequence[tuple[int, Any]]) -> TransportError:
        """One error for all: what fenced us, else the record that is too large, else the worst of the others.

        The broker refuses a batch as a whole, so every record in it fails: the largest is the one to blame, unless it
        would fit by itself. Then it's the batches that are too large for the topic, and no record is at fault.
        """
        named = [(place, translate(report, self._where(place), place)) for place, report in failures]
        for _, failure in named:
            if isinstance(failure, Fenced):
                return failure
        large = [place for place, failure in named if isinstance(failure, RecordTooLarge)]
        if large:
            place = max(large, key=lambda each: size(self._sent[each]))
            limit = self._topic_limit(self._sent[place].topic)
            if limit is not None and size(self._sent[place]) <= limit:
                return Fatal(
                    f"{self._where(place)}: batches are larger than the topic's max.message.bytes={limit}",
                    f"set batch.size in the [kafka] options below {limit}",
                )
            text = f"{self._where(place)}: a record of {size(self._sent[place])} bytes is too large for the topic"
            return RecordTooLarge(text, place, limit)
        for _, failure in named:
            if isinstance(failure, Fatal):
                return failure
        return named[0][1]

    def _cause(self) -> TransportError | None:
        """Why the client gave the transaction up, where waiting would not mend it.

        The reports only say that records were dropped. Asked to commit a transaction that has failed, the client
        refuses, and tells what went wrong first.
        """
        topics = ", ".join(sorted({send.topic for send in self._sent}))
        try:
            self._within(CAUSE_SECONDS, lambda client: client.commit_transaction(CAUSE_SECONDS))
        except LIBRARY as error:
            failure = translate(error, f"writing to {topics}")
            return failure if isinstance(failure, Fatal) else None
        return None

    def _where(self, place: int) -> str:
        return f"writing to {self._sent[place].topic}[{self._sent[place].partition}]"


def size(send: Send) -> int:
    """About what a record takes in a batch of its own, in bytes."""
    return 82 + len(send.key or b"") + len(send.value or b"") + sum(len(n) + len(v or b"") + 4 for n, v in send.headers)
