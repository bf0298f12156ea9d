"""Refusals are counted as the explanation tells them, and counting them changes nothing of what is folded."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.explain.test_explain import SHIPPED, scenarios, sent
from tests.fold.world import plan_of
from worker.explain import Explainer
from worker.fold.engine import Engine
from worker.fold.identity import IDENTITY_TYPES
from worker.live.refusals import Refusals


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_counted_is_what_the_explanation_tells_as_refused(name: str) -> None:
    """Over every shipped scenario's contacts whose events came in order; the explanation finds them in its own way."""
    plain = Engine(plan_of(name), grace=False)
    refusals = Refusals(plan_of(name))
    watched = Engine(refusals.plan, grace=False, refusals=refusals)
    asked = Explainer(plain)
    counted = 0
    for scenario in scenarios():
        arrivals = sent(scenario)
        if scenario.lifecycle != name or any(event.type in IDENTITY_TYPES for event in arrivals):
            continue
        for contact in {event.subject for event in arrivals}:
            events = [event for event in arrivals if event.subject == contact]
            key = plain.key_of(events[0])
            found, without = (engine.apply(key, None, events, scenario.until_ms) for engine in (watched, plain))
            assert (found.state, found.due, found.outputs) == (without.state, without.due, without.outputs)
            assert without.stayed == []
            if found.late:
                continue
            steps = asked.events(contact, events, scenario.until_ms).steps
            told = Counter(step.stage for step in steps if step.kind == "refused")
            assert Counter(refusals.plan.stages[place] for place in found.stayed) == told, scenario.name
            counted += len(found.stayed)
    assert counted, "the scenarios hold none: this test proves nothing"


def test_an_event_that_comes_again_is_not_counted_again() -> None:
    counted = 0
    engines = {}
    for name in SHIPPED:
        refusals = Refusals(plan_of(name))
        engines[name] = Engine(refusals.plan, grace=False, refusals=refusals)
    for scenario in scenarios():
        engine, arrivals = engines.get(scenario.lifecycle), sent(scenario)
        if engine is None or any(event.type in IDENTITY_TYPES for event in arrivals):
            continue
        events = [event for event in arrivals if event.subject == arrivals[0].subject]
        key = engine.key_of(events[0])
        first = engine.apply(key, None, events, scenario.until_ms)
        counted += len(first.stayed)
        assert engine.apply(key, first.state, events, scenario.until_ms).stayed == []
    assert counted
