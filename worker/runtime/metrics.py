"""What the worker did, as plain counters: an HTTP endpoint or a test reads them, nothing here speaks to anyone.

Written by the loop's thread only; reading from another one may see a transaction half counted, never a wrong total
for long. Every mapping is keyed by something of which there are few: partitions, reasons, types, stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
    outputs: Counter[str] = field(default_factory=Counter)  # by CloudEvents type
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)  # (direction, stage entered)
    corrections: Counter[str] = field(default_factory=Counter)  # by the stage that came of it
    lag_records: dict[int, int] = field(default_factory=dict)  # by partition
    lag_seconds: dict[int, float] = field(default_factory=dict)
    restore_left: dict[int, int] = field(default_factory=dict)  # changelog records, by partition
    partitions_live: int = 0
    partitions_assigned: int = 0

    def published(self, outputs: Iterable[Output]) -> None:
        """Count events that a committed transaction published, by what their bodies say."""
        for output in outputs:
            body = output.body
            kind = str(body.get("type", OTHER))
            _count(self.outputs, kind)
            data = body.get("data")
            if not isinstance(data, dict):
                continue
            if "direction" in data and "to" in data:
                _count(self.moves, (str(data["direction"]), str(data["to"])))
            elif "withdrawn" in data:
                _count(self.corrections, _stage(data.get("current")))


def _stage(current: Any) -> str:
    return str(current.get("stage", OTHER)) if isinstance(current, dict) else OTHER


def _count(counter: Counter[Any], name: Any) -> None:
    if name in counter or len(counter) < NAMES_MAX:
        counter[name] += 1
    else:
        counter[OTHER if isinstance(name, str) else (OTHER, OTHER)] += 1
