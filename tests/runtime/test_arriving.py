"""The harness itself: traffic that is spread over topics says the same events, however they are put there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runtime.arriving import Mixed
from tests.runtime.killing import CAST
from tests.runtime.traffic import NO_EVENT, Traffic
from worker.transports.base import Record

EVENTS = 2_000


def test_what_arrives_on_several_topics_is_read_back_as_the_same_events(tmp_path: Path) -> None:
    traffic = Traffic(1, EVENTS, 1_700_000_000_000, 86_400_000, CAST)
    records = [traffic.next() for _ in range(EVENTS)]
    mixed = Mixed("in", 1)
    sends = [send for start in range(0, EVENTS, 50) for send in mixed.sends(records[start : start + 50])]
    taken = [Record(each.topic, each.partition, at, 0, *each[2:]) for at, each in enumerate(sends)]
    assert {(each.topic, each.partition) for each in taken} == {
        (topic, partition) for topic, count in mixed.topics.items() for partition in range(count)
    }
    read = {json.dumps({"data": {}, **json.loads(line)}, sort_keys=True) for line in mixed.lines(taken, tmp_path)}
    assert read == {json.dumps(json.loads(value), sort_keys=True) for _, value in records if value != NO_EVENT}
    reasons = [reason for record in taken for reason in mixed.unreadable(record)]
    assert set(reasons) == {"not-json", "bad-time", "no-subject"}
    assert reasons.count("not-json") == sum(value == NO_EVENT for _, value in records)
