"""When a worker is to be started again, and when what it publishes is up to date: judged on real loops in made time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from tests.live.support import LIMITS, Stand
from tests.runtime.support import CHANGELOG, INPUT, Bench, event
from tests.runtime.test_loop import contacts_in
from worker.live.health import NAMED_MAX, Health
from worker.stores.memory import MemoryStore
from worker.transports.base import Record, Send
from worker.transports.simulator.clients import SimulatedConsumer


def health_of(bench: Bench) -> Health:
    return Health(bench.worker.metrics, bench.cluster.clock, threading.current_thread(), LIMITS, lambda: False)


def settled(bench: Bench) -> Health:
    """A worker that has read everything, and looked at the ends since."""
    bench.settle()
    health = health_of(bench)
    bench.until(lambda: not health.unready(), "ready", each_ms=100)
    return health


def test_a_worker_that_has_read_everything_is_ready() -> None:
    bench = Bench(partitions=2)
    for name in "abcdef":
        bench.send("seen", name)
    health = health_of(bench)
    assert health.unready() == ["it is no member of the group yet"]
    assert settled(bench).ill() == []


def test_a_worker_is_not_ready_while_it_restores() -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann")
    bench.settle()
    zombie = bench.cluster.connect("zombie").producer("zombie")  # its open transaction holds the restore up
    zombie.begin()
    zombie.send([Send(CHANGELOG, 0, b"c:x", None)])
    zombie.flush(1_000)
    bench.store = MemoryStore()
    bench.start()
    bench.turn(5)
    health = health_of(bench)
    (why,) = health.unready()
    assert why.startswith("partition 0 is not restored") and why.endswith("records left")
    assert health.ill() == []
    bench.cluster.clock.advance(10_000)
    settled(bench)


def test_a_worker_with_a_backlog_is_not_ready_until_it_has_caught_up() -> None:
    bench = Bench(partitions=1, batch_records=1)
    for number in range(200):
        bench.send("seen", f"contact-{number}")
    health = health_of(bench)
    bench.until(lambda: bench.worker.live() == {0}, "live")
    bench.turn(2)
    (why,) = health.unready()
    assert why.startswith("partition 0 has not caught up")
    settled(bench)


def test_a_partition_that_is_behind_and_stands_still_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(partitions=2)
    health = settled(bench)
    poll = SimulatedConsumer.poll

    def deaf(self: SimulatedConsumer, timeout_ms: int, limit: int) -> Sequence[Record]:
        """Nothing comes of partition 1, and the client says nothing of it."""
        at = self.position(next(place for place in self.assignment() if place.partition == 1))
        records = poll(self, timeout_ms, limit)
        self.seek(next(place for place in self.assignment() if place.partition == 1), at)
        return [record for record in records if record.partition != 1]

    monkeypatch.setattr(SimulatedConsumer, "poll", deaf)
    for partition in (0, 1):
        bench.send("seen", contacts_in(partition, 1)[0])
    bench.turn(40, each_ms=1_000)
    assert health.unready() == []  # behind, but not yet for long
    bench.turn(30, each_ms=1_000)
    assert health.unready() == ["partition 1 is frozen, 1 records behind"]
    assert health.frozen() == [1] and health.ill() == []
    monkeypatch.undo()
    bench.turn(5, each_ms=1_000)
    assert health.unready() == []


def test_an_idle_partition_is_not_frozen() -> None:
    bench = Bench(partitions=2)
    health = settled(bench)
    bench.turn(300, each_ms=1_000)
    assert health.unready() == []


def test_a_topic_that_ends_in_a_transaction_s_marker_is_read_to_its_end() -> None:
    """The marker takes an offset and is no record: what is committed stays before it."""
    bench = Bench(partitions=1)
    health = settled(bench)
    producer = bench.cluster.connect("another system").producer("sender")
    producer.begin()
    producer.send([Send(INPUT, 0, b"ann", event("seen", "ann", bench.cluster.clock.wall_ms(), "a1"))])
    producer.flush(1_000)
    producer.commit(1_000)
    bench.turn(100, each_ms=1_000)
    assert bench.published() == ["ann seen a1 1"]
    assert bench.worker.metrics.lag_records == {0: 0}
    assert health.unready() == []


def test_a_loop_that_does_not_turn_is_ill_and_not_ready() -> None:
    bench = Bench(partitions=1)
    health = settled(bench)
    bench.cluster.clock.advance(119_000)
    assert health.ill() == []
    bench.cluster.clock.advance(2_000)
    assert health.ill() == ["the loop has not turned for 121 s, the limit is 120 s"]
    assert health.ill()[0] in health.unready()


def test_a_thread_that_has_ended_is_ill() -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    stand = Stand().ready()
    assert Health(stand.metrics, stand.clock, ended, LIMITS, lambda: False).ill() == ["the loop has ended"]


def test_a_log_that_is_away_is_waited_for_and_the_worker_not_ready() -> None:
    stand = Stand().ready()
    stand.metrics.attempts = 3
    assert stand.health.unready() == ["the log is waited for, 3 attempts so far"]
    assert stand.health.ill() == []  # starting it again would not bring the log back


def test_a_worker_that_was_told_to_stop_is_not_ready() -> None:
    stand = Stand().ready()
    stand.stopping.set()
    assert stand.health.unready() == ["it has been told to stop"]


def test_a_worker_without_partitions_stands_by_and_is_ready() -> None:
    stand = Stand().ready()
    stand.metrics.left()
    assert stand.health.unready() == ["it is no member of the group yet"]
    stand.metrics.member = True
    assert stand.health.unready() == []


def test_an_answer_names_few_of_many_partitions() -> None:
    stand = Stand().ready()
    stand.metrics.held = frozenset(range(1_000))
    why = stand.health.unready()
    assert len(why) == NAMED_MAX + 1
    assert why[-1] == f"and {1_000 - 3 - NAMED_MAX} more partitions"


def test_what_is_told_of_partitions_is_what_is_held_through_every_rebalance() -> None:
    """Others are told to look elsewhere by it: two workers come, sleep too long, lose everything and come back."""
    bench = Bench(partitions=4)
    settled(bench)
    first, second = bench.worker, bench.start(instance_id="two")

    def agree() -> None:
        for worker in (first, second):
            session = worker._session
            held = {} if session is None else session.held
            metrics = worker.metrics
            assert metrics.held == held.keys()
            assert metrics.live == worker.live()
            assert metrics.caught_up | metrics.lag_records.keys() | metrics.advanced.keys() <= held.keys()

    for asleep in (first, second, None, first):
        for turn in range(200):
            for worker in (first, second):
                if worker is not asleep or turn >= 150:
                    worker.step()
                    agree()
            bench.cluster.clock.advance(200)
        assert first.live() | second.live() == set(range(4))
    assert first.metrics.rebalances > 1


def test_who_leaves_the_group_holds_nothing_any_more() -> None:
    bench = Bench(partitions=2)
    settled(bench)
    metrics = bench.worker.metrics
    bench.worker.close()
    assert not metrics.held and not metrics.live and not metrics.member
    assert not metrics.lag_records and not metrics.advanced and not metrics.read_until_ms
