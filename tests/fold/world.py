"""A world of one engine: events in, in any order and batches; the published stream, and what a reader holds of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from worker.definition.reader import read
from worker.fold.engine import Engine
from worker.fold.outcome import Event, Outcome, Refusal
from worker.plan import Plan, compile_plan

ROOT = Path(__file__).resolve().parents[2]
START = 1_767_600_000_000  # 2026-01-05T08:00:00Z, a Monday
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FAR = START + 3650 * DAY
MESSAGES_MAX = 100_000

_plans: dict[str, Plan] = {}


def plan_of(name: str) -> Plan:
    """The plan of a shipped lifecycle, or of a file's text."""
    if name not in _plans:
        source = name if "\n" in name else ROOT / "statemachine" / f"{name}.yaml"
        _plans[name] = compile_plan(read(source))
    return _plans[name]


class World:
    """All keys of one deployment in memory. Internal messages are delivered in order, until none is left."""

    def __init__(self, plan: Plan, **options: Any) -> None:
        self.engine = Engine(plan, **{"grace": False, **options})
        self.states: dict[bytes, bytes] = {}
        self.published: list[dict[str, Any]] = []
        self.refused: list[Refusal] = []
        self.currents: dict[str, dict[str, Any]] = {}
        self.duplicates = self.late = 0
        self.pending: deque[tuple[bytes, bytes]] = deque()

    def send(self, events: Sequence[Event], now: int = FAR, deliver: bool = True) -> World:
        """One batch of arrivals, then the messages that follow from it."""
        grouped: dict[bytes, list[Event | bytes]] = {}
        for event in events:
            grouped.setdefault(self.engine.key_of(event), []).append(event)
        for key, arrivals in grouped.items():
            self._do(key, self.engine.apply(key, self.states.get(key), arrivals, now))
        if deliver:
            self.deliver(now)
        return self

    def deliver(self, now: int = FAR) -> None:
        for _ in range(MESSAGES_MAX):
            if not self.pending:
                return
            key, body = self.pending.popleft()
            self._do(key, self.engine.apply(key, self.states.get(key), [body], now))
        raise AssertionError("the messages never end")

    def advance(self, clock: int) -> World:
        for key in list(self.states):
            if key.startswith(b"c:"):
                self._do(key, self.engine.advance(key, self.states[key], clock, FAR))
        self.deliver()
        return self

    def _do(self, key: bytes, outcome: Outcome) -> None:
        if outcome.changed:
            if outcome.state is None:
                self.states.pop(key, None)
            else:
                self.states[key] = outcome.state
        self.published += [output.body for output in outcome.outputs]
        self.refused += [refusal for _, refusal in outcome.refused]
        if outcome.ended:
            self.currents.pop(outcome.ended, None)
        if outcome.current:
            self.currents[outcome.current["contact"]] = outcome.current
        self.duplicates += outcome.duplicates
        self.late += outcome.late
        self.pending.extend((message.key, message.body) for message in outcome.messages)

    def history(self, subject: str) -> list[dict[str, Any]]:
        """What a reader holds who takes away what was withdrawn and adds what was restated, in order."""
        held: list[dict[str, Any]] = []
        for body in self.published:
            if body["subject"] != subject:
                continue
            if body["type"] == "lifecycle.corrected.v1":
                gone = set(body["data"]["withdrawn"])
                assert gone <= {event["id"] for event in held}, "withdraws what was never published"
                held = [event for event in held if event["id"] not in gone] + body["data"]["restated"]
            else:
                held.append(body)
        return held

    def ids(self, subject: str) -> list[str]:
        return [body["id"] for body in self.history(subject)]

    def stages(self, subject: str = "c1") -> list[str]:
        """Every stage the contact entered, in order."""
        kind = "lifecycle.stage.changed.v1"
        return [body["data"]["to"] for body in self.history(subject) if body["type"] == kind]

    def companies(self) -> dict[str, tuple[Any, Any]]:
        last: dict[str, tuple[Any, Any]] = {}
        for body in self.published:
            if body["type"] == "lifecycle.company.changed.v1":
                last[body["subject"]] = (body["data"]["stage_to"], body["data"]["customer_status_to"])
        return last


def event(
    at: int, kind: str, identity: str, contact: str = "c1", traits: dict[str, Any] | None = None, /, **data: Any
) -> Event:
    """An event `at` ms after START."""
    return Event(START + at, kind, identity, "/test", contact, data, traits)


def batches(events: Sequence[Event], cuts: Iterable[int]) -> list[Sequence[Event]]:
    """The events cut into batches before the given places."""
    places = [0, *sorted({cut % (len(events) + 1) for cut in cuts}), len(events)]
    return [events[start:end] for start, end in zip(places, places[1:], strict=False) if end > start]
