"""A connection to the embedded log, and its administrator."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from worker.transports.base import TopicPartition, TopicSpec
from worker.transports.embedded.cleaning import clean
from worker.transports.embedded.consumers import EmbeddedConsumer, EmbeddedReader
from worker.transports.embedded.file import LogFile
from worker.transports.embedded.log import Log
from worker.transports.embedded.members import Place, given, remove_instance
from worker.transports.embedded.producer import EmbeddedProducer

SESSION_MS = 10_000
TRANSACTION_MS = 10_000


class EmbeddedTransport:
    """The log in the file `path`, made where there is none. Raises `Fatal` for a file that can't be one.

    Times are in milliseconds: after `session_ms` without a sign of life a member is put out of its group, after
    `transaction_ms` an open transaction is aborted. All who use a file should give the same ones.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        session_ms: int = SESSION_MS,
        transaction_ms: int = TRANSACTION_MS,
        durable: bool = False,
    ) -> None:
        self._file = LogFile(Path(path), durable)
        self._log = Log(self._file)
        self._session_ms = session_ms
        self._transaction_ms = transaction_ms
        self._places: list[Place] = []

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> EmbeddedConsumer:
        clean(self._log)
        client = instance_id or f"process-{os.getpid()}"
        place = Place(self._log, group, topics, instance_id, client, self._session_ms)
        self._places.append(place)
        return EmbeddedConsumer(self._log, place)

    def reader(self) -> EmbeddedReader:
        return EmbeddedReader(self._log)

    def producer(self, transactional_id: str) -> EmbeddedProducer:
        return EmbeddedProducer(self._log, transactional_id, self._transaction_ms)

    def admin(self) -> EmbeddedAdmin:
        return EmbeddedAdmin(self._log)

    def close(self) -> None:
        """Its clients are of no use afterwards; members that were not closed run out. A second call does nothing."""
        for place in self._places:
            place.stop()
        self._file.close()


class EmbeddedAdmin:
    def __init__(self, log: Log) -> None:
        self._log = log

    def partitions(self, topic: str) -> int | None:
        found = self._log.topic(topic)
        return None if found is None else len(found.ids)

    def create(self, spec: TopicSpec) -> bool:
        return self._log.create(spec)

    def config(self, topic: str) -> dict[str, str]:
        return dict(self._log.known(topic).config)

    def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: start for partition, (start, _) in self._log.ends(partitions).items()}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: end for partition, (_, end) in self._log.ends(partitions).items()}

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        self._log.purge(before)

    def assigned(self, group: str) -> frozenset[TopicPartition] | None:
        return given(self._log, group)

    def remove_member(self, group: str, instance_id: str) -> None:
        remove_instance(self._log, group, instance_id)

    def close(self) -> None:
        """It has nothing of its own to close."""
