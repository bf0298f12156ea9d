"""One event, or one timer, onto one state: the order of things within an event, and moves.

`begin` makes the state before anything; `take` folds an event in; `fire` lets time pass to a deadline. All three change
the state they are given and tell what became true to a `Teller` (None: nobody asks). Nothing here knows of batches,
tails, corrections or a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import structs

from worker.fold.accept import attributes
from worker.fold.identity import MERGES
from worker.fold.state import VISITS_KEPT, Kept, Promise, State
from worker.plan.plan import SETBACK, UTM, Move, Plan
from worker.plan.support import hit

WALK_LIMIT = 64  # passes of event-less moves in one event; cycles are refused at load, this bounds what is left

EMPTY: dict[str, Any] = {}


class Teller(Protocol):
    """Who is told what became true, at the moment it does: the state is as it is right after.

    Unless it `tells_guards`, the `why` of a transition comes without the conditions that let it happen.
    """

    tells_guards: bool

    def moved(self, state: State, at: int, left: int, passed: int, move: Move | None, why: Any) -> None: ...

    def status(self, state: State, at: int, before: int, why: Any) -> None: ...

    def merged(self, state: State, at: int, other: Any, why: Any) -> None: ...

    def breached(self, state: State, at: int) -> None: ...

    def warned(self, state: State, at: int) -> None: ...

    def signalled(self, state: State, at: int, signal: int, why: Any) -> None: ...

    def marked(self, state: State, at: int, flag: int, holds: bool, why: Any) -> None: ...


def begin(plan: Plan) -> State:
    """A contact of which nothing is known yet."""
    return State(
        order=0,
        at=0,
        created=0,
        stage=-1,
        entered=0,
        visits=[None] * len(plan.stages),
        status=0,
        status_since=0,
        signals=[None] * len(plan.signals),
        facts=[{} if value is None else value for value in plan.empty_facts],
        traits={},
        behaviour=0.0,
        behaviour_at=0,
        first_touch=None,
        last_touch=None,
        reason="",
        promise=None,
        flags=0,
    )


def take(plan: Plan, state: State, event: Kept, teller: Teller | None) -> None:
    """Fold one event into the state. Timers due before it must have fired."""
    at, kind, data, source = event.time, event.type, event.data, event.source
    state.order += 1
    state.at = at
    begun = 0  # signals of entering the first stage, which like those of any move are known to the moves after it
    first = state.stage < 0
    if first:
        state.created = state.status_since = at
        begun = _enter(plan, state, at, 0, None, event, None)
    if event.bare:
        plan.derive(state, at)
        if first:
            _tell_beginning(plan, state, at, begun, event, teller)
        _walk(plan, state, at, event, begun, teller)
        return
    if event.traits:
        plan.take_traits(state, event.traits)
    ignored = plan.ignores.get(kind)
    if ignored is not None and ignored(data, kind, source):  # nobody's act: only its traits count
        plan.derive(state, at)
        if first:
            _tell_beginning(plan, state, at, begun, event, teller)
        _walk(plan, state, at, structs.replace(event, data=EMPTY), begun, teller)
        return
    if attributes(data):
        _touch(state, event)
    key = kind if kind in plan.applies else ""
    signals: int = plan.applies[key](state, data, at, kind, source)
    plan.derive(state, at)
    if data.get("reason"):
        state.reason = data["reason"]
    if first:
        _tell_beginning(plan, state, at, begun, event, teller)
    if teller is not None and (loud := signals & plan.published):
        _tell_signals(state, at, loud, event, teller)
    if kind in MERGES and teller is not None and "wanted" not in data:
        teller.merged(state, at, data.get(MERGES[kind]), event)
    implied = plan.statuses_for.get(key)
    if implied is not None:
        status = implied(state, data, at, signals, kind, source)
        if status >= 0 and status != state.status:
            _set_status(state, at, status, event, teller)
    if state.promise is not None:
        meets = plan.meets.get(key)
        if meets is not None and meets(state, data, at, signals, kind, source):
            state.promise = None
    signals |= begun
    if kind == "stage.set":
        signals |= _place(plan, state, event, signals, teller)
    number = plan.moves_for[key](state, data, at, signals, kind, source)
    if number >= 0:
        signals |= _move(plan, state, at, plan.moves[number], event, signals, teller)
    _walk(plan, state, at, event, signals, teller)


def _tell_beginning(plan: Plan, state: State, at: int, signals: int, event: Kept, teller: Teller | None) -> None:
    """Entering the first stage is told with what the event that began it says of company, traits and campaign."""
    state.promise = _promise(plan, state, at)
    if teller is not None:
        teller.moved(state, at, -1, 0, None, event)
        if state.status:
            teller.status(state, at, 0, event)
        if loud := signals & plan.published:
            _tell_signals(state, at, loud, event, teller)


def run(plan: Plan, state: State, events: Iterable[Kept], fired: int, teller: Teller | None) -> None:
    """Fold events onto a state, in their order, with the timers before each, and those that had fired by `fired`."""
    for event in events:
        elapse(plan, state, event.time, teller)
        take(plan, state, event, teller)
    elapse(plan, state, fired + 1, teller)


def elapse(plan: Plan, state: State, until: int, teller: Teller | None) -> None:
    """Let time pass up to `until`: the timers due before it fire, in the order of their deadlines."""
    while 0 < (due := next_due(plan, state)) < until:
        fire(plan, state, due, teller)


def fire(plan: Plan, state: State, deadline: int, teller: Teller | None) -> None:
    """Let time pass to `deadline`, which must be `next_due`: what falls due then happens."""
    state.at = deadline
    promise = state.promise
    if promise is not None and promise.warn and promise.warn <= deadline:
        promise.warn = 0
        if teller is not None:
            teller.warned(state, deadline)
    if promise is not None and promise.due and promise.due <= deadline:
        unless = plan.unless.get(state.stage)
        if unless is None or not unless(state, EMPTY, deadline, 0, "", ""):
            promise.late = True
            if teller is not None:
                teller.breached(state, deadline)
        promise.due = 0
    _walk(plan, state, deadline, None, 0, teller)


def next_due(plan: Plan, state: State) -> int:
    """The next instant at which time alone does something to the state; 0 where it never will."""
    if state.stage < 0:
        return 0  # nothing has begun, so nothing falls due
    due: int = plan.due(state)
    promise = state.promise
    if promise is not None:
        for at in (promise.warn, promise.due):
            if at and (not due or at < due):
                due = at
    return due


def is_promise(state: State, deadline: int) -> bool:
    """Whether the timer at `deadline` is the SLA's, which waits a longer grace before it is published."""
    promise = state.promise
    return promise is not None and (promise.due == deadline or promise.warn == deadline)


def _walk(plan: Plan, state: State, at: int, event: Kept | None, signals: int, teller: Teller | None) -> None:
    """Event-less moves, one after the other, until none holds; then segments and hygiene."""
    data, kind, source = (EMPTY, "", "") if event is None else (event.data, event.type, event.source)
    seen = 0
    for _ in range(WALK_LIMIT):
        number = plan.onward(state, data, at, signals, kind, source)
        if number < 0 or seen >> plan.moves[number].to & 1:
            break
        seen |= 1 << state.stage
        signals |= _move(plan, state, at, plan.moves[number], event, signals, teller)
    if plan.flags:
        flags: int = plan.marks(state, data, at, signals, kind, source)
        changed = flags ^ state.flags
        if changed:
            state.flags = flags
            if teller is not None:
                for place in range(len(plan.flags)):
                    if changed >> place & 1:
                        teller.marked(state, at, place, bool(flags >> place & 1), event)


def _move(
    plan: Plan, state: State, at: int, move: Move, event: Kept | None, signals: int, teller: Teller | None
) -> int:
    """Take a transition; the signals that the move itself set off."""
    data, kind, source = (EMPTY, "", "") if event is None else (event.data, event.type, event.source)
    told = _Prepared(plan, state, move, event, signals, at) if teller is not None and teller.tells_guards else None
    if move.reason is not None:
        state.reason = move.reason(state, data, at, signals, kind, source) or state.reason
    return _enter(plan, state, at, move.to, move, event if told is None else told, teller)


class _Prepared:
    """The guards of a transition as they were before it was taken, with its cause."""

    __slots__ = ("event", "guards")

    def __init__(self, plan: Plan, state: State, move: Move, event: Kept | None, signals: int, at: int) -> None:
        self.event = event
        data, kind, source = (EMPTY, "", "") if event is None else (event.data, event.type, event.source)
        self.guards: dict[str, bool] = move.guards(state, data, at, signals, kind, source)


def _place(plan: Plan, state: State, event: Kept, signals: int, teller: Teller | None) -> int:
    """A person places the contact: a stage that the definition opens for it, a status, or both."""
    status = plan.status_names.get(str(event.data.get("status", "")).casefold())
    if status is not None and status != state.status:
        _set_status(state, event.time, status, event, teller)
    stage = event.data.get("stage")
    if stage not in plan.manual:
        return 0
    target = plan.stages.index(stage)
    return _enter(plan, state, event.time, target, None, event, teller) if target != state.stage else 0


def _enter(plan: Plan, state: State, at: int, target: int, move: Move | None, why: Any, teller: Teller | None) -> int:
    """Leave the stage for another, whatever led to it; the signals that this set off."""
    left, since = state.stage, state.entered
    signals = 0
    if left >= 0:
        visit = state.visits[left]
        if visit is not None:
            visit[3] += max(0, at - since)
            visit[4].append([since, at])
            del visit[4][:-VISITS_KEPT]
        signals |= plan.left_signals.get(left, 0)
    visit = state.visits[target]
    if visit is None:
        state.visits[target] = [1, at, at, 0, []]
    else:
        visit[0] += 1
        visit[2] = at
    state.stage, state.entered = target, at
    signals |= plan.entered_signals.get(target, 0)
    if target < left:
        signals |= 1  # a backward move is a setback: what spoke for the contact before it no longer does
    left_over = signals
    while left_over:
        place = (left_over & -left_over).bit_length() - 1
        left_over &= left_over - 1
        keep = plan.keep[place] if plan.windows >> place & 1 else 0
        state.signals[place] = hit(state.signals[place], at, state.order, keep)
    if signals & plan.forgets:
        _forget(plan, state, at, why, signals)
    before = state.status
    if move is not None and move.status is not None:
        state.status = move.status
    if left in plan.leaving or target in plan.entering:
        _implied_by_move(plan, state, at, left, target, why, signals)
    state.promise = _promise(plan, state, at)
    if teller is not None:
        teller.moved(state, at, left, since, move, why)
        if state.status != before:
            teller.status(state, at, before, why)
        if loud := signals & plan.published:
            _tell_signals(state, at, loud, why, teller)
    if state.status != before:
        state.status_since = at
    return signals


def _forget(plan: Plan, state: State, at: int, why: Any, signals: int) -> None:
    """What spoke for the contact before the move is silent after it: facts and the score that say so."""
    event = why.event if isinstance(why, _Prepared) else why
    data, kind, source = (event.data, event.type, event.source) if isinstance(event, Kept) else (EMPTY, "", "")
    plan.forgotten(state, data, at, signals, kind, source)


def _implied_by_move(plan: Plan, state: State, at: int, left: int, target: int, why: Any, signals: int) -> None:
    event = why.event if isinstance(why, _Prepared) else why
    data, kind, source = (event.data, event.type, event.source) if isinstance(event, Kept) else (EMPTY, "", "")
    for guarded in (plan.leaving.get(left), plan.entering.get(target)):
        if guarded is not None:
            status = guarded(state, data, at, signals, kind, source)
            if status >= 0:
                state.status = status


def _promise(plan: Plan, state: State, at: int) -> Promise | None:
    """The SLA of the stage just entered, with its deadlines, or none."""
    within = plan.within.get(state.stage)
    if within is None:
        return None
    sla = plan.lifecycle.stages[plan.stages[state.stage]].sla
    working = sla is not None and sla.business_hours
    warns = plan.warns.get(state.stage)

    def after(duration: float) -> int:
        return plan.calendar.add(at, int(duration)) if working else at + int(duration)

    due = after(within(state, EMPTY, at, 0, "", ""))
    warn = after(warns(state, EMPTY, at, 0, "", "")) if warns is not None else 0
    return Promise(due=due, warn=warn if warn < due else 0)


def _set_status(state: State, at: int, status: int, why: Any, teller: Teller | None) -> None:
    before, state.status, state.status_since = state.status, status, at
    if teller is not None:
        teller.status(state, at, before, why)


def _tell_signals(state: State, at: int, signals: int, why: Any, teller: Teller) -> None:
    while signals:
        teller.signalled(state, at, (signals & -signals).bit_length() - 1, why)
        signals &= signals - 1


def _touch(state: State, event: Kept) -> None:
    """First and last touch: any event that carries a source, a medium or a campaign attributes the contact."""
    data = event.data
    values = [data.get(name) for name in UTM]
    if not any(isinstance(value, str) and value for value in values):
        return
    touch = [*(value if isinstance(value, str) else "" for value in values), event.time, event.type]
    if state.first_touch is None:
        state.first_touch = touch
    state.last_touch = touch


assert SETBACK == "setback"  # place 0 of every plan's signals, whose bit `_enter` sets
