"""However late each key reads what others told it, and in whatever batches, all come to what one pass in order says.

The pass is the fold of `tests.fold.world` with the events sorted by time and every message handed over at once; that
one is held to the plain fold in `tests.fold.test_people`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fold.scattered import Scattered
from tests.fold.strategies import arrivals, traffic
from tests.fold.test_people import CLOCK, ERASED, forests, identify, merge, standing, stays
from tests.fold.test_reference import NAMES
from tests.fold.world import DAY, HOUR, MINUTE, START, World, event, plan_of
from worker.fold.accept import accept_fields
from worker.fold.outcome import Event

IDS = ("a", "b", "c", "d", "x", "y")
SEEDS = st.integers(0, 2**32)
CLOCKS = [START + half * DAY // 2 for half in range(14)]


def since_erased(world: World, contact: str) -> list[str]:
    """What stands published under the id since it was erased, if it was; and that it was, once or more."""
    bodies = world.history(contact)
    places = [place for place, body in enumerate(bodies) if body["type"] == ERASED]
    said = [bodies[place]["id"] for place in places]
    return [*said, *(body["id"] for body in bodies[max(places, default=-1) + 1 :])]


def come_to_the_same(name: str, events: Sequence[Event], data: st.DataObject, then: Sequence[Event] = ()) -> None:
    """The events in some order of arrival, read by each key when it likes, and in the order of their time.

    `then`: later ones, which arrive after the others.
    """
    everything = sorted(events, key=lambda one: one.time)
    order = [*data.draw(arrivals(everything)), *then]
    everything += then
    world = Scattered(plan_of(name), data.draw(SEEDS))
    world.live(order, data.draw(st.sampled_from([(), CLOCKS]))).advance(CLOCK)
    agree(world, name, everything)


def agree(world: World, name: str, everything: Sequence[Event]) -> None:
    """What is held of everybody is what the events in the order of their time come to."""
    in_order = World(plan_of(name))
    for one in everything:
        in_order.send([one])
    in_order.advance(CLOCK)
    assert world.refused == in_order.refused == []
    for contact in IDS:
        assert since_erased(world, contact) == since_erased(in_order, contact), contact
    assert stays(world) == stays(in_order)
    assert standing(world) == standing(in_order)


@st.composite
def identified(draw: st.DrawFn) -> list[Event]:
    """Who the visitors `x` and `y` are, by anybody, once or several times; no two at the same time."""
    times = draw(st.lists(st.integers(0, 24), max_size=4, unique=True))
    people, visitors = st.sampled_from(IDS[:4]), st.sampled_from(IDS[4:])
    return [identify(at * 6 * HOUR + 2 * MINUTE, draw(people), draw(visitors), f"i{n}") for n, at in enumerate(times)]


@st.composite
def merged(draw: st.DrawFn) -> list[Event]:
    return [merge(draw(st.integers(0, 24)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(draw(forests()))]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_of_two_claims_that_are_both_on_their_way_the_earlier_stands(name: str, data: st.DataObject) -> None:
    ids = data.draw(st.permutations(["m1", "m2"]))
    hours = st.integers(0, 2)  # equal times happen: then the id decides
    one, other = merge(data.draw(hours) * HOUR, "a", "b", ids[0]), merge(data.draw(hours) * HOUR, "b", "a", ids[1])
    world = Scattered(plan_of(name), data.draw(SEEDS))
    world.send(data.draw(traffic(contacts=("a", "b"))))
    world.send(data.draw(st.permutations([one, other])), deliver=False)
    world.live([]).advance(CLOCK)
    stands = min(one, other, key=lambda each: (each.time, each.source, each.id))
    assert set(world.currents) == {stands.subject}
    assert [refusal.reason for refusal in world.refused] == ["merge-refused"]


@st.composite
def parted(draw: st.DrawFn, pairs: Sequence[tuple[str, str]]) -> list[Event]:
    """Some of these pairs are two again, which is said once or twice."""
    said = [
        event(6 * DAY + n * MINUTE, "contact.split", f"s{n}", one, **{"from": other})
        for n, (one, other) in enumerate(pairs)
        if draw(st.booleans())
    ]
    return [*said, *(one for one in said if draw(st.booleans()))]


def apart(name: str, events: Sequence[Event]) -> list[Event]:
    """Those that the definition can use: what it can't use is not kept, so it can't be given back; no two at one time.

    Of equal times the order of acceptance decides, and what comes back from a journey is accepted anew.
    """
    used = [one for one in events if accept_fields(plan_of(name), one) is not None]
    return [one._replace(time=one.time + place) for place, one in enumerate(used)]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_visitor_s_id_is_split_off_from_some_of_those_who_had_claimed_it(name: str, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 23), min_size=1, max_size=4, unique=True))
    people = st.sampled_from(["a", "b"])
    claimed = [identify(at * 6 * HOUR + MINUTE, data.draw(people), "x", f"i{n}") for n, at in enumerate(times)]
    events = [*apart(name, data.draw(traffic(contacts=("a", "b", "x"), spread=5 * DAY))), *claimed]
    then = data.draw(parted(sorted({(one.subject, "x") for one in claimed})))
    come_to_the_same(name, events, data, then)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_split_that_comes_while_the_merge_is_on_its_way_waits_for_it(name: str, data: st.DataObject) -> None:
    pairs = data.draw(forests())
    others = {other for _, other in pairs}
    merges = [merge(data.draw(st.integers(0, 23)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(pairs)]
    events = [*apart(name, data.draw(traffic(contacts=IDS[:4], spread=5 * DAY))), *merges]
    # Who is one with the survivor without another id in between is split off, with all that it had been by then.
    then = data.draw(parted([pair for pair in pairs if pair[0] not in others]))
    come_to_the_same(name, events, data, then)


def come_to_the_same_after(erasure: Event, name: str, events: Sequence[Event], data: st.DataObject) -> None:
    """As `come_to_the_same`, but that an erasure comes when all is known, and all comes again after it."""
    everything = sorted(events, key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = Scattered(plan_of(name), data.draw(SEEDS))
    world.live(order).live([erasure, *order]).advance(CLOCK)
    agree(world, name, sorted([*everything, erasure], key=lambda one: one.time))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_erasure_takes_of_a_visitor_s_id_what_was_whose_it_was_by_then(name: str, data: st.DataObject) -> None:
    """Whoever else had claimed the id keeps what is theirs, but for what the id itself is to be rid of."""
    times = data.draw(st.lists(st.integers(0, 23), min_size=1, max_size=2, unique=True))
    people = data.draw(st.permutations(["a", "b"]))
    pairs = zip(times, people, strict=False)
    claimed = [identify(at * 6 * HOUR + 2 * MINUTE, who, "x", f"i{n}") for n, (at, who) in enumerate(pairs)]
    at, whom = data.draw(st.integers(0, 23)) * 6 * HOUR + 3 * MINUTE, data.draw(st.sampled_from(["a", "b", "x"]))
    events = [*apart(name, data.draw(traffic(contacts=("a", "b", "x")))), *claimed]
    come_to_the_same_after(event(at, "contact.erased", "r", whom), name, events, data)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_erasure_of_who_was_merged_later_leaves_the_survivor(name: str, data: st.DataObject) -> None:
    merges = [merge(data.draw(st.integers(0, 23)) * 6 * HOUR + 2 * MINUTE, "a", "b", "m")]
    at, whom = data.draw(st.integers(0, 23)) * 6 * HOUR + 3 * MINUTE, data.draw(st.sampled_from(["a", "b"]))
    events = [*apart(name, data.draw(traffic(contacts=("a", "b")))), *merges]
    come_to_the_same_after(event(at, "contact.erased", "r", whom), name, events, data)


def test_a_merge_that_a_split_undid_is_not_done_again_when_it_is_repeated_past_the_horizon() -> None:
    world = World(plan_of("10ex"))
    once = merge(0, "a", "b", "m")
    world.send([event(0, "form.submitted", "1", "a"), event(0, "form.submitted", "2", "b"), once])
    world.send([event(HOUR, "contact.split", "s", "a", **{"from": "b"})])
    world.send([event(30 * DAY, "form.submitted", "3", "a"), event(60 * DAY, "form.submitted", "4", "a")])
    world.send([once])
    assert set(world.currents) == {"a", "b"}
    assert not world.refused


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_people_who_are_one_and_had_known_the_same_visitors(name: str, data: st.DataObject) -> None:
    events: list[Any] = [*data.draw(traffic(contacts=IDS)), *data.draw(merged()), *data.draw(identified())]
    come_to_the_same(name, events, data)
