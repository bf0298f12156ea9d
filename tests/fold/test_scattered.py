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
from tests.fold.world import DAY, HOUR, MINUTE, START, World, plan_of
from worker.fold.outcome import Event

IDS = ("a", "b", "c", "d", "x", "y")
SEEDS = st.integers(0, 2**32)
CLOCKS = [START + half * DAY // 2 for half in range(14)]


def since_erased(world: World, contact: str) -> list[str]:
    """What stands published under the id since it was erased, if it was."""
    bodies = world.history(contact)
    last = max((place for place, body in enumerate(bodies) if body["type"] == ERASED), default=-1)
    return [body["id"] for body in bodies[last + 1 :]]


def come_to_the_same(name: str, events: Sequence[Event], data: st.DataObject) -> None:
    """The events in some order of arrival, read by each key when it likes, and in the order of their time."""
    everything = sorted(events, key=lambda one: one.time)
    order = data.draw(arrivals(everything))
    world = Scattered(plan_of(name), data.draw(SEEDS))
    world.live(order, data.draw(st.sampled_from([(), CLOCKS]))).advance(CLOCK)
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
def test_people_who_are_one_and_had_known_the_same_visitors(name: str, data: st.DataObject) -> None:
    events: list[Any] = [*data.draw(traffic(contacts=IDS)), *data.draw(merged()), *data.draw(identified())]
    come_to_the_same(name, events, data)
