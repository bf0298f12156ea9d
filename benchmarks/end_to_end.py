"""Side by side, exactly once, from a topic to a topic: this worker and what a user would pick instead.

python -m benchmarks.end_to_end [--events N] [--contacts N] [--rounds N] [--only kafka-python|confluent-kafka]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from benchmarks.cluster import Cluster, cluster
from benchmarks.runs import Run, alternate, in_turns, median
from benchmarks.systems import COMMIT_MS, Missing, System, quix, streams, worker
from benchmarks.tables import Table, number, verdict
from benchmarks.traffic import events, expected_changes

QUIX_RATIO: Final = 0.8
STREAMS_RATIO: Final = 1.0
SEED: Final = 1


def measure(
    broker: Cluster, count: int, contacts: int, rounds: int, only: Sequence[str] = ("kafka-python", "confluent-kafka")
) -> list[Table]:
    """Each pair in turns over the same topic. Raises `Void` where a system published another number of changes."""
    topic = f"bench-events-{count}-{contacts}"
    broker.load(topic, events(count, contacts, SEED))
    expected = expected_changes(events(count, contacts, SEED))
    tables = []
    try:
        for client, make, ratio, by in (
            ("kafka-python", quix, QUIX_RATIO, "second"),
            ("confluent-kafka", streams, STREAMS_RATIO, "CPU second"),
        ):
            if client not in only:
                continue
            try:
                pair = [worker(client), make()]
            except Missing as missing:
                tables.append(Table(f"End to end, {client}", f"Not measured: {missing}.", ["system"], []))
                continue
            runs = alternate([(system, topic, count, expected) for system in pair], broker, rounds)
            tables.append(_table(client, pair, runs, contacts, ratio, by))
    finally:
        broker.delete(topic)
    return tables


def _table(
    client: str, pair: Sequence[System], runs: Sequence[Sequence[Run]], contacts: int, ratio: float, by: str
) -> Table:
    first = runs[0][0]
    wall = median(ours.per_second / theirs.per_second for ours, theirs in zip(*runs, strict=True))
    cpu = median(ours.per_cpu_second / theirs.per_cpu_second for ours, theirs in zip(*runs, strict=True))
    verdicts = [f"per second {wall:.2f}×, per CPU second {cpu:.2f}×, each the median over turns"]
    verdicts.append(verdict(f"against {pair[1].name}, per {by}", wall if by == "second" else cpu, ratio, "×"))
    return Table(
        f"End to end, exactly once: {client}",
        f"{first.events:,} events of {contacts:,} contacts on four partitions, {first.changes:,} changes from each "
        f"system, {in_turns(len(runs[0]))}; the peers commit each {COMMIT_MS:,} ms, one thread each. "
        f"The worker also publishes each contact's beginning, and what it publishes says why.",
        ["system", "events/s", "events per CPU second", "slowest and fastest events/s"],
        [
            [
                system.name,
                number(median(run.per_second for run in of)),
                number(median(run.per_cpu_second for run in of)),
                f"{number(min(run.per_second for run in of))} to {number(max(run.per_second for run in of))}",
            ]
            for system, of in zip(pair, runs, strict=True)
        ],
        verdicts,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--contacts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=["kafka-python", "confluent-kafka"])
    given = parser.parse_args()
    only = given.only or ["kafka-python", "confluent-kafka"]
    with cluster() as broker:
        for table in measure(broker, given.events, given.contacts, given.rounds, only):
            print(table.markdown())


if __name__ == "__main__":
    main()
