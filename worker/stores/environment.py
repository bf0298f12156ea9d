"""An LMDB environment as the store uses it: transactions that grow the map where it is full, errors in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import lmdb

from worker.stores.errors import StoreDamaged, StoreError, StoreFull
from worker.stores.folder import NO_ROOM
from worker.stores.room import reservable, reserve

FILE = "store.mdb"
COPY = FILE + ".new"
PARTITIONS_MAX = 1_000  # open at the same time
PAGE = 4_096

Result = TypeVar("Result")
if TYPE_CHECKING:  # the class is generic for the type checker only
    Transaction: TypeAlias = lmdb.Transaction[memoryview]


class Environment:
    """The environment in the folder, made where there is none; the caller sees to it that nobody else has it.

    With `through` it writes through the map, whose blocks it then reserves; None: where that is safe.
    """

    def __init__(self, folder: Path, size: int, size_max: int, through: bool | None) -> None:
        self.folder = folder
        self.through = reservable(folder) if through is None else through
        self._size = size
        self._size_max = max(size, size_max)
        self._databases: dict[bytes, lmdb._Database] = {}
        try:
            (folder / COPY).unlink(missing_ok=True)  # of a rewriting that was interrupted
        except OSError as error:
            raise StoreError(f"state folder {folder}: {error}", "delete the folder") from error
        self._open()

    def _open(self) -> None:
        folder, size = self.folder, self._size
        file = folder / FILE
        try:
            # A file that exists is at least as large as what it holds, and reserved up to its size.
            size = max(size, os.path.getsize(file) // PAGE * PAGE) if file.exists() else size
            self._lmdb: lmdb.Environment | None = lmdb.open(
                str(file),
                subdir=False,
                mode=0o600,  # states are personal data
                map_size=size,
                sync=False,
                metasync=False,
                writemap=self.through,
                max_dbs=2 * PARTITIONS_MAX + 1,
                max_spare_txns=2,
            )
        except lmdb.Error as error:
            raise self._failure(error) from error
        except OSError as error:
            raise StoreError(f"state folder {folder}: {error}", "delete the folder") from error
        try:
            self._reserve(size)
        except BaseException:
            self.close()
            raise

    def read(self, read: Callable[[Transaction], Result]) -> Result:
        try:
            with self._alive().begin(buffers=True) as transaction:
                return read(transaction)
        except lmdb.Error as error:
            raise self._failure(error) from error

    def write(self, change: Callable[[Transaction], Result]) -> Result:
        """`change` in one transaction; more than once where the map was too small for it."""

        def attempt() -> Result:
            with self._alive().begin(write=True, buffers=True) as transaction:
                return change(transaction)

        return self._with_room(attempt)

    def database(self, name: bytes) -> lmdb._Database | None:
        """The database's handle, None where nothing made it so far."""
        found = self._databases.get(name)
        if found is None:
            try:
                found = self._databases[name] = self._alive().open_db(name, create=False)
            except lmdb.NotFoundError:
                return None
            except lmdb.Error as error:
                raise self._failure(error) from error
        return found

    def made(self, name: bytes) -> lmdb._Database:
        """The database's handle; it is made where there is none."""
        found = self.database(name)
        if found is None:
            found = self._databases[name] = self._with_room(lambda: self._alive().open_db(name))
        return found

    def sync(self) -> None:
        """Everything written is on the disk."""
        try:
            self._alive().sync(True)
        except lmdb.Error as error:
            raise self._failure(error) from error

    def rewrite(self) -> None:
        """The file holds what is reachable and nothing else: LMDB leaves what was replaced in pages to be used again.

        Whoever is killed meanwhile leaves the old file or the new one, whole.
        """
        copy = self.folder / COPY
        try:
            self._alive().copy(str(copy), compact=True)
            copy.chmod(0o600)
        except (lmdb.Error, OSError) as error:
            copy.unlink(missing_ok=True)
            if isinstance(error, lmdb.Error):
                raise self._failure(error) from error
            raise StoreError(f"state folder {self.folder}: {error}") from error
        self.close()
        self._databases.clear()
        copy.replace(self.folder / FILE)
        self._open()

    def close(self) -> None:
        environment, self._lmdb = self._lmdb, None
        if environment is not None:
            environment.close()

    def _alive(self) -> lmdb.Environment:
        if self._lmdb is None:
            raise StoreError(f"state folder {self.folder}: the store is closed", "open it again with open_store")
        return self._lmdb

    def _with_room(self, attempt: Callable[[], Result]) -> Result:
        while True:  # ends: every round enlarges the map, which has a limit
            try:
                return attempt()
            except lmdb.MapFullError:
                self._grow()
            except lmdb.BadValsizeError:
                raise  # the caller's, who knows which key it was
            except lmdb.Error as error:
                raise self._failure(error) from error

    def _grow(self) -> None:
        environment = self._alive()
        size = environment.info()["map_size"]
        if size >= self._size_max:
            raise StoreFull(
                str(self.folder),
                f"its map has the greatest size allowed, {size} bytes",
                "spread the partitions over more workers",
            )
        larger = min((size + size // 2) // PAGE * PAGE, self._size_max)
        self._reserve(larger)  # before the map reaches there
        try:
            environment.set_mapsize(larger)
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _reserve(self, size: int) -> None:
        if self.through:
            try:
                reserve(self.folder / FILE, size)
            except OSError as error:
                raise StoreFull(str(self.folder), error.strerror or str(error)) from error

    def _failure(self, error: lmdb.Error) -> StoreError:
        if error.code in NO_ROOM:
            return StoreFull(str(self.folder), str(error))
        if error.code == errno.EIO:  # how LMDB reports that only part of a write was taken
            return StoreFull(
                str(self.folder), f"or its disk fails: {error}", "see to the disk, then start the worker again"
            )
        if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError)):
            return StoreDamaged(str(self.folder), str(error))
        if isinstance(error, lmdb.DbsFullError):
            return StoreError(
                f"state folder {self.folder}: more than {PARTITIONS_MAX} partitions", "spread them over more workers"
            )
        return StoreError(f"state folder {self.folder}: {error}")
