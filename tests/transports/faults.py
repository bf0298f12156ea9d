"""What a broker does to a client when it hangs or dies, as one suite over the clients of Kafka.

A subclass opens the transport and gives options that shorten what is waited for. The broker is the module's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from tests.broker import Broker
from tests.broker.kafka import free_ports
from tests.broker.proxy import END_TXN, TXN_OFFSET_COMMIT, Proxy
from tests.processes import GONE_SECONDS
from tests.transports.conformance import WAIT_MS, World, publish, sends, values
from worker.transports.base import Consumer, Producer, Record, TopicPartition, Transport
from worker.transports.errors import CommitUnknown, Fatal, Fenced, Retriable, TransportError

LIMIT_MS = 2_000
COMMITS_MAX = 100_000
PATIENT_MS = 5_000  # a limit that is reached by a fault alone: on a busy machine, too, what comes before it is done
SLACK_SECONDS = 10.0  # above a call's own limit, for a machine that is busy


class BrokerFaults:
    """The suite; see the module."""

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        raise NotImplementedError("a subclass gives the transport")

    quick: ClassVar[Mapping[str, Any]] = {}
    """The client's options for a delivery timeout of four seconds."""

    @pytest.fixture
    def world(self, module_broker: Broker) -> Iterator[World]:
        world = World(lambda: self.open(module_broker.address), limit_seconds=90)
        try:
            yield world
        finally:
            module_broker.start()
            module_broker.resume()
            world.close()

    @pytest.fixture
    def proxied(self, module_broker: Broker, proxy: Proxy) -> Iterator[World]:
        """A world that reaches the broker by the proxy."""
        assert module_broker.pid
        world = World(lambda: self.open(proxy.address), limit_seconds=90)
        try:
            yield world
        finally:
            proxy.mend()
            world.close()

    @staticmethod
    def within_its_limit(call: Callable[[], object], limit_ms: int = LIMIT_MS) -> TransportError:
        """The error that the call raises no later than its limit."""
        started = time.monotonic()
        with pytest.raises(TransportError) as caught:
            call()
        assert time.monotonic() - started < limit_ms / 1000 + SLACK_SECONDS
        return caught.value

    @staticmethod
    def within_its_limit_closed(producer: Producer) -> None:
        started = time.monotonic()
        producer.close()
        assert time.monotonic() - started < SLACK_SECONDS

    def impatient(self, world: World, broker: Broker, name: str) -> Producer:
        """A producer whose records expire soon."""
        transport = self.open(broker.address, self.quick)
        return world.patiently(lambda: transport.producer(name))

    def worker(self, world: World) -> tuple[str, TopicPartition, TopicPartition, str]:
        """A source and a target, and names for a group and a transactional id."""
        source, target = world.topic(), world.topic()
        publish(world.producer(), sends(source, 10))
        return world.name("group"), TopicPartition(source, 0), TopicPartition(target, 0), world.name("transactions")

    def test_records_that_expire_in_a_transaction_are_never_passed_over(
        self, world: World, module_broker: Broker
    ) -> None:
        """Fact 2: the client's own commit would return normally, its output lost and its offsets advanced."""
        group, source, target, name = self.worker(world)
        consumer = world.consumer(group, source.topic)
        world.until(lambda: consumer.poll(50, 10), lambda: bool(consumer.assignment()), "the assignment")
        producer = self.impatient(world, module_broker, name)
        producer.begin()
        producer.send(sends(target.topic, 1))
        producer.flush(WAIT_MS)
        module_broker.pause()
        producer.send(sends(target.topic, 5, start=1))
        error = self.within_its_limit(lambda: producer.flush(6_000), 6_000)
        assert isinstance(error, Retriable)
        assert not isinstance(error, CommitUnknown), "no commit was sent"
        module_broker.resume()
        with pytest.raises(TransportError):
            producer.send_offsets({source: 5}, consumer.group_metadata(), LIMIT_MS)
        with pytest.raises(TransportError):
            producer.commit(WAIT_MS)
        with pytest.raises(TransportError):
            producer.begin()
        producer.close()
        publish(world.producer(name), sends(target.topic, 1, start=100))
        assert consumer.committed([source]) == {source: None}
        assert values(world.read_all([target])) == [b"value-100"]

    def test_a_commit_looks_at_records_that_nobody_flushed(self, world: World, module_broker: Broker) -> None:
        target = world.topic()
        producer = self.impatient(world, module_broker, world.name("transactions"))
        publish(producer, sends(target, 1))
        producer.begin()
        module_broker.pause()
        producer.send(sends(target, 1))
        error = self.within_its_limit(lambda: producer.commit(6_000), 6_000)
        assert isinstance(error, Retriable)

    @pytest.mark.parametrize("call", ["send_offsets", "commit", "abort"])
    def test_no_call_of_a_transaction_outlasts_its_limit(self, world: World, module_broker: Broker, call: str) -> None:
        """Fact 4: the client's own have none."""
        group, source, target, name = self.worker(world)
        consumer = world.consumer(group, source.topic)
        world.until(lambda: consumer.poll(50, 10), lambda: bool(consumer.assignment()), "the assignment")
        metadata = consumer.group_metadata()
        producer = world.producer(name)
        producer.begin()
        producer.send(sends(target.topic, 1))
        producer.flush(WAIT_MS)
        module_broker.pause()
        calls: dict[str, Callable[[], object]] = {
            "send_offsets": lambda: producer.send_offsets({source: 5}, metadata, LIMIT_MS),
            "commit": lambda: producer.commit(LIMIT_MS),
            "abort": lambda: producer.abort(LIMIT_MS),
        }
        error = self.within_its_limit(calls[call])
        assert isinstance(error, Retriable)
        assert isinstance(error, CommitUnknown) == (call == "commit")
        self.within_its_limit_closed(producer)

    @pytest.mark.parametrize("answered", [True, False], ids=["answer lost", "request lost"])
    def test_after_a_commit_without_an_answer_the_log_tells_the_truth(
        self, answered: bool, proxied: World, proxy: Proxy
    ) -> None:
        producer, consumer, source, target, name = self.half_way(proxied)
        producer.send_offsets({source: 7}, consumer.group_metadata(), WAIT_MS)
        lost = proxy.cut(END_TXN, answered=answered)
        with pytest.raises(CommitUnknown):
            producer.commit(PATIENT_MS)
        assert lost.wait(GONE_SECONDS)
        producer.close()
        proxy.mend()
        proxied.producer(name)
        assert proxied.patiently(lambda: consumer.committed([source])) == {source: 7 if answered else None}
        assert len(proxied.read_all([target])) == (3 if answered else 0)

    @pytest.mark.parametrize("answered", [True, False], ids=["answer lost", "request lost"])
    def test_offsets_are_sent_for_no_longer_than_their_limit_though_the_group_s_coordinator_is_gone(
        self, answered: bool, proxied: World, proxy: Proxy
    ) -> None:
        producer, consumer, source, target, name = self.half_way(proxied)
        lost = proxy.cut(TXN_OFFSET_COMMIT, answered=answered, gone=True)
        metadata = consumer.group_metadata()
        error = self.within_its_limit(lambda: producer.send_offsets({source: 7}, metadata, PATIENT_MS), PATIENT_MS)
        assert isinstance(error, Retriable)
        assert lost.wait(GONE_SECONDS)
        self.within_its_limit_closed(producer)
        proxy.mend()
        proxied.producer(name)
        assert proxied.patiently(lambda: consumer.committed([source])) == {source: None}
        assert proxied.read_all([target]) == []

    def half_way(self, world: World) -> tuple[Producer, Consumer, TopicPartition, TopicPartition, str]:
        """A producer with three records written in an open transaction, a member of the group, and as `worker`."""
        group, source, target, name = self.worker(world)
        consumer = world.consumer(group, source.topic)
        world.until(lambda: consumer.poll(50, 10), lambda: bool(consumer.assignment()), "the assignment")
        producer = world.producer(name)
        producer.begin()
        producer.send(sends(target.topic, 3))
        producer.flush(WAIT_MS)
        return producer, consumer, source, target, name

    def test_a_broker_that_dies_under_commits_leaves_whole_transactions(
        self, world: World, module_broker: Broker
    ) -> None:
        """What was acknowledged is there; what wasn't is there whole with its offsets, or not at all."""
        group, source, target, name = self.worker(world)
        consumer = world.consumer(group, source.topic)
        world.until(lambda: consumer.poll(50, 10), lambda: bool(consumer.assignment()), "the assignment")
        producer = world.producer(name)
        metadata = consumer.group_metadata()
        acknowledged = 0
        killer = threading.Timer(0.5, module_broker.kill)
        killer.daemon = True
        try:
            with pytest.raises(TransportError) as caught:
                while acknowledged < COMMITS_MAX:
                    # The first may take long on a busy machine; it is those after it that die.
                    limit_ms = LIMIT_MS if acknowledged else WAIT_MS
                    producer.begin()
                    producer.send(sends(target.topic, 5, start=acknowledged * 5))
                    producer.flush(limit_ms)
                    producer.send_offsets({source: acknowledged + 1}, metadata, limit_ms)
                    producer.commit(limit_ms)
                    acknowledged += 1
                    if acknowledged == 1:
                        killer.start()
        finally:
            killer.cancel()
            if killer.ident is not None:
                killer.join(GONE_SECONDS)
        assert isinstance(caught.value, Retriable)
        assert acknowledged > 0
        producer.close()
        module_broker.start()
        world.producer(name)
        committed = world.patiently(lambda: consumer.committed([source])[source])
        assert committed in (acknowledged, acknowledged + 1)
        assert values(world.read_all([target])) == [b"value-%d" % n for n in range(committed * 5)]

    def test_a_reader_goes_on_where_it_was_when_the_broker_comes_back(
        self, world: World, module_broker: Broker
    ) -> None:
        topic = world.topic()
        publish(world.producer(), sends(topic, 20))
        consumer = world.consumer(world.name("group"), topic)
        partition = TopicPartition(topic, 0)
        seen: list[Record] = []

        def step() -> None:
            try:
                seen.extend(consumer.poll(50, 7))
            except Retriable:
                return

        world.until(step, lambda: bool(consumer.assignment()), "the assignment")
        consumer.seek(partition, 0)
        world.until(step, lambda: len(seen) >= 7, "some records")
        module_broker.stop()
        for _ in range(5):
            step()
        module_broker.start()
        publish(world.producer(), sends(topic, 5, start=20))
        world.until(step, lambda: len(seen) >= 25, "the rest")
        assert values(seen) == [b"value-%d" % n for n in range(25)]

    def test_a_transaction_that_outlives_its_time_is_fenced(self, world: World, module_broker: Broker) -> None:
        """The worker slept (a suspended machine): the coordinator has aborted its transaction meanwhile."""
        options = {**self.quick, **self.short_transaction}
        target = world.topic()
        producer = self.open(module_broker.address, options).producer(world.name("transactions"))
        producer.begin()
        producer.send(sends(target, 1))
        producer.flush(WAIT_MS)
        # A later transaction's records become readable only once the one that hangs is over.
        publish(world.producer(), sends(target, 1, start=1))
        seen: list[Record] = []
        reader = world.reader({TopicPartition(target, 0): 0})
        world.until(lambda: seen.extend(reader.poll(50, 10)), lambda: bool(seen), "the end of what hangs")
        assert values(seen) == [b"value-1"]
        with pytest.raises((Fenced, Retriable)):
            producer.commit(WAIT_MS)
        producer.close()

    short_transaction: ClassVar[Mapping[str, Any]] = {}
    """The client's options for a transaction timeout of six seconds."""


class NoBrokerThere:
    """What is said where nothing answers; needs no broker."""

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        raise NotImplementedError("a subclass gives the transport")

    impatient: ClassVar[Mapping[str, Any]] = {}

    @pytest.mark.parametrize("what", ["admin", "reader", "consumer", "producer"])
    def test_a_broker_that_never_answered_is_named(self, what: str) -> None:
        [port] = free_ports(1)
        address = f"127.0.0.1:{port}"
        transport = self.open(address, self.impatient)
        calls: dict[str, Callable[[], object]] = {
            "admin": transport.admin,
            "reader": transport.reader,
            "consumer": lambda: transport.consumer("group", ["topic"], None),
            "producer": lambda: transport.producer("transactions"),
        }
        with pytest.raises(Retriable) as caught:
            calls[what]()
        assert address in str(caught.value)
        assert address in caught.value.remedy

    @pytest.mark.parametrize("url", ["kafka://", "localhost:9092", "http://localhost:9092", "kafka:localhost"])
    def test_an_address_that_is_none_is_refused(self, url: str) -> None:
        with pytest.raises(Fatal) as caught:
            self.open_url(url)
        assert "kafka://host:port" in caught.value.remedy

    def open_url(self, url: str) -> Transport:
        raise NotImplementedError("a subclass gives the transport")
