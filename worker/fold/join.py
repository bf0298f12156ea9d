"""Two contacts' pasts made one, where both lie behind the horizon and can't be folded again.

The rules are few and stated: what happened is added up by count and ordered by time, scores take the greater (never the
sum), facts and traits the later one's where both have them, sets their union, the stage is the higher, the status that
of `_status`, and the visits are the survivor's, with one more where the other stood higher: it enters that stage as the
two become one.
"""

from __future__ import annotations

from worker.fold.state import VISITS_KEPT, Kept, State
from worker.fold.step import Teller
from worker.plan.plan import Plan
from worker.plan.support import COUNT_CAP


def join(plan: Plan, survivor: State, other: State) -> State:
    """The state of both together. Both states are used up."""
    if other.stage < 0:
        return survivor
    if survivor.stage < 0:
        other.flags = survivor.flags
        return other
    later = survivor if survivor.at >= other.at else other
    earlier = other if later is survivor else survivor
    at = max(survivor.at, other.at)
    signals, order = _signals(plan, survivor, other)
    behaviour = max(float(plan.behaviour(survivor, at)), float(plan.behaviour(other, at)))
    higher = other if other.stage > survivor.stage else survivor
    touches = [touch for touch in (survivor.first_touch, other.first_touch) if touch is not None]
    last = [touch for touch in (survivor.last_touch, other.last_touch) if touch is not None]
    status = _status(plan, survivor, other)
    return State(
        order=order,
        at=at,
        created=min(survivor.created, other.created),
        stage=higher.stage,
        entered=at if higher is other else survivor.entered,
        visits=_visits(survivor, other, at),
        status=status.status,
        status_since=status.status_since,
        signals=signals,
        facts=_facts(plan, later, earlier),
        traits={**earlier.traits, **later.traits},
        behaviour=behaviour,
        behaviour_at=at,
        first_touch=min(touches, key=lambda touch: touch[3], default=None),
        last_touch=max(last, key=lambda touch: touch[3], default=None),
        reason=later.reason or earlier.reason,
        promise=higher.promise,
        flags=survivor.flags,  # as told of it: what the other's past changes of them is told with the next event
    )


def join_told(plan: Plan, survivor: State, other: State, made: Kept, teller: Teller) -> State:
    """`join`, told as what the merge event `made` did to the survivor: the stage and status it has from the other."""
    left, since, status = survivor.stage, survivor.entered, survivor.status
    joined = join(plan, survivor, other)
    at = joined.at if left >= 0 else joined.entered
    if joined.stage != left:
        teller.moved(joined, at, left, since, None, made)
    if joined.status != status:
        teller.status(joined, at, status, made)
    return joined


def _status(plan: Plan, survivor: State, other: State) -> State:
    """Whose status both have: the one further along the track, as events only move it forward.

    Where one of them is aside, the later one, but never the status that a contact merely begins with.
    """
    if survivor.status < plan.track and other.status < plan.track:
        return other if other.status > survivor.status else survivor
    set_at = [
        state.status_since if state.status or state.status_since > state.created else -1 for state in (survivor, other)
    ]
    return survivor if set_at[0] >= set_at[1] else other


def _facts(plan: Plan, later: State, earlier: State) -> list[object]:
    facts: list[object] = []
    for place, empty in enumerate(plan.empty_facts):
        if empty is None:
            facts.append({**earlier.facts[place], **later.facts[place]})
        else:
            facts.append(later.facts[place] if later.facts[place] != empty else earlier.facts[place])
    return facts


def _signals(plan: Plan, one: State, other: State) -> tuple[list[list[int] | None], int]:
    """Entries of both, their running numbers given anew by time; the number of the last."""
    moments: set[tuple[int, int, int]] = set()  # (time, whose, its running number there)
    for whose, state in enumerate((one, other)):
        for entry in state.signals:
            if entry is not None:
                moments.add((entry[2], whose, entry[3]))
                moments.update((entry[at], whose, entry[at + 1]) for at in range(4, len(entry), 2))
    number = {moment: place + 1 for place, moment in enumerate(sorted(moments))}
    joined: list[list[int] | None] = []
    for place in range(len(plan.signals)):
        entries = [(whose, state.signals[place]) for whose, state in enumerate((one, other))]
        known = [(whose, entry) for whose, entry in entries if entry is not None]
        if not known:
            joined.append(None)
            continue
        last = max((entry[2], number[entry[2], whose, entry[3]]) for whose, entry in known)
        single = sorted(
            (entry[at], number[entry[at], whose, entry[at + 1]])
            for whose, entry in known
            for at in range(4, len(entry), 2)
        )[-plan.keep[place] :]
        count = min(COUNT_CAP, sum(entry[0] for _, entry in known))
        first = min(entry[1] for _, entry in known)
        joined.append([count, first, *last, *(part for pair in single for part in pair)])
    return joined, max(number.values(), default=0)


def _visits(survivor: State, other: State, at: int) -> list[list[object] | None]:
    """The survivor's chain; where the other stood higher, the survivor goes there `at` the instant of joining."""
    visits = survivor.visits
    if other.stage <= survivor.stage:
        return visits
    left = visits[survivor.stage]
    if left is not None:
        left[3] += at - survivor.entered
        left[4].append([survivor.entered, at])
        del left[4][:-VISITS_KEPT]
    visit = visits[other.stage]
    if visit is None:
        visits[other.stage] = [1, at, at, 0, []]
    else:
        visit[0] += 1
        visit[2] = at
    return visits
