"""How long it takes to know what another definition would change: `lifecycle diff` over JSON Lines, in two processes.

python -m benchmarks.comparing [--events N] [--contacts N] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.processes import Void
from benchmarks.replaying import LIMIT_SECONDS, write
from benchmarks.runs import in_turns, median
from benchmarks.systems import lifecycle_command
from benchmarks.tables import Table, number, verdict
from benchmarks.traffic import mixed

BOUND_SECONDS: Final = 30.0
WAYS: Final = {"another figure": ("10ex", "--set", "mql_score=20"), "another lifecycle": ("10ex", "clarity")}


def compared(path: Path, definitions: Sequence[str]) -> tuple[float, int, int]:
    """Seconds from the command's start to its end, contacts, and those that would change. Raises `Void` if it fails."""
    begun = time.monotonic()
    ran = subprocess.run(
        [lifecycle_command(), "diff", *definitions, "--events", str(path), "--processes", "2", "--json"],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    seconds = time.monotonic() - begun
    if ran.returncode:
        raise Void(f"diff ended with status {ran.returncode}: {ran.stderr[-1000:]}")
    told = json.loads(ran.stdout)
    return seconds, told["contacts"], told["changed"]


def measure(count: int, contacts: int, rounds: int) -> Table:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "events.jsonl")
        write(path, mixed(count, contacts))
        runs = [{way: compared(path, definitions) for way, definitions in WAYS.items()} for _ in range(rounds)]
    seconds = {way: median(each[way][0] for each in runs) for way in WAYS}
    return Table(
        "Comparing definitions",
        f"{count:,} events of {contacts:,} contacts and fifteen types in JSON Lines, two processes, {in_turns(rounds)};"
        " from the command's start to its end.",
        ["old and new", "contacts", "with another history", "seconds"],
        [[way, *(f"{told:,}" for told in runs[0][way][1:]), number(seconds[way])] for way in WAYS],
        [verdict(way, seconds[way], BOUND_SECONDS, " s", at_most=True) for way in WAYS],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparing", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(measure(given.events, given.contacts, given.rounds).markdown())


if __name__ == "__main__":
    main()
