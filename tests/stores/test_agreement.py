"""LMDB and memory hold the same after any sequence of calls, closing and opening included."""

from __future__ import annotations

import shutil
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from worker.stores import LmdbStore, MemoryStore, Write

partitions = st.integers(0, 2)
keys = st.sampled_from([b"a", b"b", b"\x00", b"\xff" * 8, b"c:1", b"c:10", bytes(500)])
times = st.integers(0, 40) | st.sampled_from([1_700_000_000_000, (1 << 63) - 1])
states = st.none() | st.binary(max_size=20) | st.integers(4_000, 9_000).map(bytes)
batches = st.lists(st.builds(Write, keys, states, st.none() | times), max_size=12)


class StoresAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.memory = MemoryStore()
        self.disk = LmdbStore(self.folder, map_size=1 << 16)

    @rule(partition=partitions, batch=batches, position=st.integers(0, 1 << 40))
    def apply(self, partition: int, batch: list[Write], position: int) -> None:
        self.memory.apply(partition, batch, position)
        self.disk.apply(partition, batch, position)

    @rule(partition=partitions, now=times)
    def mark(self, partition: int, now: int) -> None:
        self.memory.mark(partition, now)
        self.disk.mark(partition, now)

    @rule(partition=partitions)
    def drop(self, partition: int) -> None:
        self.memory.drop(partition)
        self.disk.drop(partition)

    @rule(partition=partitions, until=times, limit=st.integers(0, 5))
    def due(self, partition: int, until: int, limit: int) -> None:
        assert self.disk.due(partition, until, limit) == self.memory.due(partition, until, limit)

    @rule(partition=partitions)
    def next_due(self, partition: int) -> None:
        assert self.disk.next_due(partition) == self.memory.next_due(partition)

    @rule(partition=partitions, some=st.lists(keys))
    def get_many(self, partition: int, some: list[bytes]) -> None:
        assert self.disk.get_many(partition, some) == self.memory.get_many(partition, some)

    @rule()
    def open_again(self) -> None:
        self.disk.close()
        self.disk = LmdbStore(self.folder)

    @invariant()
    def all_is_equal(self) -> None:
        assert self.disk.partitions() == self.memory.partitions()
        for partition in range(3):
            assert list(self.disk.items(partition)) == list(self.memory.items(partition))
            assert self.disk.count(partition) == self.memory.count(partition)
            assert self.disk.position(partition) == self.memory.position(partition)
            assert self.disk.stamp(partition) == self.memory.stamp(partition)

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.folder)


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
