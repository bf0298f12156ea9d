"""The store without a disk: for tests, the replay and workers that restore everything at their start."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from worker.stores.base import Write, check
from worker.stores.errors import StoreError

STALE_TIMERS_MAX = 1_000  # beyond this and the number of live ones, the heap is made anew


@dataclass(slots=True)
class _Partition:
    states: dict[bytes, bytes] = field(default_factory=dict)
    due: dict[bytes, int] = field(default_factory=dict)
    timers: list[tuple[int, bytes]] = field(default_factory=list)  # a heap; entries that `due` contradicts are stale
    position: int | None = None
    stamp: int | None = None


class MemoryStore:
    """Everything in dictionaries; it ends with the process."""

    emptied: str | None = None  # there is nothing before it is opened

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self._closed = False
        self._scrubbed: int | None = None

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._of(partition).states.get(key)

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        states = self._of(partition).states
        return [states.get(key) for key in keys]

    def apply(self, partition: int, writes: Iterable[Write], position: int) -> None:
        batch = list(writes)
        for write in batch:  # before the first change, so that a refused batch changes nothing
            check(write)
        held = self._kept(partition)
        for key, value, due in batch:
            if value is None:
                held.states.pop(key, None)
                due = None
            else:
                held.states[key] = value
            if due is None:
                held.due.pop(key, None)
            elif held.due.get(key) != due:
                held.due[key] = due
                heapq.heappush(held.timers, (due, key))
        if len(held.timers) > 2 * len(held.due) + STALE_TIMERS_MAX:
            held.timers = [(due, key) for key, due in held.due.items()]
            heapq.heapify(held.timers)
        held.position = position

    def position(self, partition: int) -> int | None:
        return self._of(partition).position

    def stamp(self, partition: int) -> int | None:
        return self._of(partition).stamp

    def mark(self, partition: int, now_ms: int) -> None:
        self._kept(partition).stamp = now_ms

    def due(self, partition: int, until_ms: int, limit: int) -> list[bytes]:
        held = self._of(partition)
        found: list[tuple[int, bytes]] = []
        while held.timers and held.timers[0][0] <= until_ms and len(found) < limit:
            entry = heapq.heappop(held.timers)
            # A timer set, changed and set again has two entries alike; they come one after the other.
            if held.due.get(entry[1]) == entry[0] and (not found or found[-1] != entry):
                found.append(entry)
        for entry in found:
            heapq.heappush(held.timers, entry)
        return [key for _, key in found]

    def next_due(self, partition: int) -> int | None:
        held = self._of(partition)
        while held.timers:
            due, key = held.timers[0]
            if held.due.get(key) == due:
                return due
            heapq.heappop(held.timers)
        return None

    def items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        states = self._of(partition).states
        for key in sorted(states):
            value = states.get(key)
            if value is not None:
                yield key, value

    def count(self, partition: int) -> int:
        return len(self._of(partition).states)

    def partitions(self) -> list[int]:
        self._alive()
        return sorted(self._partitions)

    def drop(self, partition: int) -> None:
        self._alive()
        self._partitions.pop(partition, None)

    def scrubbed(self) -> int | None:
        return self._scrubbed

    def scrub(self, now_ms: int) -> None:
        self._scrubbed = now_ms  # what was replaced is gone with the last reference to it

    def close(self) -> None:
        self._closed = True
        self._partitions = {}

    def _alive(self) -> None:
        if self._closed:
            raise StoreError("the store is closed", "open it again with open_store")

    def _of(self, partition: int) -> _Partition:
        """The partition for reading: an empty one, not kept, where it was never filled."""
        self._alive()
        return self._partitions.get(partition) or _Partition()

    def _kept(self, partition: int) -> _Partition:
        self._alive()
        return self._partitions.setdefault(partition, _Partition())
