"""A topic as a file of lines: all its records up to the end as it is now, partitions side by side by record time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec

from worker.events import check_key, decode, encode
from worker.fold.outcome import Event, Refusal
from worker.replay.records import DeadLetter, ReplayError, Source, kept, position
from worker.transports.base import EARLIEST, Reader, Record, TopicPartition, Transport
from worker.transports.partitioner import Hash, named

POLL_RECORDS: Final = 5_000
POLL_MS: Final = 500
AHEAD_RECORDS: Final = 20_000  # read of one partition before the others have caught up with it
STALL_SECONDS: Final = 60.0  # without a record before the end: a transaction is left open, or the log is away

_place: Final = Struct("<IQ")


class _Glance(msgspec.Struct):
    subject: str


_glance: Final = msgspec.json.Decoder(_Glance).decode


@dataclass(frozen=True)
class Offsets:
    """Says where in its topic a line was a record."""

    topic: str
    path: Path

    def __call__(self, number: int) -> str:
        with self.path.open("rb") as file:
            file.seek((number - 1) * _place.size)
            partition, offset = _place.unpack(file.read(_place.size))
        return f"{self.topic}[{partition}]@{offset}"


def copy_topic(
    transport: Transport, topic: str, folder: Path, number: int, *, partitioner: str, rekey: bool
) -> tuple[Source, list[DeadLetter]]:
    """The topic as source `number`, kept in `folder`; and its records that can't be lines, or lie in the wrong place.

    A record whose key isn't its subject, or that lies off its key's partition, is refused as the worker refuses it,
    unless with `rekey`.

    Raises: ReplayError where there is no such topic or it doesn't come to its end; what the log raises.
    """
    rule = None if rekey else named(partitioner)
    count = partitions_of(transport, topic)
    lines, places = folder / f"input-{number}", folder / f"input-{number}.places"
    dead: list[DeadLetter] = []
    with lines.open("wb") as out, places.open("wb") as beside:
        for at, record in enumerate(records(transport, topic, count), 1):
            beside.write(_place.pack(record.partition, record.offset))
            taken = _line(record, count, rule)
            if isinstance(taken, Refusal):
                dead.append(DeadLetter(position(number, at), taken, kept(record.value or b"")))
                taken = b""
            out.write(taken + b"\n")
    return Source(lines, topic, origin=Offsets(topic, places)), dead


def _line(record: Record, count: int, rule: Hash | None) -> bytes | Refusal:
    """The record's event on one line. `rule` says which of `count` partitions its key belongs to, if that matters."""
    value = record.value
    if value is None or b"\n" in value or any(name.startswith("ce_") for name, _ in record.headers):
        event = decode(record.key, value, record.headers)
        if isinstance(event, Refusal):
            return event
        value = encode(event)
    if rule is None:
        return value
    try:
        subject = _glance(value).subject
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value  # refused for what it is, when it is read
    misplaced = check_key(Event(0, "", "", "", subject, {}), record.key)
    if misplaced is not None:
        return misplaced
    own = rule(record.key or b"") % count
    if own != record.partition:
        return Refusal("off-partition", f"the key belongs to partition {own} of {count}: replay with --rekey")
    return value


def partitions_of(transport: Transport, topic: str) -> int:
    """How many partitions the topic has. Raises: ReplayError where there is none; what the log raises."""
    admin = transport.admin()
    try:
        count = admin.partitions(topic)
    finally:
        admin.close()
    if count is None:
        raise ReplayError(f"there is no topic {topic}: name it as kafka://HOST:PORT/TOPIC or embedded:FILE#TOPIC")
    return count


def records(transport: Transport, topic: str, count: int) -> Iterator[Record]:
    """Every record of the topic's partitions up to their ends as of now, by record time, each partition in order."""
    admin = transport.admin()
    every = [TopicPartition(topic, partition) for partition in range(count)]
    try:
        begins, ends = admin.begin_offsets(every), admin.end_offsets(every)
    finally:
        admin.close()
    filled = [one for one in every if begins[one] < ends[one]]
    if filled:
        reader = transport.reader()
        try:
            reader.assign(dict.fromkeys(filled, EARLIEST))
            yield from _merged(reader, filled, ends)
        finally:
            reader.close()


def _merged(
    reader: Reader, partitions: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> Iterator[Record]:
    held: dict[TopicPartition, deque[Record]] = {one: deque() for one in partitions}
    heads = [(_head(reader, one, held, ends), one) for one in partitions]
    heap = [(at, one) for at, one in heads if at is not None]
    heapify(heap)
    while heap:
        _, one = heappop(heap)
        yield held[one].popleft()
        at = _head(reader, one, held, ends)
        if at is not None:
            heappush(heap, (at, one))


def _head(
    reader: Reader,
    wanted: TopicPartition,
    held: Mapping[TopicPartition, deque[Record]],
    ends: Mapping[TopicPartition, int],
) -> int | None:
    """The time of the partition's next record; None at its end. Reads on where none is held."""
    stalled = time.monotonic() + STALL_SECONDS
    while not held[wanted]:
        if reader.position(wanted) >= ends[wanted]:
            return None
        full = [one for one, waiting in held.items() if len(waiting) >= AHEAD_RECORDS]
        reader.pause(full)
        polled = reader.poll(POLL_MS, POLL_RECORDS)
        reader.resume(full)
        for record in polled:
            one = TopicPartition(record.topic, record.partition)
            if record.offset < ends[one]:
                held[one].append(record)
        if polled:
            stalled = time.monotonic() + STALL_SECONDS
        elif time.monotonic() > stalled:
            raise ReplayError(
                f"{wanted} gives no record before offset {ends[wanted]}: a transaction may have been left open there;"
                " try again once it has timed out"
            )
    return held[wanted][0].timestamp
