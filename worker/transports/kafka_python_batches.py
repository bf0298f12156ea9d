"""Record batches packed by the list: what makes kafka-python's producer fast enough.

`KafkaProducer.send` spends 13 to 18 µs a record on checks, an object for its result and a callback. Here the records
of one `send` for one partition are encoded in one go (about 1 µs each), in Kafka's record format 2, into the buffer of
the library's own batch; from there on everything is the library's: compression, checksum, sequence numbers, the
transaction, retries, expiry, splitting what the broker finds too large.

This leans on names that the library doesn't promise. `usable` says whether they are there and whether a batch packed
here is, byte for byte, the one that the library makes; where it isn't, the producer sends record by record.

It also lifts two limits of `send` that the log doesn't have: a record with neither key nor value, and a header
without value, both of which a dead letter must carry as they came.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from kafka import KafkaProducer, TopicPartition
from kafka.errors import IllegalStateError
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import TransactionManager
from kafka.record.memory_records import MemoryRecordsBuilder

from worker.transports.base import Headers, Send

MAGIC = 2  # the record format of Kafka 0.11 and newer
BATCH_HEADER = 61  # bytes before a batch's first record
MOST_BEFORE_KEY = 12  # bytes of a record's length, attributes, time and place, each as long as it can be


def zigzag(number: int) -> bytes:
    """A signed number in the variable-length form of Kafka's record format 2."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


NUMBERS = [zigzag(number) for number in range(1 << 14)]
ABSENT = zigzag(-1)
NO_HEADERS = zigzag(0)


def sized(content: bytes | None) -> bytes:
    if content is None:
        return ABSENT
    size = len(content)
    return (NUMBERS[size] if size < len(NUMBERS) else zigzag(size)) + content


def packed_headers(headers: Headers) -> bytes:
    parts = [zigzag(len(headers))]
    for name, content in headers:
        parts += (sized(name.encode("utf-8", "surrogateescape")), sized(content))
    return b"".join(parts)


class TooLong(ValueError):
    """A record that the client would not take; `place` is its place among those handed over."""

    def __init__(self, place: int, size: int, largest: int) -> None:
        super().__init__(f"record {place} has {size} bytes, more than {largest}")
        self.place, self.size, self.largest = place, size, largest


class Packed(NamedTuple):
    """Encoded records of one partition, small enough for one batch; `first` is the place of its first among them."""

    first: int
    record_count: int
    records: bytes


def pack(sends: Sequence[Send], batch_bytes: int, largest: int) -> Iterator[Packed]:
    """The records in order, cut where a batch would pass `batch_bytes` (a larger record is a batch of its own).

    All have the time delta 0: they are stamped with the batch's one time, when they were handed over. Raises `TooLong`
    for a record of more than `largest` bytes.
    """
    numbers, known = NUMBERS, len(NUMBERS)
    parts: list[bytes] = []
    first = count = 0
    size = BATCH_HEADER
    same: Headers = ()
    packed = NO_HEADERS  # the records of a changelog share their headers
    for _, _, key, value, headers in sends:
        if headers is not same:
            same = headers
            packed = packed_headers(headers) if headers else NO_HEADERS
        if key is None or value is None or len(key) >= known or len(value) >= known:
            tail = sized(key) + sized(value) + packed
            if len(tail) > largest:
                raise TooLong(first + count, len(tail), largest)
        else:
            tail = b"%b%b%b%b%b" % (numbers[len(key)], key, numbers[len(value)], value, packed)
            if len(tail) > largest:
                raise TooLong(first + count, len(tail), largest)
        if count and size + len(tail) + MOST_BEFORE_KEY > batch_bytes:
            yield Packed(first, count, b"".join(parts))
            parts.clear()
            first += count
            count, size = 0, BATCH_HEADER
        delta = numbers[count] if count < known else zigzag(count)
        length = len(tail) + len(delta) + 2  # two zeros: no attributes, no time delta
        record = b"%b\0\0%b%b" % (numbers[length] if length < known else zigzag(length), delta, tail)
        parts.append(record)
        count += 1
        size += len(record)
    if count:
        yield Packed(first, count, b"".join(parts))


class PackedBatch(ProducerBatch):  # type: ignore[misc]
    """The library's batch, filled at once. Results are asked of the batch, not of an object for each record.

    Where the broker finds the batch too large, the library splits it and moves each record's result to its new batch:
    only then are those objects made, and `split` holds them.
    """

    def __init__(self, partition: Any, packed: Packed, compression: int, batch_bytes: int) -> None:
        records = MemoryRecordsBuilder(MAGIC, compression, batch_bytes)
        builder = records._builder
        builder._buffer += packed.records
        builder._first_timestamp = builder._max_timestamp = int(time.time() * 1000)
        builder._last_offset = packed.record_count - 1
        builder._num_records = packed.record_count
        records._next_offset = packed.record_count
        self.split: list[Any] | None = None
        self.packed_count = packed.record_count
        super().__init__(partition, records)

    @property
    def _record_futures(self) -> list[Any]:
        if self.split is None:
            self.split = [
                FutureRecordMetadata(self.produce_future, number, None, None, -1, -1, -1)
                for number in range(self.packed_count)
            ]
        return self.split

    @_record_futures.setter
    def _record_futures(self, nothing: list[Any]) -> None:
        assert not nothing, "the library's constructor sets an empty list"


class Packer:
    """Puts packed batches where a producer's own `send` would have put them."""

    def __init__(self, producer: Any) -> None:
        self._accumulator = producer._accumulator
        self._transactions = producer._transaction_manager
        self._wake = producer._sender.wakeup
        self._compression = producer.config["compression_attrs"]
        self._batch_bytes = producer.config["batch_size"]
        self._largest = producer.config["max_request_size"]

    def send(self, partition: Any, sends: Sequence[Send]) -> list[tuple[int, PackedBatch]]:
        """The batches made, each with the place of its first record among `sends`. Raises the library's errors."""
        self._transactions.maybe_add_partition_to_transaction(partition)
        accumulator = self._accumulator
        made = [
            (packed.first, PackedBatch(partition, packed, self._compression, self._batch_bytes))
            for packed in pack(sends, self._batch_bytes, self._largest)
        ]
        with accumulator._tp_lock(partition):
            if accumulator._closed:
                raise IllegalStateError("the producer is closed")
            for _, batch in made:
                accumulator._batches[partition].append(batch)
                accumulator._incomplete.add(batch)
        self._wake()
        return made


@cache
def usable() -> bool:
    """Whether this release of the library is as this module needs it: its parts there, its batches equal to ours."""
    samples = [
        Send("t", 0, b"key", b"value"),
        Send("t", 0, None, b"", (("name", b"content"), ("empty", b""))),
        Send("t", 0, b"k" * 300, b"v" * 70_000),
    ]
    parts = (
        (KafkaProducer, ("_unregister_cleanup", "partitions_for")),
        (RecordAccumulator, ("_tp_lock", "begin_flush", "split_and_reenqueue")),
        (TransactionManager, ("maybe_add_partition_to_transaction", "begin_commit", "begin_abort")),
        (Sender, ("wakeup", "force_close")),
    )
    if any(not hasattr(owner, name) for owner, names in parts for name in names):
        return False
    try:
        [packed] = pack(samples, 1 << 20, 1 << 20)
        ours = PackedBatch(TopicPartition("t", 0), packed, 0, 1 << 20).records
        theirs = MemoryRecordsBuilder(MAGIC, 0, 1 << 20)
        for send in samples:
            theirs.append(ours._builder._first_timestamp, send.key, send.value, list(send.headers))
        for records in (ours, theirs):
            records.set_producer_state(7, 3, 11, True)
            records.close()
        return bool(ours.buffer() == theirs.buffer()) and ours.next_offset() == theirs.next_offset()
    except (AttributeError, TypeError, AssertionError):
        return False
