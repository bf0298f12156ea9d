"""What the worker did, as plain counters: an HTTP endpoint or a test reads them, nothing here speaks to anyone.

Written by the loop's thread only; reading from another one may see a transaction half counted, never a wrong total
for long. Every mapping is keyed by something of which there are few: partitions, reasons, types, stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.fold.outcome import Output

NAMES_MAX = 1_000  # distinct names in one counter; a definition has fewer stages and types by far
OTHER = "other"


@dataclass(slots=True)
class Metrics:
    """Totals since the start, and gauges as of the last look (`lag_…`, `restore_left`, `partitions_…`)."""

    records: int = 0
    messages: int = 0
    duplicates: int = 0
    late: int = 0
    rekeyed: int = 0
    timers: int = 0
    states_written: int = 0
    transactions: int = 0
    transactions_failed: int = 0
    transaction_seconds: float = 0.0
    fold_seconds: float = 0.0
    restored: int = 0
    purged: int = 0
    waits: int = 0
    rebalances: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)  # by reason
    outputs: dict[str, int] = field(default_factory=dict)  # by CloudEvents type
    moves: dict[tuple[str, str], int] = field(default_factory=dict)  # by direction and stage entered
    corrections: dict[str, int] = field(default_factory=dict)  # by the stage that came of it
    lag_records: dict[int, int] = field(default_factory=dict)  # by partition
    lag_seconds: dict[int, float] = field(default_factory=dict)
    restore_left: dict[int, int] = field(default_factory=dict)  # changelog records, by partition
    partitions_live: int = 0
    partitions_assigned: int = 0

    def published(self, outputs: Iterable[Output]) -> None:
        """Count events that a committed transaction published, by what their bodies say."""
        kinds, moves = self.outputs, self.moves
        for output in outputs:
            body = output.body
            try:
                kinds[body["type"]] += 1
            except KeyError:
                _first(kinds, str(body.get("type", OTHER)), OTHER)
            data = body.get("data") or _NOTHING
            if "direction" in data:
                move = (str(data["direction"]), str(data.get("to")))
                try:
                    moves[move] += 1
                except KeyError:
                    _first(moves, move, (OTHER, OTHER))
            elif "withdrawn" in data:
                stage = (data.get("current") or _NOTHING).get("stage", OTHER)
                try:
                    self.corrections[stage] += 1
                except KeyError:
                    _first(self.corrections, stage, OTHER)


_NOTHING: Mapping[str, Any] = {}


def _first(counter: dict[Any, int], name: Any, other: Any) -> None:
    """Count a name that isn't there yet, under `other` where there are too many."""
    name = name if len(counter) < NAMES_MAX else other
    counter[name] = counter.get(name, 0) + 1
