"""The store on disk: one LMDB environment for a state folder.

Per partition a database `state/N` (key → index due, due, state) and a database `timer/N` (index due, key → nothing);
one database `meta` for positions and stamps. Times are 8 bytes, greatest first, so that their order is the bytes'.

**Timers are indexed lazily.** Nearly every event moves a contact's timer to a later time; moving the index entry each
time would double the cost of a write. An entry may therefore stand earlier than the timer itself, never later. Who
asks what is due moves such entries to where they belong and never sees them.

**Durability.** `apply` is one LMDB transaction, so whole or nothing after a kill, at any moment: LMDB changes no page
that the last transaction can reach, and the kernel has the pages in the order in which they were changed. It doesn't
wait for the disk (`sync` off), since the store is a cache of the changelog: `worker/stores/folder.py` decides whether
it can be believed after a crash of the machine, `worker/stores/room.py` how the map may be written.

**Room.** The map grows by half when it is full, up to `map_size_max`.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb

from worker.stores.base import DUE_MAX, KEY_BYTES_MAX, Write, check
from worker.stores.environment import FILE, Environment
from worker.stores.errors import StoreError
from worker.stores.folder import StateFolder

if TYPE_CHECKING:
    from worker.stores.environment import Transaction

MAP_SIZE = 1 << 24  # bytes at the start
MAP_SIZE_MAX = 1 << 42  # 4 TiB: an x86-64 process has 128 of address space
ITEMS_AT_ONCE = 1_000  # per read transaction of `items`: a long one would keep freed pages from being used again
MOVES_AT_ONCE = 10_000  # index entries set right per write transaction

_META = b"meta"
_SCRUBBED = b"scrubbed"
_pack = struct.Struct(">Q").pack
_unpack = struct.Struct(">Q").unpack
_NEVER = b"\xff" * 8  # sorts after every time
_DUES = 16  # bytes before the state: index due, due


class LmdbStore:
    """A store in the folder `path`, made where there is none. One at a time may have it: else `StoreInUse`.

    `emptied` says why what the folder held was thrown away, None where it was kept or the folder is new.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        map_size: int = MAP_SIZE,
        map_size_max: int = MAP_SIZE_MAX,
        through: bool | None = None,
    ) -> None:
        self.path = Path(path)
        self.emptied: str | None = None
        self._process = os.getpid()
        self._closed = False
        self._mutex = threading.RLock()  # a map may grow only while no transaction is open
        self._folder = StateFolder(self.path)
        try:
            self._empty_where_distrusted()
            self._folder.begin()
            self._environment = Environment(self.path, map_size, map_size_max, through)
            self._meta = self._environment.made(_META)
        except BaseException:
            self._folder.close()
            raise

    # Reading

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.get_many(partition, (key,))[0]

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        def read(transaction: Transaction) -> list[bytes | None]:
            get = transaction.get
            found = [get(key, None, database) for key in keys]
            return [None if value is None else bytes(value[_DUES:]) for value in found]

        with self._guard():
            database = self._environment.database(b"state/%d" % partition)
            return [None] * len(keys) if database is None else self._environment.read(read)

    def position(self, partition: int) -> int | None:
        return self._number(b"position/%d" % partition)

    def stamp(self, partition: int) -> int | None:
        return self._number(b"stamp/%d" % partition)

    def due(self, partition: int, until_ms: int, limit: int) -> list[bytes]:
        return [key for _, key in self._timers(partition, until_ms, limit)]

    def next_due(self, partition: int) -> int | None:
        first = self._timers(partition, DUE_MAX, 1)
        return first[0][0] if first else None

    def items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        def read(transaction: Transaction) -> list[tuple[bytes, bytes]]:
            with transaction.cursor(database) as cursor:
                if not cursor.set_range(start):
                    return []
                entries = zip(range(ITEMS_AT_ONCE), cursor.iternext(), strict=False)
                return [(bytes(key), bytes(value[_DUES:])) for _, (key, value) in entries]

        start = b"\x00"
        while True:  # ends: each round begins behind the last one's keys
            with self._guard():
                database = self._environment.database(b"state/%d" % partition)
                some = [] if database is None else self._environment.read(read)
            yield from some
            if len(some) < ITEMS_AT_ONCE:
                return
            start = some[-1][0] + b"\x00"

    def count(self, partition: int) -> int:
        with self._guard():
            state = self._environment.database(b"state/%d" % partition)
            return 0 if state is None else self._environment.read(lambda read: read.stat(state)["entries"])

    def partitions(self) -> list[int]:
        def read(transaction: Transaction) -> set[int]:
            with transaction.cursor(self._meta) as cursor:
                names = (bytes(key).partition(b"/")[2] for key in cursor.iternext(values=False))
                return {int(name) for name in names if name}

        with self._guard():
            return sorted(self._environment.read(read))

    # Writing

    def apply(self, partition: int, writes: Iterable[Write], position: int) -> None:
        batch = list(writes)
        with self._guard():
            state = self._environment.made(b"state/%d" % partition)
            timer = self._environment.made(b"timer/%d" % partition)

            def change(transaction: Transaction) -> None:
                _change(transaction, state, timer, batch)
                transaction.put(b"position/%d" % partition, _pack(position), db=self._meta)

            try:
                self._environment.write(change)
            except (struct.error, lmdb.BadValsizeError):
                for write in batch:
                    check(write)
                raise

    def mark(self, partition: int, now_ms: int) -> None:
        with self._guard():
            self._environment.write(lambda write: write.put(b"stamp/%d" % partition, _pack(now_ms), db=self._meta))

    def drop(self, partition: int) -> None:
        with self._guard():
            names = [b"state/%d" % partition, b"timer/%d" % partition]
            databases = [database for database in map(self._environment.database, names) if database is not None]

            def change(transaction: Transaction) -> None:
                for database in databases:
                    transaction.drop(database, delete=False)
                for name in (b"position/%d" % partition, b"stamp/%d" % partition):
                    transaction.delete(name, db=self._meta)

            self._environment.write(change)

    def scrubbed(self) -> int | None:
        return self._number(_SCRUBBED)

    def scrub(self, now_ms: int) -> None:
        with self._guard():
            self._environment.rewrite()
            self._meta = self._environment.made(_META)
            self._environment.write(lambda write: write.put(_SCRUBBED, _pack(now_ms), db=self._meta))

    def close(self) -> None:
        if self._process != os.getpid():
            self._folder.close()  # the environment stays the parent's, and so does the lock
            return
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            try:
                self._environment.sync()
                self._folder.end()
            finally:
                self._environment.close()
                self._folder.close()

    def _guard(self) -> threading.RLock:
        if self._process != os.getpid():  # asked first: a thread that isn't in a forked child may hold the lock there
            raise StoreError(
                f"state folder {self.path} was opened by process {self._process}, this is its fork {os.getpid()}",
                "open a store after the fork",
            )
        return self._mutex

    def _empty_where_distrusted(self) -> None:
        if self._folder.distrust is None:
            return
        for name in (FILE, FILE + "-lock"):
            try:
                os.remove(self.path / name)
                self.emptied = self._folder.distrust
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"state folder {self.path}: {error}", "delete the folder") from error

    def _number(self, name: bytes) -> int | None:
        with self._guard():
            value = self._environment.read(lambda read: read.get(name, None, self._meta))
            return None if value is None else _time(bytes(value))

    def _timers(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """The first `limit` timers up to `until_ms`, after setting right every index entry met before them."""
        with self._guard():
            state = self._environment.database(b"state/%d" % partition)
            timer = self._environment.database(b"timer/%d" % partition)
            if state is None or timer is None or limit <= 0 or until_ms < 0:
                return []
            until = _pack(min(until_ms, DUE_MAX))
            while True:  # ends: each round leaves fewer entries that stand too early
                found, early = self._environment.read(lambda read: _scan(read, state, timer, until, limit))
                if not early:
                    return found
                self._environment.write(partial(_move, state=state, timer=timer, entries=early))


def _change(transaction: Transaction, state: lmdb._Database, timer: lmdb._Database, batch: Sequence[Write]) -> None:
    get, put, delete = transaction.get, transaction.put, transaction.delete
    for key, value, due in batch:
        if len(key) > KEY_BYTES_MAX:
            raise lmdb.BadValsizeError("a key too long")
        old = get(key, None, state)
        index = _NEVER if old is None else bytes(old[:8])
        if value is None:
            if old is not None:
                delete(key, b"", state)
                if index != _NEVER:
                    delete(index + key, b"", timer)
            continue
        wanted = _NEVER if due is None else _pack(due)
        if wanted < index:  # a later one stays where it is until it is met
            if index != _NEVER:
                delete(index + key, b"", timer)
            put(wanted + key, b"", db=timer)
            index = wanted
        put(key, index + wanted + value, db=state)


def _scan(
    transaction: Transaction, state: lmdb._Database, timer: lmdb._Database, until: bytes, limit: int
) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Timers in order with their keys, and the index entries among them that stand too early."""
    found: list[tuple[int, bytes]] = []
    early: list[bytes] = []
    with transaction.cursor(timer) as cursor:
        for entry in map(bytes, cursor.iternext(values=False)):
            index, key = entry[:8], entry[8:]
            if index > until:
                break
            if _state_of(transaction, state, key)[8:_DUES] == index:
                found.append((_time(index), key))
            else:
                early.append(entry)
            if len(found) == limit or len(early) == MOVES_AT_ONCE:
                break
    return found, early


def _move(transaction: Transaction, state: lmdb._Database, timer: lmdb._Database, entries: Sequence[bytes]) -> None:
    """Each of these index entries stands where its timer is, or is gone where there is none any more."""
    for entry in entries:
        key = entry[8:]
        rest = bytes(_state_of(transaction, state, key)[8:])
        due = rest[:8]
        transaction.delete(entry, b"", timer)
        if due != _NEVER:
            transaction.put(due + key, b"", db=timer)
        transaction.put(key, due + rest, db=state)


def _state_of(transaction: Transaction, state: lmdb._Database, key: bytes) -> memoryview:
    record = transaction.get(key, None, state)
    if record is None:
        raise lmdb.CorruptedError("a timer without a state")
    return record


def _time(value: bytes) -> int:
    number: int = _unpack(value)[0]
    return number
