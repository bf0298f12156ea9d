"""What one worker does on a cluster that does as it is told."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import msgspec
import pytest

from tests.runtime.standin import StandIn
from tests.runtime.support import (
    CHANGELOG,
    CONTACTS,
    DEAD,
    GROUP,
    INPUT,
    INTERNAL,
    OUTPUT,
    Bench,
    event,
    header,
    partition_of,
    stored,
)
from worker.runtime.errors import EngineFault, Halt
from worker.runtime.loop import Worker
from worker.runtime.version import worker_version
from worker.stores.memory import MemoryStore
from worker.transports.base import Record, Send, TopicPartition
from worker.transports.errors import Fatal, Fenced
from worker.transports.partitioner import named
from worker.transports.simulator.clients import SimulatedAdmin, SimulatedConsumer

NOW = 1_767_225_600_000


def contacts_in(partition: int, count: int, partitions: int = 2) -> list[str]:
    """Names of contacts whose events lie in this partition."""
    names = (f"contact-{number}" for number in range(1_000))
    return [name for name in names if partition_of(name.encode(), partitions) == partition][:count]


# ---------------------------------------------------------------------------------------------------- what comes out


def test_events_come_out_with_their_state() -> None:
    bench = Bench()
    bench.send("seen", "ann", "a1")
    bench.send("seen", "ann", "a2")
    bench.settle()
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2"]
    assert bench.states()[b"c:ann"].events == ["a1", "a2"]
    assert stored(bench.store, range(2)) == bench.states()


def test_a_redelivered_event_changes_nothing() -> None:
    bench = Bench()
    for _ in range(3):
        bench.send("seen", "ann", "a1")
    bench.settle()
    bench.send("seen", "ann", "a1")
    bench.settle()
    assert bench.published() == ["ann seen a1 1"]
    assert bench.worker.metrics.duplicates == 3


def test_outputs_are_cloudevents_in_the_partition_of_their_key() -> None:
    bench = Bench(partitions=3)
    for name in ("ann", "ben", "cem", "dee"):
        bench.send("seen", name)
    bench.settle()
    records = bench.cluster.records(OUTPUT)
    assert len(records) == 4
    for record in records:
        assert record.partition == partition_of(record.key or b"", 3)
        assert header(record, "content-type") == "application/cloudevents+json; charset=UTF-8"


def test_the_contacts_topic_holds_each_contact_as_it_is_now() -> None:
    bench = Bench()
    bench.send("seen", "ann")
    bench.send("seen", "ann")
    bench.send("seen", "ben")
    bench.settle()
    latest = {record.key: msgspec.json.decode(record.value or b"") for record in bench.cluster.records(CONTACTS)}
    assert {key: value["events"] for key, value in latest.items()} == {b"ann": 2, b"ben": 1}


def test_a_contact_that_ends_leaves_changelog_contacts_topic_and_store() -> None:
    bench = Bench()
    bench.send("seen", "ann")
    bench.settle()
    bench.send("end", "ann")
    bench.settle()
    assert bench.states() == {}
    assert [record.value is None for record in bench.cluster.records(CONTACTS)] == [False, True]
    assert stored(bench.store, range(2)) == {}


def test_without_a_contacts_topic_there_is_none() -> None:
    bench = Bench(contacts_topic=None)
    bench.send("seen", "ann")
    bench.settle()
    assert CONTACTS not in bench.cluster.topics
    assert bench.published()


def test_an_event_that_moves_nothing_writes_no_state_but_its_offset_is_committed() -> None:
    bench = Bench()
    offset = bench.put(b"ann", event("pass", "ann", NOW, "p1"))
    bench.settle()
    assert bench.states() == {}
    committed = bench.cluster.committed(GROUP)
    assert committed[TopicPartition(INPUT, partition_of(b"ann", 2))] == offset + 1


def test_a_message_reaches_the_contact_it_is_for_once() -> None:
    bench = Bench(partitions=4)
    there = next(
        name for name in ("ben", "cem", "dee", "eve") if partition_of(name.encode(), 4) != partition_of(b"ann", 4)
    )
    bench.send("poke", "ann", "p1", target=there)
    bench.send("poke", "ann", "p2", target="ann")
    bench.settle()
    assert bench.states()[b"c:" + there.encode()].pokes == ["p1"]
    assert bench.states()[b"c:ann"].pokes == ["p2"]
    assert bench.worker.metrics.messages == 2


def test_both_offsets_of_a_partition_are_committed_whichever_was_read() -> None:
    bench = Bench()
    bench.send("seen", "ann")
    bench.settle()
    number = partition_of(b"ann", 2)
    committed = bench.cluster.committed(GROUP)
    assert {TopicPartition(INPUT, number), TopicPartition(INTERNAL, number)} <= committed.keys()


# ---------------------------------------------------------------------------------------------------- bad input


def odd(**changed: Any) -> bytes:
    body = msgspec.json.decode(event("seen", "ann", NOW, "x1"))
    body |= changed
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(b"{not json", "not-json", id="not JSON"),
        pytest.param(b'{"a": 1}', "not-cloudevent", id="no CloudEvent"),
        pytest.param(odd(data={"machine": "perhaps"}), "wrong-type", id="a wrong type"),
        pytest.param(odd(subject=None), "no-subject", id="no subject"),
        pytest.param(odd(time=None), "no-time", id="no time"),
        pytest.param(odd(time="1970-01-01T00:00:00Z"), "time-before-2000", id="1970"),
        pytest.param(odd(subject="ben"), "key-is-not-subject", id="key and subject disagree"),
        pytest.param(odd(data={"amount": 1e300}), "number-too-large", id="a number too large"),
        pytest.param(b"\xff\xfe\x00", "not-utf8", id="invalid UTF-8"),
        pytest.param(None, "null-value", id="a null value"),
        pytest.param(odd(type="contact.merged", data={"from": "ann"}), "merge-into-itself", id="merged into itself"),
        pytest.param(odd(type="refuse"), "refused", id="refused by the fold"),
    ],
)
def test_bad_input_is_dead_lettered_as_it_was_and_the_partition_goes_on(value: bytes | None, reason: str) -> None:
    bench = Bench()
    offset = bench.put(b"ann", value, headers=(("trace", b"7"),))
    bench.send("seen", "ann", "good")
    bench.settle()
    (dead,) = bench.dead()
    assert (dead.key, dead.value) == (b"ann", value)
    assert dead.headers[0] == ("trace", b"7")
    assert header(dead, "lifecycle-reason") == reason
    assert header(dead, "lifecycle-message")
    assert header(dead, "lifecycle-source-topic") == INPUT
    assert header(dead, "lifecycle-source-partition") == str(partition_of(b"ann", 2))
    assert header(dead, "lifecycle-source-offset") == str(offset)
    assert header(dead, "lifecycle-worker-version") == worker_version()
    assert bench.published() == ["ann seen good 1"]
    assert bench.worker.metrics.dead_letters == {reason: 1}


def test_a_record_without_a_key_is_dead_lettered() -> None:
    bench = Bench()
    bench.put(None, event("seen", "ann", NOW, "x"), partition=1)
    bench.settle()
    assert bench.reasons() == ["no-key"]


def test_a_record_off_its_partition_is_dead_lettered_with_the_way_out() -> None:
    bench = Bench()
    bench.put(b"ann", event("seen", "ann", NOW, "x"), partition=1 - partition_of(b"ann", 2))
    bench.settle()
    assert bench.reasons() == ["off-partition"]
    assert "--rekey" in header(bench.dead()[0], "lifecycle-message")
    assert bench.published() == []


def test_a_record_of_20_mb_is_dead_lettered_by_digest_and_offset() -> None:
    bench = Bench()
    bench.turn(3)  # the dead-letter topic has to be there
    value = b"{" + b"x" * (20 << 20)
    offset = bench.put(b"ann", value)
    bench.send("seen", "ann", "good")
    bench.settle()
    (dead,) = bench.dead()
    assert dead.value is None
    assert header(dead, "lifecycle-digest") == hashlib.sha256(value).hexdigest()
    assert header(dead, "lifecycle-size") == str(len(value))
    assert header(dead, "lifecycle-source-offset") == str(offset)
    assert bench.published() == ["ann seen good 1"]


def test_an_event_that_makes_too_large_a_record_is_left_out_and_the_others_of_its_contact_are_not() -> None:
    bench = Bench()
    for name in ("a1", "a2"):
        bench.send("seen", "ann", name)
    bench.send("grow", "ann", "big", bytes=2_000_000)
    bench.send("seen", "ann", "a3")
    bench.settle()
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2", "ann seen a3 3"]
    assert bench.reasons() == ["record-too-large"]
    assert bench.states()[b"c:ann"].events == ["a1", "a2", "a3"]


@pytest.mark.parametrize("topic", [OUTPUT, CHANGELOG, DEAD])
def test_a_topic_that_takes_less_than_it_says_is_believed_from_then_on(topic: str) -> None:
    bench = Bench()
    bench.turn(3)
    bench.cluster.topics[topic].config["max.message.bytes"] = "5000"
    bench.send("seen", "ann", "a1")
    bench.send("grow", "ann", "big", bytes=6_000)
    bench.put(b"ann", b"no event " * 1_000)
    bench.send("seen", "ann", "a2")
    bench.settle()
    published = [line for line in bench.published() if "big" not in line]
    assert [line.split()[2] for line in published] == ["a1", "a2"]
    assert len(bench.dead()) == (1 if topic == DEAD else 2)
    assert all(record.value is None for record in bench.dead()) == (topic == DEAD)


def test_a_fault_of_the_fold_stops_the_worker_and_says_where_but_not_who() -> None:
    bench = Bench()
    bench.send("seen", "ann")
    bench.settle()
    offset = bench.put(b"ann", event("fail", "ann", NOW, "f1"))
    with pytest.raises(EngineFault) as raised:
        bench.until(lambda: False)
    message = str(raised.value)
    assert f"{INPUT}[{partition_of(b'ann', 2)}]@{offset}" in message
    assert "RuntimeError at tests.runtime.standin" in message
    assert "ann" not in message.replace("personal", "")
    bench.start()
    bench.engine.__class__ = type("Mended", (StandIn,), {"apply": mended})
    bench.settle()
    assert bench.states()[b"c:ann"].events == ["e1"]


def mended(self: StandIn, key: bytes, state: bytes | None, arrivals: Any, now: int) -> Any:
    """The stand-in without its fault: a failing event is passed over."""
    good = [one._replace(type="pass") if getattr(one, "type", "") == "fail" else one for one in arrivals]
    return StandIn.apply(self, key, state, good, now)


# ---------------------------------------------------------------------------------------------------- rekeying


def test_with_rekey_a_record_under_a_wrong_key_reaches_its_contact() -> None:
    bench = Bench(rekey=True)
    elsewhere = 1 - partition_of(b"ann", 2)
    bench.put(None, event("seen", "ann", NOW, "no key"), partition=elsewhere)
    bench.put(b"ann", event("seen", "ann", NOW, "off partition"), partition=elsewhere)
    bench.put(b"other", event("seen", "ann", NOW, "other key"))
    bench.settle()
    assert sorted(bench.states()[b"c:ann"].events) == ["no key", "off partition", "other key"]
    assert bench.dead() == []
    assert bench.worker.metrics.rekeyed == 3


def test_a_rekeyed_record_that_is_refused_names_the_place_it_came_from() -> None:
    bench = Bench(rekey=True)
    elsewhere = 1 - partition_of(b"ann", 2)
    value = event("refuse", "ann", NOW, "r1")
    offset = bench.put(b"ann", value, partition=elsewhere, headers=(("trace", b"7"),))
    bench.settle()
    (dead,) = bench.dead()
    assert dead.value == value
    assert dead.headers[0] == ("trace", b"7")
    assert header(dead, "lifecycle-source-topic") == INPUT
    assert header(dead, "lifecycle-source-partition") == str(elsewhere)
    assert header(dead, "lifecycle-source-offset") == str(offset)


# ---------------------------------------------------------------------------------------------------- partitioner


def written_by(bench: Bench, rule: str, count: int) -> None:
    """Records of `count` contacts, put into partitions by another rule than the worker's."""
    for number in range(count):
        key = f"contact-{number}".encode()
        bench.put(key, event("seen", key.decode(), NOW, f"e{number}"), partition=named(rule)(key) % bench.partitions)


@pytest.mark.parametrize("rule", ["murmur2", "fnv1a"])
@pytest.mark.parametrize("rekey", [False, True])
def test_a_topic_written_by_another_known_partitioner_stops_the_worker_before_anything_is_written(
    rule: str, rekey: bool
) -> None:
    bench = Bench(rekey=rekey)
    written_by(bench, rule, 100)
    with pytest.raises(Halt, match=f"--partitioner {rule}"):
        bench.until(lambda: False)
    assert bench.dead() == []
    assert bench.cluster.committed(GROUP) == {}
    bench.start(partitioner=rule)
    bench.settle()
    assert len(bench.published()) == 100


def test_a_few_records_off_their_partition_are_no_other_partitioner() -> None:
    bench = Bench()
    for number in range(100):
        bench.send("seen", f"contact-{number}")
    bench.put(b"ann", event("seen", "ann", NOW, "x"), partition=1 - partition_of(b"ann", 2))
    bench.settle()
    assert bench.reasons() == ["off-partition"]


def test_too_few_records_to_tell_are_dead_lettered() -> None:
    bench = Bench()
    written_by(bench, "murmur2", 8)
    bench.settle()
    assert 0 < len(bench.dead()) == 8 - len(bench.published())


# ---------------------------------------------------------------------------------------------------- limits


def transactions(bench: Bench) -> int:
    return bench.worker.metrics.transactions


def test_one_poll_is_one_transaction() -> None:
    bench = Bench(partitions=1)
    bench.turn(5)
    for number in range(50):
        bench.send("seen", f"contact-{number}")
    bench.settle()
    assert transactions(bench) == 1


def test_a_batch_is_limited_in_records() -> None:
    bench = Bench(partitions=1, batch_records=10)
    bench.turn(5)
    for number in range(50):
        bench.send("seen", f"contact-{number}")
    bench.settle()
    assert transactions(bench) == 5


def test_a_batch_is_limited_in_bytes() -> None:
    bench = Bench(partitions=1, batch_bytes=1_024)
    bench.turn(5)
    for number in range(20):
        bench.send("pass", f"contact-{number}", pad="x" * 400)
    bench.settle()
    assert transactions(bench) == 20
    bench.put(b"ann", b"x" * 5_000)  # one record alone may be larger
    bench.settle()
    assert len(bench.dead()) == 1


def test_a_batch_that_publishes_too_much_is_split() -> None:
    bench = Bench(partitions=1, batch_output_bytes=20_000)
    bench.turn(5)
    for number in range(16):
        bench.send("burst", f"contact-{number}", count=40)  # some 4 kB each
    bench.settle()
    assert transactions(bench) >= 4
    assert len(bench.published()) == 16 * 41
    assert "batch-split" in bench.listener.events()
    bench.send("burst", "ann", count=1_000)  # one event's outputs can't be parted
    bench.settle()
    assert len(bench.published()) == 16 * 41 + 1_001


def test_a_batch_that_took_too_long_makes_the_next_smaller() -> None:
    bench = Bench(partitions=1, batch_records=64, batch_time_ms=50)
    bench.turn(5)
    fold = bench.engine.apply

    def slow(key: bytes, state: bytes | None, arrivals: Any, now: int) -> Any:
        bench.cluster.clock.advance(10 * len(arrivals))
        return fold(key, state, arrivals, now)

    bench.engine.apply = slow  # type: ignore[method-assign]
    for number in range(300):
        bench.send("seen", f"contact-{number}")
    bench.settle()
    assert transactions(bench) > 300 / 16
    bench.engine.apply = fold  # type: ignore[method-assign]
    before = transactions(bench)
    for number in range(640):
        bench.send("seen", f"contact-{number}")
    bench.settle()
    assert transactions(bench) - before < 20, "batches grow again"


def test_records_wait_for_the_batch_to_grow_where_that_is_wanted() -> None:
    bench = Bench(partitions=1, batch_wait_ms=50, poll_ms=10)
    bench.turn(5)
    bench.send("seen", "ann")
    clock = bench.cluster.clock

    def later() -> None:
        bench.send("seen", "ben")

    clock.after(20, later)
    bench.until(lambda: len(bench.published()) == 2)
    assert transactions(bench) == 1


# ---------------------------------------------------------------------------------------------------- timers


def test_a_timer_fires_once_its_deadline_has_been_read_past() -> None:
    bench = Bench(clock_interval_ms=100)
    bench.send("wake", "ann", "w1", after=5_000)
    bench.settle()
    bench.turn(50)
    assert not any("woken" in line for line in bench.published())
    bench.cluster.clock.advance(5_000)
    bench.until(lambda: "ann woken w1 1" in bench.published())
    assert bench.states()[b"c:ann"].timers == []
    assert bench.worker.metrics.timers == 1


def test_while_the_worker_lags_timers_fire_only_as_far_as_it_has_read() -> None:
    bench = Bench(partitions=1, batch_records=1, clock_interval_ms=10)
    bench.send("wake", "ann", "w1", after=1_000)
    bench.settle()
    bench.turn(20)
    for number in range(30):  # all of them in the log before the deadline
        bench.send("seen", "ann", f"a{number}")
    bench.cluster.clock.advance(60_000)
    bench.until(lambda: "ann woken w1 1" in bench.published())
    assert [line.split()[1] for line in bench.published()] == ["seen"] * 31 + ["woken"]


def test_an_open_transaction_of_a_producer_holds_timers_back() -> None:
    bench = Bench(partitions=1, clock_interval_ms=10)
    bench.send("wake", "ann", "w1", after=100)
    bench.settle()
    producer = bench.cluster.connect("somebody").producer("theirs")
    producer.begin()
    producer.send([Send(INPUT, 0, b"ann", event("seen", "ann", NOW, "theirs"))])
    producer.flush(1_000)
    bench.cluster.clock.advance(1_000)
    bench.turn(100)
    assert len(bench.published()) == 1, "an event from before the deadline may still become visible"
    producer.commit(1_000)
    bench.until(lambda: len(bench.published()) == 3)
    assert [line.split()[1] for line in bench.published()] == ["seen", "seen", "woken"]


def test_timers_fire_in_transactions_of_bounded_size() -> None:
    bench = Bench(partitions=1, timer_keys=10, clock_interval_ms=10)
    for number in range(95):
        bench.send("wake", f"contact-{number}", after=100)
    bench.settle()
    before = transactions(bench)
    bench.cluster.clock.advance(1_000)
    bench.until(lambda: bench.worker.metrics.timers == 95)
    assert transactions(bench) - before == 10


def test_a_worker_that_slept_can_t_commit_timers_of_a_partition_that_moved_on() -> None:
    bench = Bench(partitions=1, clock_interval_ms=10)
    bench.send("wake", "ann", "w1", after=30_000)
    bench.settle()
    asleep, sleeper = bench.worker, bench.transport
    sleeper.suspend()
    bench.cluster.clock.advance(20_000)  # its session ends
    bench.store = type(bench.store)()
    bench.start(instance_id="two")
    bench.turn(30)
    assert bench.worker.live() == {0}
    bench.cluster.clock.advance(20_000)
    bench.until(lambda: "ann woken w1 1" in bench.published())
    sleeper.resume()
    for _ in range(20):
        asleep.step()
        bench.turn()
    assert bench.published() == ["ann seen w1 1", "ann woken w1 1"]


def test_a_member_that_a_broker_which_hangs_puts_out_time_and_again_comes_back_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a broker may have answered two joins of this one worker; the next hang takes a session's time at least."""
    bench = Bench(partitions=1)
    bench.send("seen", "ann", "a1")
    bench.settle()
    real = SimulatedConsumer.poll
    lost: list[Fenced] = []

    def poll(self: SimulatedConsumer, timeout_ms: int, max_records: int) -> list[Record]:
        if lost:
            raise lost.pop()
        return real(self, timeout_ms, max_records)

    monkeypatch.setattr(SimulatedConsumer, "poll", poll)
    for hang in range(2, 10):
        lost += [Fenced("another one of this name")] * 2  # as it hangs, and once more as it comes back
        bench.send("seen", "ann", f"a{hang}")
        bench.settle()
        bench.cluster.clock.advance(20_000)
    assert bench.published() == [f"ann seen a{number} {number}" for number in range(1, 10)]
    assert len(bench.listener.of("displaced")) == 16


def test_of_two_workers_with_one_instance_id_one_ends_and_the_other_goes_on() -> None:
    bench = Bench(partitions=2)
    bench.send("seen", "ann", "a1")
    bench.settle()
    older = bench.worker
    bench.store = MemoryStore()
    newer = bench.start()
    ended: dict[Worker, str] = {}
    for number in range(200):
        for each in (older, newer):
            if each in ended:
                continue
            try:
                each.step()
            except Halt as halt:
                ended[each] = str(halt)
        bench.cluster.clock.advance(5)
        if number % 50 == 0:
            bench.send("seen", "ann")
    [told] = ended.values()
    assert "instance one of group group runs elsewhere" in told
    [left] = {older, newer} - ended.keys()
    bench.worker = left
    bench.settle()
    assert left.live() == {0, 1}
    assert [line.split()[3] for line in bench.published()] == ["1", "2", "3", "4", "5"]


# ---------------------------------------------------------------------------------------------------- upkeep


def test_messages_that_were_folded_are_purged_and_no_others() -> None:
    bench = Bench(partitions=1, purge_interval_ms=50)
    for number in range(10):
        bench.send("poke", "ann", f"p{number}", target="ben")
    bench.settle()
    bench.cluster.clock.advance(100)
    bench.turn(5)
    committed = bench.cluster.committed(GROUP)[TopicPartition(INTERNAL, 0)]
    assert bench.cluster.topics[INTERNAL].partitions[0].start == committed
    assert len(bench.states()[b"c:ben"].pokes) == 10


def test_a_purge_without_the_right_to_is_given_up_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(partitions=1, purge_interval_ms=50)
    bench.send("poke", "ann", target="ben")
    bench.settle()

    def refuse(*_: Any) -> None:
        raise Fatal("not authorised")

    monkeypatch.setattr(SimulatedAdmin, "delete_records", refuse)
    for _ in range(5):
        bench.cluster.clock.advance(100)
        bench.send("poke", "ann", target="ben")
        bench.settle()
    assert bench.listener.events().count("purge-given-up") == 1
    assert len(bench.states()[b"c:ben"].pokes) == 6


def test_offsets_of_an_idle_partition_are_kept_alive() -> None:
    bench = Bench(partitions=2, refresh_interval_ms=1_000)
    bench.turn(10)
    assert bench.cluster.committed(GROUP) == {}
    bench.cluster.clock.advance(1_000)
    bench.turn(2)
    assert len(bench.cluster.committed(GROUP)) == 4
    before = transactions(bench)
    bench.turn(50)
    assert transactions(bench) == before


def test_lag_is_told_in_records_and_seconds() -> None:
    bench = Bench(partitions=1, batch_records=1, clock_interval_ms=1)
    bench.turn(10)
    for number in range(50):
        bench.send("seen", f"contact-{number}")
    bench.cluster.clock.advance(3_000)
    bench.turn(3)
    assert 40 <= bench.worker.metrics.lag_records[0] <= 50
    assert bench.worker.metrics.lag_seconds[0] >= 3
    bench.settle()
    bench.turn(5)
    assert bench.worker.metrics.lag_records[0] == 0
    assert bench.worker.metrics.lag_seconds[0] < 1


# ---------------------------------------------------------------------------------------------------- the end


def test_told_to_stop_the_worker_finishes_its_batch_and_its_successor_goes_on() -> None:
    bench = Bench(partitions=1)
    stop = threading.Event()
    bench.send("seen", "ann", "a1")
    fold = bench.engine.apply

    def told(key: bytes, state: bytes | None, arrivals: Any, now: int) -> Any:
        stop.set()  # as from a signal handler, in the middle of a batch
        return fold(key, state, arrivals, now)

    bench.engine.apply = told  # type: ignore[method-assign]
    bench.worker.run(stop)
    bench.worker.close()
    assert bench.published() == ["ann seen a1 1"]
    bench.send("seen", "ann", "a2")
    bench.start()
    bench.settle()
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2"]


@pytest.mark.parametrize("leave", [False, True])
def test_a_static_member_keeps_its_place_unless_it_leaves(leave: bool) -> None:
    bench = Bench(partitions=2)
    bench.turn(10)
    assert bench.worker.live() == {0, 1}
    bench.worker.close(leave=leave)
    bench.start(instance_id="two")
    bench.turn(20)
    assert bench.worker.live() == ({0, 1} if leave else set())


def test_a_restart_with_its_store_reads_no_changelog_again() -> None:
    bench = Bench(partitions=2)
    for number in range(100):
        bench.send("seen", f"contact-{number}")
    bench.settle()
    bench.worker.close()
    bench.start()
    bench.turn(10)
    assert bench.worker.live() == {0, 1}
    assert bench.worker.metrics.restored == 0


def test_contacts_are_named_in_logs_at_debug_level_only() -> None:
    bench = Bench()
    bench.send("seen", "ann@example.com")
    bench.send("refuse", "ann@example.com")
    bench.put(b"ann@example.com", event("seen", "ben@example.com", NOW, "x"))
    bench.settle()
    told = [line for line in bench.listener.lines if line[0] != "debug"]
    assert any(name == "dead-letters" for _, name, _ in told)
    assert "example.com" not in repr(told)
    assert "example.com" in repr(bench.listener.lines)
