"""Topics as a cluster holds them: records by offset, open transactions, what readers may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from worker.transports.base import Record, Send
from worker.transports.errors import OffsetOutOfRange
from worker.transports.limits import DEFAULTS

if TYPE_CHECKING:
    from worker.transports.simulator.transactions import Transaction


class Partition:
    """One partition's log. `slots[n]` is the record at offset n, None for what no reader ever sees.

    Those are markers, aborted, deleted and compacted records: all keep their offset.
    """

    __slots__ = ("number", "open", "slots", "start", "topic")

    def __init__(self, topic: Topic, number: int) -> None:
        self.topic = topic
        self.number = number
        self.slots: list[Record | None] = []
        self.start = 0
        self.open: dict[Transaction, list[int]] = {}  # offsets by open transaction

    def __str__(self) -> str:
        return f"{self.topic.name}[{self.number}]"

    @property
    def end(self) -> int:
        return len(self.slots)

    @property
    def stable(self) -> int:
        """The last stable offset: the first offset of an open transaction, else the end."""
        return min(offsets[0] for offsets in self.open.values()) if self.open else len(self.slots)

    def append(self, send: Send, timestamp: int, transaction: Transaction | None = None) -> int:
        """The record is in the log, visible once its transaction is over; its offset."""
        offset = len(self.slots)
        self.slots.append(
            Record(self.topic.name, self.number, offset, timestamp, send.key, send.value, tuple(send.headers))
        )
        if transaction is not None:
            self.open.setdefault(transaction, []).append(offset)
        return offset

    def finish(self, transaction: Transaction, committed: bool) -> None:
        """The transaction's marker is written."""
        offsets = self.open.pop(transaction, [])
        if not committed:
            for offset in offsets:
                self.slots[offset] = None
        self.slots.append(None)

    def read(self, position: int, limit: int) -> tuple[list[Record], int]:
        """At most `limit` visible records from `position` on, and the position behind what was looked at.

        That is behind the last record given, and only where there was none, behind markers too: so a reader may
        stand before a marker for one more poll, as with a real client.
        """
        if not self.start <= position <= len(self.slots):
            raise OffsetOutOfRange(
                f"{self}@{position} is not in the log, which holds offsets {self.start} to {len(self.slots)}"
            )
        stable = self.stable
        if position >= stable:
            return [], position
        found: list[Record] = []
        slots = self.slots
        while position < stable:
            record = slots[position]
            if record is not None:
                if len(found) == limit:
                    break
                found.append(record)
            elif found:
                break
            position += 1
        return found, position

    def purge(self, before: int) -> None:
        """Nothing below `before` is readable. Raises `OffsetOutOfRange` where that is past the end."""
        if before > self.end:
            raise OffsetOutOfRange(f"{self}: can't delete up to {before}, the log ends at {self.end}")
        for offset in range(self.start, before):
            self.slots[offset] = None
        self.start = max(self.start, before)

    def compact(self, now_ms: int) -> None:
        """Of each key's stable records only the last is left, and of a removal nothing once it is old enough."""
        keep_removals_since = now_ms - int(self.topic.config["delete.retention.ms"])
        seen: set[bytes | None] = set()
        for offset in range(self.stable - 1, self.start - 1, -1):
            record = self.slots[offset]
            if record is None:
                continue
            if record.key in seen or (record.value is None and record.timestamp < keep_removals_since):
                self.slots[offset] = None
            seen.add(record.key)


class Topic:
    def __init__(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        self.name = name
        self.config: dict[str, str] = {**DEFAULTS, **config}
        self.partitions = [Partition(self, number) for number in range(partitions)]

    @property
    def size_max(self) -> int:
        return int(self.config["max.message.bytes"])

    @property
    def compacted(self) -> bool:
        return "compact" in self.config["cleanup.policy"]
