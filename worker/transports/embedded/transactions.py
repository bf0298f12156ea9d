"""Producers' identities and their open transactions: begun, ended, fenced, expired."""

from __future__ import annotations

import sqlite3

from worker.transports.embedded.file import OFFSET_BITS, LogFile, now_ms
from worker.transports.errors import Fenced


def renew(connection: sqlite3.Connection, name: str) -> int:
    """A newer producer's epoch; what an earlier one left open is aborted."""
    for (txn,) in connection.execute("SELECT id FROM transactions WHERE producer = ?", (name,)).fetchall():
        abort(connection, txn)
    connection.execute(
        "INSERT INTO producers VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1", (name,)
    )
    epoch: int = connection.execute("SELECT epoch FROM producers WHERE name = ?", (name,)).fetchone()[0]
    return epoch


def open_transaction(connection: sqlite3.Connection, name: str, epoch: int, txn: int | None, timeout_ms: int) -> int:
    """The transaction `txn`, still open, or a new one whose time starts now. Raises `Fenced`."""
    check(connection, name, epoch, txn)
    if txn is not None:
        return txn
    opened = connection.execute(
        "INSERT INTO transactions (producer, ends_ms) VALUES (?, ?)", (name, now_ms() + timeout_ms)
    ).lastrowid
    assert opened is not None  # an INSERT has one
    return opened


def check(connection: sqlite3.Connection, name: str, epoch: int, txn: int | None) -> None:
    """Raises `Fenced` where a newer producer has the name, or the transaction took too long and was aborted."""
    row = connection.execute("SELECT epoch FROM producers WHERE name = ?", (name,)).fetchone()
    if row is None or row[0] != epoch:
        raise Fenced(f"producer {name} with epoch {epoch} is fenced by epoch {row[0] if row else 'none'}")
    if txn is not None and connection.execute("SELECT 1 FROM transactions WHERE id = ?", (txn,)).fetchone() is None:
        raise Fenced(f"producer {name}: its transaction took too long and was aborted")


def commit(connection: sqlite3.Connection, txn: int) -> None:
    """Its records are stable and its offsets the groups'."""
    connection.execute(
        "INSERT OR REPLACE INTO offsets SELECT member_group, topic, number, next FROM pending WHERE txn = ?", (txn,)
    )
    _forget(connection, txn)


def abort(connection: sqlite3.Connection, txn: int) -> None:
    """Its records and offsets are gone; the records' places stay empty."""
    for partition, first, after in connection.execute(
        "SELECT partition, first, next FROM unstable WHERE txn = ?", (txn,)
    ).fetchall():
        base = partition << OFFSET_BITS
        connection.execute("DELETE FROM records WHERE id >= ? AND id < ?", (base | first, base | after))
    _forget(connection, txn)


def expire(file: LogFile) -> None:
    """Transactions that are open for too long are aborted, and their producers fenced."""
    with file.read() as connection:
        if connection.execute("SELECT 1 FROM transactions WHERE ends_ms < ?", (now_ms(),)).fetchone() is None:
            return
    with file.write("expire transactions") as connection:
        for txn, name in connection.execute(
            "SELECT id, producer FROM transactions WHERE ends_ms < ?", (now_ms(),)
        ).fetchall():
            connection.execute("UPDATE producers SET epoch = epoch + 1 WHERE name = ?", (name,))
            abort(connection, txn)


def _forget(connection: sqlite3.Connection, txn: int) -> None:
    connection.execute("DELETE FROM unstable WHERE txn = ?", (txn,))
    connection.execute("DELETE FROM pending WHERE txn = ?", (txn,))
    connection.execute("DELETE FROM transactions WHERE id = ?", (txn,))
