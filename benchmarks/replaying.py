"""How fast recorded events are folded: `lifecycle replay` over JSON Lines, in one process and in several.

python -m benchmarks.replaying [--events N] [--contacts N] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import Void
from benchmarks.runs import in_turns, median
from benchmarks.systems import lifecycle_command
from benchmarks.tables import Table, number, verdict
from benchmarks.traffic import KeyValue, events

PER_SECOND: Final = 150_000
NEAR_LINEAR: Final = 1.7  # by two processes
LIMIT_SECONDS: Final = 900


@dataclass(frozen=True)
class Replayed:
    """`seconds` is what the command says, start of the interpreter apart; CPU is that of all its processes."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.events / self.cpu_seconds


def replayed(path: Path, lifecycle: str, *options: str) -> Replayed:
    """One replay of the file. Raises `Void` where it fails."""
    before = os.times()
    ran = subprocess.run(
        [lifecycle_command(), "replay", str(path), "--lifecycle", lifecycle, "--json", *options],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    after = os.times()
    if ran.returncode:
        raise Void(f"replay ended with status {ran.returncode}: {ran.stderr[-1000:]}")
    told = json.loads(ran.stdout)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Replayed(told["events"], told["seconds"], cpu)


def write(path: Path, traffic: Iterable[KeyValue]) -> None:
    with path.open("wb") as file:
        for _, value in traffic:
            file.write(value + b"\n")


def measure(count: int, contacts: int, rounds: int, lifecycle: str = "10ex") -> Table:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "events.jsonl")
        write(path, events(count, contacts))
        ways = {
            "one process, figures only": (),
            "two processes, figures only": ("--processes", "2"),
            "one process, all files written": ("--out", str(Path(folder, "out"))),
        }
        runs: dict[str, list[Replayed]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, options in ways.items():
                runs[way].append(replayed(path, lifecycle, *options))
    one, two = runs["one process, figures only"], runs["two processes, figures only"]
    speedup = median(second.per_second / first.per_second for first, second in zip(one, two, strict=True))
    return Table(
        "Replay of JSON Lines",
        f"{count:,} events of {contacts:,} contacts, `{lifecycle}`, {in_turns(rounds)}.",
        ["way", "events/s", "events per CPU second"],
        [
            [way, number(median(each.per_second for each in of)), number(median(each.per_cpu_second for each in of))]
            for way, of in runs.items()
        ],
        [
            verdict("one process", median(each.per_second for each in one), PER_SECOND, " events/s"),
            verdict("two processes against one, on two cores", speedup, NEAR_LINEAR, "×"),
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replaying", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--contacts", type=int, default=125_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(measure(given.events, given.contacts, given.rounds).markdown())


if __name__ == "__main__":
    main()
