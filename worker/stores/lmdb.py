"""The store on disk: one LMDB environment for a state folder.

Per partition a database `state/N` (key → index due, due, state) and a database `timer/N` (index due, key → nothing);
one database `meta` for positions and stamps. Times are 8 bytes, greatest first, so that their order is the bytes'.

**Timers are indexed lazily.** Nearly every event moves a contact's timer to a later time; moving the index entry each
time would double the cost of a write. An entry may therefore stand earlier than the timer itself, never later. Who
asks what is due moves such entries to where they belong and never sees them.

**Durability.** `apply` is one LMDB transaction, so whole or nothing; it doesn't wait for the disk (`sync` off), since
the store is a cache of the changelog and `worker/stores/folder.py` decides when it can be believed. WRITEMAP stays
off: with it a full disk would be a SIGBUS instead of an error.

**Room.** The map is address space, not memory or disk; it doubles when it is full, up to `map_size_max`.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import lmdb

from worker.stores.base import DUE_MAX, KEY_BYTES_MAX, Write, check
from worker.stores.errors import StoreDamaged, StoreError, StoreFull
from worker.stores.folder import NO_ROOM, StateFolder

MAP_SIZE = 1 << 30  # bytes of address space at the start
MAP_SIZE_MAX = 1 << 42  # 4 TiB: an x86-64 process has 128
PARTITIONS_MAX = 1_000  # open at the same time
ITEMS_AT_ONCE = 1_000  # per read transaction of `items`: a long one would keep freed pages from being used again
MOVES_AT_ONCE = 10_000  # index entries set right per write transaction
FILE = "store.mdb"

_META = b"meta"
_pack = struct.Struct(">Q").pack
_unpack = struct.Struct(">Q").unpack
_NEVER = b"\xff" * 8  # sorts after every time
_DUES = 16  # bytes before the state: index due, due

_Result = TypeVar("_Result")
if TYPE_CHECKING:  # the class is generic for the type checker only
    _Transaction: TypeAlias = lmdb.Transaction[memoryview]


class LmdbStore:
    """A store in the folder `path`, made where there is none. One at a time may have it: else `StoreInUse`.

    `emptied` says why what the folder held was thrown away, None where it was kept or the folder is new.
    """

    def __init__(
        self, path: str | os.PathLike[str], map_size: int = MAP_SIZE, map_size_max: int = MAP_SIZE_MAX
    ) -> None:
        self.path = Path(path)
        self.emptied: str | None = None
        self._process = os.getpid()
        self._mutex = threading.RLock()  # a map may be resized only while no transaction is open
        self._map_size_max = max(map_size, map_size_max)
        self._databases: dict[bytes, lmdb._Database] = {}
        self._folder = StateFolder(self.path)
        try:
            self._empty_where_distrusted()
            self._folder.begin()
            self._environment: lmdb.Environment | None = self._open_environment(map_size)
            self._made(_META)
        except BaseException:
            self._folder.close()
            raise

    # Reading

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.get_many(partition, (key,))[0]

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        def read(transaction: _Transaction) -> list[bytes | None]:
            get = transaction.get
            found = [get(key, None, database) for key in keys]
            return [None if value is None else bytes(value[_DUES:]) for value in found]

        with self._guard():
            database = self._database(b"state/%d" % partition)
            return [None] * len(keys) if database is None else self._read(read)

    def position(self, partition: int) -> int | None:
        return self._meta(b"position/%d" % partition)

    def stamp(self, partition: int) -> int | None:
        return self._meta(b"stamp/%d" % partition)

    def due(self, partition: int, until_ms: int, limit: int) -> list[bytes]:
        return [key for _, key in self._timers(partition, until_ms, limit)]

    def next_due(self, partition: int) -> int | None:
        first = self._timers(partition, DUE_MAX, 1)
        return first[0][0] if first else None

    def items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        def read(transaction: _Transaction) -> list[tuple[bytes, bytes]]:
            with transaction.cursor(database) as cursor:
                if not cursor.set_range(start):
                    return []
                entries = zip(range(ITEMS_AT_ONCE), cursor.iternext(), strict=False)
                return [(bytes(key), bytes(value[_DUES:])) for _, (key, value) in entries]

        start = b"\x00"
        while True:
            with self._guard():
                database = self._database(b"state/%d" % partition)
                some = [] if database is None else self._read(read)
            yield from some
            if len(some) < ITEMS_AT_ONCE:
                return
            start = some[-1][0] + b"\x00"

    def count(self, partition: int) -> int:
        with self._guard():
            database = self._database(b"state/%d" % partition)
            return 0 if database is None else self._read(lambda transaction: transaction.stat(database)["entries"])

    def partitions(self) -> list[int]:
        with self._guard():
            meta = self._databases[_META]

            def read(transaction: _Transaction) -> set[int]:
                with transaction.cursor(meta) as cursor:
                    return {int(bytes(key).partition(b"/")[2]) for key in cursor.iternext(values=False)}

            return sorted(self._read(read))

    # Writing

    def apply(self, partition: int, writes: Iterable[Write], position: int) -> None:
        batch = list(writes)
        with self._guard():
            state = self._made(b"state/%d" % partition)
            timer = self._made(b"timer/%d" % partition)

            def change(transaction: _Transaction) -> None:
                _change(transaction, state, timer, batch)
                transaction.put(b"position/%d" % partition, _pack(position), db=self._databases[_META])

            try:
                self._write(change)
            except (struct.error, lmdb.BadValsizeError):
                for write in batch:
                    check(write)
                raise

    def mark(self, partition: int, now_ms: int) -> None:
        with self._guard():
            meta = self._databases[_META]
            self._write(lambda transaction: transaction.put(b"stamp/%d" % partition, _pack(now_ms), db=meta))

    def drop(self, partition: int) -> None:
        with self._guard():
            names = [b"state/%d" % partition, b"timer/%d" % partition]
            databases = [database for database in map(self._database, names) if database is not None]

            def change(transaction: _Transaction) -> None:
                for database in databases:
                    transaction.drop(database, delete=False)
                for name in (b"position/%d" % partition, b"stamp/%d" % partition):
                    transaction.delete(name, db=self._databases[_META])

            self._write(change)

    def close(self) -> None:
        if self._process != os.getpid():
            self._folder.close()  # the environment stays the parent's, and so does the lock
            return
        with self._mutex:
            environment, self._environment = self._environment, None
            if environment is None:
                return
            try:
                environment.sync(True)
                self._folder.end()
            except lmdb.Error as error:
                raise self._failure(error) from error
            finally:
                environment.close()
                self._folder.close()

    # Transactions

    def _alive(self) -> lmdb.Environment:
        if self._process != os.getpid():
            raise StoreError(
                f"state folder {self.path} was opened by process {self._process}, this is its fork {os.getpid()}",
                "open a store after the fork",
            )
        if self._environment is None:
            raise StoreError(f"state folder {self.path}: the store is closed", "open it again with open_store")
        return self._environment

    def _guard(self) -> threading.RLock:
        self._alive()  # first: in a forked child the lock may be held by a thread that isn't there
        return self._mutex

    def _read(self, read: Callable[[_Transaction], _Result]) -> _Result:
        try:
            with self._alive().begin(buffers=True) as transaction:
                return read(transaction)
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _write(self, change: Callable[[_Transaction], _Result]) -> _Result:
        """`change` in one transaction; more than once where the map was too small for it."""

        def attempt() -> _Result:
            with self._alive().begin(write=True, buffers=True) as transaction:
                return change(transaction)

        return self._with_room(attempt)

    def _with_room(self, attempt: Callable[[], _Result]) -> _Result:
        while True:  # ends: every round doubles the map, which has a limit
            try:
                return attempt()
            except lmdb.MapFullError:
                self._grow()
            except (lmdb.NotFoundError, lmdb.BadValsizeError):
                raise
            except lmdb.Error as error:
                raise self._failure(error) from error

    def _grow(self) -> None:
        environment = self._alive()
        size = environment.info()["map_size"]
        if size >= self._map_size_max:
            raise StoreFull(
                str(self.path),
                f"its map has the greatest size allowed, {size} bytes",
                "spread the partitions over more workers",
            )
        try:
            environment.set_mapsize(min(2 * size, self._map_size_max))
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: lmdb.Error) -> StoreError:
        if error.code in NO_ROOM:
            return StoreFull(str(self.path), str(error))
        if error.code == errno.EIO:  # how LMDB reports that only part of a write was taken
            return StoreFull(
                str(self.path), f"or its disk fails: {error}", "see to the disk, then start the worker again"
            )
        if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError)):
            return StoreDamaged(str(self.path), str(error))
        if isinstance(error, lmdb.DbsFullError):
            return StoreError(
                f"state folder {self.path}: more than {PARTITIONS_MAX} partitions", "spread them over more workers"
            )
        return StoreError(f"state folder {self.path}: {error}")

    # Databases

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

    def _open_environment(self, map_size: int) -> lmdb.Environment:
        try:
            return lmdb.open(
                str(self.path / FILE),
                subdir=False,
                map_size=map_size,
                sync=False,
                metasync=False,
                max_dbs=2 * PARTITIONS_MAX + 1,
                max_spare_txns=2,
            )
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _database(self, name: bytes, make: bool = False) -> lmdb._Database | None:
        """The database's handle; None where nothing made it so far and it isn't to be made now."""
        found = self._databases.get(name)
        if found is None:
            try:
                found = self._with_room(lambda: self._alive().open_db(name, create=make))
            except lmdb.NotFoundError:
                return None
            self._databases[name] = found
        return found

    def _made(self, name: bytes) -> lmdb._Database:
        found = self._database(name, make=True)
        assert found is not None  # `make` makes it
        return found

    def _meta(self, name: bytes) -> int | None:
        with self._guard():
            value = self._read(lambda transaction: transaction.get(name, None, self._databases[_META]))
            return None if value is None else _number(bytes(value))

    def _timers(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """The first `limit` timers up to `until_ms`, after setting right every index entry met before them."""
        with self._guard():
            state = self._database(b"state/%d" % partition)
            timer = self._database(b"timer/%d" % partition)
            if state is None or timer is None or limit <= 0 or until_ms < 0:
                return []
            until = _pack(min(until_ms, DUE_MAX))
            while True:  # ends: each round leaves fewer entries that stand too early
                found, early = self._read(lambda transaction: _scan(transaction, state, timer, until, limit))
                if not early:
                    return found
                self._write(partial(_move, state=state, timer=timer, entries=early))


def _change(transaction: _Transaction, state: lmdb._Database, timer: lmdb._Database, batch: Sequence[Write]) -> None:
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
    transaction: _Transaction, state: lmdb._Database, timer: lmdb._Database, until: bytes, limit: int
) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Timers in order with their keys, and the index entries among them that stand too early."""
    found: list[tuple[int, bytes]] = []
    early: list[bytes] = []
    with transaction.cursor(timer) as cursor:
        for entry in map(bytes, cursor.iternext(values=False)):
            index, key = entry[:8], entry[8:]
            if index > until:
                break
            record = transaction.get(key, None, state)
            if record is None:
                raise lmdb.CorruptedError("a timer without a state")
            if record[8:_DUES] == index:
                found.append((_number(index), key))
            else:
                early.append(entry)
            if len(found) == limit or len(early) == MOVES_AT_ONCE:
                break
    return found, early


def _move(transaction: _Transaction, state: lmdb._Database, timer: lmdb._Database, entries: Sequence[bytes]) -> None:
    for entry in entries:
        key = entry[8:]
        record = transaction.get(key, None, state)
        if record is None:
            raise lmdb.CorruptedError("a timer without a state")
        rest = bytes(record[8:])
        due = rest[:8]
        transaction.delete(entry, b"", timer)
        if due != _NEVER:
            transaction.put(due + key, b"", db=timer)
        transaction.put(key, due + rest, db=state)


def _number(value: bytes) -> int:
    number: int = _unpack(value)[0]
    return number
