"""kafka-python against a real broker: the suite, and what `docs/decisions/0006-kafka-clients.md` says of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from kafka import KafkaAdminClient

from tests.transports.conformance import WAIT_MS, Connect, TransportConformance, World, publish, sends
from tests.transports.faults import BrokerFaults, NoBrokerThere
from worker.transports.base import GroupMetadata, Send, TopicPartition, Transport
from worker.transports.errors import Fatal, RecordTooLarge
from worker.transports.kafka_python import KafkaPythonTransport
from worker.transports.kafka_python_consumer import KafkaPythonConsumer
from worker.transports.options import CLIENT_STEM


@pytest.mark.broker
class TestKafkaPython(TransportConformance):
    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: KafkaPythonTransport(f"kafka://{broker}")

    def test_polls_shorter_than_a_rejoining_still_finish_it(self, world: World) -> None:
        """The library forgets a joining whose reason has gone when the next poll comes; it stood still for ever."""
        topic = world.topic(2)
        consumer = world.consumer(world.name("group"), topic)
        world.until(lambda: consumer.poll(1, 10), lambda: len(consumer.assignment()) == 2, "the first partitions")
        kept = consumer.assignment()
        assert isinstance(world.main, KafkaPythonTransport)
        admin = KafkaAdminClient(bootstrap_servers=world.main.servers)
        admin.create_partitions({topic: 6})
        admin.close()
        assert isinstance(consumer, KafkaPythonConsumer)
        consumer._client._cluster.request_update()

        def step() -> None:
            consumer.poll(1, 10)
            assert kept <= consumer.assignment()

        world.until(step, lambda: len(consumer.assignment()) == 6, "the partitions that were added")

    def test_membership_is_that_of_the_batch_until_the_next_one(self, world: World) -> None:
        """Fact 6; and a member that fell out shows a generation under which the broker would check nothing."""
        topic = world.topic()
        consumer = self.alone(world, world.name("group"), topic, 1)
        assert isinstance(consumer, KafkaPythonConsumer)
        before = consumer.group_metadata()
        consumer._client._coordinator.reset_generation()  # as the network thread does when the member was put out
        assert consumer._client.group_metadata().generation_id < 0
        assert consumer.group_metadata() == before
        outsider = GroupMetadata(before.group, -1, "", consumer._client.group_metadata())
        self.refused(world, world.topic(), {TopicPartition(topic, 0): 1}, outsider)

    def test_records_of_a_batch_that_the_topic_is_too_small_for_are_split_and_keep_their_offsets(
        self, world: World
    ) -> None:
        topic = world.topic(max_message_bytes="20000")
        batch = [Send(topic, 0, b"%d" % n, random.Random(n).randbytes(1_000)) for n in range(200)]
        offsets = publish(world.producer(), batch)
        seen = world.read_all([TopicPartition(topic, 0)])
        assert [(r.offset, r.key, r.value) for r in seen] == [
            (offset, s.key, s.value) for s, offset in zip(batch, offsets, strict=True)
        ]

    def test_the_record_to_blame_is_found_in_a_batch_that_was_split(self, world: World) -> None:
        topic = world.topic(max_message_bytes="20000")
        batch = [Send(topic, 0, b"%d" % n, random.Random(n).randbytes(1_000)) for n in range(50)]
        batch[33] = Send(topic, 0, b"33", random.Random(33).randbytes(30_000))
        producer = world.producer()
        producer.begin()
        producer.send(batch)
        with pytest.raises(RecordTooLarge) as caught:
            producer.flush(WAIT_MS)
        assert caught.value.index == 33

    def test_a_record_above_the_client_s_own_limit_is_named_at_once(self, world: World) -> None:
        topic = world.topic()
        producer = world.producer()
        producer.begin()
        with pytest.raises(RecordTooLarge) as caught:
            producer.send([*sends(topic, 3), Send(topic, 0, b"k", bytes(20_000_000))])
        assert caught.value.index == 3

    def test_a_partition_that_does_not_exist_is_an_error(self, world: World) -> None:
        producer = world.producer()
        producer.begin()
        with pytest.raises(Fatal):
            producer.send([Send(world.topic(2), 2, b"k", b"v")])

    def test_a_member_of_another_client_is_not_joined(self, world: World) -> None:
        group, topic = world.name("group"), world.topic()
        assert isinstance(world.main, KafkaPythonTransport)
        other = KafkaPythonTransport(f"kafka://{world.main.servers}", {"client_id": CLIENT_STEM + "other"})
        consumer = other.consumer(group, [topic], None)
        world.until(lambda: consumer.poll(50, 1), lambda: bool(consumer.assignment()), "the other one's assignment")
        with pytest.raises(Fatal) as caught:
            world.main.consumer(group, [topic], None)
        assert "--client" in caught.value.remedy
        consumer.close()


@pytest.mark.broker
class TestRecordByRecord:
    """By the library's own methods, as where its inner parts have changed: the same transactions, slower."""

    limit_seconds = 60.0
    world = TransportConformance.world
    test_committed_is_visible_and_aborted_is_not = TransportConformance.test_committed_is_visible_and_aborted_is_not
    test_order = TransportConformance.test_records_keep_their_order_and_have_the_offsets_flush_told
    test_mixed = TransportConformance.test_readers_see_the_committed_transactions_in_order_and_whole
    test_fenced = TransportConformance.test_a_newer_producer_of_the_same_id_fences_the_older
    test_too_large = TransportConformance.test_a_record_too_large_is_named_by_its_place

    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: KafkaPythonTransport(f"kafka://{broker}", packed=False)


@pytest.mark.broker
class TestFaults(BrokerFaults):
    quick: ClassVar[Mapping[str, Any]] = {"delivery_timeout_ms": 4_000, "request_timeout_ms": 3_000}
    short_transaction: ClassVar[Mapping[str, Any]] = {"transaction_timeout_ms": 6_000}

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return KafkaPythonTransport(f"kafka://{address}", options)


class TestNobodyThere(NoBrokerThere):
    impatient: ClassVar[Mapping[str, Any]] = {"bootstrap_timeout_ms": 500}

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return KafkaPythonTransport(f"kafka://{address}", options)

    def open_url(self, url: str) -> Transport:
        return KafkaPythonTransport(url)
