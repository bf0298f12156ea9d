"""The topics a worker needs: made soundly where they are missing, refused where they would lose something."""

from __future__ import annotations

import pytest

from tests.runtime.support import CHANGELOG, CONTACTS, DEAD, INPUT, INTERNAL, OUTPUT, Bench, partition_of
from worker.runtime.errors import Halt
from worker.transports.base import TopicSpec


def test_missing_topics_are_made_and_named() -> None:
    bench = Bench(partitions=3)
    bench.turn(3)
    made = {line["topic"]: line for line in bench.listener.of("topic-created")}
    assert made.keys() == {OUTPUT, DEAD, CONTACTS, CHANGELOG, INTERNAL}
    assert all(line["partitions"] == 3 for line in made.values())
    config = {name: topic.config for name, topic in bench.cluster.topics.items()}
    for name in (CHANGELOG, CONTACTS):
        assert config[name]["cleanup.policy"] == "compact"
        assert int(config[name]["max.compaction.lag.ms"]) + int(config[name]["segment.ms"]) == 8 * 86_400_000
    assert (config[INTERNAL]["retention.ms"], config[INTERNAL]["retention.bytes"]) == ("-1", "-1")
    assert config[OUTPUT]["retention.ms"] == config[DEAD]["retention.ms"] == str(30 * 86_400_000)


def test_a_missing_input_topic_is_made_too() -> None:
    bench = Bench(input_topic="fresh", group="fresh-group")
    bench.turn(3)
    made = {line["topic"]: line["partitions"] for line in bench.listener.of("topic-created")}
    assert made["fresh"] == 2
    assert made["fresh-group-changelog"] == 2


def test_topics_that_are_there_are_left_as_they_are() -> None:
    bench = Bench()
    bench.turn(3)
    bench.worker.close()
    bench.listener.lines.clear()
    bench.start()
    bench.turn(3)
    assert bench.listener.of("topic-created") == []


def test_output_topics_may_have_another_partition_count() -> None:
    bench = Bench(partitions=2)
    bench.cluster.create(TopicSpec(OUTPUT, 5))
    bench.cluster.create(TopicSpec(DEAD, 1))
    for name in ("ann", "ben", "cem"):
        bench.send("seen", name)
        bench.send("refuse", name)
    bench.settle()
    assert {record.partition == partition_of(record.key or b"", 5) for record in bench.cluster.records(OUTPUT)} == {
        True
    }
    assert len(bench.dead()) == 3


@pytest.mark.parametrize(
    ("topic", "partitions", "config", "match"),
    [
        (INPUT, 2, {"cleanup.policy": "compact"}, "input topic engagement is compacted"),
        (INPUT, 2, {"cleanup.policy": "compact,delete"}, "input topic engagement is compacted"),
        (CHANGELOG, 3, {"cleanup.policy": "compact"}, "engagement has 2 partitions, group-changelog has 3"),
        (INTERNAL, 1, {"retention.ms": "-1"}, "engagement has 2 partitions, group-internal has 1"),
        (CHANGELOG, 2, {"cleanup.policy": "delete"}, "group-changelog has cleanup.policy=delete"),
        (CHANGELOG, 2, {"cleanup.policy": "compact,delete"}, "group-changelog has cleanup.policy=compact,delete"),
        (CONTACTS, 2, {"cleanup.policy": "delete"}, "contacts has cleanup.policy=delete"),
        (INTERNAL, 2, {"retention.ms": "604800000"}, "group-internal has retention.ms=604800000"),
        (INTERNAL, 2, {"retention.ms": "-1", "cleanup.policy": "compact"}, "group-internal has cleanup.policy"),
    ],
)
def test_a_topic_that_would_lose_something_is_refused(
    topic: str, partitions: int, config: dict[str, str], match: str
) -> None:
    bench = Bench()
    bench.cluster.topics.pop(topic, None)
    bench.cluster.create(TopicSpec(topic, partitions, config=config))
    with pytest.raises(Halt, match=match) as raised:
        bench.turn(5)
    assert raised.value.remedy


def test_an_input_topic_that_grows_is_refused() -> None:
    bench = Bench(partitions=2)
    bench.turn(10)
    bench.worker.close(leave=True)
    del bench.cluster.topics[INPUT]
    bench.cluster.create(TopicSpec(INPUT, 4))
    bench.start()
    with pytest.raises(Halt, match="engagement has 4 partitions, group-changelog has 2"):
        bench.turn(5)
