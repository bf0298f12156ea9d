"""The store in memory."""

from __future__ import annotations

from pathlib import Path

from tests.stores.conformance import StoreConformance
from worker.stores import MemoryStore, Store, Write, open_store


class TestMemoryStore(StoreConformance):
    def open(self, folder: Path) -> Store:
        return open_store(None)


def test_timers_moved_for_ever_do_not_pile_up() -> None:
    store = MemoryStore()
    for due in range(20_000):
        store.apply(0, [Write(b"a", b"", due)], due)

    assert len(store._partitions[0].timers) < 3_000
    assert store.next_due(0) == 19_999
