"""What of the demo is worth a line, and what it all came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from worker.fold.outcome import Output
from worker.replay.world import in_order

STAGE_CHANGED: Final = "lifecycle.stage.changed.v1"
CORRECTED: Final = "lifecycle.corrected.v1"
BREACHED: Final = "lifecycle.sla.breached.v1"

_RANKS: Final = {
    "lifecycle.contact.erased.v1": 95,
    "lifecycle.contact.merged.v1": 90,
    BREACHED: 60,
    "lifecycle.company.changed.v1": 30,
}


def highlights(changes: Sequence[Mapping[str, Any]], stages: Sequence[str], most: int) -> list[Mapping[str, Any]]:
    """The changes most worth showing, at most so many, in the order in which they were published.

    Of several of one kind the first few: ten merges at once are no more news than one.
    """
    seen: Counter[Any] = Counter()
    ranked: list[tuple[float, int]] = []
    for place, body in enumerate(changes):
        rank, kind = _rank(body, stages)
        if rank:
            ranked.append((rank / (1 + seen[kind]), -place))
            seen[kind] += 1
    chosen = sorted(-place for _, place in sorted(ranked, reverse=True)[:most])
    return [changes[place] for place in chosen]


def _rank(body: Mapping[str, Any], stages: Sequence[str]) -> tuple[float, Any]:
    """How much news a change is, 0 for none, and of what kind."""
    kind, data = body["type"], body["data"]
    if kind == CORRECTED:
        return (80.0 if data["restated"] else 0.0), kind
    if kind == STAGE_CHANGED:
        if data["direction"] == "initial":
            return 0.0, None
        height = stages.index(data["to"]) / (len(stages) - 1)
        return (50.0 if data["direction"] == "backward" else 20 + 60 * height), data["to"]
    if kind == "lifecycle.company.changed.v1" and data["stage_to"] != stages[-1]:
        return 0.0, None
    return float(_RANKS.get(kind, 0)), kind


@dataclass
class Tally:
    """Everything published so far."""

    stages: Sequence[str]
    published: list[Mapping[str, Any]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, changes: Iterable[Mapping[str, Any]]) -> None:
        for body in changes:
            self.published.append(body)
            self.kinds[body["type"]] += 1

    def histories(self) -> dict[str, list[Output]]:
        """By contact, with corrections applied."""
        return in_order([Output(body["subject"], dict(body)) for body in self.published])

    def funnel(self) -> list[tuple[str, int, int]]:
        """Each stage, lowest first: how many contacts were ever in it, or beyond; how many are in it now."""
        reached, now = Counter[str](), Counter[str]()
        for outputs in self.histories().values():
            entered = [output.body["data"]["to"] for output in outputs if output.body["type"] == STAGE_CHANGED]
            if entered:
                now[entered[-1]] += 1
                highest = max(map(self.stages.index, entered))
                reached.update(self.stages[: highest + 1])
        return [(stage, reached[stage], now[stage]) for stage in self.stages]

    def standing(self) -> dict[str, str]:
        """The stage of every contact that there is."""
        stands: dict[str, str] = {}
        for contact, outputs in self.histories().items():
            for output in outputs:
                if output.body["type"] == STAGE_CHANGED:
                    stands[contact] = output.body["data"]["to"]
        return stands
