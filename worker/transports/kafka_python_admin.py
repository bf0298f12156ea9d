"""Topics, offsets and members over kafka-python's administration client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kafka import IsolationLevel, KafkaAdminClient, OffsetSpec
from kafka import TopicPartition as TheirPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove
from kafka.errors import (
    GroupIdNotFoundError,
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
    for_code,
)

from worker.transports.base import TopicPartition, TopicSpec
from worker.transports.errors import Fatal, Retriable
from worker.transports.kafka_python_errors import translate

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 15.0  # a coordinator that is being chosen, a leader that is moving
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0


class KafkaPythonAdmin:
    """See `worker.transports.base.Admin`. What the broker calls passing is tried again, for fifteen seconds at most."""

    def __init__(self, client: KafkaAdminClient) -> None:
        self._client = client
        self._closed = False

    def partitions(self, topic: str) -> int | None:
        doing = f"describing the topic {topic!r}"
        [described] = self._ask(doing, lambda: self._client.describe_topics([topic]))
        error = for_code(described["error_code"])
        if error is UnknownTopicOrPartitionError:
            return None
        if error is not NoError:
            raise translate(error(), doing)
        return len(described["partitions"])

    def create(self, spec: TopicSpec) -> bool:
        doing = f"making the topic {spec.name!r}"
        replication = spec.replication or -1  # -1: the broker's default
        while True:
            options = {
                "num_partitions": spec.partitions,
                "replication_factor": replication,
                "configs": dict(spec.config),
            }
            try:
                self._ask(doing, lambda options=options: self._client.create_topics({spec.name: options}))  # type: ignore[misc]
            except Fatal as error:
                if isinstance(error.__cause__, TopicAlreadyExistsError):
                    return False
                if isinstance(error.__cause__, InvalidReplicationFactorError) and replication == -1:
                    brokers = self._ask("counting the brokers", self._client.describe_cluster)["brokers"]
                    replication = len(brokers)  # the default is more than there are
                    continue
                raise
            self._ask(doing, lambda: self._client.wait_for_topics([spec.name]))
            return True

    def config(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = self._ask(
            f"reading the settings of {topic!r}",
            lambda: self._client.describe_configs([resource], config_filter="all"),
        )["topic"].get(topic)
        if not found:
            raise Fatal(f"there is no topic {topic!r}, or no right to see its settings")
        return {name: setting["value"] for name, setting in found.items() if setting["value"] is not None}

    def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return self._listed(partitions, OffsetSpec.EARLIEST, IsolationLevel.READ_UNCOMMITTED)

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        # Said outright: under READ_COMMITTED the answer would be the last stable offset, which stops short of
        # transactions still open, and a restore that read up to it would miss what they commit.
        return self._listed(partitions, OffsetSpec.LATEST, IsolationLevel.READ_UNCOMMITTED)

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        theirs = {TheirPartition(*partition): offset for partition, offset in before.items()}
        if theirs:
            self._ask("deleting records", lambda: self._client.delete_records(theirs))

    def remove_member(self, group: str, instance_id: str) -> None:
        doing = f"removing {instance_id!r} from the group {group!r}"
        member = MemberToRemove(group_instance_id=instance_id)
        try:
            answers = self._ask(doing, lambda: self._client.remove_group_members(group, [member]))
        except Fatal as error:
            if isinstance(error.__cause__, GroupIdNotFoundError):
                return
            raise
        for answer in answers.values():
            if answer not in (NoError, UnknownMemberIdError):
                raise translate(answer(), doing)

    def clients(self, group: str) -> set[str]:
        """The client ids of the group's members; none where there is no such group."""
        return {member["client_id"] for each in self._described(group) for member in each["members"]}

    def assigned(self, group: str) -> frozenset[TopicPartition] | None:
        found: set[TopicPartition] = set()
        for each in self._described(group):
            if each["group_state"] != "Stable":
                return None
            for member in each["members"]:
                for topic in (member["member_assignment"] or {}).get("assigned_partitions", ()):
                    found |= {TopicPartition(topic["topic"], number) for number in topic["partitions"]}
            return frozenset(found)
        return None

    def _described(self, group: str) -> list[Any]:
        """The group as the library has it, in a list that is empty where there is none."""
        try:
            return list(self._ask(f"describing {group!r}", lambda: self._client.describe_groups([group])).values())
        except Fatal as error:
            if isinstance(error.__cause__, GroupIdNotFoundError):
                return []
            raise

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._client.close()

    def _listed(self, partitions: Sequence[TopicPartition], spec: Any, isolation: Any) -> dict[TopicPartition, int]:
        counts = {topic: self.partitions(topic) or 0 for topic in {partition.topic for partition in partitions}}
        for partition in partitions:
            if not 0 <= partition.partition < counts[partition.topic]:
                raise Fatal(f"{partition} does not exist: the topic has {counts[partition.topic]} partitions")
        if not partitions:
            return {}
        wanted = {TheirPartition(*partition): spec for partition in partitions}
        found = self._ask("looking up offsets", lambda: self._client.list_partition_offsets(wanted, isolation))
        return {partition: found[TheirPartition(*partition)].offset for partition in partitions}

    def _ask(self, doing: str, question: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return question()
            except (KafkaError, OSError, RuntimeError) as error:
                failure = translate(error, doing)
                if not isinstance(failure, Retriable) or time.monotonic() + pause > deadline:
                    raise failure from error
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
