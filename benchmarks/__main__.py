"""All measurements in one run: the tables on standard output and in `benchmarks/results.md`.

python -m benchmarks [--scale 0.1] [--rounds N] [--results FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import comparing, end_to_end, hot_contact, lifecycles, mapping, replaying, reporting, state
from benchmarks.cluster import cluster
from benchmarks.processes import Void
from benchmarks.tables import Table, heading
from tests.broker import NoBroker

RESULTS: Final = Path(__file__).with_name("results.md")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of events and of their contacts")
    parser.add_argument("--contacts", type=int, default=1_000_000, help="for restart, restore and memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the tables are written")
    given = parser.parse_args()

    def scaled(count: int) -> int:
        return max(1, int(count * given.scale))

    parts: list[str] = []
    print(heading(), flush=True)
    status = 0
    try:
        with cluster() as broker:
            measurements: list[tuple[str, Callable[[], Sequence[Table]]]] = [
                ("end to end", lambda: end_to_end.measure(broker, scaled(400_000), scaled(50_000), given.rounds)),
                ("state", lambda: [state.measure(broker, given.contacts)]),
                ("replay", lambda: [replaying.measure(scaled(1_000_000), scaled(125_000), given.rounds)]),
                ("diff", lambda: [comparing.measure(scaled(1_000_000), scaled(100_000), given.rounds)]),
                ("mappings", lambda: [mapping.measure(scaled(400_000), scaled(50_000), given.rounds)]),
                ("report", lambda: [reporting.measure(scaled(10_000_000), given.rounds)]),
                ("hot contact", lambda: [hot_contact.measure(broker, scaled(200_000), scaled(25_000), given.rounds)]),
                ("lifecycles", lambda: [lifecycles.measure(broker, scaled(200_000), scaled(25_000))]),
            ]
            for name, measure in measurements:
                try:
                    tables = [table.markdown() for table in measure()]
                except Void as void:
                    tables, status = [f"## {name}\n\nVoid: {void}\n"], 1
                for table in tables:
                    parts.append(table)
                    print(table, flush=True)
                given.results.write_text("\n".join([heading(), *parts]))  # each as it comes: the whole takes long
    except NoBroker as missing:
        print(f"benchmarks: needs a Kafka broker: {missing}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
