"""Topics, partitions and records in the file: what is written where, and what a reader may see of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import msgspec

from worker.transports.base import EARLIEST, Headers, Record, Send, TopicPartition, TopicSpec
from worker.transports.embedded.file import OFFSET_BITS, LogFile
from worker.transports.errors import Fatal, OffsetOutOfRange
from worker.transports.limits import DEFAULTS

FETCH_BYTES_MAX = 16_000_000  # of keys and values that one poll gives, at least one record apart
OFFSET_MASK = (1 << OFFSET_BITS) - 1
TOPIC_DEFAULTS: Mapping[str, str] = {**DEFAULTS, "retention.ms": "-1"}

_encode_headers = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes | None], ...]).decode


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic is; none of it changes after it was made."""

    config: Mapping[str, str]
    ids: tuple[int, ...]  # its partitions' in the file
    bytes_max: int


class Log:
    """The records of one file, as a connection sees them. Callers bring the SQLite transaction to work in."""

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self._topics: dict[str, Topic] = {}

    def topic(self, name: str) -> Topic | None:
        """The topic, None where there is none."""
        found = self._topics.get(name)
        if found is None:
            with self.file.read() as connection:
                row = connection.execute("SELECT config FROM topics WHERE name = ?", (name,)).fetchone()
                if row is None:
                    return None
                ids = connection.execute("SELECT id FROM partitions WHERE topic = ? ORDER BY number", (name,))
                config = json.loads(row[0])
                found = Topic(config, tuple(id_ for (id_,) in ids), int(config["max.message.bytes"]))
            self._topics[name] = found
        return found

    def known(self, name: str) -> Topic:
        """The topic. Raises `Fatal` where there is none."""
        found = self.topic(name)
        if found is None:
            raise Fatal(f"log {self.file.path}: there is no topic {name}", "make it, or name another one")
        return found

    def id_of(self, partition: TopicPartition) -> int:
        ids = self.known(partition.topic).ids
        if not 0 <= partition.partition < len(ids):
            raise Fatal(f"log {self.file.path}: there is no {partition}", f"the topic has {len(ids)} partitions")
        return ids[partition.partition]

    def create(self, spec: TopicSpec) -> bool:
        if spec.partitions < 1:
            raise Fatal(f"topic {spec.name}: {spec.partitions} partitions", "a topic has at least one")
        config = json.dumps({**TOPIC_DEFAULTS, **spec.config})
        with self.file.write("create") as connection:
            made = connection.execute(
                "INSERT INTO topics VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (spec.name, spec.partitions, config)
            )
            if made.rowcount == 0:
                return False
            connection.executemany(
                "INSERT INTO partitions (topic, number) VALUES (?, ?)",
                ((spec.name, number) for number in range(spec.partitions)),
            )
        return True

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """First offset held, and the offset after the last one written, stable or not."""
        ids = {partition: self.id_of(partition) for partition in partitions}
        with self.file.read() as connection:
            return {
                partition: connection.execute("SELECT start, next FROM partitions WHERE id = ?", (id_,)).fetchone()
                for partition, id_ in ids.items()
            }

    def resolve(self, partition: TopicPartition, offset: int) -> int:
        return self.ends([partition])[partition][0] if offset == EARLIEST else offset

    def append(self, connection: sqlite3.Connection, txn: int, sends: Sequence[Send], timestamp: int) -> list[int]:
        """The records are in the file, unstable until the transaction ends; their offsets."""
        first: dict[TopicPartition, int] = {}
        count: dict[TopicPartition, int] = {}
        offsets: list[int] = []
        rows: list[tuple[int, int, bytes | None, bytes | None, bytes | None]] = []
        for send in sends:
            partition = TopicPartition(send.topic, send.partition)
            place = count.get(partition)
            id_ = self.id_of(partition)
            if place is None:
                place = 0
                first[partition] = connection.execute("SELECT next FROM partitions WHERE id = ?", (id_,)).fetchone()[0]
            offset = first[partition] + place
            count[partition] = place + 1
            offsets.append(offset)
            headers = _encode_headers(send.headers) if send.headers else None
            rows.append((id_ << OFFSET_BITS | offset, timestamp, send.key, send.value, headers))
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        for partition, begin in first.items():
            id_, end = self.id_of(partition), begin + count[partition]
            connection.execute("UPDATE partitions SET next = ? WHERE id = ?", (end, id_))
            connection.execute("INSERT INTO unstable VALUES (?, ?, ?, ?)", (id_, begin, end, txn))
        return offsets

    def fetch(
        self, wanted: Sequence[tuple[TopicPartition, int]], limit: int
    ) -> tuple[list[Record], dict[TopicPartition, int], bool]:
        """At most `limit` stable records from these positions on, positions where there was none, and whether
        a transaction that is still open holds anything back.

        Raises `OffsetOutOfRange` for a position that is not in the log.
        """
        found: list[Record] = []
        passed: dict[TopicPartition, int] = {}
        held_back = False
        ids = {partition: self.id_of(partition) for partition, _ in wanted}
        with self.file.read() as connection:
            bounds = _bounds(connection, list(ids.values()))
            bytes_left = FETCH_BYTES_MAX
            for partition, position in wanted:
                start, stable, end = bounds[ids[partition]]
                if not start <= position <= end:
                    raise OffsetOutOfRange(
                        f"{partition}@{position} is not in log {self.file.path}, which holds offsets {start} to {end}"
                    )
                held_back = held_back or stable < end
                if position >= stable or len(found) >= limit or bytes_left <= 0:
                    continue
                before = len(found)
                part = _Part(ids[partition], partition, position, stable)
                bytes_left -= _read(connection, part, limit, bytes_left, found)
                if len(found) == before:
                    passed[partition] = stable
        return found, passed, held_back

    def purge(self, before: Mapping[TopicPartition, int]) -> None:
        """Nothing below these offsets is readable. Raises `OffsetOutOfRange` for one past the end."""
        ids = {partition: self.id_of(partition) for partition in before}
        with self.file.write("delete_records") as connection:
            for partition, offset in before.items():
                id_ = ids[partition]
                end = connection.execute("SELECT next FROM partitions WHERE id = ?", (id_,)).fetchone()[0]
                if offset > end:
                    raise OffsetOutOfRange(f"{partition}: can't delete up to {offset}, the log ends at {end}")
                connection.execute("UPDATE partitions SET start = max(start, ?) WHERE id = ?", (offset, id_))
                connection.execute(
                    "DELETE FROM records WHERE id >= ? AND id < ?", (id_ << OFFSET_BITS, id_ << OFFSET_BITS | offset)
                )


class _Part(NamedTuple):
    """The stretch of a partition that may be read."""

    id: int
    partition: TopicPartition
    position: int
    stable: int


def _bounds(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Start, last stable offset and end of each."""
    rows = connection.execute(
        "SELECT id, start, coalesce((SELECT min(first) FROM unstable WHERE partition = id), next), next "
        f"FROM partitions WHERE id IN ({','.join(repeat('?', len(ids)))})",
        ids,
    )
    return {id_: (start, stable, end) for id_, start, stable, end in rows}


def _read(connection: sqlite3.Connection, part: _Part, limit: int, bytes_left: int, found: list[Record]) -> int:
    """Append the stretch's records to `found`, as far as both limits allow; the bytes they take."""
    base = part.id << OFFSET_BITS
    topic, number = part.partition
    bytes_ = 0
    rows = connection.execute(
        "SELECT id, timestamp, key, value, headers FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (base | part.position, base | part.stable, limit - len(found)),
    )
    for row, timestamp, key, value, packed in rows:
        headers: Headers = () if packed is None else _decode_headers(packed)
        found.append(Record(topic, number, row & OFFSET_MASK, timestamp, key, value, headers))
        bytes_ += len(key or b"") + len(value or b"")
        if bytes_ >= bytes_left:
            break
    return bytes_
