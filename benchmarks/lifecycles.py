"""How fast each of the shipped lifecycles runs, in a replay and in the worker, over one mixed traffic.

python -m benchmarks.lifecycles [--events N] [--contacts N] [--client kafka-python|confluent-kafka]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.cluster import Cluster, cluster
from benchmarks.replaying import replayed, write
from benchmarks.runs import run
from benchmarks.systems import worker
from benchmarks.tables import Table, number
from benchmarks.traffic import mixed

LIFECYCLES: Final = ("10ex", "agency34", "aspiration", "clarity", "mops")


def measure(broker: Cluster, count: int, contacts: int, client: str = "kafka-python") -> Table:
    rows = []
    topic = f"bench-mixed-{count}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "events.jsonl")
        write(path, mixed(count, contacts))
        broker.load(topic, mixed(count, contacts))
        try:
            for lifecycle in LIFECYCLES:
                offline = replayed(path, lifecycle)
                live = run(worker(client, lifecycle), broker, topic, count)
                figures = (offline.per_second, offline.per_cpu_second, live.per_second, live.per_cpu_second)
                rows.append([lifecycle, *map(number, figures)])
        finally:
            broker.delete(topic)
    return Table(
        "The shipped lifecycles",
        f"{count:,} events of {contacts:,} contacts and fifteen types over 90 days, one run each; replay in one "
        f"process, the worker over {client}.",
        ["lifecycle", "replay, events/s", "per CPU second", "worker, events/s", "per CPU second"],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycles", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--contacts", type=int, default=25_000)
    parser.add_argument("--client", choices=["kafka-python", "confluent-kafka"], default="kafka-python")
    given = parser.parse_args()
    with cluster() as broker:
        print(measure(broker, given.events, given.contacts, given.client).markdown())


if __name__ == "__main__":
    main()
