"""The plan as data: what a compiled lifecycle offers to whoever folds events.

`worker.plan.compile` makes it; `worker.fold.step` says how a contact is moved by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.definition.model import Lifecycle
from worker.plan.calendar import Calendar

SETBACK = "setback"
TAIL_EVENTS = 1_000
TAIL_BYTES = 256 * 1024
ECHO = "lifecycle-worker"
NOT_OF_CONTACTS = frozenset({"spend.recorded"})  # subject and key are a campaign
UTM = ("utm_source", "utm_medium", "utm_campaign")

Guarded = Callable[..., Any]


@dataclass(frozen=True)
class Move:
    """A transition as the plan takes it: `to` is a stage's place, `reason` source of the change's reason."""

    place: int
    to: int
    says: str
    status: int | None
    assumed: bool
    guards: Guarded  # (s, e, t, h, y, z) -> {condition: value}
    reason: Guarded | None


@dataclass(frozen=True)
class Flag:
    """A segment or a hygiene rule: a bit of `State.flags`."""

    kind: str  # "segment" or "hygiene"
    name: str
    says: str
    field: str | None


@dataclass(frozen=True)
class Plan:
    """A lifecycle, ready to run. Places are indices into `stages`, `statuses`, `signals`; -1 is none.

    Mappings by event type have "" for the types that the definition doesn't name; `ignores`, `statuses_for` and `meets`
    have a function only where it can do something.

    Generated functions take (s, e, t, h, y, z): state, the event's data, its time, the signals it set off (bits), its
    type and its envelope's source; `shape`, `due` and the predicates of a state take fewer, as noted.
    """

    lifecycle: Lifecycle
    fingerprint: str
    parameters: Mapping[str, Any]
    stages: tuple[str, ...]
    statuses: tuple[str, ...]
    track: int  # how many of `statuses` lie on the track; those after are asides
    signals: tuple[str, ...]
    published: int  # bits of signals that go out as events
    horizon: int
    moves: tuple[Move, ...]
    flags: tuple[Flag, ...]
    calendar: Calendar
    fields: Mapping[str, frozenset[str]]  # event type → fields that are kept; "" for types that nothing names
    traits: frozenset[str]
    qualified: tuple[bool, ...]
    owners: tuple[str, ...]
    manual: frozenset[str]
    status_names: Mapping[str, int]
    empty_facts: tuple[Any, ...]
    value_fact: int | None
    company: str | None  # the trait that names a contact's company
    parent: str | None
    creating: frozenset[str]  # event types that bring an unknown contact into the first stage
    sets_status: frozenset[str]
    uses: Mapping[str, Callable[[dict[str, Any], str, str], bool]]  # (e, y, z): could this event do anything
    ignores: Mapping[str, Callable[[dict[str, Any], str, str], bool]]  # (e, y, z): nobody's act
    applies: Mapping[str, Guarded]  # (s, e, t, y, z) -> h: facts, signals, score
    statuses_for: Mapping[str, Guarded]  # -> status's place or -1
    moves_for: Mapping[str, Guarded]  # -> move or -1
    meets: Mapping[str, Guarded]  # -> whether the SLA of the stage is met by this event
    onward: Guarded  # event-less move or -1
    marks: Guarded  # -> flags that hold
    take_traits: Callable[[Any, Mapping[str, Any]], None]
    derive: Callable[[Any, int], None]  # (s, t): facts worked out from others
    due: Callable[[Any], int]  # (s): next instant at which time alone matters, 0 for none
    within: Mapping[int, Guarded]  # stage → promised ms
    warns: Mapping[int, Guarded]
    unless: Mapping[int, Guarded]
    entering: Mapping[int, Guarded]  # stage → (status place or -1)
    leaving: Mapping[int, Guarded]
    entered_signals: Mapping[int, int]  # stage → bits of signals set off by entering it
    left_signals: Mapping[int, int]
    windows: int  # bits of signals whose occurrences are kept
    keep: tuple[int, ...]
    forgets: int  # bits of signals that make the score start again, or empty a fact
    forgotten: Guarded  # where a move set off one of `forgets`: what is forgotten by it
    fits: Guarded | None  # (s, t): the condition named `fit`, where the file has one
    fit: Callable[[Any], float]
    behaviour: Callable[[Any, int], float]
    disqualified: Guarded
    suppressed: Guarded
    forget: tuple[int, int] | None  # (stage, ms): a contact there, without an event for so long, ends
    spared: Guarded  # (s, t): it stays all the same
    company_statuses: tuple[tuple[str, Guarded], ...]
    source: str = field(repr=False, default="")
