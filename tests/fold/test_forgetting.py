"""Contacts that came to nothing end, by the clock or by the time of the next event alike."""

from __future__ import annotations

from tests.fold.world import DAY, HOUR, START, World, event, plan_of

BRIEF = """
lifecycle: brief
version: 1
title: Anonymous visitors are forgotten
signals:
  act: form.submitted
stages:
  visitor: {name: Visitor, means: Came by., owner: marketing, goal: Be known.}
  lead: {name: Lead, means: Acted., owner: marketing, goal: Buy.}
transitions:
  - {from: visitor, to: lead, event: act, says: acts}
company: {id: traits.company_id}
forget: {stage: visitor, after: 30d}
"""
PAGE = "page.viewed"


def test_a_visitor_is_forgotten_by_the_clock() -> None:
    world = World(plan_of(BRIEF)).send([event(0, PAGE, "1")])
    world.advance(START + 29 * DAY)
    assert set(world.currents) == {"c1"}
    world.advance(START + 30 * DAY)
    assert not world.currents
    assert not world.states


def test_a_visitor_is_forgotten_by_the_time_of_the_next_event_too() -> None:
    first, again = event(0, PAGE, "1"), event(40 * DAY, PAGE, "2")
    replayed = World(plan_of(BRIEF)).send([first, again])
    lived = World(plan_of(BRIEF)).send([first]).advance(START + 35 * DAY).send([again])
    assert replayed.stages() == lived.stages() == ["visitor", "visitor"]
    assert replayed.ids("c1") == lived.ids("c1")


def test_a_lead_is_not_forgotten() -> None:
    world = World(plan_of(BRIEF)).send([event(0, "form.submitted", "1")]).advance(START + 400 * DAY)
    assert world.currents["c1"]["stage"] == "lead"


def test_a_late_event_before_the_gap_is_folded_before_the_contact_begins_anew() -> None:
    late = event(HOUR, "form.submitted", "3")
    batch = World(plan_of(BRIEF)).send([event(2 * HOUR, PAGE, "1"), late, event(40 * DAY, PAGE, "2")])
    single = World(plan_of(BRIEF))
    for one in (event(2 * HOUR, PAGE, "1"), late, event(40 * DAY, PAGE, "2")):
        single.send([one])
    assert batch.stages() == single.stages() == ["visitor", "lead"]


def test_whoever_is_forgotten_leaves_the_company() -> None:
    world = World(plan_of(BRIEF)).send([event(0, "contact.updated", "1", "c1", {"company_id": "acme"})])
    assert world.companies()["acme"] == ("visitor", None)
    world.advance(START + 31 * DAY)
    assert world.companies()["acme"] == (None, None)
