"""Other topics (`--input`): what their records become, where they are folded, and how far clocks may go meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from tests.runtime.support import DEAD, GROUP, INPUT, INTERNAL, Bench, event, header, settings, worker
from tests.runtime.support import partition_of as home_of
from worker.instants import format_instant
from worker.mapping.mapping import Mapping
from worker.mapping.reader import read_mapping
from worker.mapping.router import ITEMS, SOURCE, Router
from worker.runtime.errors import Halt
from worker.runtime.feeds import Feeds, Passage
from worker.runtime.inputs import Input, read_inputs
from worker.transports.base import Headers, Send, TopicPartition, TopicSpec
from worker.transports.simulator.clients import SimulatedConsumer
from worker.transports.simulator.topics import Partition

HOOKS, OTHER = "hooks", "other"

# A record is {"batch": [...]} or one thing by itself: {who, what, at, id}.
MAPPING = Mapping(
    read_mapping(b"""\
mapping: hooks
source: /hooks
each: batch || @
id: id
time: {milliseconds: at}
ids: {who: who}
subject: [who]
rules:
  - {when: what == 'noise', skip: it means nothing}
  - when: what == 'both'
    events:
      - {type: page.viewed, part: one}
      - {type: ad.clicked, part: two}
  - {type: {from: what}, data: {after: after}}
""")
)


def routers(**by_source: Mapping | None) -> dict[str, Router]:
    mappings: dict[str | None, Mapping | None] = {name: each for name, each in by_source.items() if name != "all"}
    if "all" in by_source or not by_source:
        mappings[None] = by_source.get("all", MAPPING)
    return {HOOKS: Router(mappings), OTHER: Router({None: None})}


class Fed(Bench):
    """A bench whose worker reads two more topics: `hooks`, by a mapping, with three partitions; `other`, with one."""

    def __init__(
        self, partitions: int = 2, *, hooks: int = 3, read_by: dict[str, Router] | None = None, **changed: Any
    ) -> None:
        self.read_by = read_by or routers()
        inputs = (Input(HOOKS, None, "hooks"), Input(OTHER))
        super().__init__(partitions, **{"input": inputs, "routers": self.read_by, **changed})
        self.cluster.create(TopicSpec(HOOKS, hooks))

    def hook(
        self, *items: dict[str, Any], key: bytes | None = None, partition: int = 0, headers: Headers = ()
    ) -> bytes:
        """Put one record on `hooks`; its bytes."""
        body = json.dumps({"batch": list(items)} if len(items) > 1 else items[0]).encode()
        self.raw(body, key=key, partition=partition, headers=headers)
        return body

    def raw(self, value: bytes | None, *, key: bytes | None = None, partition: int = 0, headers: Headers = ()) -> None:
        self.cluster.append([Send(HOOKS, partition, key, value, headers)])

    def item(self, who: str, what: str = "view", name: str = "", **more: Any) -> dict[str, Any]:
        self.names += 1
        return {"who": who, "what": what, "at": self.cluster.clock.wall_ms(), "id": name or f"h{self.names}", **more}

    def all_folded(self) -> bool:
        committed = self.cluster.committed(GROUP)
        for topic in (HOOKS, OTHER, INPUT, INTERNAL):
            if topic not in self.cluster.topics:
                return False
            for record in self.cluster.records(topic):
                if committed.get(TopicPartition(topic, record.partition), 0) <= record.offset:
                    return False
        return self.cluster.settled()

    def settle(self) -> None:
        self.until(self.all_folded, "everything folded")


def test_each_event_of_a_record_reaches_its_contact_whatever_the_key_and_the_partition() -> None:
    bench = Fed()
    bench.hook(bench.item("ann", name="1"), bench.item("bob", name="2"), bench.item("ann", name="3"), key=b"zoe")
    bench.hook(bench.item("cid", "both", "4"), partition=2)
    bench.settle()
    assert sorted(bench.published()) == [
        "ann seen 1 1",
        "ann seen 3 2",
        "bob seen 2 1",
        "cid seen 4:one 1",
        "cid seen 4:two 2",
    ]
    assert bench.worker.metrics.rekeyed == 5
    assert not bench.dead()
    for record in bench.cluster.records(INTERNAL):
        assert record.partition == home_of(record.key or b"", 2)


def test_what_means_no_event_is_passed_over_and_counted() -> None:
    bench = Fed()
    bench.hook(bench.item("ann", "noise"), bench.item("ann", name="1"), bench.item("ann", "noise"))
    bench.settle()
    assert bench.published() == ["ann seen 1 1"]
    assert bench.worker.metrics.dropped == 2
    assert not bench.dead()


def test_one_bad_item_of_many_is_a_dead_letter_with_the_records_bytes_and_the_others_pass() -> None:
    bench = Fed()
    bad = {**bench.item("ann"), "at": "yesterday"}
    given: Headers = (("x", b"y"),)
    body = bench.hook(bench.item("ann", name="1"), bad, bench.item("bob", name="3"), key=b"k", headers=given)
    bench.settle()
    assert sorted(bench.published()) == ["ann seen 1 1", "bob seen 3 1"]
    (dead,) = bench.dead()
    assert (dead.key, dead.value) == (b"k", body)
    assert header(dead, "x") == "y"
    assert header(dead, ITEMS) == "$.batch[1]"
    assert header(dead, "lifecycle-reason") == "bad-time"
    assert header(dead, "lifecycle-message").startswith("$.batch[1].at: ")
    source = [header(dead, f"lifecycle-source-{name}") for name in ("topic", "partition", "offset")]
    assert source == [HOOKS, "0", "0"]


def test_bad_items_of_one_record_are_one_dead_letter_for_each_reason() -> None:
    bench = Fed()
    late = [{**bench.item("ann"), "at": "yesterday"} for _ in range(3)]
    nobody = [{**bench.item("ann"), "who": None} for _ in range(2)]
    bench.hook(*late, *nobody, bench.item("bob", name="6"))
    bench.settle()
    assert sorted(bench.reasons()) == ["bad-time", "no-subject"]
    items = {header(each, "lifecycle-reason"): [v for n, v in each.headers if n == ITEMS] for each in bench.dead()}
    assert items["bad-time"] == [b"$.batch[0]", b"$.batch[1]", b"$.batch[2]"]
    assert items["no-subject"] == [b"$.batch[3]", b"$.batch[4]"]
    assert bench.published() == ["bob seen 6 1"]


def test_a_dead_letter_that_is_put_back_is_read_where_it_was_refused_and_nowhere_else() -> None:
    bench = Fed()
    good, once_bad = bench.item("ann", name="1"), bench.item("bob", name="2")
    bench.hook(good, once_bad, headers=((ITEMS, b"$.batch[1]"),))
    bench.settle()
    assert bench.published() == ["bob seen 2 1"]


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"3", b'{"batch": 7}'])
def test_a_record_that_cannot_be_read_at_all_is_a_dead_letter_as_it_came(value: bytes | None) -> None:
    bench = Fed()
    bench.raw(value, key=b"k", partition=1)
    bench.settle()
    (dead,) = bench.dead()
    assert (dead.key, dead.value) == (b"k", value)
    assert header(dead, "lifecycle-source-partition") == "1"


def test_an_event_that_the_fold_refuses_is_dead_lettered_as_the_event_it_is_with_its_place() -> None:
    bench = Fed()
    bench.hook(bench.item("ann"), bench.item("ann", "refuse", "2"), partition=2)
    bench.settle()
    (dead,) = bench.dead()
    body = json.loads(dead.value or b"")
    assert (dead.key, body["id"], body["type"]) == (b"ann", "2", "refuse")
    assert header(dead, "lifecycle-mapped") == "hooks"
    assert header(dead, "lifecycle-source-topic") == HOOKS
    assert header(dead, "lifecycle-source-partition") == "2"


def test_a_record_that_comes_twice_is_one_event() -> None:
    bench = Fed()
    item = bench.item("ann", name="1")
    for partition in (0, 1, 2):
        bench.hook(item, partition=partition)
    bench.settle()
    assert bench.published() == ["ann seen 1 1"]
    assert bench.worker.metrics.duplicates == 2


def test_a_topic_without_a_mapping_holds_events_keyed_as_they_may_be() -> None:
    bench = Fed()
    bench.turn(5)
    now = bench.cluster.clock.wall_ms()
    bench.cluster.append(
        [
            Send(OTHER, 0, b"whoever", event("page.viewed", "ann", now, "1")),
            Send(OTHER, 0, None, event("page.viewed", "bob", now, "2")),
            Send(OTHER, 0, None, b"no event"),
            Send(OTHER, 0, b"whoever", event("refuse", "ann", now, "3")),
        ]
    )
    bench.settle()
    assert sorted(bench.published()) == ["ann seen 1 1", "bob seen 2 1"]
    assert sorted(bench.reasons()) == ["not-json", "refused"]
    refused = next(each for each in bench.dead() if header(each, "lifecycle-reason") == "refused")
    assert refused.key == b"whoever", "the record as it was"
    assert not any(name == "lifecycle-mapped" for name, _ in refused.headers)


def test_records_of_a_receivers_topic_are_read_by_the_mapping_of_their_source() -> None:
    bench = Fed(read_by=routers(crm=MAPPING, site=None))
    bench.hook(bench.item("ann", name="1"), headers=((SOURCE, b"crm"),))
    now = bench.cluster.clock.wall_ms()
    bench.raw(event("page.viewed", "bob", now, "2"), headers=((SOURCE, b"site"),))
    bench.hook(bench.item("cid", name="3"), headers=((SOURCE, b"pay"),))
    bench.hook(bench.item("dee", name="4"))
    bench.settle()
    assert sorted(bench.published()) == ["ann seen 1 1", "bob seen 2 1"]
    assert bench.reasons() == ["unknown-source", "unknown-source"]
    assert "'pay'" in header(bench.dead()[0], "lifecycle-message")


def test_a_mapping_without_a_source_reads_what_no_other_is_named_for() -> None:
    bench = Fed(read_by=routers(site=None, all=MAPPING))
    bench.hook(bench.item("ann", name="1"), headers=((SOURCE, b"crm"),))
    bench.settle()
    assert bench.published() == ["ann seen 1 1"]


def test_topics_that_are_missing_are_made_and_any_number_of_partitions_will_do() -> None:
    bench = Fed(partitions=2, hooks=7)
    bench.turn(5)
    assert len(bench.cluster.topics[OTHER].partitions) == 2
    for partition in range(7):
        bench.hook(bench.item("ann", name=f"p{partition}"), partition=partition)
    bench.settle()
    assert {line.split()[2] for line in bench.published()} == {f"p{number}" for number in range(7)}


def test_partitions_that_are_added_later_are_read_too() -> None:
    bench = Fed(assignment_interval_ms=20)
    bench.hook(bench.item("ann", name="1"))
    bench.settle()
    topic = bench.cluster.topics[HOOKS]
    topic.partitions.append(Partition(topic, 3))
    bench.hook(bench.item("ann", name="2"), partition=3)
    bench.settle()
    assert bench.published() == ["ann seen 1 1", "ann seen 2 2"]


def test_a_restart_goes_on_where_the_group_was() -> None:
    bench = Fed()
    bench.hook(bench.item("ann", name="1"))
    bench.settle()
    bench.start()
    bench.hook(bench.item("ann", name="2"))
    bench.settle()
    assert bench.worker.metrics.rekeyed == 1
    assert bench.published() == ["ann seen 1 1", "ann seen 2 2"]


def test_an_input_added_to_a_running_group_is_read_from_its_start() -> None:
    bench = Fed(input=(), routers={})
    bench.hook(bench.item("ann", name="1"))
    bench.send("seen", "ann", "own")
    bench.until(lambda: bench.published() == ["ann seen own 1"])
    bench.start(input=(Input(HOOKS, None, "hooks"), Input(OTHER)), routers=routers())
    bench.settle()
    assert bench.published() == ["ann seen own 1", "ann seen 1 2"]


def test_a_committed_offset_that_expired_stops_the_worker_rather_than_reading_all_again() -> None:
    bench = Fed()
    bench.hook(bench.item("ann", name="1"))
    bench.settle()
    bench.worker.close()
    del bench.cluster.groups[GROUP].offsets[TopicPartition(HOOKS, 0)]
    bench.start()
    with pytest.raises(Halt, match=r"has folded records of hooks\[0\], but has no committed offset"):
        bench.turn(200)


@pytest.mark.parametrize("topic", [INPUT, INTERNAL, HOOKS])
def test_first_offsets_that_are_committed_while_a_worker_restores_are_asked_for_again(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may stand still between its two questions, while others go on: no offset then, and state that tells of one."""
    bench = Fed()
    bench.hook(bench.item("ann", name="1"))
    bench.settle()
    real, asked = SimulatedConsumer.committed, 0

    def committed(self: SimulatedConsumer, places: Sequence[TopicPartition], timeout_ms: int) -> dict[Any, int | None]:
        nonlocal asked
        asked += 1
        found = real(self, places, timeout_ms)
        return {place: None if asked == 1 and place.topic == topic else at for place, at in found.items()}

    monkeypatch.setattr(SimulatedConsumer, "committed", committed)
    bench.start()
    bench.hook(bench.item("ann", name="2"))
    bench.settle()
    assert bench.published() == ["ann seen 1 1", "ann seen 2 2"]
    assert [f"first offset of {topic}[" in line["error"] for line in bench.listener.of("waiting")] == [True]


def test_a_worker_that_is_not_given_an_input_of_its_group_says_so_once_and_loses_nothing_of_it() -> None:
    bench = Fed(partitions=2)
    bench.hook(bench.item("ann", name="1"))
    bench.settle()
    only_other: dict[str, Any] = {"input": (Input(OTHER),), "routers": {OTHER: routers()[OTHER]}}

    def told(name: str) -> bool:
        return any(line.split()[2] == name for line in bench.published())

    for name in ("own-1", "own-2"):  # what is written in between doesn't hide it from the next one
        bench.start(**only_other)
        bench.hook(bench.item("ann"))
        bench.send("seen", "ann", name)
        bench.until(partial(told, name), "our own event")
    said = bench.listener.of("input-left-out")
    assert [line["topics"] for line in said] == [[HOOKS], [HOOKS]]
    assert "the same --input" in said[0]["says"]
    bench.start(input=(Input(HOOKS, None, "hooks"), Input(OTHER)), routers=routers())
    bench.settle()
    assert len(bench.published()) == 5, "read where it was left"
    assert len(bench.listener.of("input-left-out")) == 2


def test_offsets_that_expire_while_an_input_is_left_out_are_missed_when_it_is_back() -> None:
    bench = Fed()
    bench.hook(bench.item("ann", name="1"))
    bench.settle()
    bench.start(input=(), routers={})
    bench.until(lambda: len(bench.worker.live()) == 2, "live")
    bench.send("seen", "ann", "own")
    bench.until(lambda: "ann seen own 2" in bench.published(), "our own event")
    bench.worker.close()
    del bench.cluster.groups[GROUP].offsets[TopicPartition(HOOKS, 0)]
    bench.start(input=(Input(HOOKS, None, "hooks"), Input(OTHER)), routers=routers())
    with pytest.raises(Halt, match=r"has folded records of hooks\[0\], but has no committed offset"):
        bench.turn(200)


# ------------------------------------------------------------------------------------------------------------- clocks
def test_a_timer_waits_for_events_that_are_still_on_another_topic() -> None:
    """The deadline passes while a record from before it lies unread: what it means comes first."""
    bench = Fed(clock_interval_ms=10, batch_records=4)
    bench.send("wake", "ann", "timer", after=1_000)
    bench.settle()
    for number in range(300):  # many turns' worth
        bench.hook(bench.item("bob", name=f"n{number}"), partition=number % 3)
    bench.hook(bench.item("ann", name="before"), partition=2)
    bench.cluster.clock.advance(2_000)
    bench.until(lambda: any("woken" in line for line in bench.published()), "the timer")
    of_ann = [line for line in bench.published() if line.startswith("ann")]
    assert of_ann == ["ann seen timer 1", "ann seen before 2", "ann woken timer 1"]


def test_a_timer_fires_where_other_topics_are_quiet() -> None:
    bench = Fed(clock_interval_ms=10)
    bench.hook(bench.item("ann", "wake", "timer", after=500))
    bench.until(lambda: "ann woken timer 1" in bench.published(), "the timer", each_ms=10)


def test_a_topic_that_ends_in_a_transactions_marker_holds_no_timer_back() -> None:
    bench = Fed(clock_interval_ms=10)
    bench.hook(bench.item("ann", "wake", "timer", after=500))
    sender = bench.cluster.connect("sender").producer("sender")
    sender.begin()
    sender.send([Send(HOOKS, 1, None, json.dumps(bench.item("bob")).encode())])
    sender.flush(1_000)
    sender.commit(1_000)
    bench.until(lambda: "ann woken timer 1" in bench.published(), "the timer", each_ms=10)


def test_a_partition_whose_records_are_all_gone_is_committed_for_the_others_clocks() -> None:
    """Other workers know of it only what the group has committed, and there is nothing to read."""
    bench = Fed(clock_interval_ms=10)
    place = TopicPartition(HOOKS, 1)
    bench.hook(bench.item("ann"), partition=1)
    bench.cluster.connect("retention").admin().delete_records({place: 1})
    bench.until(lambda: bench.cluster.committed(GROUP).get(place) == 1, "its begin", each_ms=10)
    assert not bench.published()


def test_two_workers_wait_for_what_the_other_one_reads() -> None:
    """Each has partitions of the input, and of the other topic those that go with them."""
    bench = Fed(clock_interval_ms=10, partitions=2)
    other = worker(
        bench.cluster.connect("two"), with_settings=settings(instance_id="two", input=bench.changed["input"],
        clock_interval_ms=10), routers=routers(),
    )  # fmt: skip

    def both() -> None:
        bench.turn(each_ms=5)
        other.step()

    for _ in range(400):
        both()
        if len(bench.worker.live()) == len(other.live()) == 1:
            break
    for number in range(6):
        bench.hook(bench.item(f"c{number}", "wake", f"t{number}", after=200), partition=number % 3)
    for _ in range(2_000):
        both()
        if sum("woken" in line for line in bench.published()) == 6:
            return
    raise AssertionError(bench.published())


def test_what_crosses_has_passed_once_all_ends_are_committed() -> None:
    a, b = TopicPartition(HOOKS, 0), TopicPartition(HOOKS, 1)
    asked: list[list[TopicPartition]] = []
    at: dict[TopicPartition, int | None] = {a: 3, b: None}

    def committed(places: Any) -> dict[TopicPartition, int | None]:
        asked.append(list(places))
        return at

    passage = Passage()
    passage.probe(1_000, {a: 3, b: 2})
    passage.probe(2_000, {a: 5, b: 2})
    passage.advance(committed)
    assert [passage.reached] == [None]
    at[b] = 2
    passage.advance(committed)
    assert passage.reached == 1_000
    assert asked[1] == [b], "what is known to be there isn't asked for again"
    at[a] = 9
    passage.advance(committed)
    assert passage.reached == 2_000


def test_an_empty_partition_holds_nothing_back() -> None:
    passage = Passage()
    passage.probe(1_000, {TopicPartition(HOOKS, 0): 0})
    passage.advance(lambda places: {})
    assert passage.reached == 1_000


def test_every_partition_goes_with_one_of_the_input_topics() -> None:
    feeds = Feeds({}, {"a": 5, "b": 1, "c": 3}, 4)
    found = [place for number in range(4) for place in feeds.of(number)]
    assert sorted(found) == sorted(feeds.all())
    assert len(set(found)) == 9


# ------------------------------------------------------------------------------------------------------------ settings
@pytest.mark.parametrize(
    "given", ["crm=salesforce, hooks/pay=stripe own", ["crm=salesforce", "hooks/pay=stripe", "own"],
              {"crm": "salesforce", "hooks/pay": "stripe", "own": ""}],
)  # fmt: skip
def test_inputs_are_a_text_a_list_or_a_table(given: Any) -> None:
    assert read_inputs(given) == (Input("crm", None, "salesforce"), Input("hooks", "pay", "stripe"), Input("own"))


@pytest.mark.parametrize(
    "given", ["a=", "=a", "a b/=c", "t opic!=m", ["a=x", "a=y"], ["a/s=x", "a/s"], 7, [7], ["a"] * 101]
)
def test_what_is_no_input_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|twice|TOPIC"):
        read_inputs(given)


def test_an_input_is_none_of_the_workers_own_topics() -> None:
    with pytest.raises(ValueError, match="used for two things"):
        Bench(input=(Input(DEAD),))


def test_the_time_of_a_mapped_event_is_its_own() -> None:
    bench = Fed()
    item = bench.item("ann", name="1")
    bench.hook(item)
    bench.settle()
    (record,) = bench.cluster.records(INTERNAL)
    assert json.loads(record.value or b"")["time"] == format_instant(item["at"])
