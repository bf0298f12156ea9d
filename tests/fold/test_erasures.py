"""An erasure reaches who an id was by its time, whenever it and what says who is whom arrive.

Merges, identifications, ordinary events and the erasure come in any order, are read late and in any batches, and some
of them twice: what is held of everybody in the end is what the same events come to in the order of their time.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fold.scattered import Scattered
from tests.fold.strategies import arrivals, traffic
from tests.fold.test_people import CLOCK, ERASED, identify, merge
from tests.fold.test_reference import NAMES
from tests.fold.test_scattered import IDS, SEEDS, agree, apart, merged
from tests.fold.world import DAY, HOUR, MINUTE, World, event, plan_of
from worker.fold.outcome import Event

PEOPLE, VISITORS = IDS[:4], IDS[4:]
QUARTERS = st.integers(0, 24)


@st.composite
def known(draw: st.DrawFn) -> list[Event]:
    """Who some of the visitors are."""
    return [
        identify(draw(QUARTERS) * 6 * HOUR + (n + 1) * MINUTE, draw(st.sampled_from(PEOPLE)), one, f"i{n}")
        for n, one in enumerate(VISITORS)
        if draw(st.booleans())
    ]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_erasure_reaches_the_same_whatever_arrives_first(name: str, data: st.DataObject) -> None:
    erasure = event(data.draw(QUARTERS) * 6 * HOUR + 5 * MINUTE, "contact.erased", "r", data.draw(st.sampled_from(IDS)))
    everything = [
        *apart(name, data.draw(traffic(contacts=IDS, most=10))),
        *data.draw(merged()),
        *data.draw(known()),
        erasure,
    ]
    everything.sort(key=lambda one: one.time)
    world = Scattered(plan_of(name), data.draw(SEEDS))
    world.live(data.draw(arrivals(everything))).advance(CLOCK)
    agree(world, name, everything)


def erasures(world: World) -> dict[str, int]:
    """How often it was said under each id that it is erased."""
    return {one: said for one in IDS if (said := [body["type"] for body in world.history(one)].count(ERASED))}


def test_a_merge_that_is_said_again_after_a_late_erasure_stands_from_then_on() -> None:
    world = World(plan_of("10ex"))
    world.send([event(0, "form.submitted", "1", "b"), event(3 * DAY, "form.submitted", "2", "b")])
    world.send([merge(HOUR, "a", "b", "m1"), merge(2 * DAY, "a", "b", "m2")])
    world.send([event(DAY, "contact.erased", "r", "a")]).send([event(4 * DAY, "webinar.attended", "3", "b")])
    assert erasures(world) == {"a": 1, "b": 1}
    assert set(world.currents) == {"a"}
    assert not world.refused


def test_a_merge_that_comes_again_after_the_erasure_that_ended_it_says_nothing_more() -> None:
    world, once = World(plan_of("10ex")), merge(HOUR, "a", "b", "m")
    world.send([event(0, "form.submitted", "1", "b"), once]).send([event(DAY, "contact.erased", "r", "a")])
    world.send([event(2 * DAY, "form.submitted", "2", "b")])
    published = list(world.published)
    world.send([once]).send([event(HOUR, "contact.merged", "other", "a", **{"from": "b"})])
    assert world.published == published


def test_a_merge_that_a_split_undid_carries_no_erasure_when_it_comes_again() -> None:
    world, once = World(plan_of("10ex")), merge(HOUR, "a", "b", "m")
    world.send([event(0, "form.submitted", "1", "a"), event(0, "form.submitted", "2", "b"), once])
    world.send([event(2 * HOUR, "contact.split", "s", "a", **{"from": "b"})])
    world.send([event(DAY, "contact.erased", "r", "a")]).send([once])
    assert erasures(world) == {"a": 1}
    assert set(world.currents) == {"b"}


def test_of_two_who_had_claimed_a_visitor_s_id_the_other_is_not_erased_by_a_claim_that_comes_late() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "x"), identify(HOUR, "a", "x", "i1")])
    world.send([event(DAY, "contact.erased", "r", "a")])
    world.send([event(0, "form.submitted", "2", "b"), identify(2 * HOUR, "b", "x", "i2")])
    assert set(world.currents) == {"b"}
    assert "b" not in erasures(world)


def test_an_identification_that_is_said_again_after_a_late_erasure_stands_from_then_on() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "x")])
    world.send([identify(HOUR, "a", "x", "i1"), identify(2 * DAY, "a", "x", "i2")])
    world.send([event(DAY, "contact.erased", "r", "a")]).send([event(3 * DAY, "webinar.attended", "2", "x")])
    assert erasures(world) == {"a": 1, "x": 1}
    assert set(world.currents) == {"a"}
    assert world.stages("a")[-2:] == ["prospect", "lead"]
    assert not world.refused
