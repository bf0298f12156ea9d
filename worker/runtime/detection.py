"""Whether the input topic was partitioned as the settings say, told from its first records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from worker.runtime.batch import OFF_PARTITION, Batch
from worker.runtime.errors import Halt
from worker.transports.base import Record
from worker.transports.partitioner import explain

KEYS_MAX: Final = 1_000  # keys looked at; after them a record off its partition is an exception, not the rule


class Detector:
    """Looks at the first keys. Wrongly partitioned ones would end as dead letters, all but one in so many of them."""

    def __init__(self, partitioner: str, partitions: int) -> None:
        self._partitioner = partitioner
        self._partitions = partitions
        self._seen: dict[bytes, int] = {}

    def look(self, records: Sequence[Record], batch: Batch) -> None:
        """Raises `Halt` where the batch's misplaced records follow another known rule, before any of it is written."""
        seen = self._seen
        if len(seen) >= KEYS_MAX:
            return
        for record in records[:KEYS_MAX]:
            if record.key:
                seen.setdefault(record.key, record.partition)
        misplaced = any(refusal.reason == OFF_PARTITION for _, _, refusal in batch.refused) or batch.rekeyed
        if not misplaced:
            return
        found = explain(seen.items(), self._partitions)
        if found is not None and found != self._partitioner:
            raise Halt(
                f"the input topic's first {len(seen)} keys lie where partitioner {found} puts them, not "
                f"{self._partitioner}",
                f"run with --partitioner {found}; where several writers differ, with --rekey besides",
            )
