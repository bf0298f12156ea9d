"""The local cache of the changelog: one keyspace per partition, a timer index, and the changelog offset it reflects.

A store holds committed state only. `apply` is atomic: after a crash the whole of it is there or nothing of it.
One conformance suite (`tests/stores/conformance.py`) runs over LMDB and memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

KEY_BYTES_MAX = 500
DUE_MAX = (1 << 63) - 1


class Write(NamedTuple):
    """One key's new state. `value` None removes it; `due` is its next timer in epoch ms, None where it has none."""

    key: bytes
    value: bytes | None
    due: int | None


def check(write: Write) -> None:
    """Raises `ValueError` for a write that no store takes."""
    if not 0 < len(write.key) <= KEY_BYTES_MAX:
        raise ValueError(f"a key of {len(write.key)} bytes: a store takes 1 to {KEY_BYTES_MAX}")
    if write.due is not None and not 0 <= write.due <= DUE_MAX:
        raise ValueError(f"key {write.key[:40]!r}: a timer due at {write.due} is no time in epoch milliseconds")


class Store(Protocol):
    """All partitions of one worker. Keys are bytes, 1 to 500 long (longer ones are hashed by the caller).

    Any call may raise a `StoreError` (`worker/stores/errors.py`), and a `ValueError` for a key of another length or
    a `due` that is negative. A store belongs to the process that opened it, not to one forked from that.
    """

    @property
    def emptied(self) -> str | None:
        """Why what it held was thrown away when it was opened; None where nothing was."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """The states in the order of `keys`, None where there is none; all as of one moment."""

    def apply(self, partition: int, writes: Iterable[Write], position: int) -> None:
        """All writes and the changelog position (next offset) they bring the partition to, or nothing.

        Of several writes to one key the last counts.
        """

    def position(self, partition: int) -> int | None:
        """The changelog offset the partition reflects; None where it was never filled."""

    def stamp(self, partition: int) -> int | None:
        """Wall clock (epoch ms) of the last `mark`; a store too old is rebuilt (half of delete.retention.ms)."""

    def mark(self, partition: int, now_ms: int) -> None: ...

    def due(self, partition: int, until_ms: int, limit: int) -> list[bytes]:
        """Keys whose timer is at or before `until_ms`, earliest first (then by key), at most `limit`."""

    def next_due(self, partition: int) -> int | None:
        """The earliest timer of the partition in epoch ms, None where it has none."""

    def items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every key and its state, in the order of keys.

        No snapshot: what is applied while iterating may or may not be seen; what stays as it is is seen once.
        """

    def count(self, partition: int) -> int:
        """The number of keys of the partition."""

    def partitions(self) -> list[int]:
        """Partitions that were filled or marked and not dropped since, in order."""

    def drop(self, partition: int) -> None:
        """Forget the partition: state, timers, position and stamp."""

    def scrubbed(self) -> int | None:
        """Wall clock (epoch ms) of the last `scrub`, None where there was none."""

    def scrub(self, now_ms: int) -> None:
        """No byte of what was removed or replaced before is left in the store's files: an erasure counts on it.

        Takes as long as copying what is kept, and as much room on the disk meanwhile.
        """

    def close(self) -> None:
        """What was applied is on disk, as far as the store has one. A second call does nothing."""
