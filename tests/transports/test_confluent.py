"""confluent-kafka against a real broker: the conformance suite, and what librdkafka does otherwise."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from tests.broker.kafka import Broker
from tests.transports.conformance import Connect, TransportConformance, World, publish, sends
from tests.transports.faults import BrokerFaults, NoBrokerThere
from worker.transports.base import TopicPartition, Transport
from worker.transports.errors import Retriable

pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra: pip install 'lifecycle-worker[confluent]'")

from worker.transports.confluent import ConfluentTransport
from worker.transports.confluent_admin import ConfluentAdmin
from worker.transports.confluent_consumer import ConfluentConsumer


@pytest.mark.broker
class TestConfluent(TransportConformance):
    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: ConfluentTransport(f"kafka://{broker}")


@pytest.mark.broker
class TestFaults(BrokerFaults):
    quick: ClassVar[Mapping[str, Any]] = {"message.timeout.ms": 1_500, "socket.timeout.ms": 1_200}
    short_transaction: ClassVar[Mapping[str, Any]] = {"transaction.timeout.ms": 3_000}

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return ConfluentTransport(f"kafka://{address}", options)

    @pytest.mark.parametrize("asked", [True, False], ids=["ends known", "nobody to ask"])
    def test_a_seek_is_not_undone_by_an_answer_that_comes_late(
        self, asked: bool, world: World, module_broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The broker hangs while partitions are assigned: the client's question for their end is answered after."""
        topic = world.topic(4)
        publish(world.producer(), sends(topic, 400, partitions=4))
        known, assign = ConfluentAdmin.end_offsets, ConfluentConsumer._assigned
        waking: list[threading.Timer] = []

        def assigned(consumer: ConfluentConsumer, client: Any, added: Any) -> None:
            assign(consumer, client, added)
            waking.append(threading.Timer(0.5, module_broker.resume))
            waking[0].start()

        def end_offsets(admin: ConfluentAdmin, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
            ends = known(admin, partitions)
            module_broker.pause()
            if not asked:
                raise Retriable("nobody answers")
            return ends

        monkeypatch.setattr(ConfluentConsumer, "_assigned", assigned)
        monkeypatch.setattr(ConfluentAdmin, "end_offsets", end_offsets)
        consumer = world.consumer(world.name("group"), topic)
        world.until(lambda: consumer.poll(50, 10), lambda: len(consumer.assignment()) == 4, "the assignment")
        for number in range(4):
            consumer.seek(TopicPartition(topic, number), 7)
        first: dict[int, int] = {}

        def step() -> None:
            for record in consumer.poll(50, 50):
                first.setdefault(record.partition, record.offset)

        world.until(step, lambda: len(first) == 4, "records of each partition")
        waking[0].join(10)
        assert first == dict.fromkeys(range(4), 7)


class TestNobodyThere(NoBrokerThere):
    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return ConfluentTransport(f"kafka://{address}", options, connect_seconds=0.5)

    def open_url(self, url: str) -> Transport:
        return ConfluentTransport(url)
