"""A contact that was folded under an older definition goes on under this one, where it stands.

Its present state becomes its base. Nothing rightly published is withdrawn, for nothing before is folded again; of its
tail the ids stay, so that no event counts twice. States are positional: the older definition's `Layout` says what lay
where.
"""

from __future__ import annotations

import msgspec

from worker.fold import step
from worker.fold.state import Record, State, decode_tail, encoder
from worker.plan.plan import TAIL_EVENTS, Plan


class Layout(msgspec.Struct, frozen=True):
    """The names behind the places of a definition's states."""

    stages: tuple[str, ...]
    statuses: tuple[str, ...]
    signals: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]  # (name, type)

    @classmethod
    def of(cls, plan: Plan) -> Layout:
        facts = tuple((name, fact.type) for name, fact in plan.lifecycle.facts.items())
        return cls(plan.stages, plan.statuses, plan.signals, facts)


def missing(old: Layout, plan: Plan) -> list[str]:
    """Stages of the older definition that this one has no place for: contacts there could not go on."""
    return [stage for stage in old.stages if _stage(stage, plan) is None]


def take_over(record: Record, old: Layout, plan: Plan) -> Record:
    """The record under `plan`. Raises ValueError where its stage is not to be found there."""
    state = _translate(record.state, old, plan)
    spent = [[event.id, event.source] for event in decode_tail(record.tail, record.count)]
    at = max(record.newest, record.fired)
    return msgspec.structs.replace(
        record, fingerprint=plan.fingerprint, state=state, base=encoder.encode(state), tail=b"", count=0, oldest=at,
        horizon=max(record.horizon, at), spent=[*record.spent, *spent][-TAIL_EVENTS:],
    )  # fmt: skip


def _stage(name: str, plan: Plan) -> int | None:
    for place, (stage, part) in enumerate(plan.lifecycle.stages.items()):
        if stage == name or name in part.was:
            return place
    return None


def _translate(state: State, old: Layout, plan: Plan) -> State:
    new = step.begin(plan)
    for place, name in enumerate(old.stages):
        target = _stage(name, plan)
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
    status = old.statuses[state.status]
    new.status = plan.statuses.index(status) if status in plan.statuses else 0
    same = ("order", "at", "created", "entered", "status_since", "traits", "behaviour", "behaviour_at", "first_touch",
            "last_touch", "reason", "promise")  # fmt: skip
    for name in same:
        setattr(new, name, getattr(state, name))
    return new
