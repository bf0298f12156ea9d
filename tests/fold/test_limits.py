"""What is kept of a contact has an end, in events and in bytes, and so has what is believed of a sender's clock."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.fold.world import HOUR, MINUTE, START, World, event, plan_of
from worker.fold.outcome import Event
from worker.fold.state import Record, decode_entry
from worker.plan.plan import TAIL_BYTES, TAIL_EVENTS

SECOND = 1_000
ROOM = 4 * 1_024  # of a record, for all but the tail


def busy(count: int, size: int = 0) -> list[Event]:
    """A contact's forms, a second apart, each with so many characters that the definition keeps."""
    return [event(n * SECOND, "form.submitted", f"e{n}", reason="x" * size) for n in range(count)]


def record_of(world: World) -> Record:
    entry = decode_entry(world.states[world.engine.keys.contact("c1")])
    assert isinstance(entry, Record)
    return entry


def sent(events: Sequence[Event], size: int) -> World:
    world = World(plan_of("10ex"))
    for start in range(0, len(events), size):
        world.send(events[start : start + size])
    return world


@pytest.mark.parametrize("size", [1, 300, 5_000])
def test_the_tail_ends_at_its_limit_in_events_however_they_come(size: int) -> None:
    world = sent(busy(2_500), size)
    record = record_of(world)
    assert record.count <= TAIL_EVENTS
    assert record.state.order == 2_500  # none was left out
    assert record.horizon == record_of(sent(busy(2_500), 1)).horizon


def test_the_tail_ends_at_its_limit_in_bytes() -> None:
    world = sent(busy(600, size=1_000), 50)
    record = record_of(world)
    assert len(record.tail) <= TAIL_BYTES
    assert len(world.states[world.engine.keys.contact("c1")]) <= TAIL_BYTES + ROOM
    assert record.state.order == 600


def test_a_late_event_is_taken_up_to_where_the_limit_put_the_horizon_and_refused_before() -> None:
    world = sent(busy(2_500), 100)
    horizon = record_of(world).horizon - START
    world.send([event(horizon - SECOND, "webinar.attended", "before")])
    assert [refusal.reason for refusal in world.refused] == ["too-late"]
    world.send([event(horizon + SECOND, "webinar.attended", "after")])
    assert len(world.refused) == 1
    assert world.late == 1


def test_a_limit_that_was_reached_changes_nothing_of_the_history() -> None:
    events = [*busy(1_500), event(1_600 * SECOND, "deal.won", "won")]
    assert sent(events, 1_501).ids("c1") == sent(events, 1).ids("c1")
    assert sent(events, 1).stages() == ["prospect", "lead", "customer"]


def test_an_event_is_believed_five_minutes_ahead_of_the_clock_and_no_more() -> None:
    now = START + HOUR
    world = World(plan_of("10ex")).send([event(HOUR + 5 * MINUTE, "form.submitted", "1")], now=now)
    assert not world.refused
    world.send([event(HOUR + 5 * MINUTE + 1, "form.submitted", "2")], now=now)
    assert [refusal.reason for refusal in world.refused] == ["time-ahead"]
