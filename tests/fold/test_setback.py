"""A setback silences what spoke before it: facts and the score that say so, by an event or by a move backward alike."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fold.test_reference import told
from tests.fold.world import DAY, HOUR, START, World, event, plan_of
from tests.reference import history
from worker.fold.outcome import Event

FORGETFUL = """
lifecycle: forgetful
version: 1
title: What is forgotten by what
signals:
  ask: form.submitted
  setback: sales.recycled
  fall: leaving lead
facts:
  meetings: {type: ids, from: event.meeting_id, added_by: meeting.booked, forget: setback}
  why: {type: text, from: event.reason, of: [form.submitted, meeting.booked], forget: fall}
  kind: {type: text, from: event.kind, of: form.submitted, forget: setback when stage == "visitor"}
  known: {type: boolean, from: kind != "" or why != ""}
score:
  behaviour: {points: {ask: 10}}
  forget: setback
stages:
  visitor: {name: Visitor, means: Came by., owner: marketing, goal: Act., manual: true}
  lead: {name: Lead, means: Acted., owner: marketing, goal: Buy.}
  buyer: {name: Buyer, means: Bought., owner: sales, goal: Stay.}
transitions:
  - {from: visitor, to: lead, event: ask, says: asks}
  - {from: lead, to: buyer, event: deal.won, says: buys}
  - {from: buyer, to: lead, event: subscription.cancelled, says: leaves}
  - {from: lead, to: visitor, after: 5d, says: falls silent}
segments:
  met: {when: size(meetings) > 0, means: has a meeting}
  keen: {when: score.behaviour >= 20, means: asked often}
  reasoned: {when: why != "", means: said why}
  kinded: {when: kind != "", means: said what}
  familiar: {when: known, means: said something}
"""
ACTS: dict[str, dict[str, str]] = {
    "form.submitted": {"kind": "demo", "reason": "price"},
    "meeting.booked": {"meeting_id": "m", "reason": "need"},
    "deal.won": {},
    "subscription.cancelled": {},
    "sales.recycled": {},
    "stage.set": {"stage": "visitor", "by": "ann"},
}


def acts(*kinds: str, hours: int = 1) -> list[Event]:
    return [event(n * hours * HOUR, kind, f"e{n}", **ACTS[kind]) for n, kind in enumerate(kinds)]


@given(kinds=st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=12), hours=st.sampled_from([1, 30]))
@example(["form.submitted", "meeting.booked", "form.submitted", "deal.won", "subscription.cancelled"], 1)
@example(["form.submitted", "meeting.booked", "form.submitted", "stage.set"], 1)
@example(["form.submitted", "meeting.booked", "form.submitted"], 1)
def test_what_is_forgotten_is_what_the_words_say(kinds: list[str], hours: int) -> None:
    events, plan = acts(*kinds, hours=hours), plan_of(FORGETFUL)
    world = World(plan)
    for one in events:
        world.send([one])
    assert told(world.advance(START + 30 * DAY)) == history(plan.lifecycle, events, START + 30 * DAY)


@pytest.mark.parametrize(
    "back",
    [["deal.won", "subscription.cancelled"], ["stage.set"], ["sales.recycled"], []],
    ids=["by an event's move", "by a person", "by the definition's pattern", "by time"],
)
def test_a_setback_of_any_kind_empties_what_is_forgotten_by_it(back: list[str]) -> None:
    world = World(plan_of(FORGETFUL)).send(acts("form.submitted", "meeting.booked", "form.submitted", *back))
    world.advance(START + 30 * DAY)
    left = {body["data"]["signal"] for body in world.history("c1") if body["data"].get("action") == "left"}
    assert left >= {"met", "keen"}
