"""A new version of the definition goes on from where contacts stand, and withdraws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fold.scattered import Scattered
from tests.fold.strategies import traffic
from tests.fold.test_people import forests, identify, merge
from tests.fold.test_reference import NAMES
from tests.fold.world import DAY, HOUR, START, World, event, plan_of
from worker.fold.outcome import Event
from worker.fold.takeover import Foreign
from worker.plan import Plan, compile_plan

OLD = """
lifecycle: growing
version: 1
title: Before
signals:
  act: form.submitted
  offer: proposal.sent
facts:
  deals: {type: ids, from: event.deal_id, added_by: deal.created}
stages:
  visitor: {name: Visitor, means: Came by., owner: marketing, goal: Act.}
  lead: {name: Lead, means: Acted., owner: marketing, goal: Buy.}
  buyer: {name: Buyer, means: Bought., owner: sales, goal: Stay.}
transitions:
  - {from: visitor, to: lead, event: act, says: acts}
  - {from: any below buyer, to: buyer, event: deal.won, says: buys}
"""
NEW = """
lifecycle: growing
version: 2
title: After
facts:
  reason: {type: text, from: event.reason}
  deals: {type: ids, from: event.deal_id, added_by: deal.created}
signals:
  offer: proposal.sent
  act: form.submitted
stages:
  visitor: {name: Visitor, means: Came by., owner: marketing, goal: Act.}
  prospect: {name: Prospect, means: Acted., owner: marketing, goal: Hear., was: [lead]}
  opportunity: {name: Opportunity, means: Has an offer., owner: sales, goal: Buy.}
  buyer: {name: Buyer, means: Bought., owner: sales, goal: Stay.}
transitions:
  - {from: visitor, to: prospect, event: act, says: acts}
  - {from: prospect, to: opportunity, when: seen(offer) and size(deals) > 0, says: has an offer}
  - {from: any below buyer, to: buyer, event: deal.won, says: buys}
"""


def taken_over(old: World, new: str) -> World:
    world = World(plan_of(new))
    world.gone = world.engine.learn(old.engine.fingerprint, old.engine.layout)  # type: ignore[attr-defined]
    world.states, world.published, world.pending = dict(old.states), list(old.published), old.pending.copy()
    return world


def test_stages_signals_and_facts_in_use_are_found_by_name() -> None:
    old = World(plan_of(OLD)).send(
        [
            event(0, "form.submitted", "1"),
            event(1, "deal.created", "2", "c1", {}, deal_id="d"),
            event(2, "proposal.sent", "3"),
        ]
    )
    world = taken_over(old, NEW)
    world.send([event(HOUR, "form.submitted", "4")])
    assert world.stages() == ["visitor", "lead", "opportunity"]
    assert not any(body["type"] == "lifecycle.corrected.v1" for body in world.published)


def test_an_event_that_the_older_definition_folded_is_not_counted_again() -> None:
    first = event(0, "form.submitted", "1")
    world = taken_over(World(plan_of(OLD)).send([first, event(HOUR, "deal.created", "2")]), NEW)
    published = list(world.published)
    world.send([first])
    assert world.published == published


def test_what_the_older_definition_published_is_never_withdrawn() -> None:
    world = taken_over(World(plan_of(OLD)).send([event(DAY, "form.submitted", "1")]), NEW)
    world.send([event(0, "proposal.sent", "2")])
    assert [refusal.reason for refusal in world.refused] == ["too-late"]
    assert world.stages() == ["visitor", "lead"]


def test_a_stage_without_a_successor_is_told_beforehand_and_refused() -> None:
    world = taken_over(World(plan_of(OLD)).send([event(0, "form.submitted", "1")]), NEW.replace(", was: [lead]", ""))
    assert world.gone == ["lead"]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="'lead' is gone"):
        world.send([event(HOUR, "form.submitted", "2")])


COMPANY = "company: {id: traits.company_id, statuses: {active: size(deals) > 0}}\n"


def test_a_company_s_counts_are_read_by_name_under_the_next_definition() -> None:
    acme = {"company_id": "acme"}
    old = World(plan_of(OLD + COMPANY))
    old.send([event(0, "form.submitted", "1", "a", acme), event(0, "deal.created", "2", "a", {}, deal_id="d")])
    old.send([event(0, "form.submitted", "3", "b", acme), event(0, "deal.won", "4", "b")])
    assert old.companies() == {"acme": ("buyer", "active")}
    world = taken_over(old, NEW + COMPANY.replace("{active:", "{asleep: stage == 'visitor', active:"))
    world.send([event(HOUR, "form.submitted", "5", "b", {"company_id": "globex"})])
    assert world.companies() == {"acme": ("prospect", "active"), "globex": ("buyer", None)}
    world.send([event(2 * HOUR, "proposal.sent", "6", "a")])
    assert world.companies()["acme"] == ("opportunity", "active")


# ------------------------------------------------------------------------------------ what was on its way


def on_its_way(old: str = OLD) -> World:
    """The old definition's worker has answered a claim, and nobody has taken the answer in."""
    world = World(plan_of(old))
    world.send([event(0, "form.submitted", "1", "a"), event(HOUR, "form.submitted", "2", "b")])
    world.send([event(HOUR, "proposal.sent", "3", "b"), event(HOUR, "deal.created", "4", "b", {}, deal_id="d")])
    world.send([merge(2 * HOUR, "a", "b", "m")], deliver=False)
    key, body = world.pending.popleft()
    world._do(key, world.engine.apply(key, world.states[key], [body], START + DAY))
    return world


def test_a_record_that_was_on_its_way_to_its_claimer_is_read_by_its_own_names() -> None:
    world = taken_over(on_its_way(), NEW)
    world.deliver()
    assert not world.refused
    # Its offer and its deal count; what either had published stands.
    assert world.stages("a") == ["visitor", "lead"]
    world.send([event(3 * HOUR, "proposal.sent", "5", "a")])
    assert world.stages("a") == ["visitor", "lead", "opportunity"]
    assert world.stages("b") == ["visitor", "lead"]


def test_an_event_of_a_record_that_was_on_its_way_is_not_counted_again() -> None:
    world = taken_over(on_its_way(), NEW.replace("size(deals) > 0", "count(offer) > 1"))
    world.deliver()
    world.send([event(HOUR, "proposal.sent", "3", "b")])
    assert not world.refused
    assert world.stages("a") == ["visitor", "lead"]


def test_a_record_of_a_definition_that_nobody_told_of_is_not_guessed_at() -> None:
    old = on_its_way()
    world = World(plan_of(NEW))
    world.pending = old.pending
    with pytest.raises(Foreign) as raised:
        world.deliver()
    assert raised.value.under == old.engine.under


@cache
def renumbered(name: str, turned: bool) -> Plan:
    """A new version of a shipped lifecycle that says the same; `turned`: its signals and facts lie in other places."""
    lifecycle = plan_of(name).lifecycle
    changed: dict[str, Any] = {"version": lifecycle.version + 1}
    if turned:
        for part in ("signals", "facts", "segments", "hygiene"):
            changed[part] = dict(reversed(getattr(lifecycle, part).items()))
    return compile_plan(lifecycle.model_copy(update=changed))


def gone_on(old: Scattered, plan: Plan, later: Sequence[Event], seed: int) -> World:
    """The deployment under the new definition, with whatever was on its way."""
    world = Scattered(plan, seed)
    world.engine.learn(old.engine.fingerprint, old.engine.layout)
    world.states, world.published = dict(old.states), list(old.published)
    world.pending.extend((key, body) for key, log in old.logs.items() for body in log)
    return world.live(later).advance(START + 40 * DAY)


def told(world: World, contact: str) -> list[Any]:
    """What is told of the contact, but for ids; of what is told at one instant the definition's order decides."""
    return sorted(
        (body["time"], body["type"], str(body["data"].get("to")), str(body["data"].get("signal")))
        for body in world.history(contact)
    )


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_wherever_merges_were_when_the_definition_changed_nothing_published_is_withdrawn(
    name: str, data: st.DataObject
) -> None:
    ids = ("a", "b", "c", "d", "x")
    pairs = data.draw(forests())
    merges = [merge(data.draw(st.integers(0, 24)) * 6 * HOUR, *pair, f"m{n}") for n, pair in enumerate(pairs)]
    merges += [identify(data.draw(st.integers(0, 24)) * 6 * HOUR, "a", "x", "i")]
    before = sorted([*data.draw(traffic(contacts=ids)), *merges], key=lambda one: one.time)
    after = [
        one._replace(id=f"later-{one.id}", time=one.time + 7 * DAY) for one in data.draw(traffic(contacts=ids, most=6))
    ]
    seed = data.draw(st.integers(0, 2**32))
    old = Scattered(plan_of(name), seed).live(before, turns=data.draw(st.integers(0, 40)))
    stood = {contact: old.ids(contact) for contact in ids}
    plain, turned = (gone_on(old, renumbered(name, turn), after, seed) for turn in (False, True))
    for contact in ids:
        assert told(plain, contact) == told(turned, contact)
        assert plain.ids(contact)[: len(stood[contact])] == stood[contact]
    assert {contact: now["stage"] for contact, now in plain.currents.items()} == {
        contact: now["stage"] for contact, now in turned.currents.items()
    }
