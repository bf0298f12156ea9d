"""A whole history at hand comes to the same as the same events through a contact's record."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fold.strategies import CLOCKS, arrivals, traffic
from tests.fold.world import DAY, START, plan_of
from worker.fold import tell
from worker.fold.contact import Contact
from worker.fold.engine import Engine
from worker.fold.identity import IDENTITY_TYPES
from worker.fold.outcome import Outcome
from worker.fold.straight import fold_straight
from worker.plan.plan import Plan

NAMES = ["10ex", "aspiration", "agency34", "clarity", "mops"]


def told_by(plan: Plan) -> tell.Told:
    return tell.Told(plan, "c1")


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_it_is_what_a_contact_comes_to(name: str, data: st.DataObject) -> None:
    plan = plan_of(name)
    engine = Engine(plan, grace=False)
    events = [each for each in data.draw(traffic(spread=30 * DAY, step=2 * DAY)) if each.type not in IDENTITY_TYPES]
    if data.draw(st.booleans()):
        events = data.draw(arrivals(events))  # repeated, and out of order
    clock = START + 60 * DAY + data.draw(CLOCKS)
    told = told_by(plan)
    straight = fold_straight(engine, "c1", events, clock, told)

    outcome = Outcome()
    person = Contact(engine, "c1", None, clock, outcome)
    refused: list[Any] = []
    for place, event in enumerate(events):
        if (refusal := person.arrive(event)) is not None:
            refused.append((place, refusal))
    outputs = person.conclude(clock)
    if straight is None:
        assert plan.forget is not None or any(one.time > other.time for one, other in pairwise(events))
        return
    assert not person.late
    assert (straight.refused, straight.duplicates) == (refused, outcome.duplicates)
    assert [output.body for output in told.outputs] == [output.body for output in outputs]
    assert ([straight.message] if straight.message else []) == outcome.messages
    assert straight.state == (person.record.state if person.record is not None else None)
