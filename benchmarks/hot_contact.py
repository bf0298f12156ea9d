"""What one contact with a tenth of all events costs, its tail at its limit, against traffic spread evenly.

python -m benchmarks.hot_contact [--events N] [--contacts N] [--rounds N] [--client kafka-python|confluent-kafka]
"""

from __future__ import annotations

import argparse
from typing import Final

from benchmarks.cluster import Cluster, cluster
from benchmarks.runs import alternate, in_turns, median
from benchmarks.systems import worker
from benchmarks.tables import Table, number, verdict
from benchmarks.traffic import events

SHARE: Final = 10  # every tenth event
RATIO: Final = 0.7


def measure(broker: Cluster, count: int, contacts: int, rounds: int, client: str = "kafka-python") -> Table:
    """The hot contact's tail reaches its limit of 1,000 events after the first 10,000 of all."""
    even, hot = f"bench-even-{count}", f"bench-hot-{count}"
    try:
        broker.load(even, events(count, contacts))
        broker.load(hot, events(count, contacts, hot=SHARE))
        system = worker(client)
        evens, hots = alternate([(system, even, count, None), (system, hot, count, None)], broker, rounds)
    finally:
        broker.delete(even, hot)
    ratio = median(one.per_second / other.per_second for one, other in zip(hots, evens, strict=True))
    by_cpu = median(one.per_cpu_second / other.per_cpu_second for one, other in zip(hots, evens, strict=True))
    return Table(
        "A hot contact",
        f"{count:,} events of {contacts:,} contacts, worker over {client}, {in_turns(rounds)}.",
        ["traffic", "events/s", "events per CPU second"],
        [
            [name, number(median(run.per_second for run in of)), number(median(run.per_cpu_second for run in of))]
            for name, of in (("even", evens), ("a tenth on one contact", hots))
        ],
        [f"per CPU second {by_cpu:.2f} of even traffic", verdict("of even traffic, per second", ratio, RATIO)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_contact", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--contacts", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", choices=["kafka-python", "confluent-kafka"], default="kafka-python")
    given = parser.parse_args()
    with cluster() as broker:
        print(measure(broker, given.events, given.contacts, given.rounds, given.client).markdown())


if __name__ == "__main__":
    main()
