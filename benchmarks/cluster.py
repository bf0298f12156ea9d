"""The broker beside the systems: topics, load, how far a group has committed, and what was published."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.processes import Void
from benchmarks.traffic import KeyValue
from tests.broker import Broker

PARTITIONS: Final = 4
READ_SECONDS: Final = 120.0
BUFFERED: Final = 500_000


@contextmanager
def cluster() -> Iterator[Cluster]:
    """The broker named by KAFKA_BOOTSTRAP_SERVERS, else one of our own for the time being, compiled as in production.

    Raises `NoBroker` where this machine can't start one.
    """
    outside = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if outside:
        yield Cluster(outside)
        return
    # A broker waits for more members of a new group by default; nobody else comes here, whichever system it is.
    with Broker(heap="1g", quick_start=False) as broker:
        yield Cluster(broker.address)


class Cluster:
    def __init__(self, address: str) -> None:
        self.address = address
        self._admin = AdminClient({"bootstrap.servers": address})

    def create(self, topic: str) -> None:
        for made in self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
            made.result()

    def delete(self, *topics: str) -> None:
        """Gone, so that the disk holds one run at a time; what can't be deleted stays."""
        for done in self._admin.delete_topics(list(topics)).values():
            try:
                done.result()
            except KafkaException as error:
                if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                    raise

    def topics(self, prefix: str) -> list[str]:
        return [name for name in self._admin.list_topics(timeout=30).topics if name.startswith(prefix)]

    def load(self, topic: str, traffic: Iterable[KeyValue]) -> int:
        """The traffic lies on a new topic, in order within each key; how many records. Raises `Void` if any is not."""
        self.create(topic)
        failures: list[Any] = []
        producer = Producer(
            {
                "bootstrap.servers": self.address,
                "enable.idempotence": True,  # without it two records of one key may change places
                "partitioner": "murmur2_random",
                "linger.ms": 50,
                "queue.buffering.max.messages": BUFFERED,
                "on_delivery": lambda error, _: failures.append(error) if error is not None else None,
            }
        )
        count = 0
        for key, value in traffic:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.05)
            count += 1
            if not count % 10_000:
                producer.poll(0)
        if producer.flush(READ_SECONDS) or failures:
            raise Void(f"topic {topic} was not loaded: {failures[:1]}")
        return count

    def committed(self, group: str, topic: str) -> int:
        """How many of the topic's records the group has behind it."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, number) for number in range(PARTITIONS)])
        [answer] = self._admin.list_consumer_group_offsets([asked]).values()
        try:
            found = answer.result()
        except KafkaException:  # a group that nobody has joined yet
            return 0
        return sum(max(0, partition.offset) for partition in found.topic_partitions)

    def read(self, topic: str, wanted: Callable[[bytes], bool]) -> int:
        """How many committed records of the topic are wanted, by their values."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": f"count-{time.time_ns()}",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        count = 0
        ended: set[int | None] = set()
        deadline = time.monotonic() + READ_SECONDS
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
            while len(ended) < PARTITIONS:
                if time.monotonic() > deadline:
                    raise Void(f"topic {topic} was not read within {READ_SECONDS:g} s")
                for message in consumer.consume(10_000, 1.0):
                    error = message.error()
                    if error is None:
                        count += wanted(message.value() or b"")
                    elif error.name() == "_PARTITION_EOF":
                        ended.add(message.partition())
                    else:
                        raise Void(f"reading {topic}: {error}")
        finally:
            consumer.close()
        return count
