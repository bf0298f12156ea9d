"""The job on Quix Streams: its stateful dataframe, its RocksDB, its changelog, its exactly-once.

    python quix.py BROKER GROUP INPUT OUTPUT STATE_DIR COMMIT_SECONDS

Runs in an environment of its own, so it imports nothing of this project. Says `first record` on its standard output
when it has one, and ends with a signal.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application

TARGETS = {
    "prospect": {"form.submitted": "lead"},
    "lead": {"email.replied": "mql", "page.viewed": "mql"},
    "mql": {"meeting.booked": "sql"},
    "sql": {},
}
SEEN_KEPT = 16
SCORE_OVER = 100


class Job:
    """One contact's event at a time; the state lives in the store that is handed in."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self, event: dict[str, Any], store: Any) -> list[dict[str, str]]:
        """The moves that the event leads to: none or one."""
        if not self.begun:
            self.begun = True
            print("first record", flush=True)
        contact = store.get("contact") or {"stage": "prospect", "score": 0, "seen": []}
        if event["id"] in contact["seen"]:
            return []
        contact["seen"] = [*contact["seen"][1 - SEEN_KEPT :], event["id"]]
        contact["score"] += event["data"]["score"]
        stage, kind = contact["stage"], event["type"]
        target = TARGETS[stage].get(kind)
        if kind == "page.viewed" and contact["score"] <= SCORE_OVER:
            target = None
        if target is not None:
            contact["stage"] = target
        store.set("contact", contact)
        return [] if target is None else [{"from": stage, "to": target}]


def main() -> None:
    broker, group, source, output, state_dir, commit_seconds = sys.argv[1:]
    application = Application(
        broker_address=broker,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=state_dir,
        processing_guarantee="exactly-once",
        commit_interval=float(commit_seconds),
        loglevel="WARNING",
    )
    events = application.topic(source, key_deserializer="bytes", value_deserializer="json")
    changes = application.topic(output, key_serializer="bytes", value_serializer="json")
    application.dataframe(events).apply(Job(), stateful=True, expand=True).to_topic(changes)
    application.run()


if __name__ == "__main__":
    main()
