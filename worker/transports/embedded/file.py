"""The SQLite file: its tables, its connections, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from worker.transports.errors import Fatal, Retriable

VERSION = 1
REQUEST_MS = 30_000  # the limit of calls that have no argument for it
OPEN_ATTEMPTS = 100
OPEN_WAIT_SECONDS = 0.05
CHECKPOINT_PAGES = 4_000  # of the write-ahead log; SQLite's default makes it write back after every large transaction

OFFSET_BITS = 40
"""A record's id is its partition's id and its offset: so rows lie in the order they are read in."""

TABLES = """
CREATE TABLE topics (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, config TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, number INTEGER NOT NULL,
    start INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0,
    cleaned INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number));
CREATE TABLE records (id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB);
CREATE TABLE producers (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE transactions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, producer TEXT NOT NULL UNIQUE, ends_ms INTEGER NOT NULL);
CREATE TABLE unstable (
    partition INTEGER NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL, txn INTEGER NOT NULL,
    PRIMARY KEY (partition, first)) WITHOUT ROWID;
CREATE TABLE offsets (
    member_group TEXT NOT NULL, topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (member_group, topic, number)) WITHOUT ROWID;
CREATE TABLE pending (
    txn INTEGER NOT NULL, member_group TEXT NOT NULL, topic TEXT NOT NULL, number INTEGER NOT NULL,
    next INTEGER NOT NULL, PRIMARY KEY (txn, member_group, topic, number)) WITHOUT ROWID;
CREATE TABLE groups (name TEXT PRIMARY KEY, state BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE heartbeats (
    member_group TEXT NOT NULL, member TEXT NOT NULL, heard_ms INTEGER NOT NULL,
    PRIMARY KEY (member_group, member)) WITHOUT ROWID;
"""


def now_ms() -> int:
    """Wall clock: the one clock that all processes share and that goes on over restarts."""
    return time.time_ns() // 1_000_000


class LogFile:
    """One connection. Threads of a process may share it; a forked child must open its own."""

    def __init__(self, path: Path, durable: bool) -> None:
        self.path = path
        self.durable = durable
        self._process = os.getpid()
        self._mutex = threading.RLock()
        self._writes = 0
        self._busy_ms = -1
        with self._translated("open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
            self._connection: sqlite3.Connection | None = sqlite3.connect(
                path, timeout=REQUEST_MS / 1000, isolation_level=None, check_same_thread=False
            )
        try:
            with self._translated("open"):
                self._prepare(self._connection)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A snapshot of the file for as long as the block runs."""
        with self._mutex, self._translated("read"):
            connection = self._alive()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self, operation: str, timeout_ms: int = REQUEST_MS) -> Iterator[sqlite3.Connection]:
        """All that the block writes, or nothing of it if it raises.

        Raises `Retriable`, with nothing written, where other processes keep the file busy for `timeout_ms`.
        """
        with self._mutex, self._translated(operation):
            connection = self._alive()
            if timeout_ms != self._busy_ms:
                connection.execute(f"PRAGMA busy_timeout = {max(1, timeout_ms)}")
                self._busy_ms = timeout_ms
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it already
                    connection.execute("ROLLBACK")
                raise
            try:
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._writes += 1

    def version(self) -> tuple[int, int]:
        """Changes with everything that anybody writes."""
        with self._mutex, self._translated("read"):
            return self._alive().execute("PRAGMA data_version").fetchone()[0], self._writes

    @property
    def closed(self) -> bool:
        return self._connection is None

    def close(self) -> None:
        """In an orderly end everything is on disk. A second call does nothing."""
        with self._mutex:
            connection, self._connection = self._connection, None
            if connection is not None and self._process == os.getpid():
                with self._translated("close"):
                    connection.close()

    def _alive(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Fatal(f"log {self.path}: it is closed", "open it again")
        if self._process != os.getpid():
            raise Fatal(f"log {self.path}: opened before a fork", "open it in the process that uses it")
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        _use_write_ahead_log(connection)
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA cache_size = -16000")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # else another process was faster
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise Fatal(f"{self.path} is an SQLite file, but no log of this worker", "name another file")
                for statement in TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found != VERSION:
            raise Fatal(
                f"log {self.path} has format {found}, this version reads and writes {VERSION}",
                "use the version of lifecycle-worker that made it, or another file",
            )

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            text = f"log {self.path}: {operation}: {error}"
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Retriable(text, "another process keeps the file busy; wait, or look which one it is") from error
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise Fatal(text, "make room on the disk, then start again; nothing was lost") from error
            raise Fatal(text, "name a file on a local disk that you may write to") from error
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise  # a fault of this code, not of the file
            raise Fatal(
                f"log {self.path}: {operation}: {error}", "it is damaged, or no log at all: name another file"
            ) from error
        except OSError as error:
            raise Fatal(f"log {self.path}: {operation}: {error}", "name a file that you may write to") from error


def _make(path: Path) -> None:
    """Events are personal data: a new file is its owner's only, and SQLite gives its companions the same mode.

    A file that is there is left alone. To close any descriptor of it takes away the locks of all connections that this
    process has to it (POSIX); another process then believes that it is the last one, and ends their write-ahead log.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Two processes that make the file at once get in each other's way here, and SQLite doesn't wait by itself."""
    for _ in range(OPEN_ATTEMPTS - 1):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(OPEN_WAIT_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
