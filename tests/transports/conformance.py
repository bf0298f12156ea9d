"""What every transport promises, as one suite: kafka-python, confluent-kafka, the embedded log, the simulator.

A transport's own test subclasses `TransportConformance` and overrides the fixture `connect`:

    class TestEmbedded(TransportConformance):
        @pytest.fixture
        def connect(self, tmp_path: Path) -> Connect:
            return lambda: EmbeddedTransport(tmp_path / "log")

Each call of it opens one more connection to the same log, as a further process would. Everything runs in one thread,
so members of a group are polled in turn; nothing here sleeps, and every wait for a condition ends in a failure.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import pytest

from worker.transports.base import (
    EARLIEST,
    Admin,
    Consumer,
    GroupMetadata,
    Producer,
    Reader,
    Record,
    Send,
    TopicPartition,
    TopicSpec,
    Transport,
)
from worker.transports.errors import Fenced, OffsetOutOfRange, RecordTooLarge, Retriable, TransportError

Connect = Callable[[], Transport]

POLL_MS = 50
WAIT_MS = 20_000  # the limit of one call; none of them is expected to need a hundredth of it


class Closes(Protocol):
    def close(self) -> None: ...


Answer = TypeVar("Answer")
Opened = TypeVar("Opened", bound=Closes)


@dataclass
class World:
    """One test's log: names that no other test uses, and everything opened, closed again at the end."""

    connect: Connect
    limit_seconds: float
    unique: str = field(default_factory=lambda: f"{random.SystemRandom().getrandbits(48):012x}")
    opened: list[Closes] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    main: Transport = field(init=False)
    administrator: Admin = field(init=False)

    def __post_init__(self) -> None:
        self.main = self.transport()
        self.administrator = self._keep(self.main.admin())

    def _keep(self, thing: Opened) -> Opened:
        self.opened.append(thing)
        return thing

    def name(self, stem: str) -> str:
        return f"{stem}-{self.unique}-{next(self.numbers)}"

    def transport(self) -> Transport:
        return self._keep(self.connect())

    def topic(self, partitions: int = 1, **config: str) -> str:
        name = self.name("topic")
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.patiently(lambda: self.administrator.create(TopicSpec(name, partitions, config=settings)))
        return name

    def producer(self, transactional_id: str | None = None) -> Producer:
        name = transactional_id or self.name("transactions")
        return self._keep(self.patiently(lambda: self.main.producer(name)))

    def consumer(self, group: str, topic: str, instance_id: str | None = None) -> Consumer:
        transport = self.transport()
        return self._keep(self.patiently(lambda: transport.consumer(group, [topic], instance_id)))

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        reader = self._keep(self.main.reader())
        reader.assign(positions)
        return reader

    def until(self, step: Callable[[], object], condition: Callable[[], bool], what: str) -> None:
        """Take steps until the condition holds; fail after the limit."""
        deadline = time.monotonic() + self.limit_seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {self.limit_seconds} s: {what}"
            step()

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """The answer, once the log is there to give it."""
        answers: list[Answer] = []

        def step() -> None:
            with suppress(Retriable):
                answers.append(ask())

        self.until(step, lambda: bool(answers), "an answer")
        return answers[0]

    def read_all(self, partitions: Iterable[TopicPartition], reader: Reader | None = None) -> list[Record]:
        """Every record a reader sees up to the end offsets of now: no transaction may be open on the partitions."""
        wanted = list(partitions)
        own = reader or self.reader(dict.fromkeys(wanted, EARLIEST))
        ends = self.administrator.end_offsets(wanted)
        seen: list[Record] = []
        self.until(
            lambda: seen.extend(own.poll(POLL_MS, 500)),
            lambda: all(own.position(partition) >= end for partition, end in ends.items()),
            f"read to {ends}",
        )
        return seen

    def close(self) -> None:
        for thing in reversed(self.opened):
            with suppress(TransportError):
                thing.close()


def sends(topic: str, count: int, *, partitions: int = 1, start: int = 0) -> list[Send]:
    """`count` records, round the partitions; key and value name the record's place."""
    return [Send(topic, n % partitions, b"key-%d" % n, b"value-%d" % n) for n in range(start, start + count)]


def partitions_of(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, n) for n in range(count)]


def values(records: Iterable[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def publish(producer: Producer, batch: Sequence[Send]) -> list[int]:
    """The batch as one committed transaction; the offsets of its records."""
    producer.begin()
    producer.send(batch)
    offsets = producer.flush(WAIT_MS)
    producer.commit(WAIT_MS)
    return offsets


class TransportConformance:
    """The suite. A subclass overrides `connect`, and the figures below where its log differs by design."""

    limit_seconds = 60.0

    open_transactions_are_visible = True
    """Records of an open transaction occupy offsets, and its offsets hold back who asks for committed ones.

    False for a log that writes a transaction only when it commits, where there is nothing unfinished to see.
    """

    @pytest.fixture
    def connect(self) -> Connect:
        raise NotImplementedError("a subclass gives the transport")

    @pytest.fixture
    def world(self, connect: Connect) -> Iterator[World]:
        world = World(connect, self.limit_seconds)
        try:
            yield world
        finally:
            world.close()

    # ------------------------------------------------------------------------------------------- administration

    def test_a_missing_topic_has_no_partitions(self, world: World) -> None:
        assert world.administrator.partitions(world.name("never-made")) is None

    def test_creating_a_topic_twice_leaves_the_first(self, world: World) -> None:
        name = world.name("topic")
        assert world.administrator.create(TopicSpec(name, 3, config={"cleanup.policy": "compact"}))
        assert not world.administrator.create(TopicSpec(name, 5, config={"cleanup.policy": "delete"}))
        assert world.administrator.partitions(name) == 3
        assert world.administrator.config(name)["cleanup.policy"] == "compact"

    def test_a_new_topic_is_empty(self, world: World) -> None:
        both = partitions_of(world.topic(2), 2)
        assert world.administrator.begin_offsets(both) == dict.fromkeys(both, 0)
        assert world.administrator.end_offsets(both) == dict.fromkeys(both, 0)

    def test_offsets_of_a_missing_topic_are_an_error(self, world: World) -> None:
        missing = TopicPartition(world.name("never-made"), 0)
        with pytest.raises(TransportError):
            world.administrator.end_offsets([missing])

    def test_deleting_records_moves_the_begin_and_nothing_else(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        offsets = publish(world.producer(), sends(topic, 10))
        world.read_all([partition])  # a commit's marker may come after its answer, but before its records are read
        end = world.administrator.end_offsets([partition])
        world.administrator.delete_records({partition: offsets[6]})
        assert world.administrator.begin_offsets([partition]) == {partition: offsets[6]}
        assert world.administrator.end_offsets([partition]) == end
        assert values(world.read_all([partition])) == [b"value-6", b"value-7", b"value-8", b"value-9"]

    # ------------------------------------------------------------------------------------------- records

    def test_records_keep_their_order_and_have_the_offsets_flush_told(self, world: World) -> None:
        topic = world.topic(3)
        producer = world.producer()
        producer.begin()
        batch = sends(topic, 300, partitions=3)
        producer.send(batch[:100])
        producer.send(batch[100:])
        offsets = producer.flush(WAIT_MS)
        producer.commit(WAIT_MS)

        seen = world.read_all(partitions_of(topic, 3))
        places = {(record.partition, record.offset): record for record in seen}
        assert len(places) == len(seen) == 300
        for sent, offset in zip(batch, offsets, strict=True):
            record = places[sent.partition, offset]
            assert (record.topic, record.key, record.value) == (topic, sent.key, sent.value)
            assert record.timestamp > 0
        for number in range(3):
            mine = [record.offset for record in seen if record.partition == number]
            assert mine == sorted(mine)

    def test_bytes_nulls_and_headers_come_back_as_they_were(self, world: World) -> None:
        topic = world.topic()
        every_byte = bytes(range(256))
        batch = [
            Send(topic, 0, None, None),
            Send(topic, 0, b"", b""),
            Send(topic, 0, None, b"no key"),
            Send(topic, 0, b"tombstone", None),
            Send(topic, 0, every_byte, every_byte),
            Send(topic, 0, b"k", b"v", (("ce_type", b"page.viewed"), ("ce_type", b"twice"))),
            Send(topic, 0, b"k", b"v", (("empty", b""), ("ü", b"\xff"))),
            Send(topic, 0, b"k", b"v", (("null", None),)),
        ]
        publish(world.producer(), batch)
        seen = world.read_all([TopicPartition(topic, 0)])
        assert [(r.key, r.value, r.headers) for r in seen] == [(s.key, s.value, s.headers) for s in batch]

    def test_poll_gives_no_more_than_asked_and_loses_nothing(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        publish(world.producer(), sends(topic, 50))
        reader = world.reader({partition: EARLIEST})
        seen: list[Record] = []

        def step() -> None:
            records = reader.poll(POLL_MS, 7)
            assert len(records) <= 7
            seen.extend(records)
            if records:
                assert reader.position(partition) >= records[-1].offset + 1

        world.until(step, lambda: len(seen) >= 50, "fifty records")
        assert values(seen) == [b"value-%d" % n for n in range(50)]

    def test_a_reader_begins_where_it_is_told(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        offsets = publish(world.producer(), sends(topic, 10))
        reader = world.reader({partition: offsets[4]})
        assert reader.position(partition) == offsets[4]
        assert values(world.read_all([partition], reader))[0] == b"value-4"
        reader.assign({partition: offsets[8]})
        assert values(world.read_all([partition], reader)) == [b"value-8", b"value-9"]

    def test_a_reader_reads_just_what_it_is_assigned(self, world: World) -> None:
        topic = world.topic(2)
        publish(world.producer(), sends(topic, 20, partitions=2))
        first, second = partitions_of(topic, 2)
        reader = world.reader({first: EARLIEST})
        assert {record.partition for record in world.read_all([first], reader)} == {0}
        reader.assign({second: EARLIEST})
        assert {record.partition for record in world.read_all([second], reader)} == {1}

    def test_a_paused_partition_yields_nothing_and_skips_nothing(self, world: World) -> None:
        topic = world.topic(2)
        first, second = partitions_of(topic, 2)
        publish(world.producer(), sends(topic, 200, partitions=2))
        reader = world.reader({first: EARLIEST, second: EARLIEST})
        seen: dict[int, list[Record]] = defaultdict(list)

        def step() -> list[Record]:
            records = reader.poll(POLL_MS, 10)
            for record in records:
                seen[record.partition].append(record)
            return records

        world.until(step, lambda: bool(seen[0]), "a first record of the partition to be paused")
        before = reader.position(first)
        held = len(seen[0])
        reader.pause([first])
        world.until(step, lambda: len(seen[1]) == 100, "all of the other partition")
        for _ in range(3):
            step()
        assert len(seen[0]) == held
        assert reader.position(first) == before
        reader.resume([first])
        world.until(step, lambda: len(seen[0]) == 100, "the rest of the resumed partition")
        assert values(seen[0]) == [b"value-%d" % n for n in range(0, 200, 2)]

    def test_an_offset_out_of_range_is_raised_never_reset(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        offsets = publish(world.producer(), sends(topic, 10))
        world.administrator.delete_records({partition: offsets[5]})
        past_the_end = world.administrator.end_offsets([partition])[partition] + 100
        for position in (offsets[1], past_the_end):
            reader = world.reader({partition: position})
            with pytest.raises(OffsetOutOfRange):
                world.until(partial(reader.poll, POLL_MS, 100), lambda: False, "an error")

    # ------------------------------------------------------------------------------------------- transactions

    def test_committed_is_visible_and_aborted_is_not(self, world: World) -> None:
        topic = world.topic()
        producer = world.producer()
        expected = []
        for number in range(6):
            producer.begin()
            batch = sends(topic, 3, start=number * 3)
            producer.send(batch)
            producer.flush(WAIT_MS)
            if number % 2:
                producer.abort(WAIT_MS)
            else:
                producer.commit(WAIT_MS)
                expected += [send.value for send in batch]
        assert values(world.read_all([TopicPartition(topic, 0)])) == expected

    @pytest.mark.parametrize("seed", range(3))
    def test_readers_see_the_committed_transactions_in_order_and_whole(self, world: World, seed: int) -> None:
        choose = random.Random(seed)
        topic = world.topic(2)
        producers = [world.producer() for _ in range(2)]
        expected: dict[int, list[bytes | None]] = {0: [], 1: []}
        numbers = itertools.count()
        for _ in range(12):
            producer = choose.choice(producers)
            producer.begin()
            count = choose.randrange(1, 40)
            batch = [Send(topic, choose.randrange(2), b"k", b"%d" % next(numbers)) for _ in range(count)]
            cut = choose.randrange(count)
            producer.send(batch[:cut])
            if choose.random() < 0.5:
                producer.flush(WAIT_MS)
            producer.send(batch[cut:])
            producer.flush(WAIT_MS)
            if choose.random() < 0.6:
                producer.commit(WAIT_MS)
                for send in batch:
                    expected[send.partition].append(send.value)
            else:
                producer.abort(WAIT_MS)
        seen = world.read_all(partitions_of(topic, 2))
        for number in range(2):
            assert values(record for record in seen if record.partition == number) == expected[number]

    def test_an_open_transaction_is_not_read(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        publish(world.producer(), sends(topic, 2))
        waiting = world.producer()
        waiting.begin()
        waiting.send(sends(topic, 2, start=2))
        waiting.flush(WAIT_MS)
        reader = world.reader({partition: EARLIEST})
        seen: list[Record] = []
        world.until(lambda: seen.extend(reader.poll(POLL_MS, 100)), lambda: len(seen) >= 2, "what is committed")
        for _ in range(5):
            seen.extend(reader.poll(POLL_MS, 100))
        assert values(seen) == [b"value-0", b"value-1"]
        waiting.commit(WAIT_MS)
        world.until(lambda: seen.extend(reader.poll(POLL_MS, 100)), lambda: len(seen) >= 4, "what was open")
        assert values(seen) == [b"value-0", b"value-1", b"value-2", b"value-3"]

    def test_the_end_offset_counts_open_transactions(self, world: World) -> None:
        if not self.open_transactions_are_visible:
            pytest.skip("this log writes a transaction only when it commits")
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        publish(world.producer(), sends(topic, 2))
        world.read_all([partition])  # the marker is there when the records can be read
        before = world.administrator.end_offsets([partition])[partition]
        waiting = world.producer()
        waiting.begin()
        waiting.send(sends(topic, 5))
        waiting.flush(WAIT_MS)
        assert world.administrator.end_offsets([partition])[partition] == before + 5
        waiting.abort(WAIT_MS)

    def test_a_reader_s_position_passes_markers_and_aborted_records(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        producer = world.producer()
        publish(producer, sends(topic, 2))
        producer.begin()
        producer.send(sends(topic, 4))
        producer.flush(WAIT_MS)
        producer.abort(WAIT_MS)
        reader = world.reader({partition: EARLIEST})
        assert len(world.read_all([partition], reader)) == 2
        world.until(
            lambda: reader.poll(POLL_MS, 10),
            lambda: reader.position(partition) == world.administrator.end_offsets([partition])[partition],
            "a position behind the last marker",
        )

    def test_an_empty_transaction_commits(self, world: World) -> None:
        producer = world.producer()
        producer.begin()
        assert producer.flush(WAIT_MS) == []
        producer.commit(WAIT_MS)
        topic = world.topic()
        publish(producer, sends(topic, 1))
        assert len(world.read_all([TopicPartition(topic, 0)])) == 1

    def test_a_newer_producer_of_the_same_id_fences_the_older(self, world: World) -> None:
        topic = world.topic()
        name = world.name("transactions")
        old = world.producer(name)
        old.begin()
        old.send(sends(topic, 3))
        old.flush(WAIT_MS)
        new = world.producer(name)
        with pytest.raises(Fenced):
            old.commit(WAIT_MS)
        old.close()
        publish(new, sends(topic, 2, start=10))
        assert values(world.read_all([TopicPartition(topic, 0)])) == [b"value-10", b"value-11"]

    def test_a_fenced_producer_can_t_begin_anew(self, world: World) -> None:
        topic = world.topic()
        name = world.name("transactions")
        old = world.producer(name)
        publish(old, sends(topic, 1))
        new = world.producer(name)
        publish(new, sends(topic, 1, start=1))
        with pytest.raises(Fenced):
            publish(old, sends(topic, 1, start=2))
        old.close()
        publish(new, sends(topic, 1, start=3))  # undisturbed by what the older one tried
        assert values(world.read_all([TopicPartition(topic, 0)])) == [b"value-0", b"value-1", b"value-3"]

    def test_a_new_producer_ends_what_its_predecessor_left_open(self, world: World) -> None:
        topic = world.topic()
        name = world.name("transactions")
        old = world.producer(name)
        old.begin()
        old.send(sends(topic, 3))
        old.flush(WAIT_MS)
        old.close()
        world.producer(name)
        assert world.read_all([TopicPartition(topic, 0)]) == []

    def test_a_record_too_large_is_named_by_its_place(self, world: World) -> None:
        topic = world.topic(max_message_bytes="100000")
        name = world.name("transactions")
        producer = world.producer(name)
        producer.begin()
        producer.send(sends(topic, 2))
        big = random.Random(1).randbytes(200_000)  # random, so that compression can't make it fit
        with pytest.raises(RecordTooLarge) as caught:
            producer.send([*sends(topic, 2), Send(topic, 0, b"big", big), *sends(topic, 2)])
            producer.flush(WAIT_MS)
        assert caught.value.index == 4
        producer.close()

        again = world.producer(name)
        publish(again, sends(topic, 1))
        assert values(world.read_all([TopicPartition(topic, 0)])) == [b"value-0"]

    # ------------------------------------------------------------------------------------------- offsets and groups

    def alone(self, world: World, group: str, topic: str, count: int, instance_id: str | None = None) -> Consumer:
        """A group's only member, once it has all `count` partitions."""
        consumer = world.consumer(group, topic, instance_id)
        self.settle(world, {consumer: count})
        return consumer

    def settle(self, world: World, counts: Mapping[Consumer, int]) -> None:
        """Poll the members in turn until each has so many partitions, and all speak of one generation."""

        def step() -> None:
            for consumer in counts:
                consumer.poll(POLL_MS, 100)

        def settled() -> bool:
            generations = {consumer.group_metadata().generation for consumer in counts}
            return len(generations) == 1 and all(len(who.assignment()) == count for who, count in counts.items())

        world.until(step, settled, f"partitions {list(counts.values())}")

    def test_a_new_partition_yields_nothing_before_it_is_positioned(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        publish(world.producer(), sends(topic, 5))
        consumer = world.consumer(world.name("group"), topic)
        seen: list[Record] = []

        def step() -> None:
            seen.extend(consumer.poll(POLL_MS, 100))

        world.until(step, lambda: consumer.assignment() == {partition}, "the assignment")
        with pytest.raises(LookupError):
            consumer.position(partition)
        for _ in range(5):
            step()
        assert seen == []
        consumer.seek(partition, 3)
        assert consumer.position(partition) == 3
        world.until(step, lambda: len(seen) >= 2, "the records from the position on")
        assert values(seen) == [b"value-3", b"value-4"]

    def test_offsets_commit_with_the_records_or_not_at_all(self, world: World) -> None:
        source, target = world.topic(), world.topic()
        partition = TopicPartition(source, 0)
        publish(world.producer(), sends(source, 5))
        consumer = self.alone(world, world.name("group"), source, 1)
        assert consumer.committed([partition]) == {partition: None}
        producer = world.producer()

        producer.begin()
        producer.send(sends(target, 1))
        producer.flush(WAIT_MS)
        producer.send_offsets({partition: 3}, consumer.group_metadata(), WAIT_MS)
        producer.abort(WAIT_MS)
        assert consumer.committed([partition]) == {partition: None}
        assert world.read_all([TopicPartition(target, 0)]) == []

        producer.begin()
        producer.send(sends(target, 1))
        producer.flush(WAIT_MS)
        producer.send_offsets({partition: 4}, consumer.group_metadata(), WAIT_MS)
        producer.commit(WAIT_MS)
        assert consumer.committed([partition]) == {partition: 4}
        assert values(world.read_all([TopicPartition(target, 0)])) == [b"value-0"]

    def test_a_transaction_of_offsets_alone_commits(self, world: World) -> None:
        source = world.topic()
        partition = TopicPartition(source, 0)
        publish(world.producer(), sends(source, 5))
        consumer = self.alone(world, world.name("group"), source, 1)
        producer = world.producer()
        for offset in (2, 5):
            producer.begin()
            producer.send_offsets({partition: offset}, consumer.group_metadata(), WAIT_MS)
            producer.commit(WAIT_MS)
            assert consumer.committed([partition]) == {partition: offset}

    def test_committed_offsets_are_never_those_of_an_open_transaction(self, world: World) -> None:
        source = world.topic()
        partition = TopicPartition(source, 0)
        consumer = self.alone(world, world.name("group"), source, 1)
        producer = world.producer()
        producer.begin()
        producer.send_offsets({partition: 7}, consumer.group_metadata(), WAIT_MS)
        if self.open_transactions_are_visible:
            with pytest.raises(Retriable):
                consumer.committed([partition], timeout_ms=500)
        else:
            assert consumer.committed([partition], timeout_ms=500) == {partition: None}
        producer.commit(WAIT_MS)
        assert consumer.committed([partition]) == {partition: 7}

    def test_what_a_dead_worker_left_open_does_not_hold_its_successor(self, world: World) -> None:
        source = world.topic()
        partition = TopicPartition(source, 0)
        consumer = self.alone(world, world.name("group"), source, 1)
        name = world.name("transactions")
        dead = world.producer(name)
        dead.begin()
        dead.send_offsets({partition: 7}, consumer.group_metadata(), WAIT_MS)
        world.producer(name)
        assert consumer.committed([partition]) == {partition: None}
        with pytest.raises(Fenced):
            dead.commit(WAIT_MS)
        assert consumer.committed([partition]) == {partition: None}

    def test_a_consumer_s_position_out_of_range_is_raised_never_reset(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        offsets = publish(world.producer(), sends(topic, 10))
        world.administrator.delete_records({partition: offsets[5]})
        consumer = self.alone(world, world.name("group"), topic, 1)
        consumer.seek(partition, offsets[2])
        with pytest.raises(OffsetOutOfRange):
            world.until(lambda: consumer.poll(POLL_MS, 100), lambda: False, "an error")

    def test_seeking_back_gives_the_same_records_again(self, world: World) -> None:
        topic = world.topic()
        partition = TopicPartition(topic, 0)
        publish(world.producer(), sends(topic, 30))
        consumer = self.alone(world, world.name("group"), topic, 1)
        seen: list[Record] = []

        def step() -> None:
            seen.extend(consumer.poll(POLL_MS, 9))

        for start in (0, 20, 10):
            consumer.seek(partition, start)
            seen.clear()
            world.until(step, lambda: len(seen) >= 10, "ten records")
            assert values(seen)[:10] == [b"value-%d" % n for n in range(start, start + 10)]

    def test_a_consumer_s_pause_holds_over_polls(self, world: World) -> None:
        topic = world.topic(2)
        first, second = partitions_of(topic, 2)
        publish(world.producer(), sends(topic, 40, partitions=2))
        consumer = self.alone(world, world.name("group"), topic, 2)
        consumer.seek(first, 0)
        consumer.seek(second, 0)
        consumer.pause([first])
        seen: list[Record] = []

        def step() -> None:
            seen.extend(consumer.poll(POLL_MS, 100))

        world.until(step, lambda: len(seen) >= 20, "the partition that isn't paused")
        for _ in range(3):
            step()
        assert {record.partition for record in seen} == {1}
        assert consumer.position(first) == 0
        consumer.resume([first])
        world.until(step, lambda: len(seen) >= 40, "the other one after it was resumed")
        assert sorted(values(seen), key=str) == sorted((s.value for s in sends(topic, 40)), key=str)

    def test_two_members_share_and_never_hold_a_partition_twice(self, world: World) -> None:
        topic = world.topic(4)
        everything = frozenset(partitions_of(topic, 4))
        publish(world.producer(), sends(topic, 40, partitions=4))
        group = world.name("group")
        first = self.alone(world, group, topic, 4)
        seen: list[Record] = []
        for partition in everything:
            first.seek(partition, 0)

        def step_first() -> None:
            seen.extend(first.poll(POLL_MS, 100))

        world.until(step_first, lambda: len(seen) >= 40, "all records")

        second = world.consumer(group, topic)
        kept: list[frozenset[TopicPartition]] = []

        def step() -> None:
            seen.extend(first.poll(POLL_MS, 100))
            seen.extend(second.poll(POLL_MS, 100))
            newcomer = second.assignment()  # asked first: what it holds, the other one has given up before
            kept.append(first.assignment())
            assert not newcomer & kept[-1]

        world.until(step, lambda: len(second.assignment()) == 2 and len(first.assignment()) == 2, "two each")
        assert first.assignment() | second.assignment() == everything
        assert all(first.assignment() <= held for held in kept), "what a member keeps is never taken away in between"
        for partition in first.assignment():
            assert first.position(partition) >= 10, "a partition that stays keeps its position"
        for partition in second.assignment():
            with pytest.raises(LookupError):
                second.position(partition)
        for _ in range(5):
            step()
        assert len(seen) == 40, "nothing was given out a second time"
        assert not first.lost()

        second.close()
        self.settle(world, {first: 4})
        for partition in everything - kept[-1]:
            with pytest.raises(LookupError):
                first.position(partition)

    def test_offsets_under_an_old_generation_are_refused(self, world: World) -> None:
        topic, target = world.topic(2), world.topic()
        partition = TopicPartition(topic, 0)
        group = world.name("group")
        first = self.alone(world, group, topic, 2)
        old = first.group_metadata()
        second = world.consumer(group, topic)
        self.settle(world, {first: 1, second: 1})
        assert first.group_metadata().generation > old.generation
        self.refused(world, target, {partition: 5}, old)
        assert first.committed([partition]) == {partition: None}
        assert world.read_all([TopicPartition(target, 0)]) == []

    def test_offsets_of_a_member_that_left_are_refused(self, world: World) -> None:
        topic, target = world.topic(), world.topic()
        partition = TopicPartition(topic, 0)
        group = world.name("group")
        gone = self.alone(world, group, topic, 1)
        old = gone.group_metadata()
        gone.leave()
        heir = self.alone(world, group, topic, 1)
        self.refused(world, target, {partition: 5}, old)
        assert heir.committed([partition]) == {partition: None}
        assert world.read_all([TopicPartition(target, 0)]) == []

    @staticmethod
    def refused(world: World, target: str, offsets: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """A transaction with these offsets is fenced, at the latest at its commit; its producer's successor ends it."""
        name = world.name("transactions")
        producer = world.producer(name)
        producer.begin()
        producer.send(sends(target, 1))
        with pytest.raises(Fenced):
            producer.flush(WAIT_MS)
            producer.send_offsets(offsets, group, WAIT_MS)
            producer.commit(WAIT_MS)
        producer.close()
        world.producer(name)

    def test_a_static_member_that_comes_back_finds_its_partitions(self, world: World) -> None:
        topic = world.topic(4)
        group = world.name("group")
        first = self.alone(world, group, topic, 4, "one")
        second = world.consumer(group, topic, "two")
        self.settle(world, {first: 2, second: 2})
        mine, others = second.assignment(), first.assignment()
        generation = first.group_metadata().generation
        second.close()
        for _ in range(10):
            first.poll(POLL_MS, 100)
            assert first.assignment() == others
        back = world.consumer(group, topic, "two")
        self.settle(world, {first: 2, back: 2})
        assert back.assignment() == mine
        assert first.assignment() == others
        assert first.group_metadata().generation == back.group_metadata().generation == generation

    def test_a_static_member_that_leaves_frees_its_partitions(self, world: World) -> None:
        topic = world.topic(4)
        group = world.name("group")
        first = self.alone(world, group, topic, 4, "one")
        second = world.consumer(group, topic, "two")
        self.settle(world, {first: 2, second: 2})
        second.leave()
        self.settle(world, {first: 4})

    def test_removing_a_static_member_frees_its_partitions(self, world: World) -> None:
        topic = world.topic(4)
        group = world.name("group")
        first = self.alone(world, group, topic, 4, "one")
        second = world.consumer(group, topic, "two")
        self.settle(world, {first: 2, second: 2})
        second.close()
        world.administrator.remove_member(group, "two")
        self.settle(world, {first: 4})
        world.administrator.remove_member(group, "two")

    def test_what_the_members_of_a_group_have_been_given_can_be_asked(self, world: World) -> None:
        topic, group = world.topic(4), world.name("group")
        assert world.administrator.assigned(group) is None
        first = self.alone(world, group, topic, 4)
        assert world.administrator.assigned(group) == first.assignment()
        second = world.consumer(group, topic)
        self.settle(world, {first: 2, second: 2})
        assert world.administrator.assigned(group) == first.assignment() | second.assignment()

    def test_a_second_worker_of_the_same_instance_fences_the_first(self, world: World) -> None:
        topic, target = world.topic(), world.topic()
        partition = TopicPartition(topic, 0)
        group = world.name("group")
        first = self.alone(world, group, topic, 1, "one")
        old = first.group_metadata()
        second = self.alone(world, group, topic, 1, "one")
        self.refused(world, target, {partition: 5}, old)
        assert second.committed([partition]) == {partition: None}

        def outcome() -> bool:
            try:
                first.poll(POLL_MS, 100)
            except Fenced:
                return True
            return first.lost()

        noticed: list[bool] = []
        world.until(lambda: noticed.append(outcome()), lambda: any(noticed), "the first one to notice")

    def test_closing_twice_does_nothing(self, world: World) -> None:
        topic = world.topic()
        consumer = self.alone(world, world.name("group"), topic, 1)
        producer = world.producer()
        reader = world.reader({TopicPartition(topic, 0): EARLIEST})
        for thing in (consumer, producer, reader):
            thing.close()
            thing.close()
