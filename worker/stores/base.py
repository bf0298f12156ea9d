"""The local cache of the changelog: one keyspace per partition, a timer index, and the changelog offset it reflects.

A store holds committed state only. `apply` is atomic: after a crash the whole of it is there or nothing of it.
One conformance suite (`tests/stores/conformance.py`) runs over LMDB and memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol


class Write(NamedTuple):
    """One key's new state. `value` None removes it; `due` is its next timer in epoch ms, None where it has none."""

    key: bytes
    value: bytes | None
    due: int | None


class Store(Protocol):
    """All partitions of one worker. Keys are bytes, at most 500 long (longer ones are hashed by the caller)."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def apply(self, partition: int, writes: Iterable[Write], position: int) -> None:
        """All writes and the changelog position (next offset) they bring the partition to, or nothing."""

    def position(self, partition: int) -> int | None:
        """The changelog offset the partition reflects; None where it was never filled."""

    def stamp(self, partition: int) -> int | None:
        """Wall clock (epoch ms) of the last `mark`; a store too old is rebuilt (half of delete.retention.ms)."""

    def mark(self, partition: int, now_ms: int) -> None: ...

    def due(self, partition: int, until_ms: int, limit: int) -> list[bytes]:
        """Keys whose timer is at or before `until_ms`, earliest first, at most `limit`."""

    def next_due(self, partition: int) -> int | None: ...

    def items(self, partition: int) -> Iterator[tuple[bytes, bytes]]: ...

    def count(self, partition: int) -> int: ...

    def drop(self, partition: int) -> None:
        """Forget the partition: state, timers and position."""

    def close(self) -> None: ...
