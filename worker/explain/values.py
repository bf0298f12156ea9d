"""What there is to say of a contact, as values that a terminal, a program or a page can show.

Times are RFC 3339 texts, as in the events out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["all", "any", "not", "choice", "name", "atom"]
Detail = Literal["whole", "published", "visits"]
"""How much is known: every event; what was published of it; or, behind the horizon, only when stages were entered."""


@dataclass(frozen=True)
class Seen:
    """A value that a condition looked at: `score.behaviour`, 35. Unset is None; of a signal it is when it was last."""

    what: str
    value: Any


@dataclass(frozen=True)
class Condition:
    """A guard, or a part of it, with what it came to. `parts` are those it is made of; an atom has `seen` instead."""

    text: str
    holds: bool
    kind: Kind = "atom"
    parts: tuple[Condition, ...] = ()
    seen: tuple[Seen, ...] = ()

    def atoms(self, holds: bool) -> tuple[Condition, ...]:
        """The atoms to blame for the condition being what it is, where it should be `holds`: those to be changed."""
        if self.holds == holds:
            return ()
        if self.kind == "atom":
            return (self,)
        if self.kind == "not":
            return self.parts[0].atoms(not holds)
        return tuple(atom for part in self.parts for atom in part.atoms(holds))


@dataclass(frozen=True)
class Attempt:
    """A transition looked at: whether what it waits for happened, and its conditions, each with its values."""

    transition: int
    to: str
    says: str
    waits_for: tuple[str, ...]  # patterns; none where no event is needed
    happened: bool
    conditions: tuple[Condition, ...]
    assumed: bool = False

    @property
    def holds(self) -> bool:
        return self.happened and all(condition.holds for condition in self.conditions)

    @property
    def missing(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in self.conditions if not condition.holds)


@dataclass(frozen=True)
class Step:
    """Something that became true. `event` is the event out as it was or would be published; None for what isn't.

    `kind`: the event out's type without `lifecycle.` and `.v1`; `sla.met`; `refused`, where an event that could have
    moved the contact did not. `refused` are the transitions that were tried before the one that was `taken`.
    """

    time: str
    kind: str
    stage: str
    event: Mapping[str, Any] | None = None
    cause: Mapping[str, Any] | None = None
    taken: Attempt | None = None
    refused: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Visit:
    """A stay in a stage; `left` is None for the present one. Of many older visits only the last twenty are kept."""

    stage: str
    entered: str
    left: str | None


@dataclass(frozen=True)
class Correction:
    """Published history that did not stand: what arrived late, what was withdrawn and what is true instead."""

    cause: Mapping[str, Any]
    withdrawn: tuple[Mapping[str, Any], ...]
    restated: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Remedy:
    """What would make a condition hold. `confirmed`: the fold was asked, and it does; `arrives`: so the contact moves.

    `kind`: `event` (type and fields), `trait`, `points` (how many are missing), `status`, `time`, `other`.
    """

    kind: Literal["event", "trait", "points", "status", "time", "other"]
    says: str
    event: Mapping[str, Any] | None = None
    confirmed: bool = False
    arrives: bool = False  # the contact would then stand where it was wanted


@dataclass(frozen=True)
class Missing:
    condition: Condition
    wanted: bool  # whether it should hold, or cease to
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True)
class Way:
    """A transition that leads towards the stage asked for, from where the contact stands, and what it lacks."""

    origin: str
    attempt: Attempt
    missing: tuple[Missing, ...]
    waiting: tuple[Remedy, ...] = ()  # the events that it waits for, where it does


@dataclass(frozen=True)
class WhyNot:
    """Why the contact is not in `stage`.

    `ways` are the transitions that lead there, or the first step of the shortest way, and `then` the steps that follow.
    `by_stages` is the way from stage to stage, where there is one beside a transition that leads there at once.
    """

    stage: str
    there: bool  # it is, after all
    ways: tuple[Way, ...]
    then: tuple[Way, ...] = ()
    by_stages: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A contact's history and why it is what it is. `notes` say what is not known, and why."""

    contact: str
    lifecycle: str
    version: int
    fingerprint: str
    at: str
    known: bool
    stage: str | None = None
    stage_name: str | None = None
    owner: str | None = None
    entered_at: str | None = None
    status: str | None = None
    qualified: bool | None = None
    score: Mapping[str, float] | None = None
    due_at: str | None = None  # the promise that runs
    late: bool = False
    company: str | None = None
    detail: Detail = "whole"
    since: str | None = None  # from when on steps are in full, where that is not from the beginning
    events: int = 0
    steps: Sequence[Step] = ()
    visits: Sequence[Visit] = ()  # those before the first step
    corrections: Sequence[Correction] = ()
    refusals: Sequence[Mapping[str, Any]] = ()  # events that were not accepted: id, type, time, reason, message
    why_not: WhyNot | None = None
    notes: Sequence[str] = field(default_factory=tuple)
