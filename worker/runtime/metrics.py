"""What the worker did and how it stands, as plain values: the HTTP endpoint or a test reads them, nothing here speaks.

Written by the loop's thread only. Reading from another one may see a transaction half counted, never a wrong total for
long: take copies of the mappings, which the loop may add to. Every mapping is keyed by something of which there are
few: partitions, reasons, types, stages.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.fold.outcome import Output

NAMES_MAX = 1_000  # distinct names in one counter; a definition has fewer stages and types by far
OTHER = "other"
NOWHERE: Final = "none"  # a contact's stage before its first

DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the classes of transaction times, in seconds; the last class has none."""


@dataclass(slots=True)
class Metrics:
    """Totals since the start, and gauges as of the last look (`lag_…`, `restore_left`, `keys`).

    What costs something for each event out is counted only while `detailed` is set: moves, corrections, breaches,
    types, refusals, and what the store holds.
    """

    detailed: bool = False
    records: int = 0
    messages: int = 0
    duplicates: int = 0
    late: int = 0
    rekeyed: int = 0
    dropped: int = 0  # records of other systems, or parts of them, that mean no event to their mapping
    timers: int = 0
    states_written: int = 0
    transactions: int = 0
    transactions_failed: int = 0
    transaction_seconds: float = 0.0
    transaction_times: list[int] = field(default_factory=lambda: [0] * (len(DURATIONS) + 1))  # by `DURATIONS`
    fold_seconds: float = 0.0
    restored: int = 0
    purged: int = 0
    waits: int = 0
    rebalances: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)  # by reason
    outputs: dict[str, int] = field(default_factory=dict)  # by CloudEvents type
    moves: dict[tuple[str, str], int] = field(default_factory=dict)  # by stage left and stage entered
    corrections: dict[str, int] = field(default_factory=dict)  # by the stage that came of it
    breaches: dict[str, int] = field(default_factory=dict)  # by stage
    refused: Counter[int] = field(default_factory=Counter)  # by the place of the stage that contacts stayed in

    # Of each partition
    lag_records: dict[int, int] = field(default_factory=dict)
    lag_seconds: dict[int, float] = field(default_factory=dict)
    read_until_ms: dict[int, int] = field(default_factory=dict)  # wall time up to which all is surely read
    advanced: dict[int, float] = field(default_factory=dict)  # monotonic seconds: when it last moved, or had no need to
    caught_up: set[int] = field(default_factory=set)  # read to an end at least once since they were assigned
    restore_left: dict[int, int] = field(default_factory=dict)  # changelog records
    keys: dict[int, int] = field(default_factory=dict)  # states in the store

    # How it stands
    turned: float = 0.0  # monotonic seconds: when the loop last began a turn
    member: bool = False  # of the group, as of the last turn
    attempts: int = 0  # errors of the log in a row, 0 where it answers
    held: frozenset[int] = frozenset()  # partitions assigned
    live: frozenset[int] = frozenset()  # those of them that are restored, and folded
    partitions: int = 0  # of the input topic, 0 where that is not known yet

    @property
    def partitions_assigned(self) -> int:
        return len(self.held)

    @property
    def partitions_live(self) -> int:
        return len(self.live)

    def forget(self, number: int) -> None:
        """The partition is another worker's."""
        for of_partition in (self.lag_records, self.lag_seconds, self.read_until_ms, self.advanced, self.keys):
            of_partition.pop(number, None)
        self.caught_up.discard(number)

    def left(self) -> None:
        """The worker is no member of the group any more, and holds nothing."""
        self.member = False
        for number in self.held:
            self.forget(number)
        self.held = self.live = frozenset()

    def committed(self, seconds: float) -> None:
        """Count a transaction that took so long."""
        self.transactions += 1
        self.transaction_seconds += seconds
        self.transaction_times[bisect_left(DURATIONS, seconds)] += 1

    def published(self, outputs: Iterable[Output]) -> None:
        """Count events that a committed transaction published, by what their bodies say."""
        kinds = self.outputs
        for output in outputs:
            body = output.body
            kind = str(body.get("type", OTHER))
            _add(kinds, kind, OTHER)
            data = body.get("data") or _NOTHING
            if "direction" in data:
                _add(self.moves, (str(data.get("from") or NOWHERE), str(data.get("to"))), (OTHER, OTHER))
            elif "withdrawn" in data:
                _add(self.corrections, (data.get("current") or _NOTHING).get("stage") or OTHER, OTHER)
            elif kind == BREACHED:
                _add(self.breaches, str(data.get("stage")), OTHER)


BREACHED: Final = "lifecycle.sla.breached.v1"
_NOTHING: Mapping[str, Any] = {}


def _add(counter: dict[Any, int], name: Any, other: Any) -> None:
    """Count a name, under `other` where it is new and there are too many."""
    found = counter.get(name)
    if found is None and len(counter) >= NAMES_MAX:
        name, found = other, counter.get(other)
    counter[name] = (found or 0) + 1
