"""What a mapping adds to the cost of an event: other systems' records against the same events as CloudEvents.

python -m benchmarks.mapping [--events N] [--contacts N] [--rounds N] [--all]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.replaying import replayed, write
from benchmarks.runs import median
from benchmarks.tables import Table, number, verdict
from benchmarks.traffic import events
from worker.events import decode, encode
from worker.fold.outcome import Event
from worker.mapping import library
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Refused
from worker.mapping.scenario import read_scenarios

SHARE_MAX: Final = 0.4
CALLS: Final = 5_000  # of one sample in one round
COMMON: Final = ("segment", "hubspot", "stripe", "calendly", "typeform", "sendgrid", "salesforce", "marketo")
SIMPLE: Final = "segment"


@dataclass(frozen=True)
class Cost:
    """Of one mapping, over its own samples: µs an event to map, and to decode the same events as CloudEvents."""

    name: str
    bytes_per_event: float
    map_us: float
    decode_us: float

    @property
    def added_us(self) -> float:
        return self.map_us - self.decode_us


def cost(name: str, rounds: int) -> Cost:
    """Samples that give no event, or a refusal, are left out: an event doesn't pay for them."""
    mapping = Mapping.load(name)
    samples = read_scenarios(library.folder() / f"{name}{library.SCENARIOS}")
    map_us = decode_us = size = count = 0.0
    for sample in samples:
        results = mapping.apply(sample.record, sample.headers)
        made = [result for result in results if isinstance(result, Event)]
        if not made or any(isinstance(result, Refused) for result in results):
            continue
        plain = [encode(event) for event in made]
        map_us += _microseconds(lambda s=sample: mapping.apply(s.record, s.headers), rounds)  # type: ignore[misc]
        decode_us += sum(_microseconds(lambda b=body: decode(None, b), rounds) for body in plain)  # type: ignore[misc]
        size += len(sample.record)
        count += len(made)
    return Cost(name, size / count, map_us / count, decode_us / count)


def _microseconds(call: Callable[[], object], rounds: int) -> float:
    """The least of the rounds: what else the machine does only ever adds."""
    return min(timeit.repeat(call, number=CALLS, repeat=rounds, timer=time.process_time)) / CALLS * 1e6


def measure(count: int, contacts: int, rounds: int, names: Sequence[str] = COMMON, lifecycle: str = "10ex") -> Table:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "events.jsonl")
        write(path, events(count, contacts))
        replay_us = 1e6 / median(replayed(path, lifecycle).per_cpu_second for _ in range(rounds))
    costs = [cost(name, rounds) for name in names]
    dearest = max(costs, key=lambda each: each.added_us)
    simple = next((each for each in costs if each.name == SIMPLE), costs[0])
    return Table(
        "Mappings",
        f"Samples of each mapping, {rounds} rounds (least), against the same events as CloudEvents; a replay of "
        f"{count:,} events by `{lifecycle}` takes {replay_us:.2f} µs of CPU an event (median), decoding included.",
        ["mapping", "bytes an event", "µs to map", "µs to decode", "µs added", "of an event's cost"],
        [
            [
                each.name,
                number(each.bytes_per_event),
                f"{each.map_us:.2f}",
                f"{each.decode_us:.2f}",
                f"{each.added_us:+.2f}",
                f"{each.added_us / replay_us:+.0%}",
            ]
            for each in costs
        ],
        [
            verdict(f"{simple.name}, of an event's cost in a replay", simple.added_us / replay_us * 100,
                    SHARE_MAX * 100, " %", at_most=True),
            verdict(f"{dearest.name}, the dearest", dearest.added_us / replay_us * 100, SHARE_MAX * 100, " %",
                    at_most=True),
            verdict("all of these, median", median(each.added_us for each in costs) / replay_us * 100,
                    SHARE_MAX * 100, " %", at_most=True),
        ],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapping", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--contacts", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="all shipped mappings, not only the common ones")
    given = parser.parse_args()
    names = library.names() if given.all else COMMON
    print(measure(given.events, given.contacts, given.rounds, names).markdown())


if __name__ == "__main__":
    main()
