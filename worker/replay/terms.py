"""How a replay is done, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Terms:
    """How a replay is done, whatever its input.

    `wall` is the wall clock (epoch ms): what lies ahead of it is refused. `as_of`: what lies after it is left out, and
    the clock stands there in the end; None: at the newest event. `by_time`: each contact's events by time first.
    `as_published`: one event at a time, corrections and all, as a worker would publish them. Without `telling` the
    changes are only counted.
    """

    wall: int
    as_of: int | None = None
    by_time: bool = False
    as_published: bool = False
    telling: bool = True


@dataclass
class Totals:
    """Counts over any number of parts."""

    events: int = 0
    left_out: int = 0
    contacts: int = 0
    outputs: int = 0
    stage_changes: int = 0
    duplicates: int = 0
    late: int = 0
    stages: Counter[str] = field(default_factory=Counter)  # contacts, by where they stand
    reasons: Counter[str] = field(default_factory=Counter)  # dead letters

    @property
    def dead_letters(self) -> int:
        return self.reasons.total()

    def add(self, other: Totals) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
