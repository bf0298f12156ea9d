"""A history whose events are all at hand and in the order of time: folded in one go, keeping nothing to fold onto.

What `Contact` comes to with the same events in one batch, without its record: no tail, no base, no horizon, for
nothing can come late. The tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from worker.fold import step, tell
from worker.fold.accept import accept_fields
from worker.fold.contact import place_in_company
from worker.fold.messages import Member
from worker.fold.outcome import Event, Message, Refusal
from worker.fold.state import Kept, State

if TYPE_CHECKING:
    from worker.fold.engine import Engine


class Straight(NamedTuple):
    """What came of the events: where the contact stands (None: it never began), and places of what was refused."""

    state: State | None
    refused: list[tuple[int, Refusal]]
    duplicates: int
    message: Message | None


def fold_straight(engine: Engine, name: str, events: Sequence[Event], clock: int, told: tell.Told) -> Straight | None:
    """The history of a contact of which nothing was known before, and that is nobody else, up to `clock`.

    None where one of the events is older than one before it, and under a definition that forgets contacts: that takes
    a `Contact`, and what `told` was told until then does not count.
    """
    plan = engine.plan
    if plan.forget is not None:
        return None
    elapse, take, creating = step.elapse, step.take, plan.creating
    state = step.begin(plan)
    refused: list[tuple[int, Refusal]] = []
    known: set[tuple[str, str]] = set()
    newest, duplicates = 0, 0
    for place, event in enumerate(events):
        at, kind, identity, source, *_ = event
        given = accept_fields(plan, event)
        if given is None:
            if kind not in creating or (state.stage >= 0 and at >= state.created):
                continue
            kept = Kept(at, kind, identity, source, {}, bare=True)
        elif isinstance(given, Refusal):
            refused.append((place, given))
            continue
        else:
            kept = Kept(at, kind, identity, source, given[0], given[1])
        if at < newest:
            return None
        mark = (identity, source)
        if mark in known:
            duplicates += 1
            continue
        known.add(mark)
        newest = at
        if state.stage >= 0:
            elapse(plan, state, at, told)
        take(plan, state, kept, told)
    if state.stage < 0:
        return Straight(None, refused, duplicates, None)
    fired = 0
    while (due := step.next_due(plan, state)) and due + engine.wait(state, due) <= clock:
        step.fire(plan, state, due, told)
        fired = due
    message = None
    if plan.company is not None and (stands := place_in_company(plan, state)) is not None:
        body = Member(
            stands.company,
            engine.keys.contact(name),
            1,
            max(newest, fired),
            stands.stage,
            stands.statuses,
            stands.parent,
        )
        message = engine.keys.to_member(body)
    return Straight(state, refused, duplicates, message)
