"""A contact that was folded under an older definition goes on under this one, where it stands.

Its present state becomes its base. Nothing rightly published is withdrawn, for nothing before is folded again; of its
tail the ids stay, so that no event counts twice. States are positional: the older definition's `Layout` says what lay
where.
"""

from __future__ import annotations

import msgspec

from worker.fold import step
from worker.fold.messages import Answer, Under
from worker.fold.state import Kept, Record, State, decode_state, decode_tail, encoder
from worker.plan.plan import TAIL_EVENTS, Plan


class Foreign(Exception):
    """What another key gave was folded under a definition that nothing here has learned of."""

    def __init__(self, under: Under) -> None:
        super().__init__(f"a record was folded under a definition that is not known here: {under.fingerprint}")
        self.under = under


class Layout(msgspec.Struct, frozen=True):
    """The names behind the places of a definition's states."""

    stages: tuple[str, ...]
    statuses: tuple[str, ...]
    signals: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]  # (name, type)
    flags: tuple[tuple[str, str], ...] = ()  # (kind, name)

    @classmethod
    def of(cls, plan: Plan) -> Layout:
        facts = tuple((name, fact.type) for name, fact in plan.lifecycle.facts.items())
        return cls(plan.stages, plan.statuses, plan.signals, facts, _flags(plan))


def missing(old: Layout, plan: Plan) -> list[str]:
    """Stages of the older definition that this one has no place for: contacts there could not go on."""
    return [stage for stage in old.stages if stage_named(stage, plan) is None]


def take_over(record: Record, old: Layout, plan: Plan) -> Record:
    """The record under `plan`. Raises ValueError where its stage is not to be found there."""
    state = _translate(record.state, old, plan)
    at = max(record.newest, record.fired)
    return msgspec.structs.replace(
        record, fingerprint=plan.fingerprint, state=state, base=encoder.encode(state), tail=b"", count=0, oldest=at,
        horizon=max(record.horizon, at), spent=_spent(record.spent, decode_tail(record.tail, record.count)),
    )  # fmt: skip


def take_over_answer(answer: Answer, old: Layout, plan: Plan) -> Answer:
    """A record that was on its way to its claimer, under `plan`. Raises ValueError as `take_over` does."""
    state = _translate(decode_state(answer.state), old, plan)
    return msgspec.structs.replace(
        answer, base=encoder.encode(state), events=[], horizon=max(answer.horizon, state.at, answer.fired),
        spent=_spent(answer.spent, answer.events), under=None, state=b"",
    )  # fmt: skip


def _spent(known: list[list[str]], tail: list[Kept]) -> list[list[str]]:
    return [*known, *([event.id, event.source] for event in tail)][-TAIL_EVENTS:]


def _flags(plan: Plan) -> tuple[tuple[str, str], ...]:
    return tuple((flag.kind, flag.name) for flag in plan.flags)


def stage_named(name: str, plan: Plan) -> int | None:
    """The place of the stage that has this name, or had it in an older definition."""
    for place, (stage, part) in enumerate(plan.lifecycle.stages.items()):
        if stage == name or name in part.was:
            return place
    return None


def _translate(state: State, old: Layout, plan: Plan) -> State:
    new = step.begin(plan)
    for place, name in enumerate(old.stages):
        target = stage_named(name, plan)
        if target is None and place == state.stage:
            raise ValueError(f"stage {name!r} is gone: name it in `was` of the stage that takes its place")
        if target is not None:
            new.visits[target] = state.visits[place]
            if place == state.stage:
                new.stage = target
    for place, name in enumerate(old.signals):
        if name in plan.signals:
            new.signals[plan.signals.index(name)] = state.signals[place]
    names = {name: (place, fact.type) for place, (name, fact) in enumerate(plan.lifecycle.facts.items())}
    for place, (name, kind) in enumerate(old.facts):
        if name in names and names[name][1] == kind:
            new.facts[names[name][0]] = state.facts[place]
    for place, flag in enumerate(_flags(plan)):
        if flag in old.flags and state.flags >> old.flags.index(flag) & 1:
            new.flags |= 1 << place
    status = old.statuses[state.status]
    new.status = plan.statuses.index(status) if status in plan.statuses else 0
    same = ("order", "at", "created", "entered", "status_since", "traits", "behaviour", "behaviour_at", "first_touch",
            "last_touch", "reason", "promise")  # fmt: skip
    for name in same:
        setattr(new, name, getattr(state, name))
    return new
