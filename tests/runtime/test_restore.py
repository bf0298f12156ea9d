"""A store is brought up to its changelog: all of it, never less, and refused where log and state don't agree."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fold.test_takeover import NEW, OLD, on_its_way
from tests.fold.world import DAY, HOUR, START, plan_of
from tests.runtime.standin import StandIn
from tests.runtime.support import CHANGELOG, GROUP, INPUT, INTERNAL, OUTPUT, Bench, event, stored, worker
from worker.fold.engine import Engine
from worker.runtime.changelog import DEPLOYMENT_KEY, decode_deployment, encode_deployment
from worker.runtime.errors import Halt
from worker.runtime.restore import Progress
from worker.stores.base import Write
from worker.stores.memory import MemoryStore
from worker.transports.base import Send, TopicPartition
from worker.transports.simulator import CrashAt, SimulatedCrash

DAY_MS = 86_400_000


def filled(contacts: int = 40, partitions: int = 2, **changed: Any) -> Bench:
    """A bench whose worker has folded two events a contact, and has stopped."""
    bench = Bench(partitions=partitions, **changed)
    for turn in range(2):
        for number in range(contacts):
            bench.send("seen", f"contact-{number}", f"e{turn}-{number}")
        bench.settle()
    bench.worker.close(leave=True)
    return bench


def restored(bench: Bench) -> None:
    bench.until(lambda: len(bench.worker.live()) == bench.partitions, "all partitions live")


def test_a_new_machine_reads_the_whole_changelog() -> None:
    bench = filled()
    bench.store = MemoryStore()
    bench.start()
    restored(bench)
    assert len(bench.states()) == 40
    assert stored(bench.store, range(2)) == bench.states()


def test_a_store_that_is_behind_rolls_forward_and_reads_no_more_than_that() -> None:
    bench = filled(partitions=1)
    behind, bench.store = bench.store, MemoryStore()
    bench.start()
    bench.send("seen", "ann")
    bench.settle()
    bench.worker.close(leave=True)
    bench.store = behind
    bench.start()
    restored(bench)
    assert bench.worker.metrics.restored == 1
    assert stored(bench.store, [0]) == bench.states()


def test_a_store_of_a_compacted_changelog_is_whole() -> None:
    bench = filled(partitions=1)
    bench.cluster.compact(CHANGELOG)
    bench.store = MemoryStore()
    bench.start()
    restored(bench)
    assert bench.worker.metrics.restored == 41  # each contact once, and the deployment record
    assert stored(bench.store, [0]) == bench.states()


def test_timers_are_restored_with_the_states() -> None:
    bench = Bench(partitions=1)
    bench.send("wake", "ann", "w1", after=5_000)
    bench.settle()
    bench.worker.close(leave=True)
    bench.store = MemoryStore()
    bench.start()
    restored(bench)
    assert bench.store.next_due(0) == bench.states()[b"c:ann"].timers[0][0]


def test_a_changelog_that_ends_in_markers_is_read_to_its_end() -> None:
    bench = filled(partitions=1)
    for number in range(3):  # transactions that came to nothing
        producer = bench.cluster.connect(f"other-{number}").producer(f"other-{number}")
        producer.begin()
        producer.send([Send(CHANGELOG, 0, b"c:ann", b"12345678")])
        producer.flush(1_000)
        producer.abort(1_000)
    bench.store = MemoryStore()
    bench.start()
    restored(bench)
    assert bench.store.position(0) == bench.cluster.topics[CHANGELOG].partitions[0].end
    assert b"c:ann" not in stored(bench.store, [0])


def test_a_first_transaction_that_came_to_nothing_is_no_state() -> None:
    bench = Bench(partitions=1)
    bench.turn(3)
    bench.worker.close(leave=True)
    producer = bench.cluster.connect("other").producer("group-one")
    producer.begin()
    producer.send([Send(CHANGELOG, 0, b"c:ann", b"12345678")])
    producer.flush(1_000)
    bench.start()
    bench.send("seen", "ann", "a1")
    bench.settle()
    assert bench.published() == ["ann seen a1 1"]


def test_an_interrupted_restore_goes_on_where_it_was() -> None:
    bench = filled(partitions=1, contacts=100)
    bench.store = MemoryStore()
    bench.start(restore_records=10)
    bench.transport.plan = CrashAt("records-applied", 3)
    with pytest.raises(SimulatedCrash):
        bench.until(lambda: False)
    before = bench.worker.metrics.restored
    assert bench.store.count(0) > 0
    bench.cluster.clock.advance(20_000)
    bench.start(instance_id="two")
    restored(bench)
    assert before + bench.worker.metrics.restored <= 201 + 10  # what was applied when it died was not yet counted
    assert stored(bench.store, [0]) == bench.states()


def test_a_partition_revoked_during_its_restore_is_let_go() -> None:
    bench = filled(partitions=2)
    zombie = bench.cluster.connect("zombie").producer("zombie")  # holds the restore up
    zombie.begin()
    zombie.send([Send(CHANGELOG, number, b"c:x", None) for number in range(2)])
    zombie.flush(1_000)
    first_store, bench.store = bench.store, MemoryStore()
    first = bench.start()
    bench.turn(5)
    assert first.metrics.restore_left.keys() == {0, 1}
    bench.store = first_store
    second = bench.start(instance_id="two")
    for _ in range(30):
        first.step()
        bench.turn()
    assert first.metrics.partitions_assigned == second.metrics.partitions_assigned == 1
    assert len(first.metrics.restore_left) <= 1
    bench.cluster.clock.advance(10_000)
    for _ in range(30):
        first.step()
        bench.turn()
    assert first.live() | second.live() == {0, 1}


def test_progress_is_told() -> None:
    bench = filled(partitions=1)
    told: list[Progress] = []
    bench.store = MemoryStore()
    bench.start(report=told.append, restore_records=10)
    restored(bench)
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[-1] == 81
    assert told[0].left > told[-1].left
    assert {"restore-begins", "restored"} <= set(bench.listener.events())
    assert bench.worker.metrics.restore_left == {}


# ---------------------------------------------------------------------------------------------------- age


def test_a_store_older_than_half_of_the_tombstones_retention_is_rebuilt() -> None:
    bench = filled(partitions=1)
    bench.cluster.clock.advance(4 * DAY_MS)
    # A contact that the changelog has forgotten, removal and all.
    bench.store.apply(0, [Write(b"c:gone", b"state", None)], bench.store.position(0) or 0)
    bench.start()
    restored(bench)
    assert b"c:gone" not in stored(bench.store, [0])
    assert stored(bench.store, [0]) == bench.states()
    assert "half of the changelog's delete.retention.ms" in bench.listener.of("store-rebuilt")[0]["reason"]


def test_a_younger_store_is_kept() -> None:
    bench = filled(partitions=1)
    bench.cluster.clock.advance(3 * DAY_MS)
    bench.start()
    restored(bench)
    assert bench.worker.metrics.restored == 0
    assert bench.listener.of("store-rebuilt") == []


def test_the_store_of_a_running_worker_stays_young() -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann")
    bench.settle()
    for _ in range(10):
        bench.cluster.clock.advance(DAY_MS)
        bench.turn(3)
    bench.transport.crash()
    bench.cluster.clock.advance(20_000)
    bench.start()
    restored(bench)
    assert bench.listener.of("store-rebuilt") == []


@pytest.mark.parametrize("spoil", ["ahead", "unmarked"])
def test_a_store_that_can_t_be_of_this_changelog_is_rebuilt(spoil: str) -> None:
    bench = filled(partitions=1)
    states = bench.states()
    if spoil == "ahead":
        bench.store.apply(0, [Write(b"c:gone", b"state", None)], 10_000)
    else:
        bench.store = MemoryStore()
        bench.store.apply(0, [Write(b"c:gone", b"state", None)], 3)
    bench.start()
    restored(bench)
    assert stored(bench.store, [0]) == states
    assert len(bench.listener.of("store-rebuilt")) == 1


# ---------------------------------------------------------------------------------------------------- refusals


def halts(bench: Bench, match: str) -> None:
    with pytest.raises(Halt, match=match) as raised:
        bench.until(lambda: False)
    assert raised.value.remedy


def forget(bench: Bench, *topics: str) -> None:
    offsets = bench.cluster.groups[GROUP].offsets
    for place in [place for place in offsets if place.topic in topics]:
        del offsets[place]


@pytest.mark.parametrize("topic", [INPUT, INTERNAL])
def test_missing_offsets_with_state_present_are_refused(topic: str) -> None:
    bench = filled(partitions=1)
    forget(bench, topic)
    bench.start()
    halts(bench, f"has state but no committed offset for {topic}")


def test_offsets_without_the_state_they_belong_to_are_refused() -> None:
    bench = filled(partitions=1)
    del bench.cluster.topics[CHANGELOG]
    bench.store = MemoryStore()
    bench.start()
    halts(bench, "has committed offsets for engagement.0., but group-changelog.0. holds no state")


def test_records_that_were_deleted_unread_are_refused() -> None:
    bench = filled(partitions=1)
    for number in range(10):
        bench.send("seen", f"contact-{number}")
    end = bench.cluster.topics[INPUT].partitions[0].end
    bench.cluster.topics[INPUT].partitions[0].purge(end - 5)
    bench.start()
    halts(bench, "deleted unread")


def test_an_input_topic_that_was_made_anew_is_refused() -> None:
    bench = filled(partitions=1)
    bench.cluster.topics[INPUT].partitions[0].slots.clear()
    bench.start()
    halts(bench, "made anew")


def test_a_position_that_goes_out_of_range_while_running_is_refused() -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann")
    bench.settle()
    for _ in range(5):
        bench.send("seen", "ann")
    bench.cluster.topics[INPUT].partitions[0].purge(5)
    halts(bench, "deleted unread")
    assert len(bench.published()) == 1


def test_a_new_group_may_begin_where_its_offset_was_set_by_hand() -> None:
    bench = Bench(partitions=1)
    for number in range(5):
        bench.send("seen", "ann", f"a{number}")
    bench.cluster.group(GROUP).offsets[TopicPartition(INPUT, 0)] = 3
    bench.settle()
    assert bench.published() == ["ann seen a3 1", "ann seen a4 2"]


def test_what_somebody_else_wrote_to_the_changelog_is_refused() -> None:
    bench = filled(partitions=1)
    bench.cluster.append([Send(CHANGELOG, 0, b"c:ann", b"a state of sorts")])
    bench.start()
    halts(bench, "under which definition")


# ---------------------------------------------------------------------------------------------------- deployments


@pytest.mark.parametrize("wiped", [False, True], ids=["with its store", "on an empty machine"])
@pytest.mark.parametrize(
    ("engine", "match"),
    [
        pytest.param(StandIn("second", 2), "another definition of stand-in", id="an older one was there"),
        pytest.param(StandIn("second", 1), "another definition of stand-in", id="the same number"),
        pytest.param(StandIn("zeroth", 0), "was written under version 1", id="a newer one was there"),
        pytest.param(StandIn("first", 1, "other"), "belongs to lifecycle stand-in", id="another lifecycle"),
    ],
)
def test_another_definition_is_refused(engine: StandIn, match: str, wiped: bool) -> None:
    bench = filled(partitions=1)
    if wiped:
        bench.store = MemoryStore()
    bench.engine = engine
    bench.start()
    halts(bench, match)


def test_an_older_definition_is_kept_where_that_is_asked_for() -> None:
    bench = filled(partitions=1)
    bench.engine = StandIn("second", 2)
    bench.start(on_new_definition="keep")
    bench.send("seen", "contact-1")
    bench.settle()
    assert bench.states()[b"c:contact-1"].events[:2] == ["e0-1", "e1-1"]
    bench.worker.close(leave=True)
    # Contacts that were not touched are still of the older one, so it has to be asked for again.
    bench.start(on_new_definition="refuse")
    halts(bench, "another definition")
    # And the older worker finds a newer one there.
    bench.engine = StandIn("first", 1)
    bench.start(on_new_definition="keep")
    halts(bench, "was written under version 2")


@pytest.mark.parametrize(
    ("version", "setting", "match"),
    [
        pytest.param(1, "keep", "", id="taken over"),
        pytest.param(1, "refuse", "another definition of growing", id="not asked for"),
        pytest.param(3, "keep", "was written under version 3", id="of a newer one"),
    ],
)
def test_a_record_on_its_way_between_partitions_obeys_the_same_rule(version: int, setting: str, match: str) -> None:
    """Its partition may never have written a state under the definition that it was folded under."""
    bench = Bench(partitions=1)
    engine = Engine(plan_of(NEW), grace=False)
    bench.worker = worker(bench.cluster.connect("one"), engine=engine, on_new_definition=setting)
    bench.until(lambda: len(bench.worker.live()) == 1, "the partition is live")
    bench.cluster.clock.advance(START + DAY - bench.cluster.clock.wall_ms())
    merge = event("contact.merged", "a", START + 2 * HOUR, "m", **{"from": "b"})  # which the record answers
    bench.put(b"a", merge.replace(b'"test"', b'"/test"'))
    bench.settle()
    key, body = on_its_way(OLD.replace("version: 1", f"version: {version}")).pending[-1]
    bench.cluster.append([Send(INTERNAL, 0, key, body)])
    if match:
        halts(bench, match)
        return
    bench.settle()
    told = [msgspec.json.decode(record.value or b"")["data"] for record in bench.cluster.records(OUTPUT)]
    assert [body["current"]["stage"] for body in told] == ["visitor", "visitor", "opportunity"]


def test_every_changelog_record_says_under_which_definition_it_was_written() -> None:
    bench = filled(partitions=1)
    for record in bench.cluster.records(CHANGELOG):
        assert [name for name, _ in record.headers] == ["lifecycle-definition"]
        assert b'"fingerprint":"first"' in (record.headers[0][1] or b"")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"client": "other"}, "runs with client other, this worker with embedded"),
        ({"partitioner": "other"}, "runs with partitioner other, this worker with crc32"),
        ({"partitions": 7}, "runs with partition count 7, this worker with 1"),
        ({"format": 7}, r"was written by worker .*, in another form \(format 7\) than worker .* reads \(format 1\)"),
    ],
)
def test_a_worker_of_another_kind_is_refused(changed: dict[str, Any], match: str) -> None:
    bench = filled(partitions=1)
    value = bench.store.get(0, DEPLOYMENT_KEY)
    assert value is not None
    other = msgspec.structs.replace(decode_deployment(value), **changed)
    bench.store.apply(0, [Write(DEPLOYMENT_KEY, encode_deployment(other), None)], bench.store.position(0) or 0)
    bench.start()
    halts(bench, match)
