"""The topics of a group: which there are, made where they are missing, checked where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from structlog.typing import FilteringBoundLogger

from worker.runtime.errors import Halt
from worker.runtime.settings import Settings
from worker.transports.base import Admin, TopicSpec
from worker.transports.errors import Retriable

DAY_MS: Final = 86_400_000

# An erased contact's bytes leave a compacted topic when its segment has been rolled and then cleaned: at most the
# sum of the first two. The third is how long a removal stays readable, hence how old a store may be (half of it).
COMPACTED: Final = {
    "cleanup.policy": "compact",
    "segment.ms": str(DAY_MS),
    "max.compaction.lag.ms": str(7 * DAY_MS),
    "delete.retention.ms": str(7 * DAY_MS),
}
# Time must never delete a message that was not folded yet, however long the worker stood still; what is folded is
# purged by the worker.
INTERNAL: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.ms": str(DAY_MS),
}
RECORD_BYTES_MAX: Final = 1_048_576  # what clients take where no setting says otherwise
RECORD_BYTES_SPARE: Final = 1_024  # for the head of the batch that a record travels in
DELETE_RETENTION_MS: Final = DAY_MS  # Kafka's default


@dataclass(frozen=True, slots=True)
class Topics:
    """Names and partition counts. Input, changelog and internal topic have the same number, `partitions`."""

    input: str
    output: str
    dead_letter: str
    contacts: str | None
    changelog: str
    internal: str
    partitions: int
    output_partitions: int
    dead_letter_partitions: int
    contacts_partitions: int
    limits: Mapping[str, int]  # the bytes a record may have, by topic
    store_age_ms_max: int  # a store older than this may have missed a removal
    feeds: Mapping[str, int] = field(default_factory=dict)  # partition counts of the topics of `--input`


def prepare(admin: Admin, settings: Settings, log: FilteringBoundLogger) -> Topics:
    """Every topic the worker needs is there and sound.

    Raises `Halt` for one that can't be used: another partition count, an input that is compacted, a changelog that
    is not, an internal topic that forgets. Raises what the log raises.
    """
    partitions = _input(admin, settings, log)
    changelog, internal = f"{settings.group}-changelog", f"{settings.group}-internal"
    _same_count(admin, settings, TopicSpec(changelog, partitions, settings.replication, COMPACTED), log)
    _same_count(admin, settings, TopicSpec(internal, partitions, settings.replication, INTERNAL), log)
    output = _ensure(admin, _kept(settings.output_topic, partitions, settings, settings.output_retention_ms), log)
    dead = _kept(settings.dead_letter_topic, partitions, settings, settings.dead_letter_retention_ms)
    dead_letters = _ensure(admin, dead, log)
    feeds = {name: _feed(admin, name, settings, log) for name in settings.feed_topics}
    contacts = 0
    if settings.contacts_topic is not None:
        spec = TopicSpec(settings.contacts_topic, partitions, settings.replication, COMPACTED)
        contacts = _ensure(admin, spec, log)
        _compacted(admin, settings.contacts_topic, "a new subscriber would miss contacts that stand still")
    config = _compacted(admin, changelog, "the state of contacts that stand still would be deleted")
    _remembers(admin, internal)
    names = [changelog, internal, settings.output_topic, settings.dead_letter_topic]
    if settings.contacts_topic is not None:
        names.append(settings.contacts_topic)
    return Topics(
        input=settings.input_topic,
        output=settings.output_topic,
        dead_letter=settings.dead_letter_topic,
        contacts=settings.contacts_topic,
        changelog=changelog,
        internal=internal,
        partitions=partitions,
        output_partitions=output,
        dead_letter_partitions=dead_letters,
        contacts_partitions=contacts,
        limits={name: _limit(admin, name, settings) for name in names},
        store_age_ms_max=_number(config, "delete.retention.ms", DELETE_RETENTION_MS) // 2,
        feeds=feeds,
    )


def _input(admin: Admin, settings: Settings, log: FilteringBoundLogger) -> int:
    name = settings.input_topic
    partitions = _ensure(admin, _kept(name, settings.partitions, settings, None), log)
    if "compact" in admin.config(name).get("cleanup.policy", "delete"):
        raise Halt(
            f"input topic {name} is compacted, which deletes events before they are folded",
            f"set its cleanup.policy to delete, or name another with --input-topic "
            f"(kafka-configs --alter --topic {name} --add-config cleanup.policy=delete)",
        )
    return partitions


def _feed(admin: Admin, name: str, settings: Settings, log: FilteringBoundLogger) -> int:
    """A topic of `--input`: somebody else's, so it is taken as it is; made where it is missing, and said so."""
    partitions = _ensure(admin, _kept(name, settings.partitions, settings, None), log)
    if "compact" in admin.config(name).get("cleanup.policy", "delete"):
        log.warning("input-compacted", topic=name, loses="older records of a key, where they were not read in time")
    return partitions


def _kept(name: str, partitions: int, settings: Settings, retention_ms: int | None) -> TopicSpec:
    config = {} if retention_ms is None else {"retention.ms": str(retention_ms)}
    return TopicSpec(name, partitions, settings.replication, {"cleanup.policy": "delete", **config})


def _ensure(admin: Admin, spec: TopicSpec, log: FilteringBoundLogger) -> int:
    """The topic's partition count; made where it is missing, and said so."""
    found = admin.partitions(spec.name)
    if found is not None:
        return found
    if admin.create(spec):
        log.info("topic-created", topic=spec.name, partitions=spec.partitions, config=dict(spec.config))
        return spec.partitions
    found = admin.partitions(spec.name)
    if found is None:  # another worker was faster, and the broker asked has not heard of it yet
        raise Retriable(f"topic {spec.name} is being made")
    return found


def _same_count(admin: Admin, settings: Settings, spec: TopicSpec, log: FilteringBoundLogger) -> None:
    found = _ensure(admin, spec, log)
    if found != spec.partitions:
        raise Halt(
            f"input topic {settings.input_topic} has {spec.partitions} partitions, {spec.name} has {found}: "
            f"a contact's events and its state would lie in different ones",
            "run under another --group, which folds the input topic from its start",
        )


def _compacted(admin: Admin, topic: str, otherwise: str) -> dict[str, str]:
    config = admin.config(topic)
    policy = config.get("cleanup.policy", "compact")
    if policy != "compact":
        raise Halt(
            f"topic {topic} has cleanup.policy={policy}: {otherwise}",
            f"kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact",
        )
    return config


def _remembers(admin: Admin, topic: str) -> None:
    config = admin.config(topic)
    for name, wanted in (("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")):
        found = config.get(name, wanted)
        if found != wanted:
            raise Halt(
                f"topic {topic} has {name}={found}: messages between contacts could be deleted unread",
                f"kafka-configs --alter --topic {topic} --add-config {name}={wanted}",
            )


def _limit(admin: Admin, topic: str, settings: Settings) -> int:
    config = admin.config(topic)
    of_topic = _number(config, "max.message.bytes", RECORD_BYTES_MAX)
    return min(of_topic, settings.request_bytes_max or RECORD_BYTES_MAX) - RECORD_BYTES_SPARE


def _number(config: Mapping[str, str], name: str, otherwise: int) -> int:
    try:
        return int(config[name])
    except (KeyError, ValueError):
        return otherwise
