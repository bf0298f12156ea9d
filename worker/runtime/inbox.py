"""Records that were polled and not folded yet: polls come in the log's portions, batches in those of the limits."""

from __future__ import annotations

from collections.abc import Container, Sequence

from worker.transports.base import Record, TopicPartition


class Inbox:
    """In the order polled. Holds at most what one batch may have, since it is filled only up to that."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: list[Record] = []

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Sequence[Record]) -> None:
        self._records.extend(records)

    def take(self, records_max: int, bytes_max: int) -> list[Record]:
        """The oldest records, as many as the limits allow and at least one; one alone may exceed the bytes.

        Where the limits would part a partition's run of records, the batch ends before it, if half of it is left: a
        contact's state is written once a batch, so its events had better not lie in two.
        """
        held = self._records
        count, bytes_ = 0, 0
        partition, begun = -1, 0  # of the run in hand, and where it begins
        for record in held[:records_max]:
            bytes_ += len(record[5] or b"") + len(record[4] or b"")  # value, key
            if bytes_ > bytes_max and count:
                break
            if record[1] != partition:
                partition, begun = record[1], count
            count += 1
        parted = held[count][1] == partition if count < len(held) else count == records_max
        if parted and 2 * begun >= count:
            count = begun
        if count == len(held):
            self._records = []
            return held
        self._records = held[count:]
        return held[:count]

    def put_back(self, records: Sequence[Record]) -> None:
        self._records = [*records, *self._records]

    def drop(self, partitions: Container[int]) -> None:
        """Without the records of these partitions: they are read again, by whoever holds them."""
        self._records = [record for record in self._records if record.partition not in partitions]

    def clear(self) -> None:
        self._records = []

    def firsts(self) -> dict[int, int]:
        """The offset of the oldest record here, by partition: up to where the partition has been folded."""
        found: dict[int, int] = {}
        for record in reversed(self._records):
            found[record.partition] = record.offset
        return found

    def places(self) -> set[TopicPartition]:
        """Where the records here come from: inboxes of several topics are asked by this."""
        return {TopicPartition(record.topic, record.partition) for record in self._records}
