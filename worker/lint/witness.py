"""Whether a claim about some events is true, by the engine that also runs live; and as few of them as show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from worker.fold.engine import Engine
from worker.fold.outcome import Event
from worker.lint.alphabet import CONTACT, FIRST_MS, SOURCE, Act
from worker.lint.findings import Witness
from worker.plan import Plan
from worker.replay.world import World, in_order

CHECKS_MAX: Final = 150  # of shortening one witness
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


@dataclass(frozen=True)
class History:
    """What became of the contact: the stages it came to with each event (its place; -1: time alone), and its end."""

    moves: tuple[tuple[int, str | None, str, str], ...]  # (event's place, from, to, says)
    stage: str | None
    status: str | None
    late: tuple[str, ...]

    def path(self, place: int) -> list[str]:
        """The stages gone through with one event, the one before it first; empty where it moved nothing."""
        moves = [move for move in self.moves if move[0] == place and move[1] is not None]
        return [str(moves[0][1]), *(move[2] for move in moves)] if moves else []

    def says(self, place: int) -> list[str]:
        return [move[3] for move in self.moves if move[0] == place and move[1] is not None]


Claim = Callable[[Sequence[Act]], bool]


def fold(plan: Plan, acts: Sequence[Act]) -> History:
    """The history of one contact to whom these things happen, as the live worker would publish it."""
    events, end = _events(acts)
    world = World(Engine(plan, grace=False), end)
    for event in events:
        world.arrive([event])
    world.advance(end)
    moves: list[tuple[int, str | None, str, str]] = []
    late: list[str] = []
    stage: str | None = None
    status: str | None = None
    for output in in_order(world.outputs).get(CONTACT, ()):
        data = output.body["data"]
        match output.body["type"]:
            case "lifecycle.stage.changed.v1":
                cause = data["cause"]
                place = int(cause["id"]) - 1 if cause.get("id") else -1
                moves.append((place, data["from"], data["to"], data["says"]))
                stage, status = data["to"], data["status"]
            case "lifecycle.status.changed.v1":
                status = data["to"]
            case "lifecycle.sla.breached.v1":
                late.append(data["stage"])
    return History(tuple(moves), stage, status, tuple(late))


def _events(acts: Sequence[Act]) -> tuple[list[Event], int]:
    events: list[Event] = []
    now = FIRST_MS
    for act in acts:
        now += act.gap
        if not act.waits:
            traits = None if act.traits is None else dict(act.traits)
            events.append(Event(now, act.kind, str(len(events) + 1), act.source, CONTACT, dict(act.data), traits))
    return events, now


def last_event(acts: Sequence[Act]) -> int:
    """The place of the last event among the events."""
    return sum(not act.waits for act in acts) - 1


def shortened(acts: Sequence[Act], holds: Claim) -> list[Act]:
    """As few acts and fields as keep the claim true; the claim holds of what is given."""
    kept = _joined(acts)
    checks = 0

    def try_instead(other: list[Act]) -> bool:
        nonlocal kept, checks
        checks += 1
        if checks > CHECKS_MAX or not other or not holds(other):
            return False
        kept = other
        return True

    for place in range(len(kept) - 1, -1, -1):
        if place < len(kept) and len(kept) > 1:
            try_instead(kept[:place] + kept[place + 1 :])
    for place in range(len(kept)):
        for part in ("data", "traits"):
            given: Mapping[str, Any] = getattr(kept[place], part) or {}
            for name in list(given):
                fewer = {key: value for key, value in getattr(kept[place], part).items() if key != name}
                lighter = replace(kept[place], data=fewer) if part == "data" else replace(kept[place], traits=fewer)
                try_instead([*kept[:place], lighter, *kept[place + 1 :]])
    return kept


def _joined(acts: Sequence[Act]) -> list[Act]:
    """The same with each wait made part of the next event's gap, but for one at the end."""
    found: list[Act] = []
    gap = 0
    for act in acts:
        if act.waits:
            gap += act.gap
            continue
        found.append(replace(act, gap=act.gap + gap))
        gap = 0
    if gap:
        found.append(Act("", {}, None, gap, None))
    return found


def told(acts: Sequence[Act], shows: str) -> Witness:
    """The acts as a scenario file would have them."""
    events: list[Mapping[str, Any]] = []
    until = None
    for act in acts:
        if act.waits:
            until = f"+{_span(act.gap)}"
            continue
        event: dict[str, Any] = {"at": f"+{_span(act.gap)}" if events else "2026-01-05T09:01:00Z", "type": act.kind}
        if act.source != SOURCE:
            event["source"] = act.source
        if act.traits:
            event["traits"] = dict(act.traits)
        own = {"at", "type", "contact", "id", "source", "traits", "data"}
        event |= {name: value for name, value in act.data.items() if name not in own}
        other = {name: value for name, value in act.data.items() if name in own}
        events.append({**event, "data": other} if other else event)
    return Witness(tuple(events), shows, until)


def _span(ms: int) -> str:
    for unit, size in _UNITS:
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
