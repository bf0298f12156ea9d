"""Who is whom, over all shipped lifecycles: merges in chains and circles, anonymous ids, splits, erasure, companies.

What a reader holds is held to the plain fold of the events that are one person's, in the order that the law says: by
time, then original id, then acceptance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.fold.strategies import CUTS, arrivals, traffic
from tests.fold.test_reference import NAMES, told
from tests.fold.world import DAY, HOUR, MINUTE, START, World, batches, event, plan_of
from tests.reference import Words, history
from worker.fold.accept import accept_fields
from worker.fold.outcome import Event

PEOPLE = ("a", "b", "c", "d")
ERASED = "lifecycle.contact.erased.v1"
CLOCK = START + 40 * DAY


def merge(at: int, survivor: str, other: str, identity: str) -> Event:
    return event(at, "contact.merged", identity, survivor, **{"from": other})


def identify(at: int, person: str, visitor: str, identity: str) -> Event:
    return event(at, "contact.identified", identity, person, anonymous_id=visitor)


def lived(name: str, order: Sequence[Event], data: st.DataObject, clocks: bool = True) -> World:
    """The events in this order of arrival: in batches, messages on their way for a while, timers as a clock goes."""
    world = World(plan_of(name))
    parts = batches(order, data.draw(CUTS))
    deliveries = data.draw(st.lists(st.booleans(), min_size=1, max_size=4))
    for place, batch in enumerate(parts):
        world.send(batch, deliver=deliveries[place % len(deliveries)])
        if clocks and data.draw(st.integers(0, 4)) == 0:
            world.advance(START + data.draw(st.integers(0, 14)) * DAY // 2)
    world.deliver()
    return world.advance(CLOCK)


def agree(world: World, contact: str, name: str, events: Sequence[Event], order: Sequence[Event]) -> None:
    """What is told of the contact is the plain fold of one person's events.

    Of equal times the original id decides, then what came first.
    """
    first: dict[tuple[str, str], int] = {}
    for place, one in enumerate(order):
        first.setdefault((one.source, one.id), place)
    mine = sorted(events, key=lambda one: (one.time, one.subject, first[one.source, one.id]))
    lifecycle = plan_of(name).lifecycle
    assert told(world, contact) == history(lifecycle, mine, CLOCK, words(name))


@cache
def words(name: str) -> Words:
    return Words(plan_of(name).lifecycle)


def standing(world: World) -> dict[str, tuple[Any, Any]]:
    return {name: now for name, now in world.companies().items() if now != (None, None)}


def stays(world: World) -> dict[str, dict[str, Any]]:
    """Where everybody stands, but for what counts what was published."""
    return {
        contact: {name: value for name, value in now.items() if name != "revision"}
        for contact, now in world.currents.items()
    }


@st.composite
def forests(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Claims (survivor, other), in a random order; each id is claimed at most once, and nobody claims its claimer."""
    people = draw(st.permutations(PEOPLE))
    pairs = []
    for place, other in enumerate(people[1:], 1):
        if draw(st.integers(0, 3)):
            pairs.append((people[draw(st.integers(0, place - 1))], other))
    return draw(st.permutations(pairs))


def root(pairs: Sequence[tuple[str, str]], person: str) -> str:
    above = {other: survivor for survivor, other in pairs}
    while person in above:
        person = above[person]
    return person


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_merged_contacts_are_one_whatever_arrives_first(name: str, data: st.DataObject) -> None:
    pairs = data.draw(forests())
    merges = [merge(data.draw(st.integers(0, 24)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(pairs)]
    everything = sorted([*data.draw(traffic(contacts=PEOPLE)), *merges], key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = lived(name, order, data)
    assert not world.refused
    named = {one.subject for one in everything}
    for person in PEOPLE:
        mine = [one for one in everything if root(pairs, one.subject) == person]
        agree(world, person, name, mine, order)
    assert set(world.currents) == {root(pairs, person) for person in named}
    in_order = World(plan_of(name))
    for one in everything:
        in_order.send([one])
    assert stays(world) == stays(in_order.advance(CLOCK))
    assert standing(world) == standing(in_order)


@st.composite
def claims(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Claims that cross, go in circles, or are made again. Of several that claim one id, the first to come has it."""
    chosen = {other: draw(st.sampled_from([one for one in PEOPLE if one != other])) for other in PEOPLE}
    return [(chosen[other], other) for other in draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=5))]


def component(pairs: Sequence[tuple[str, str]], person: str) -> frozenset[str]:
    found = {person}
    for _ in pairs:
        found |= {one for pair in pairs if found & set(pair) for one in pair}
    return frozenset(found)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_whatever_claims_cross_all_that_was_known_is_one_contact_s(name: str, data: st.DataObject) -> None:
    pairs = data.draw(claims())
    merges = [merge(data.draw(st.integers(0, 24)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(pairs)]
    everything = sorted([*data.draw(traffic(contacts=PEOPLE, most=8)), *merges], key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = lived(name, order, data)
    assert {refusal.reason for refusal in world.refused} <= {"merge-refused"}
    for people in {component(pairs, one.subject) for one in everything}:
        (survivor,) = people & set(world.currents)
        agree(world, survivor, name, [one for one in everything if one.subject in people], order)
        assert not any(world.history(person) for person in people - {survivor})


@st.composite
def identifications(draw: st.DrawFn) -> list[Event]:
    """Who the visitor `x` is, by one person or two, once or several times; no two at the same time."""
    times = draw(st.lists(st.integers(0, 24), min_size=1, max_size=4, unique=True))
    return [identify(at * 6 * HOUR, draw(st.sampled_from(["a", "b"])), "x", f"i{n}") for n, at in enumerate(times)]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_anonymous_id_s_events_are_whose_they_were_whatever_arrives_first(name: str, data: st.DataObject) -> None:
    claimed = data.draw(identifications())
    visits = data.draw(traffic(contacts=("a", "b", "x")))
    everything = sorted([*visits, *claimed], key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = lived(name, order, data)
    assert not world.refused
    by_time = sorted(claimed, key=lambda one: one.time)
    mine: dict[str, list[Event]] = {"a": [], "b": []}
    for one in everything:
        if one.subject == "x":
            before = [other for other in by_time if other.time <= one.time] or by_time[:1]
            mine[before[-1].subject].append(one)
        else:
            mine[one.subject].append(one)
    for person, events in mine.items():
        agree(world, person, name, events, order)
    assert not world.history("x")
    assert set(world.currents) == {person for person, events in mine.items() if events}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_split_gives_everybody_their_own_back(name: str, data: st.DataObject) -> None:
    pairs = data.draw(forests())
    merges = [merge(data.draw(st.integers(0, 24)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(pairs)]
    # What the definition can't use is not kept, and can't be given back.
    plan = plan_of(name)
    events = [one for one in data.draw(traffic(contacts=PEOPLE)) if accept_fields(plan, one) is not None]
    assume(events)
    everything = sorted([*events, *merges], key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = lived(name, order, data, clocks=False)
    # Who is one with the root without another id in between is split off, with all that it had been by then.
    parted = [pair for pair in pairs if root(pairs, pair[1]) == pair[0] and data.draw(st.booleans())]
    split = [event(6 * DAY + n, "contact.split", f"s{n}", a, **{"from": b}) for n, (a, b) in enumerate(parted)]
    late = [one for one in data.draw(traffic(contacts=PEOPLE, most=4)) if accept_fields(plan, one) is not None]
    later = [*split, *(one._replace(id=f"later-{one.id}") for one in late)]
    for batch in batches(later, data.draw(CUTS)):
        world.send(batch)
    world.advance(CLOCK)
    assert not world.refused
    left = [pair for pair in pairs if pair not in parted]
    for person in PEOPLE:
        mine = [one for one in [*everything, *later] if root(left, one.subject) == person]
        agree(world, person, name, mine, [*order, *later])
    assert set(world.currents) == {root(left, one.subject) for one in [*everything, *later]}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_erasure_forgets_all_up_to_its_time_whatever_arrives_first(name: str, data: st.DataObject) -> None:
    """On a merged id as on the survivor: from then on each is a contact of its own, begun anew."""
    pairs = data.draw(forests())
    merges = [merge(data.draw(st.integers(0, 11)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(pairs)]
    # What the definition can't use is not kept: a contact that a late erasure begins anew begins with what it can.
    events = [one for one in data.draw(traffic(contacts=PEOPLE)) if accept_fields(plan_of(name), one) is not None]
    assume(events)
    at, whom = data.draw(st.integers(12, 23)) * 6 * HOUR + MINUTE, data.draw(st.sampled_from(PEOPLE))
    erasure = event(at, "contact.erased", "erased", whom)
    everything = sorted([*events, *merges], key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = lived(name, order, data, clocks=False)
    for batch in batches([erasure, *data.draw(arrivals(everything))], data.draw(CUTS)):  # all of it comes again
        world.send(batch)
    world.advance(CLOCK)
    gone = {person for person in PEOPLE if root(pairs, person) == root(pairs, whom)}
    for person in PEOPLE:
        if person in gone:
            mine = [one for one in everything if one.subject == person and one.time > erasure.time]
        else:
            mine = [one for one in everything if root(pairs, one.subject) == person]
        said = [place for place, one in enumerate(world.history(person)) if one["type"] == ERASED]
        assert bool(said) == (person in gone and person in {whom, root(pairs, whom), *(other for _, other in pairs)})
        lifecycle = plan_of(name).lifecycle
        first = {(one.source, one.id): place for place, one in reversed(list(enumerate(order)))}
        mine.sort(key=lambda one: (one.time, one.subject, first[one.source, one.id]))
        since = World(plan_of(name))
        since.published = world.history(person)[said[-1] + 1 :] if said else world.history(person)
        assert told(since, person) == history(lifecycle, mine, CLOCK, words(name))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_erasure_may_arrive_before_what_it_forgets_and_after_what_it_does_not(
    name: str, data: st.DataObject
) -> None:
    # What the definition can't use is not kept: a contact that a late erasure begins anew begins with what it can.
    events = [one for one in data.draw(traffic()) if accept_fields(plan_of(name), one) is not None]
    assume(events)
    erasure = event(data.draw(st.integers(0, 24)) * 6 * HOUR, "contact.erased", "erased")
    order = data.draw(arrivals(sorted([*events, erasure], key=lambda one: one.time)))
    world = lived(name, order, data)
    assert not world.refused
    after = World(plan_of(name))
    history_of = world.history("c1")
    places = [place for place, one in enumerate(history_of) if one["type"] == ERASED]
    after.published = history_of[places[-1] + 1 :]
    agree(after, "c1", name, [one for one in events if one.time > erasure.time], order)
    assert set(world.currents) == {one.subject for one in events if one.time > erasure.time}
