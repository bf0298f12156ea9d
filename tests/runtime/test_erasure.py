"""After an erasure and the stated bound, nothing that the worker keeps for itself names the contact any more."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from tests.fold.world import plan_of
from tests.runtime.support import (
    CHANGELOG,
    INPUT,
    INTERNAL,
    OUTPUT,
    partition_of,
    quiet,
    settings,
    settled,
)
from worker.fold.engine import Engine
from worker.instants import format_instant
from worker.runtime.loop import Worker
from worker.stores.lmdb import LmdbStore
from worker.transports.base import Send, TopicSpec
from worker.transports.simulator import SimulatedCluster

EMAIL, OTHER = "ann@example.com", "ann@elsewhere.com"
DAY_MS = 86_400_000
TURNS_MAX = 5_000


def test_no_store_changelog_or_internal_topic_names_an_erased_contact(tmp_path: Path) -> None:
    cluster = SimulatedCluster()
    cluster.create(TopicSpec(INPUT, 2))
    transport = cluster.connect("one")
    engine = Engine(plan_of("aspiration"), grace=True)
    chosen = settings(contacts_topic=None, purge_interval_ms=1_000, mark_interval_ms=1_000, scrub_interval_ms=DAY_MS)
    numbers = iter(range(1_000))

    def send(kind: str, subject: str, /, **data: object) -> None:
        at = cluster.clock.wall_ms()
        body = {
            "specversion": "1.0", "id": f"e{next(numbers)}", "source": "/test", "type": kind, "subject": subject,
            "time": format_instant(at), "data": data,
        }  # fmt: skip
        value = json.dumps(body).encode()
        cluster.append([Send(INPUT, partition_of(subject.encode(), 2), subject.encode(), value)])

    with closing(LmdbStore(tmp_path)) as store:
        worker = Worker(transport, store, engine, chosen, cluster.clock, quiet())

        def fold() -> None:
            for _ in range(TURNS_MAX):
                worker.step()
                cluster.clock.advance(1)
                if INTERNAL in cluster.topics and settled(cluster, 2):
                    return
            raise AssertionError("not everything was folded")

        def kept() -> list[bytes]:
            records = [record for topic in (CHANGELOG, INTERNAL) for record in cluster.records(topic)]
            files = [file.read_bytes() for file in tmp_path.iterdir()]
            return [*files, *((record.key or b"") + (record.value or b"") for record in records)]

        # The id itself is an e-mail, so is a trait, and another id of the same person was merged into it.
        send("form.submitted", EMAIL, kind="contact", traits={"email": EMAIL, "company_id": "acme"})
        send("form.submitted", OTHER, kind="contact", traits={"email": OTHER, "company_id": "acme"})
        fold()
        send("contact.merged", EMAIL, **{"from": OTHER})
        send("form.submitted", "bob", kind="contact", traits={"company_id": "acme"})
        fold()
        assert any(EMAIL.encode() in part for part in kept())
        cluster.clock.advance(1_000)
        send("contact.erased", EMAIL)
        fold()
        # The bound: internal topics are purged, the changelog is compacted, the store is rewritten.
        cluster.clock.advance(2 * DAY_MS)
        send("form.submitted", "bob", kind="contact")
        fold()
        for _ in range(10):
            worker.step()
            cluster.clock.advance(1_000)
        cluster.compact(CHANGELOG)
        found = [part for part in kept() if EMAIL.encode() in part or OTHER.encode() in part]
        assert not found
        worker.close()
    assert any(b"lifecycle.contact.erased.v1" in (record.value or b"") for record in cluster.records(OUTPUT))
    # What was published under the merged id is withdrawn by the survivor, in the partition of the merged id.
    assert {record.key for record in cluster.records(OUTPUT) if record.key} >= {EMAIL.encode(), OTHER.encode()}
    assert partition_of(EMAIL.encode(), 2) != partition_of(OTHER.encode(), 2)
    assert all(record.partition == partition_of(record.key or b"", 2) for record in cluster.records(OUTPUT))
