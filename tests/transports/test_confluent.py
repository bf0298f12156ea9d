"""confluent-kafka against a real broker: the conformance suite, and what librdkafka does otherwise."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from tests.broker.kafka import Broker
from tests.broker.proxy import TXN_OFFSET_COMMIT, Proxy
from tests.processes import bound, limited
from tests.transports.conformance import Connect, TransportConformance, World, publish, sends
from tests.transports.faults import PATIENT_MS, BrokerFaults, NoBrokerThere
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
    quick: ClassVar[Mapping[str, Any]] = {"message.timeout.ms": 4_000, "socket.timeout.ms": 3_000}
    short_transaction: ClassVar[Mapping[str, Any]] = {"transaction.timeout.ms": 6_000, "message.timeout.ms": 6_000}

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

    def test_a_call_that_was_left_to_itself_comes_back_with_the_broker(self, proxied: World, proxy: Proxy) -> None:
        """And its client ends with it, in its thread; until then it is one of those that make too many."""
        producer, consumer, source, _, _ = self.half_way(proxied)
        proxy.cut(TXN_OFFSET_COMMIT, answered=False, gone=True)
        with pytest.raises(Retriable, match="has not come back"):
            producer.send_offsets({source: 7}, consumer.group_metadata(), PATIENT_MS)
        producer.close()
        assert calls_running()
        proxy.mend()
        proxied.until(lambda: consumer.poll(50, 1), lambda: not calls_running(), "the end of the call")

    @pytest.mark.slow
    def test_questions_about_a_group_outlive_a_broker_that_dies_over_them(self, own_broker: Broker) -> None:
        """librdkafka aborts the process where a client that has asked before asks on: so this is one of its own."""
        command = [sys.executable, "-c", ASKS, own_broker.address]
        with subprocess.Popen(bound(command), stdout=subprocess.PIPE, text=True) as process, limited(process, 240):
            assert process.stdout is not None
            assert process.stdout.readline() == "asking\n"
            for deed in (own_broker.stop, own_broker.kill) * 3:
                threading.Event().wait(1)
                deed()
                threading.Event().wait(1)
                own_broker.start()
            process.terminate()
            assert process.wait(60) == 0


def calls_running() -> bool:
    return any(thread.name == "librdkafka" for thread in threading.enumerate())


ASKS = """
import signal, sys, threading
from worker.transports import confluent_admin, open_transport
from worker.transports.errors import Retriable

confluent_admin.PATIENCE_SECONDS = 0  # so that it is asked as often as can be while nobody answers
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())

def ask(admin):
    while not told.is_set():
        try:
            admin.assigned("nobody")
        except Retriable:
            told.wait(0.02)

admins = [open_transport(f"kafka://{sys.argv[1]}", "confluent-kafka").admin() for _ in range(4)]
threads = [threading.Thread(target=ask, args=(admin,)) for admin in admins]
for thread in threads:
    thread.start()
print("asking", flush=True)
for thread in threads:
    thread.join()
"""


class TestNobodyThere(NoBrokerThere):
    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return ConfluentTransport(f"kafka://{address}", options, connect_seconds=0.5)

    def open_url(self, url: str) -> Transport:
        return ConfluentTransport(url)
