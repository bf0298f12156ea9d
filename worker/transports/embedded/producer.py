"""The transactional producer of the embedded log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from worker.transports.base import GroupMetadata, Send, TopicPartition
from worker.transports.embedded import transactions
from worker.transports.embedded.file import now_ms
from worker.transports.embedded.log import Log
from worker.transports.embedded.members import load
from worker.transports.errors import CommitUnknown, Retriable, TransportError
from worker.transports.limits import check_size
from worker.transports.turns import Turns

CLOSE_MS = 1_000  # how long closing waits for a busy file; the coordinator's timeout does the same later


class EmbeddedProducer:
    """Records wait in memory until `flush` writes them. Used after an error, or out of turn, it raises `Fatal`."""

    def __init__(self, log: Log, name: str, timeout_ms: int) -> None:
        self._log = log
        self._file = log.file
        self._name = name
        self._timeout_ms = timeout_ms
        self._turns = Turns()
        self._txn: int | None = None
        self._waiting: list[Send] = []
        self._offsets: list[int] = []
        with self._file.write("init") as connection:
            self._epoch = transactions.renew(connection, name)

    def begin(self) -> None:
        with self._turns.call("begin", "ready", "open"):
            self._waiting, self._offsets = [], []

    def send(self, sends: Sequence[Send]) -> None:
        with self._turns.call("send", "open", "open"):
            for send in sends:
                self._log.id_of(TopicPartition(send.topic, send.partition))  # it exists
                limit = self._log.known(send.topic).bytes_max
                check_size(send, limit, len(self._offsets) + len(self._waiting))
                self._waiting.append(send)

    def flush(self, timeout_ms: int) -> list[int]:
        with self._turns.call("flush", "open", "open"):
            if self._waiting:
                with self._file.write("flush", timeout_ms) as connection:
                    txn = transactions.open_transaction(
                        connection, self._name, self._epoch, self._txn, self._timeout_ms
                    )
                    offsets = self._log.append(connection, txn, self._waiting, now_ms())
                self._txn = txn
                self._offsets += offsets
                self._waiting = []
        return list(self._offsets)

    def send_offsets(self, offsets: Mapping[TopicPartition, int], group: GroupMetadata, timeout_ms: int) -> None:
        with self._turns.call("send_offsets", "open", "open"):
            with self._file.write("send_offsets", timeout_ms) as connection:
                load(connection, group.group)[0].check(group)
                txn = transactions.open_transaction(connection, self._name, self._epoch, self._txn, self._timeout_ms)
                connection.executemany(
                    "INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?, ?)",
                    ((txn, group.group, topic, number, offset) for (topic, number), offset in offsets.items()),
                )
            self._txn = txn

    def commit(self, timeout_ms: int) -> None:
        if self._waiting:
            self.flush(timeout_ms)
        with self._turns.call("commit", "open", "ready"):
            try:
                with self._file.write("commit", timeout_ms) as connection:
                    transactions.check(connection, self._name, self._epoch, self._txn)
                    if self._txn is not None:
                        transactions.commit(connection, self._txn)
            except Retriable as error:
                raise CommitUnknown(str(error), error.remedy) from error
            self._txn = None

    def abort(self, timeout_ms: int) -> None:
        with self._turns.call("abort", "open", "ready"):
            self._waiting = []
            with self._file.write("abort", timeout_ms) as connection:
                transactions.check(connection, self._name, self._epoch, self._txn)
                if self._txn is not None:
                    transactions.abort(connection, self._txn)
            self._txn = None

    def close(self) -> None:
        """What is open is aborted; where the file is too busy for that, it expires."""
        self._turns.state = "closed"
        txn, self._txn = self._txn, None
        if txn is not None:
            with suppress(TransportError), self._file.write("close", CLOSE_MS) as connection:
                transactions.check(connection, self._name, self._epoch, txn)
                transactions.abort(connection, txn)
