"""Which circles of moves are refused: those that one event could go round."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings

from tests.reference import Contact
from tests.strategies import event_sequences, lifecycles
from worker.definition.check import check
from worker.definition.model import Lifecycle
from worker.definition.walks import circles
from worker.fold.outcome import Event

UP, DOWN = {"from": "low", "to": "high"}, {"from": "high", "to": "low"}


def lifecycle_of(up: dict[str, object], down: dict[str, object], **more: object) -> Lifecycle:
    stage = {"means": "a stage", "owner": "sales", "goal": "go on"}
    return Lifecycle.model_validate(
        {
            "lifecycle": "made", "version": 1, "title": "Made",
            "parameters": {"bound": {"value": 50, "means": "a bound"}},
            "signals": {"intent": ["form.submitted"], "refusal": ["sales.disqualified"], "came": ["entering high"]},
            "facts": {
                "fit": {"type": "boolean", "from": "traits.icp_fit"},
                "staff": {"type": "number", "from": "traits.employees"},
            },
            "conditions": {"keen": "since(intent, setback)", "refused": 'status in ("lost", "never")'},
            "score": {"forget": ["setback"], "behaviour": {"points": {"form.submitted": 10}}},
            "stages": {"low": {"name": "Low", **stage}, "high": {"name": "High", **stage}},
            "transitions": [{**UP, "says": "rises", **up}, {**DOWN, "says": "falls", **down}],
            "statuses": {"track": ["open", "won"], "aside": ["lost", "never"]},
        } | more
    )  # fmt: skip


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("fit", "not fit"),
        ("fit and staff > 10", "fit and staff <= 10"),
        ("staff >= 50", "staff < 30"),
        ("staff >= bound", "staff < bound"),
        ("keen and not refused", "refused"),
        ('status == "won"', 'status == "lost"'),
        ('status in ("open", "won")', 'not (status == "open") and not (status == "won")'),
        ("fit if staff > 3 else not fit", "not fit if staff > 3 else fit"),
        ("event.kind == none", "event.kind != none"),
        ("fit and false", "fit"),
        ('stage == "high"', "fit"),
        ("fit", 'stage == "low"'),
        ('fit and at_least("high")', "fit"),
        ("fit", "last(intent) > 3d and last(intent) < 3d"),
        ("fit and staff + 1 > 3", "not (staff + 1 > 3)"),
        ('traits.title == "a"', 'traits.title == "b"'),
    ],
)
def test_guards_that_exclude_each_other_make_no_circle(up: str, down: str) -> None:
    up = up.replace("event.kind == none", "traits.title == none")
    down = down.replace("event.kind != none", "traits.title != none")
    assert not check(lifecycle_of({"when": up}, {"when": down}))


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("fit", "fit"),
        ("fit", "true"),
        ("fit or staff > 10", "staff > 20"),
        ("staff >= 30", "staff < 50"),
        ("keen", "refused"),
        ("score.behaviour >= 50", "refused"),
        ("fit", "traits.icp_fit"),
        ("seen(intent)", "seen(refusal)"),
        ('status != "won"', 'status != "lost"'),
        ("staff > traits.employees", "staff <= traits.employees"),
        ("fit", "came"),
        ("not seen(came)", "seen(came)"),
    ],
)
def test_guards_that_can_hold_together_are_refused(up: str, down: str) -> None:
    faults = check(lifecycle_of({"when": up}, {"when": down}))
    assert [fault.code for fault in faults] == ["endless"]
    assert "low → high → low" in faults[0].message


def test_time_in_the_stage_breaks_a_circle_but_where_it_was_spent_already() -> None:
    assert not check(lifecycle_of({"when": "keen"}, {"after": "3d", "when": "not keen"}))
    assert not check(lifecycle_of({"when": "keen", "after": "1d"}, {"after": "3d"}))
    assert not check(lifecycle_of({"when": "keen"}, {"when": "days_in_stage() > 3 and not keen"}))
    # three days in the higher stage, and what spoke for the contact still does: it would bounce back
    assert check(lifecycle_of({"when": "fit"}, {"after": "3d"}))


def test_what_came_before_the_setback_no_longer_speaks() -> None:
    assert not check(lifecycle_of({"when": "keen"}, {"after": "3d"}))
    assert not check(lifecycle_of({"when": "score.behaviour >= 50"}, {"after": "3d"}))
    assert not check(lifecycle_of({"when": "count(intent, 7d, since=setback) >= 2"}, {"after": "3d"}))
    forgetful = lifecycle_of(
        {"when": "score.behaviour >= 50"}, {"after": "3d"}, score={"behaviour": {"points": {"form.submitted": 10}}}
    )
    assert check(forgetful)  # the score is not forgotten by the setback


def test_a_status_set_on_the_way_counts() -> None:
    assert not check(lifecycle_of({"when": 'status != "lost"'}, {"after": "3d", "status": "lost"}))
    assert check(lifecycle_of({"when": 'status != "lost"'}, {"after": "3d", "status": "never"}))


def test_a_status_implied_by_a_move_is_that_one_or_none() -> None:
    """Who falls for a refusal is `open` again or refused still, and not `won`: so it doesn't rise."""
    statuses: dict[str, object] = {
        "track": ["new", "open", "won"],
        "aside": ["lost", "never"],
        "implied_by": {"open": "entering low"},
    }
    down: dict[str, object] = {"when": "refused"}
    assert not check(lifecycle_of({"when": 'status == "won"'}, down, statuses=statuses))
    assert not check(lifecycle_of({"when": 'status in ("won", "new")'}, down, statuses=statuses))
    assert check(lifecycle_of({"when": 'status == "open" or refused'}, down, statuses=statuses))
    again: dict[str, object] = {"any": "entering low", "from_aside": True}
    both = statuses | {"implied_by": {"open": again, "lost": "entering high"}}
    assert check(lifecycle_of({"when": 'status == "open"'}, down, statuses=both))


def test_a_circle_that_needs_an_event_is_none() -> None:
    assert not check(lifecycle_of({"when": "fit"}, {"event": ["sales.rejected"]}))


def test_every_simple_circle_is_found_once() -> None:
    stages = ["a", "b", "c", "d"]
    stage = {"means": "a stage", "owner": "sales", "goal": "go on"}
    given = {
        "lifecycle": "made", "version": 1, "title": "Made",
        "stages": {name: {"name": name, **stage} for name in stages},
        "transitions": [{"from": [origin], "to": target, "when": "true", "says": "goes"}
                        for origin, target in itertools.permutations(stages, 2)],
    }  # fmt: skip
    found = [tuple(step.origin for step in circle) for circle in circles(Lifecycle.model_validate(given))]
    assert len(found) == len(set(found)) == 6 + 8 + 6  # of two, three and four stages


class Walking(Contact):
    """Notes the stages of one walk."""

    def walk(self) -> None:
        self.been = [self.stage]
        for _ in range(20):
            before = self.stage
            way = next((move for place, move in self.ways(by_event=False) if self.holds(place)), None)
            if way is None:
                return
            self.enter(way.to, way)
            assert self.stage not in self.been, f"{self.been} and {before} → {self.stage}"
            self.been.append(self.stage)
        raise AssertionError("a walk without end")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(lifecycle=lifecycles(), events=event_sequences())
def test_what_is_let_through_enters_no_stage_twice_in_one_walk(lifecycle: Lifecycle, events: list[Event]) -> None:
    contact = Walking(lifecycle)
    for event in events:
        contact.pass_time(event.time, inclusive=False)
        contact.take(event)
