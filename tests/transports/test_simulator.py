"""The simulated cluster: the suite of all transports, and what only a simulation can be asked for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from tests.transports.conformance import WAIT_MS, Connect, TransportConformance, publish, sends, values
from worker.transports.base import EARLIEST, Consumer, Producer, Record, Send, TopicPartition, TopicSpec
from worker.transports.errors import CommitUnknown, Fatal, Fenced, OffsetOutOfRange, Retriable
from worker.transports.simulator import CrashAt, Faults, SimulatedCluster, SimulatedCrash, SimulatedTransport


class TestSimulator(TransportConformance):
    limit_seconds = 5.0

    @pytest.fixture
    def connect(self) -> Connect:
        cluster = SimulatedCluster()
        names = itertools.count()
        return lambda: cluster.connect(f"process-{next(names)}")


IN = TopicPartition("in", 0)
OUT = TopicPartition("out", 0)


def cluster_of(faults: Faults | None = None, seed: int = 0, partitions: int = 1, **config: str) -> SimulatedCluster:
    cluster = SimulatedCluster(seed, faults)
    for name in ("in", "out"):
        cluster.create(TopicSpec(name, partitions, config={key.replace("_", "."): to for key, to in config.items()}))
    return cluster


def member(
    cluster: SimulatedCluster, name: str = "one", instance: str | None = None
) -> tuple[SimulatedTransport, Consumer]:
    transport = cluster.connect(name)
    return transport, transport.consumer("group", ["in"], instance)


def poll_until(consumers: list[Consumer], condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        for consumer in consumers:
            consumer.poll(100, 100)
    raise AssertionError("not within 200 polls")


# ------------------------------------------------------------------------------------------------- virtual time


def test_an_idle_poll_takes_its_timeout_of_virtual_time_and_no_real_time() -> None:
    cluster = cluster_of()
    _, consumer = member(cluster)
    started, before = time.monotonic(), cluster.clock.wall_ms()
    for _ in range(100):
        consumer.poll(60_000, 10)

    assert cluster.clock.wall_ms() - before >= 6_000_000
    assert time.monotonic() - started < 2


def test_wall_time_can_be_set_back_and_monotonic_time_goes_on() -> None:
    clock = SimulatedCluster().clock
    clock.advance(5_000)
    wall, monotonic = clock.wall_ms(), clock.monotonic()
    clock.jump(-3_000)
    clock.advance(1_000)

    assert clock.wall_ms() == wall - 2_000
    assert clock.monotonic() == monotonic + 1


def test_what_is_scheduled_happens_at_its_time_in_order() -> None:
    clock = SimulatedCluster().clock
    happened: list[tuple[str, int]] = []
    clock.after(30, lambda: happened.append(("c", clock.now_ms)))
    clock.after(10, lambda: happened.append(("a", clock.now_ms)))
    clock.after(10, lambda: clock.after(5, lambda: happened.append(("b", clock.now_ms))))
    clock.advance(20)

    assert happened == [("a", 10), ("b", 15)]
    clock.advance(20)
    assert happened[2:] == [("c", 30)]


# ------------------------------------------------------------------------------------------------- transactions


def test_a_dead_producer_s_transaction_is_aborted_after_its_timeout() -> None:
    cluster = cluster_of()
    transport = cluster.connect("one")
    producer = transport.producer("t")
    producer.begin()
    producer.send([Send("out", 0, b"k", b"unfinished")])
    producer.flush(WAIT_MS)
    transport.crash()
    cluster.append([Send("out", 0, b"k", b"after it")])
    reader = cluster.connect("two").reader()
    reader.assign({OUT: EARLIEST})

    assert reader.poll(5_000, 10) == [], "the open transaction holds back what was written after it"
    assert values(reader.poll(10_000, 10)) == [b"after it"]


def test_a_transaction_that_took_too_long_is_fenced() -> None:
    cluster = cluster_of()
    producer = cluster.connect("one").producer("t")
    producer.begin()
    producer.send(sends("out", 1))
    producer.flush(WAIT_MS)
    cluster.clock.advance(10_001)

    with pytest.raises(Fenced):
        producer.commit(WAIT_MS)
    assert cluster.records("out") == []


def test_markers_may_come_one_by_one_after_the_commit_has_answered() -> None:
    late = 0
    for seed in range(20):
        cluster = cluster_of(Faults(slow_markers=1.0), seed, partitions=4)
        producer = cluster.connect("one").producer("t")
        producer.begin()
        producer.send(sends("out", 8, partitions=4))
        producer.flush(WAIT_MS)
        producer.commit(WAIT_MS)
        seen = []
        for _ in range(200):
            seen.append(len(cluster.records("out")))
            cluster.clock.advance(10)
        assert seen == sorted(seen)
        assert len(cluster.records("out")) == 8
        late += bool({2, 4, 6} & set(seen))

    assert late > 10, "in most runs the commit was seen in part before it was seen whole"


def test_the_next_transaction_waits_for_the_last_one_s_markers() -> None:
    cluster = cluster_of(Faults(slow_markers=1.0))
    producer = cluster.connect("one").producer("t")
    for number in range(5):
        publish(producer, sends("out", 1, start=number))
    cluster.clock.advance(2_000)

    assert values(cluster.records("out")) == [b"value-%d" % number for number in range(5)]


def test_a_commit_without_an_answer_has_happened_or_not() -> None:
    outcomes = set()
    for seed in range(40):
        cluster = cluster_of(Faults(lost_answer=0.3, refused=0.3), seed)
        try:
            producer = cluster.connect("one").producer("t")
            producer.begin()
            producer.send(sends("out", 1))
            producer.flush(WAIT_MS)
        except Retriable:
            continue
        try:
            producer.commit(WAIT_MS)
            outcomes.add(("answered", len(cluster.records("out"))))
        except CommitUnknown:
            outcomes.add(("unknown", len(cluster.records("out"))))

    assert outcomes == {("answered", 1), ("unknown", 0), ("unknown", 1)}


def test_a_late_commit_counts_unless_its_producer_was_fenced_before() -> None:
    outcomes = set()
    for seed in range(20):
        for fenced in (False, True):
            cluster = cluster_of(Faults(late_commit=1.0), seed)
            producer = cluster.connect("one").producer("t")
            producer.begin()
            producer.send(sends("out", 1))
            producer.flush(WAIT_MS)
            with pytest.raises(CommitUnknown):
                producer.commit(WAIT_MS)
            if fenced:
                cluster.clock.advance(1_500)
                cluster.connect("two").producer("t")
            cluster.clock.advance(5_000)
            outcomes.add((fenced, len(cluster.records("out"))))
            assert cluster.settled()

    assert outcomes == {(False, 1), (True, 0), (True, 1)}, "with a successor it depends on which was first"


def test_part_of_a_batch_may_be_written_and_is_never_seen() -> None:
    written = 0
    for seed in range(20):
        cluster = cluster_of(Faults(partial=1.0), seed, partitions=4)
        producer = cluster.connect("one").producer("t")
        producer.begin()
        producer.send(sends("out", 4, partitions=4))
        with pytest.raises(Retriable):
            producer.flush(WAIT_MS)
        ends = cluster.connect("two").admin().end_offsets([TopicPartition("out", n) for n in range(4)])
        written += 0 < sum(ends.values()) < 4
        cluster.connect("three").producer("t")
        assert cluster.records("out") == []
        assert cluster.settled()

    assert written > 10


def test_a_producer_used_after_an_error_says_so() -> None:
    cluster = cluster_of(Faults(refused=1.0))
    with pytest.raises(Retriable):
        cluster.connect("one").producer("t")
    cluster.calm()
    transport = cluster.connect("one")
    old, new = transport.producer("t"), transport.producer("t")
    old.begin()
    old.send(sends("out", 1))
    with pytest.raises(Fenced):
        old.flush(WAIT_MS)

    for use in (old.begin, lambda: old.send([]), lambda: old.commit(WAIT_MS), lambda: old.abort(WAIT_MS)):
        with pytest.raises(Fatal):
            use()
    with pytest.raises(Fatal):
        new.commit(WAIT_MS)


# ------------------------------------------------------------------------------------------------- groups


def test_a_crashed_member_s_partitions_go_to_the_others_after_its_session() -> None:
    cluster = cluster_of(partitions=4)
    first, one = member(cluster, "one")
    _, two = member(cluster, "two")
    poll_until([one, two], lambda: len(one.assignment()) == len(two.assignment()) == 2)
    first.crash()
    crashed_at = cluster.clock.now_ms
    poll_until([two], lambda: len(two.assignment()) == 4)

    assert 10_000 <= cluster.clock.now_ms - crashed_at < 12_000
    with pytest.raises(SimulatedCrash):
        one.poll(0, 1)
    one.close()


def test_a_suspended_member_comes_back_as_a_zombie_and_is_refused() -> None:
    cluster = cluster_of(partitions=2)
    first, one = member(cluster, "one")
    _, two = member(cluster, "two")
    poll_until([one, two], lambda: len(one.assignment()) == len(two.assignment()) == 1)
    held, metadata = one.assignment(), one.group_metadata()
    first.suspend()
    poll_until([two], lambda: len(two.assignment()) == 2)
    first.resume()

    assert one.assignment() == held, "it doesn't know yet"
    producer = first.producer("t")
    producer.begin()
    with pytest.raises(Fenced):
        producer.send_offsets(dict.fromkeys(held, 5), metadata, WAIT_MS)
    one.poll(0, 10)
    assert one.lost()
    assert not one.lost()
    assert one.assignment() == frozenset()
    poll_until([one, two], lambda: len(one.assignment()) == len(two.assignment()) == 1)


def test_a_short_suspension_is_not_noticed() -> None:
    cluster = cluster_of()
    first, one = member(cluster)
    poll_until([one], lambda: len(one.assignment()) == 1)
    first.suspend()
    cluster.clock.advance(9_000)
    first.resume()
    cluster.clock.advance(9_000)
    one.poll(0, 1)

    assert not one.lost()
    assert one.assignment() == {IN}


def test_a_member_that_does_not_poll_for_too_long_loses_its_partitions() -> None:
    cluster = cluster_of()
    _, one = member(cluster)
    poll_until([one], lambda: len(one.assignment()) == 1)
    cluster.clock.advance(300_002)
    one.poll(0, 1)

    assert one.lost()


def test_a_static_member_s_place_is_kept_for_its_session() -> None:
    cluster = cluster_of(partitions=2)
    first, one = member(cluster, "one", "i-1")
    _, two = member(cluster, "two", "i-2")
    poll_until(
        [one, two],
        lambda: (
            len(one.assignment()) == len(two.assignment()) == 1
            and one.group_metadata().generation == two.group_metadata().generation
        ),
    )
    held, generation = one.assignment(), one.group_metadata().generation
    first.crash()
    cluster.clock.advance(9_000)
    _, again = member(cluster, "one", "i-1")
    again.poll(0, 1)
    assert (again.assignment(), again.group_metadata().generation) == (held, generation)
    cluster.clock.advance(9_000)
    two.poll(0, 1)
    again.poll(0, 1)
    assert again.group_metadata().generation == generation, "the first one's session ended without an effect"

    again.close()
    poll_until([two], lambda: len(two.assignment()) == 2)


def test_an_evicted_member_s_offsets_are_refused_before_it_knows() -> None:
    cluster = cluster_of(Faults(evict=1.0))
    transport, one = member(cluster)
    one.poll(0, 1)
    held, metadata = one.assignment(), one.group_metadata()
    producer = transport.producer("t")
    producer.begin()

    with pytest.raises(Fenced):
        producer.send_offsets(dict.fromkeys(held, 1), metadata, WAIT_MS)
    assert one.assignment() == held == {IN}


def test_committed_offsets_wait_for_the_transaction_that_holds_one() -> None:
    cluster = cluster_of()
    transport, one = member(cluster)
    poll_until([one], lambda: len(one.assignment()) == 1)
    producer = transport.producer("t")
    producer.begin()
    producer.send_offsets({IN: 7}, one.group_metadata(), WAIT_MS)
    with pytest.raises(Retriable):
        one.committed([IN], timeout_ms=3_000)

    assert one.committed([IN], timeout_ms=30_000) == {IN: None}, "the coordinator has aborted it meanwhile"


# ------------------------------------------------------------------------------------------------- faults, topics


def test_a_cluster_that_is_away_gives_nothing_and_comes_back() -> None:
    cluster = cluster_of(Faults(outage=1.0))
    cluster.append(sends("in", 3))
    transport, one = member(cluster)
    assert one.poll(100, 10) == []
    with pytest.raises(Retriable):
        transport.admin().partitions("in")
    cluster.calm()
    poll_until([one], lambda: len(one.assignment()) == 1)
    one.seek(IN, 0)

    assert values(one.poll(100, 10)) == [b"value-0", b"value-1", b"value-2"]


def test_sessions_do_not_end_while_the_cluster_is_away() -> None:
    cluster = cluster_of()
    first, one = member(cluster, "one")
    poll_until([one], lambda: len(one.assignment()) == 1)
    first.suspend()
    cluster._away_until_ms = cluster.clock.now_ms + 60_000
    cluster.clock.advance(60_000)
    first.resume()
    one.poll(0, 1)

    assert not one.lost()


def test_a_foreign_transaction_holds_back_readers_for_a_while_and_is_never_seen() -> None:
    cluster = cluster_of(Faults(foreign=1.0))
    _, one = member(cluster)
    one.poll(0, 1)
    one.seek(IN, 0)
    cluster.append(sends("in", 3))
    assert not cluster.settled()
    assert one.poll(0, 10) == []
    cluster.calm()
    cluster.clock.advance(5_000)

    assert values(one.poll(0, 10)) == [b"value-0", b"value-1", b"value-2"]


def test_compaction_leaves_each_key_s_last_record_and_young_removals() -> None:
    cluster = cluster_of(cleanup_policy="compact", delete_retention_ms="60000")
    cluster.append([Send("out", 0, b"a", b"1"), Send("out", 0, b"b", b"1"), Send("out", 0, b"a", b"2")])
    cluster.append([Send("out", 0, b"b", None)])
    cluster.clock.advance(1_000)
    cluster.compact("out")
    assert [(record.key, record.value) for record in cluster.records("out")] == [(b"a", b"2"), (b"b", None)]
    cluster.clock.advance(60_000)
    cluster.compact("out")

    assert [(record.offset, record.value) for record in cluster.records("out")] == [(2, b"2")]
    reader = cluster.connect("one").reader()
    reader.assign({OUT: EARLIEST})
    poll_all: list[Record] = [*reader.poll(0, 10), *reader.poll(0, 10)]
    assert values(poll_all) == [b"2"]
    assert reader.position(OUT) == 4


def test_compaction_touches_nothing_past_the_last_stable_offset() -> None:
    cluster = cluster_of(cleanup_policy="compact")
    cluster.append([Send("out", 0, b"a", b"1")])
    producer = cluster.connect("one").producer("t")
    producer.begin()
    producer.send([Send("out", 0, b"a", b"2")])
    producer.flush(WAIT_MS)
    cluster.compact("out")
    producer.abort(WAIT_MS)

    assert values(cluster.records("out")) == [b"1"]


def test_deleting_past_the_end_is_an_error() -> None:
    with pytest.raises(OffsetOutOfRange):
        cluster_of().connect("one").admin().delete_records({OUT: 1})


def test_a_topic_that_is_not_there_is_fatal() -> None:
    transport = cluster_of().connect("one")
    producer = transport.producer("t")
    producer.begin()
    with pytest.raises(Fatal, match="missing"):
        producer.send([Send("missing", 0, None, None)])
    with pytest.raises(Fatal, match="missing"):
        transport.admin().config("missing")


def test_chances_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="refused"):
        SimulatedCluster(0, Faults(refused=1.5))
    with pytest.raises(ValueError, match="more than 1"):
        SimulatedCluster(0, Faults(refused=0.6, crash=0.6))


# ------------------------------------------------------------------------------------------------- crashes


def test_a_dead_process_has_no_effect_whatever_its_code_still_calls() -> None:
    cluster = cluster_of()
    transport, consumer = member(cluster)
    producer = transport.producer("t")
    producer.begin()
    producer.send(sends("out", 1))
    producer.flush(WAIT_MS)
    transport.plan = CrashAt("flushed")
    with pytest.raises(SimulatedCrash, match="flushed"):
        transport.crash_point("flushed")

    for call in (lambda: producer.commit(WAIT_MS), lambda: producer.abort(WAIT_MS), lambda: consumer.poll(0, 1)):
        with pytest.raises(SimulatedCrash):
            call()
    producer.close()
    consumer.close()
    assert cluster.records("out") == []
    assert not cluster.settled(), "nobody told the coordinator"


def test_a_planned_crash_comes_at_the_nth_time_of_its_step() -> None:
    transport = cluster_of().connect("one")
    plan = transport.plan = CrashAt("b", nth=2)
    for step in ("a", "b", "a"):
        transport.crash_point(step)
    with pytest.raises(SimulatedCrash):
        transport.crash_point("b")

    assert plan.reached == ["a", "b", "a", "b"]


# ------------------------------------------------------------------------------------------------- whole runs


class Copier:
    """The least worker: copies `in` to `out`, exactly once, one poll a transaction."""

    def __init__(self, cluster: SimulatedCluster, name: str) -> None:
        self.transport = cluster.connect(name)
        self.name = name
        self.consumer = self.transport.consumer("group", ["in"], name)
        self.producer: Producer | None = None
        self.ready: frozenset[TopicPartition] = frozenset()

    def step(self) -> None:
        try:
            self._step()
        except (Retriable, Fenced):
            self.producer = None
            self.ready = frozenset()

    def _step(self) -> None:
        records = self.consumer.poll(200, 7)
        metadata = self.consumer.group_metadata()
        if self.consumer.lost():
            self.ready = frozenset()
            return
        if self.producer is None:
            self.producer = self.transport.producer(f"group-{self.name}")
        held = self.consumer.assignment()
        unready = sorted(held - self.ready)
        self.ready &= held
        if unready:
            for partition, offset in self.consumer.committed(unready, 15_000).items():
                self.consumer.seek(partition, offset or 0)
                self.ready |= {partition}
            records = [record for record in records if TopicPartition(record.topic, record.partition) not in unready]
        if not records:
            return
        self.producer.begin()
        self.producer.send([Send("out", record.partition, record.key, record.value) for record in records])
        self.transport.crash_point("sent")
        self.producer.flush(5_000)
        self.transport.crash_point("flushed")
        ends = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        self.producer.send_offsets(ends, metadata, 5_000)
        self.transport.crash_point("offsets")
        self.producer.commit(5_000)
        self.transport.crash_point("committed")


def copied(seed: int, faults: Faults) -> SimulatedCluster:
    """A run of three copiers that are started anew whenever they die; at its end all of the input is copied."""
    cluster = cluster_of(faults, seed, partitions=4)
    cluster.append(sends("in", 200, partitions=4))
    wanted = {TopicPartition("in", number): 50 for number in range(4)}
    copiers = [Copier(cluster, f"copier-{number}") for number in range(3)]

    def turn(place: int) -> None:
        try:
            copiers[place].step()
        except SimulatedCrash:
            copiers[place] = Copier(cluster, f"copier-{place}")

    def meanwhile(stalled: str) -> None:
        turn(cluster.dice.random.choice([place for place in range(3) if copiers[place].name != stalled]))

    cluster.meanwhile = meanwhile
    for number in range(3_000):
        if number == 600:
            cluster.calm()
        done = cluster.committed("group")
        if all(done.get(partition, 0) >= end for partition, end in wanted.items()) and cluster.settled():
            return cluster
        turn(number % 3)
    raise AssertionError(f"seed {seed}: not copied within 3,000 turns; the last faults: {list(cluster.trace)[-20:]}")


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05])
def test_an_exactly_once_copier_copies_exactly_once_under_every_seed(rate: float, seed: int) -> None:
    cluster = copied(seed, Faults.some(rate))
    for number in range(4):
        sent = [record.value for record in cluster.records("in") if record.partition == number]
        seen = [record.value for record in cluster.records("out") if record.partition == number]
        assert seen == sent, "\n".join(cluster.trace)
    assert bool(cluster.trace) == bool(rate)


@pytest.mark.parametrize("mistake", ["no fencing", "no offsets", "commit is believed lost"])
def test_the_simulation_finds_a_worker_that_is_wrong(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copier with a mistake loses or doubles something in at least one of the seeds."""
    step = Copier._step

    def wrong(self: Copier) -> None:
        if mistake == "no offsets":
            monkeypatch.setattr(self.consumer, "committed", lambda wanted, _: dict.fromkeys(wanted, 0))
        elif mistake == "no fencing":
            monkeypatch.setattr(self.consumer._group, "check", lambda _: None)
        try:
            step(self)
        except CommitUnknown:
            if mistake == "commit is believed lost":
                self.producer = None  # goes on from its position as if it had been committed
                return
            raise

    monkeypatch.setattr(Copier, "_step", wrong)
    wrong_runs = 0
    for seed in range(40 if mistake == "no fencing" else 8):
        cluster = copied(seed, Faults.some(0.03))
        for number in range(4):
            sent = [record.value for record in cluster.records("in") if record.partition == number]
            seen = [record.value for record in cluster.records("out") if record.partition == number]
            wrong_runs += seen != sent
    assert wrong_runs > 0


def test_the_same_seed_is_the_same_run_to_the_last_record() -> None:
    for seed in range(5):
        first, second = copied(seed, Faults.some(0.03)), copied(seed, Faults.some(0.03))
        assert list(first.trace) == list(second.trace)
        assert first.points == second.points
        assert first.clock.now_ms == second.clock.now_ms
        assert [first.records(topic) for topic in ("in", "out")] == [second.records(topic) for topic in ("in", "out")]


def test_another_seed_is_another_run() -> None:
    assert list(copied(1, Faults.some(0.03)).trace) != list(copied(2, Faults.some(0.03)).trace)
