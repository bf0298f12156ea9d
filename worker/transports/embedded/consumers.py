"""Reading the embedded log, as a member of a group or outside of any."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from worker.transports.base import GroupMetadata, Record, TopicPartition
from worker.transports.embedded import transactions
from worker.transports.embedded.file import REQUEST_MS
from worker.transports.embedded.log import Log
from worker.transports.embedded.members import Place
from worker.transports.errors import Fatal, Retriable
from worker.transports.groups import NOTHING
from worker.transports.positions import Positions

WAIT_SECONDS_MIN = 0.001  # between two looks at a file that nobody has written to; doubled up to the next
WAIT_SECONDS_MAX = 0.02
LOOK_SECONDS = 1.0  # what ends by the clock (sessions, transactions) is seen to so often while nobody writes


class Waiting:
    """Waits for somebody to write to the file, in short steps, up to a limit."""

    def __init__(self, log: Log, timeout_ms: int) -> None:
        self._file = log.file
        self._ends = time.monotonic() + timeout_ms / 1000
        self._version = log.file.version()

    def over(self) -> bool:
        return time.monotonic() >= self._ends

    def wait(self) -> None:
        """Something was written since the last time, or there is another reason to look again."""
        step = WAIT_SECONDS_MIN
        until = min(self._ends, time.monotonic() + LOOK_SECONDS)
        while (left := until - time.monotonic()) > 0:
            version = self._file.version()
            if version != self._version:
                self._version = version
                return
            time.sleep(min(step, left))
            step = min(2 * step, WAIT_SECONDS_MAX)


class EmbeddedReader:
    def __init__(self, log: Log) -> None:
        self._log = log
        self._positions = Positions()
        self._closed = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions.assign(
            {partition: self._log.resolve(partition, offset) for partition, offset in positions.items()}
        )

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        if self._closed:
            raise Fatal("poll: the consumer is closed", "ask for a new one")
        waiting = Waiting(self._log, timeout_ms)
        while True:  # ends: waiting has a limit
            self._look_after()
            records = self._fetch(max_records)
            if records or waiting.over():
                return records
            waiting.wait()

    def position(self, partition: TopicPartition) -> int:
        return self._positions.at(partition)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.resume(partitions)

    def close(self) -> None:
        self._closed = True

    def _look_after(self) -> None:
        """Only a member of a group has something to look after."""

    def _fetch(self, limit: int) -> list[Record]:
        wanted = self._positions.readable()
        if not wanted:
            return []
        records, passed, held_back = self._log.fetch(wanted, limit)
        for partition, offset in passed.items():
            self._positions.seek(partition, offset)
        self._positions.move(records)
        if held_back and not records:
            transactions.expire(self._log.file)
        return records


class EmbeddedConsumer(EmbeddedReader):
    def __init__(self, log: Log, place: Place) -> None:
        super().__init__(log)
        self._place = place

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        raise Fatal("assign: a member of a group is assigned its partitions by the group", "use a reader")

    def assignment(self) -> frozenset[TopicPartition]:
        return self._positions.held

    def lost(self) -> bool:
        return self._place.lost()

    def group_metadata(self) -> GroupMetadata:
        return self._place.metadata()

    def committed(
        self, partitions: Sequence[TopicPartition], timeout_ms: int = REQUEST_MS
    ) -> dict[TopicPartition, int | None]:
        wanted = set(partitions)
        waiting = Waiting(self._log, timeout_ms)
        while True:  # ends: with the time
            with self._log.file.read() as connection:
                pending = connection.execute(
                    "SELECT topic, number FROM pending WHERE member_group = ?", (self._place.group,)
                ).fetchall()
                if wanted.isdisjoint(pending):
                    rows = connection.execute(
                        "SELECT topic, number, next FROM offsets WHERE member_group = ?", (self._place.group,)
                    ).fetchall()
                    found = {TopicPartition(topic, number): offset for topic, number, offset in rows}
                    return {partition: found.get(partition) for partition in partitions}
            transactions.expire(self._log.file)
            if waiting.over():
                raise Retriable(f"committed offsets of {self._place.group}: a transaction is still open")
            waiting.wait()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self._positions.held:
            offset = self._log.resolve(partition, offset)
        self._positions.seek(partition, offset)

    def leave(self) -> None:
        self._end(leave=True)

    def close(self) -> None:
        self._end(leave=False)

    def _end(self, leave: bool) -> None:
        if not self._closed:
            self._closed = True
            self._positions.keep(NOTHING)
            self._place.close(leave)

    def _look_after(self) -> None:
        try:
            self._place.poll()
        finally:
            self._positions.keep(self._place.held)
