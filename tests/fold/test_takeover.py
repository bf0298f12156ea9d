"""A new version of the definition goes on from where contacts stand, and withdraws nothing."""

from __future__ import annotations

import pytest

from tests.fold.world import DAY, HOUR, World, event, plan_of

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
    world.states, world.published = dict(old.states), list(old.published)
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
