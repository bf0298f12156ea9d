"""What a comparison comes to: figures under each definition, and contacts whose histories part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from worker.compare.brief import Entry
from worker.instants import format_instant


class Conversion(NamedTuple):
    """Of the contacts that were in a stage, how many were in a higher one afterwards."""

    stage: str
    reached: int
    onward: int

    @property
    def rate(self) -> float:
        return self.onward / self.reached if self.reached else 0.0

    @property
    def share(self) -> str:
        """The rate as people read it; where nobody was ever in the stage there is none."""
        return f"{self.rate:.1%}" if self.reached else "–"


@dataclass
class Figures:
    """Counts under one definition. `stages`: contacts by where they stand; `reached`: by stages they were ever in."""

    contacts: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    onward: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)
    dead_letters: int = 0

    def add(self, other: Figures) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def count(self, entries: Sequence[Entry], places: dict[str, int], stands: bool) -> str:
        """Take in one contact's history; where it stands in the end, if it does. `places` is the order of stages."""
        visited: dict[str, int] = {}  # stage → greatest place after it was entered
        stage = ""
        for entry in entries:
            if entry.kind == "stage":
                stage = entry.to
                if entry.from_:
                    self.transitions[entry.from_, stage] += 1
                place = places[stage]
                for name, highest in visited.items():
                    if place > highest:
                        visited[name] = place
                visited.setdefault(stage, place)
            elif entry.kind == "sla":
                self.breaches[entry.from_] += 1
        if stage:
            self.reached.update(visited.keys())
            self.onward.update(name for name, highest in visited.items() if highest > places[name])
        if not stage or not stands:
            return ""
        self.contacts += 1
        self.stages[stage] += 1
        return stage

    def conversions(self, stages: Sequence[str]) -> list[Conversion]:
        return [Conversion(stage, self.reached[stage], self.onward[stage]) for stage in stages]


@dataclass(frozen=True)
class Changed:
    """A contact whose histories part: both of them, and what is the first to be different."""

    contact: str
    old: tuple[Entry, ...]
    new: tuple[Entry, ...]

    @property
    def parts_at(self) -> int:
        """How many entries the two have in common before they part."""
        same = 0
        for one, other in zip(self.old, self.new, strict=False):
            if one.said != other.said:
                break
            same += 1
        return same

    def as_json(self) -> dict[str, Any]:
        place = self.parts_at
        one = self.old[place] if place < len(self.old) else None
        other = self.new[place] if place < len(self.new) else None
        first = min((entry for entry in (one, other) if entry is not None), key=lambda entry: entry.time)
        return {
            "contact": self.contact,
            "stage": {"old": stands(self.old), "new": stands(self.new)},
            "parts": {
                "time": format_instant(first.time), "type": first.why, "event": first.event or None,
                "old": None if one is None else _as_json(one), "new": None if other is None else _as_json(other),
                "common": place,
            },
            "old": [_as_json(entry) for entry in self.old],
            "new": [_as_json(entry) for entry in self.new],
        }  # fmt: skip


def stands(entries: Sequence[Entry]) -> str | None:
    """The stage that a history ends in."""
    return next((entry.to for entry in reversed(entries) if entry.kind == "stage"), None)


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "time": format_instant(entry.time), "kind": entry.kind, "from": entry.from_ or None, "to": entry.to or None,
        "type": entry.why, "event": entry.event or None,
    }  # fmt: skip
