"""The incremental fold held to the plain one: whatever order events arrive in, the published history is the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fold.strategies import CLOCKS, CUTS, arrivals, traffic
from tests.fold.world import DAY, ROOT, START, World, batches, plan_of
from tests.reference import Entry, history
from tests.strategies import event_sequences, lifecycles
from worker.definition.model import Lifecycle
from worker.fold.outcome import Event
from worker.instants import parse_instant
from worker.plan import compile_plan
from worker.plan.support import behaviour, decays_to

NAMES = sorted(path.stem for path in (ROOT / "statemachine").glob("*.yaml") if "." not in path.stem)


def told(world: World, contact: str = "c1") -> list[Entry]:
    """What a reader of the published events holds, as the reference tells it."""
    return [entry for body in world.history(contact) for entry in _entries(body)]


def _entries(body: dict[str, Any]) -> list[Entry]:
    at, data = parse_instant(body["time"]), body["data"]
    match body["type"]:
        case "lifecycle.stage.changed.v1":
            return [("stage", at, data["from"], data["to"], data["status"] or "", data["visit"])]
        case "lifecycle.status.changed.v1":
            return [("status", at, data["from"], data["to"])]
        case "lifecycle.sla.breached.v1":
            return [("breach", at, data["stage"])]
        case "lifecycle.hygiene.failed.v1":
            return [("hygiene", at, failure["rule"]) for failure in data["failures"]]
        case "lifecycle.signal.v1":
            match data["action"]:
                case "warned":
                    return [("warning", at, data["stage"])]
                case "occurred":
                    return [("signal", at, data["signal"])]
                case action:
                    return [(action, at, data["signal"])]
    return []


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_the_worker_tells_what_a_plain_fold_of_the_sorted_events_tells(name: str, data: st.DataObject) -> None:
    events = data.draw(traffic())
    clock = START + 6 * DAY + data.draw(CLOCKS)
    world = World(plan_of(name))
    for batch in batches(data.draw(arrivals(events)), data.draw(CUTS)):
        world.send(batch)
    world.advance(clock)
    assert told(world) == history(plan_of(name).lifecycle, events, clock)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(lifecycle=lifecycles(), events=event_sequences(placed=True), data=st.data())
def test_any_definition_is_folded_as_its_words_say(
    lifecycle: Lifecycle, events: list[Event], data: st.DataObject
) -> None:
    sent = data.draw(arrivals(events))
    world = World(compile_plan(lifecycle))
    for batch in batches(sent, data.draw(CUTS)):
        world.send(batch)
    world.advance(START + 30 * DAY)
    assert told(world) == history(lifecycle, sent, START + 30 * DAY)


@given(
    value=st.floats(0.01, 1e6) | st.integers(1, 1_000),
    bound=st.floats(0.01, 1e6) | st.integers(1, 1_000),
    half_life=st.floats(0.5, 1e12) | st.sampled_from([3_600_000.0, 86_400_000.0, 1e18]),
    at_bound=st.sampled_from([0, 1]),
)
def test_a_score_falls_below_a_bound_at_the_first_millisecond_at_which_a_guard_sees_it_there(
    value: float, bound: float, half_life: float, at_bound: int
) -> None:
    def there(instant: int) -> bool:
        score = behaviour(value, START, instant, half_life)
        return score < bound or (at_bound == 1 and score == bound)

    instant = decays_to(value, START, bound, half_life, at_bound)
    if value < bound:
        assert instant == 0
    else:
        assert there(instant)
        if instant > START and half_life < 1e13:  # of a half-life of ages, many milliseconds are one number
            assert not there(instant - 1)
