"""Where somebody reads: partitions held, the position in each, and which of them are paused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from worker.transports.base import Record, TopicPartition


class Positions:
    """A held partition without a position yields nothing until `seek` gives it one."""

    def __init__(self) -> None:
        self.held: frozenset[TopicPartition] = frozenset()
        self._at: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turns = 0

    def keep(self, held: frozenset[TopicPartition]) -> None:
        """These are held from here on; what stays keeps position and pause, the others are forgotten."""
        if held != self.held:
            self.held = held
            self._at = {partition: at for partition, at in self._at.items() if partition in held}
            self._paused &= held

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Just these are held, from these offsets on, none of them paused."""
        self.held = frozenset(positions)
        self._at = dict(positions)
        self._paused = set()

    def at(self, partition: TopicPartition) -> int:
        if partition not in self._at:
            raise LookupError(f"{partition} is not assigned here, or was given no position yet")
        return self._at[partition]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self.held:
            raise LookupError(f"{partition} is not assigned here")
        self._at[partition] = offset

    def move(self, records: Iterable[Record]) -> None:
        """These were given out: what is read next is behind them."""
        for record in records:
            self._at[TopicPartition(record.topic, record.partition)] = record.offset + 1

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused |= self.held & set(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused -= set(partitions)

    def readable(self) -> list[tuple[TopicPartition, int]]:
        """What to read, with its position; each time it begins with another one, so that none starves the others."""
        wanted = sorted(entry for entry in self._at.items() if entry[0] not in self._paused)
        self._turns += 1
        first = self._turns % len(wanted) if wanted else 0
        return wanted[first:] + wanted[:first]
