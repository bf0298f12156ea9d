"""The law: a contact's history is a function of its accepted events, the definition and the clock, of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fold.strategies import CLOCKS, CUTS, arrivals, traffic
from tests.fold.world import DAY, START, World, batches, plan_of
from worker.fold.outcome import Event

NAMES = ["10ex", "aspiration", "agency34", "clarity", "mops"]


def in_order(name: str, events: list[Event], clock: int) -> World:
    """The reference: each event by itself, in the order of time."""
    world = World(plan_of(name))
    for event in events:
        world.send([event])
    return world.advance(clock)


def same(world: World, reference: World, contact: str = "c1") -> None:
    mine, theirs = world.history(contact), reference.history(contact)
    shown = [(body["type"], body["time"], body["data"].get("to")) for body in mine]
    assert shown == [(body["type"], body["time"], body["data"].get("to")) for body in theirs]
    assert world.ids(contact) == reference.ids(contact)
    left = {key: world.currents.get(contact, {}).get(key) for key in ("stage", "status", "qualified", "entered_at")}
    right = {
        key: reference.currents.get(contact, {}).get(key) for key in ("stage", "status", "qualified", "entered_at")
    }
    assert left == right


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_order_of_arrival_gives_the_same_history(name: str, data: st.DataObject) -> None:
    events = data.draw(traffic())
    clock = START + 6 * DAY + data.draw(CLOCKS)
    world = World(plan_of(name))
    for batch in batches(data.draw(arrivals(events)), data.draw(CUTS)):
        world.send(batch)
    assert not world.refused
    same(world.advance(clock), in_order(name, events, clock))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_batches_change_nothing(name: str, data: st.DataObject) -> None:
    events = data.draw(traffic(spread=60 * DAY, step=3 * DAY))
    clock = START + 60 * DAY + data.draw(CLOCKS)
    world = World(plan_of(name))
    for batch in batches(events, data.draw(CUTS)):
        world.send(batch)
    same(world.advance(clock), in_order(name, events, clock))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_timers_that_fire_as_the_clock_goes_leave_the_same_history(name: str, data: st.DataObject) -> None:
    """A clock that ran ahead of a late event published timers too early: they are withdrawn."""
    events = data.draw(traffic())
    end = START + 6 * DAY + data.draw(CLOCKS)
    world = World(plan_of(name))
    for batch in batches(data.draw(arrivals(events)), data.draw(CUTS)):
        world.send(batch)
        world.advance(START + data.draw(st.integers(0, 12)) * DAY // 2)
    last = max(event.time for event in events)
    clock = max(end, last, START + 6 * DAY)
    same(world.advance(clock), in_order(name, events, clock))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_redelivered_event_changes_nothing(name: str, data: st.DataObject) -> None:
    events = data.draw(traffic())
    world = World(plan_of(name))
    world.send(events)
    states, published = dict(world.states), list(world.published)
    world.send(data.draw(st.permutations(events)))
    assert world.states == states
    assert world.published == published
