"""What every store does. A store's own test subclasses `StoreConformance` and says how one is opened."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from worker.stores import Store, StoreError, Write
from worker.stores.base import KEY_BYTES_MAX


class StoreConformance(abc.ABC):
    @abc.abstractmethod
    def open(self, folder: Path) -> Store:
        """A new store; the same folder again is the same store, where it outlives its object at all."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with closing(self.open(tmp_path / "state")) as store:
            yield store

    def test_untouched_partition_has_nothing(self, store: Store) -> None:
        assert store.get(0, b"a") is None
        assert store.get_many(0, [b"a", b"b"]) == [None, None]
        assert store.position(0) is None
        assert store.stamp(0) is None
        assert store.due(0, 10**15, 10) == []
        assert store.next_due(0) is None
        assert list(store.items(0)) == []
        assert store.count(0) == 0
        assert store.partitions() == []

    def test_applied_writes_are_read_with_their_position(self, store: Store) -> None:
        store.apply(3, [Write(b"a", b"1", None), Write(b"b", b"2", 500)], position=17)

        assert store.get(3, b"a") == b"1"
        assert store.get_many(3, [b"b", b"none", b"a"]) == [b"2", None, b"1"]
        assert store.position(3) == 17
        assert store.count(3) == 2

    def test_partitions_do_not_see_each_other(self, store: Store) -> None:
        store.apply(1, [Write(b"a", b"one", 100)], 5)
        store.apply(2, [Write(b"a", b"two", 200)], 6)
        store.drop(1)

        assert store.get(1, b"a") is None
        assert store.get(2, b"a") == b"two"
        assert store.next_due(2) == 200
        assert store.partitions() == [2]

    def test_state_and_key_may_be_any_bytes(self, store: Store) -> None:
        keys = [b"\x00", b"\xff" * KEY_BYTES_MAX, b"c:\x00", b"c:", b"\xff" * 8 + b"x"]
        store.apply(0, [Write(key, key * 3, 7) for key in keys], 1)

        assert store.get_many(0, keys) == [key * 3 for key in keys]
        assert store.due(0, 7, 10) == sorted(keys)
        assert [key for key, _ in store.items(0)] == sorted(keys)

    def test_empty_and_large_states_come_back_whole(self, store: Store) -> None:
        large = bytes(range(256)) * 4_000
        store.apply(0, [Write(b"empty", b"", None), Write(b"large", large, 1)], 1)

        assert store.get(0, b"empty") == b""
        assert store.get(0, b"large") == large
        assert store.count(0) == 2

    @pytest.mark.parametrize("write", [Write(b"", b"1", None), Write(b"k" * 501, b"1", None), Write(b"k", b"1", -1)])
    def test_batch_with_an_impossible_write_is_refused_whole(self, store: Store, write: Write) -> None:
        with pytest.raises(ValueError):
            store.apply(0, [Write(b"good", b"1", 5), write], 9)

        assert store.get(0, b"good") is None
        assert store.position(0) is None
        assert store.next_due(0) is None

    def test_removed_key_leaves_no_state_and_no_timer(self, store: Store) -> None:
        store.apply(0, [Write(b"a", b"1", 100), Write(b"b", b"2", 200)], 1)
        store.apply(0, [Write(b"a", None, None), Write(b"never", None, None)], 2)

        assert store.get(0, b"a") is None
        assert store.due(0, 10**15, 10) == [b"b"]
        assert store.count(0) == 1

    def test_removal_with_a_timer_leaves_no_timer(self, store: Store) -> None:
        store.apply(0, [Write(b"a", b"1", 100)], 1)
        store.apply(0, [Write(b"a", None, 50)], 2)

        assert store.next_due(0) is None

    def test_last_of_several_writes_to_a_key_counts(self, store: Store) -> None:
        store.apply(0, [Write(b"a", b"1", 100), Write(b"a", None, None), Write(b"a", b"3", 300)], 1)
        store.apply(0, [Write(b"b", b"1", 100), Write(b"b", None, None)], 2)

        assert store.get(0, b"a") == b"3"
        assert store.get(0, b"b") is None
        assert store.due(0, 10**15, 10) == [b"a"]
        assert store.next_due(0) == 300

    def test_timers_come_earliest_first_then_by_key_and_stay_until_changed(self, store: Store) -> None:
        store.apply(0, [Write(b"c", b"", 30), Write(b"a", b"", 20), Write(b"b", b"", 20), Write(b"z", b"", 10)], 1)

        assert store.due(0, 30, 10) == [b"z", b"a", b"b", b"c"]
        assert store.due(0, 30, 10) == [b"z", b"a", b"b", b"c"]
        assert store.due(0, 29, 10) == [b"z", b"a", b"b"]
        assert store.due(0, 30, 2) == [b"z", b"a"]
        assert store.due(0, 30, 0) == []
        assert store.due(0, 9, 10) == []
        assert store.due(0, -1, 10) == []
        assert store.next_due(0) == 10

    @pytest.mark.parametrize(("first", "then"), [(100, 900), (900, 100), (100, None), (None, 100), (100, 100)])
    def test_changed_timer_is_due_at_its_new_time_only(self, store: Store, first: int | None, then: int | None) -> None:
        store.apply(0, [Write(b"a", b"1", first), Write(b"other", b"", 500)], 1)
        store.apply(0, [Write(b"a", b"2", then)], 2)

        order = sorted([(500, b"other")] + ([] if then is None else [(then, b"a")]))
        assert store.next_due(0) == order[0][0]
        assert store.due(0, 10**15, 10) == [key for _, key in order]
        assert store.due(0, 499, 10) == [key for due, key in order if due <= 499]
        assert store.get(0, b"a") == b"2"

    def test_timer_moved_to_and_fro_is_due_once(self, store: Store) -> None:
        for position, due in enumerate([100, 300, 100, 200, 100, None, 100, 300, 200]):
            store.apply(0, [Write(b"a", b"", due)], position)

        assert store.due(0, 10**15, 10) == [b"a"]
        assert store.next_due(0) == 200
        store.apply(0, [Write(b"a", b"", None)], 20)
        assert store.due(0, 10**15, 10) == []

    def test_many_moved_timers_do_not_hide_a_due_one(self, store: Store) -> None:
        keys = [b"%05d" % number for number in range(3_000)]
        store.apply(0, [Write(key, b"", 100) for key in keys] + [Write(b"due", b"", 101)], 1)
        store.apply(0, [Write(key, b"", 10_000) for key in keys], 2)

        assert store.due(0, 200, 5) == [b"due"]
        assert store.next_due(0) == 101
        assert len(store.due(0, 10_000, 10_000)) == 3_001

    def test_items_are_every_key_in_order(self, store: Store) -> None:
        keys = [b"%05d" % (number * 7919 % 10_007) for number in range(2_500)]
        store.apply(0, [Write(key, key + b"!", 1) for key in keys], 1)

        assert list(store.items(0)) == [(key, key + b"!") for key in sorted(keys)]

    def test_items_allow_writes_meanwhile(self, store: Store) -> None:
        store.apply(0, [Write(b"%05d" % number, b"1", None) for number in range(2_000)], 1)
        seen = []
        for key, _ in store.items(0):
            seen.append(key)
            if len(seen) % 500 == 0:
                store.apply(0, [Write(b"%05d" % (1_999 - len(seen)), b"2", None), Write(b"new", b"", None)], 2)

        assert [key for key in seen if key != b"new"] == [b"%05d" % number for number in range(2_000)]

    def test_mark_is_remembered_apart_from_state(self, store: Store) -> None:
        store.mark(4, 1_700_000_000_000)

        assert store.stamp(4) == 1_700_000_000_000
        assert store.position(4) is None
        assert store.partitions() == [4]

    def test_dropped_partition_is_as_never_filled_and_can_be_filled_again(self, store: Store) -> None:
        store.apply(0, [Write(b"a", b"1", 5)], 1)
        store.mark(0, 77)
        store.drop(0)
        store.drop(9)

        assert (store.get(0, b"a"), store.position(0), store.stamp(0), store.next_due(0)) == (None, None, None, None)
        assert (store.count(0), list(store.items(0)), store.partitions()) == (0, [], [])
        store.apply(0, [Write(b"b", b"2", 6)], 2)
        assert store.due(0, 10, 10) == [b"b"]
        assert list(store.items(0)) == [(b"b", b"2")]

    def test_empty_batch_still_moves_the_position(self, store: Store) -> None:
        store.apply(0, [], 12)

        assert store.position(0) == 12
        assert store.count(0) == 0

    def test_writes_may_be_an_iterator(self, store: Store) -> None:
        store.apply(0, (Write(b"%d" % number, b"", None) for number in range(5)), 1)

        assert store.count(0) == 5

    def test_scrubbed_store_holds_what_it_held(self, store: Store) -> None:
        store.apply(0, [Write(b"a", b"one", 5), Write(b"b", b"two", None), Write(b"c", b"three", 9)], 7)
        store.apply(0, [Write(b"c", None, None), Write(b"a", b"four", 8)], 8)
        store.mark(0, 3)
        assert store.scrubbed() is None
        store.scrub(11)
        assert list(store.items(0)) == [(b"a", b"four"), (b"b", b"two")]
        assert (store.position(0), store.stamp(0), store.next_due(0), store.scrubbed()) == (8, 3, 8, 11)
        assert store.partitions() == [0]
        store.apply(0, [Write(b"d", b"five", 1)], 9)
        assert store.due(0, 10, 9) == [b"d", b"a"]

    def test_closed_store_says_so(self, tmp_path: Path) -> None:
        store = self.open(tmp_path / "state")
        store.close()
        store.close()

        with pytest.raises(StoreError, match="closed"):
            store.get(0, b"a")
        with pytest.raises(StoreError, match="closed"):
            store.apply(0, [], 1)
