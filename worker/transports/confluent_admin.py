"""Topics, offsets and members over confluent-kafka's administration client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupState, IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as TheirPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from worker.transports.base import Admin, TopicPartition, TopicSpec
from worker.transports.confluent_calls import Calls
from worker.transports.confluent_errors import kafka_error, translate
from worker.transports.errors import Fatal, Retriable

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
REQUEST_SECONDS = 10.0
QUESTION_SECONDS = 30.0  # to make a client, ask by it and end it


class ConfluentAdmin:
    """See `worker.transports.base.Admin`. What the broker calls passing is tried again, for fifteen seconds at most.

    librdkafka can't remove a static member; `members` gives an administrator that can, made where it is needed.

    Its questions to a group's coordinator end the process where the connection is lost at the wrong moment, if the
    client has asked before (librdkafka #4605, an assertion): each has a new client, made by `anew`.
    """

    def __init__(
        self, client: AdminClient, calls: Calls, members: Callable[[], Admin], anew: Callable[[], AdminClient]
    ) -> None:
        self._client = client
        self._calls = calls
        self._members = members
        self._anew = anew

    def partitions(self, topic: str) -> int | None:
        doing = f"describing the topic {topic!r}"
        described = self._ask(doing, lambda: self._client.list_topics(topic, REQUEST_SECONDS).topics[topic])
        if described.error is None:
            return len(described.partitions) or None
        if described.error.name() == "UNKNOWN_TOPIC_OR_PART":
            return None
        raise translate(described.error, doing)

    def create(self, spec: TopicSpec) -> bool:
        doing = f"making the topic {spec.name!r}"
        replication = spec.replication or -1  # -1: the broker's default
        while True:
            topic = NewTopic(spec.name, spec.partitions, replication, config=dict(spec.config))
            try:
                self._ask(doing, lambda topic=topic: self._answers(self._client.create_topics([topic])))  # type: ignore[misc]
            except Fatal as error:
                code = code_of(error)
                if code == "TOPIC_ALREADY_EXISTS":
                    return False
                if code == "INVALID_REPLICATION_FACTOR" and replication == -1:
                    brokers = self._ask("counting the brokers", lambda: self._client.list_topics(timeout=10).brokers)
                    replication = len(brokers)  # the default is more than there are
                    continue
                raise
            self._ask(doing, lambda: self._led(spec))
            return True

    def config(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        doing = f"reading the settings of {topic!r}"
        if self.partitions(topic) is None:
            raise Fatal(f"there is no topic {topic!r}")
        [found] = self._ask(doing, lambda: self._answers(self._client.describe_configs([resource])))
        return {name: entry.value for name, entry in found.items() if entry.value is not None}

    def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return self._listed(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return self._listed(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        theirs = [TheirPartition(*partition, offset) for partition, offset in before.items()]
        if theirs:
            self._ask("deleting records", lambda: self._answers(self._client.delete_records(theirs)))

    def remove_member(self, group: str, instance_id: str) -> None:
        admin = self._members()
        try:
            admin.remove_member(group, instance_id)
        finally:
            admin.close()

    def clients(self, group: str) -> set[str]:
        """The client ids of the group's members; none where there is no such group."""
        described = self._described(group)
        return set() if described is None else {member.client_id for member in described.members}

    def assigned(self, group: str) -> frozenset[TopicPartition] | None:
        described = self._described(group)
        if described is None or described.state != ConsumerGroupState.STABLE:
            return None
        return frozenset(
            TopicPartition(each.topic, each.partition)
            for member in described.members
            for each in member.assignment.topic_partitions
        )

    def _described(self, group: str) -> Any:
        """The group as the library has it, None where there is none."""

        def question(anew: Callable[[], AdminClient]) -> list[Any]:
            client = anew()  # which has to be there until it has answered
            return self._answers(client.describe_consumer_groups([group]))

        try:
            [described] = self._ask(
                f"describing {group!r}", lambda: self._calls.within(QUESTION_SECONDS, self._anew, question)
            )
        except Fatal as error:
            if code_of(error) == "GROUP_ID_NOT_FOUND":
                return None
            raise
        return described

    def close(self) -> None:
        """Nothing to end: the client goes with its last reference."""

    def _led(self, spec: TopicSpec) -> None:
        """Raises `Retriable` until every partition has a leader: only then can the topic be used."""
        found = self._client.list_topics(spec.name, REQUEST_SECONDS).topics[spec.name].partitions
        if len(found) < spec.partitions or any(each.leader < 0 for each in found.values()):
            raise Retriable(f"not all partitions of {spec.name!r} have a leader")

    def _listed(self, partitions: Sequence[TopicPartition], spec: Any) -> dict[TopicPartition, int]:
        counts = {topic: self.partitions(topic) or 0 for topic in {partition.topic for partition in partitions}}
        for partition in partitions:
            if not 0 <= partition.partition < counts[partition.topic]:
                raise Fatal(f"{partition} does not exist: the topic has {counts[partition.topic]} partitions")
        if not partitions:
            return {}
        wanted = {TheirPartition(*partition): spec for partition in partitions}
        # Said outright: under READ_COMMITTED the answer would be the last stable offset (see kafka_python_admin).
        isolation = IsolationLevel.READ_UNCOMMITTED
        found = self._ask(
            "looking up offsets",
            lambda: [
                (TopicPartition(asked.topic, asked.partition), future.result(REQUEST_SECONDS).offset)
                for asked, future in self._client.list_offsets(wanted, isolation_level=isolation).items()
            ],
        )
        return dict(found)

    @staticmethod
    def _answers(futures: Mapping[Any, Any]) -> list[Any]:
        return [future.result(REQUEST_SECONDS) for future in futures.values()]

    def _ask(self, doing: str, question: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return question()
            except (KafkaException, OSError, RuntimeError, TimeoutError, Retriable) as error:
                failure = translate(error, doing)
                if not isinstance(failure, Retriable) or time.monotonic() + pause > deadline:
                    raise failure from error
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def code_of(error: BaseException) -> str | None:
    """The name of the client's error behind one of ours."""
    theirs = kafka_error(error.__cause__) if error.__cause__ is not None else None
    return None if theirs is None else str(theirs.name())
