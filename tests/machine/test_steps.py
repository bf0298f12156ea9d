"""Plan, class and plain fold, step by step: the same moves for the same events, over definitions out of thin air."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.machine.oracle import Stepped
from tests.reference import history
from tests.strategies import DAY, START, event_sequences, lifecycles
from worker.definition.model import Lifecycle
from worker.fold import step
from worker.fold.accept import accept_fields
from worker.fold.outcome import Event, Refusal
from worker.fold.state import Kept, State
from worker.plan import Plan, compile_plan

CLOCK = START + 30 * DAY
TIMERS_MAX = 1_000

Moves = list[tuple[int, int]]  # when (epoch ms), and the transition's place


class _Noted:
    """A teller that notes moves and nothing else."""

    tells_guards = False

    def __init__(self) -> None:
        self.taken: Moves = []

    def moved(self, state: State, at: int, left: int, passed: int, move: Any, why: Any) -> None:
        if move is not None:
            self.taken.append((at, move.place))

    def status(self, *_: Any) -> None: ...

    breached = warned = signalled = marked = merged = status


def by_plan(plan: Plan, events: list[Event]) -> Moves:
    state, noted = step.begin(plan), _Noted()
    for event in events:
        given = accept_fields(plan, event)
        assert not isinstance(given, Refusal)
        if given is None and state.stage >= 0:
            continue  # an echo, or of no use to the definition: no part of the history
        data, traits = given if given is not None else ({}, None)
        step.elapse(plan, state, event.time, noted)
        kept = Kept(event.time, event.type, event.id, event.source, data, traits, bare=given is None)
        step.take(plan, state, kept, noted)
    for _ in range(TIMERS_MAX):
        due = step.next_due(plan, state)
        if not due or due > CLOCK:
            return noted.taken
        step.fire(plan, state, due, noted)
    raise AssertionError("timers without end")


def by_class(lifecycle: Lifecycle, events: list[Event]) -> Stepped:
    contact = Stepped(lifecycle)
    for event in events:
        contact.pass_time(event.time, inclusive=False)
        contact.take(event)
    contact.pass_time(CLOCK, inclusive=True)
    return contact


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(lifecycle=lifecycles(), events=event_sequences())
def test_class_and_plain_fold_take_the_same_way(lifecycle: Lifecycle, events: list[Event]) -> None:
    assert by_class(lifecycle, events).told == history(lifecycle, events, CLOCK)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(lifecycle=lifecycles(), events=event_sequences())
def test_plan_takes_every_step_that_the_class_takes(lifecycle: Lifecycle, events: list[Event]) -> None:
    assert by_plan(compile_plan(lifecycle), events) == by_class(lifecycle, events).taken
