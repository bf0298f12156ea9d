"""The class made from a definition, and the habits of python-statemachine that it is made around."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from statemachine import State, StateMachine

from tests.definition.base import BASE
from tests.strategies import lifecycles
from worker.definition.model import Lifecycle
from worker.definition.needs import EventTypes
from worker.definition.places import scope_of
from worker.definition.reader import read as read_lifecycle
from worker.machine import Box, Edge, LifecycleMachine, boxes, build, event_id, read, stage_of, state_value, type_of

SHOP = read_lifecycle(BASE)


class Told:
    """A subject that says of each transition what it was told to say."""

    def __init__(self, *holding: int) -> None:
        self.holding = set(holding)
        self.asked: list[int] = []
        self.events: list[str | None] = []
        self.moves: list[tuple[int, str, str]] = []
        self.state: str | None = None

    def prepare(self, event: str | None) -> None:
        self.events.append(event)

    def holds(self, transition: int) -> bool:
        self.asked.append(transition)
        return transition in self.holding

    def moved(self, transition: int, origin: str, target: str) -> None:
        self.moves.append((transition, origin, target))
        self.holding.discard(transition)


def test_edges_are_the_transitions_in_their_order() -> None:
    assert read(build(SHOP)) == [
        Edge("visitor", "customer", ("subscription.started",), 0, 0),
        Edge("visitor", "lead", None, 1, 1),
        Edge("lead", "customer", ("subscription.started",), 0, 0),
        Edge("lead", "visitor", ("sales.rejected",), 2, 1),
        Edge("lead", "visitor", None, 3, 2),
        Edge("customer", "visitor", ("contract.ended", "subscription.cancelled"), 4, 0),
    ]


def test_stages_are_its_states() -> None:
    assert boxes(build(SHOP)) == [
        Box("visitor", "Visitor", True, False), Box("lead", "Lead", False, False),
        Box("customer", "Customer", False, False),
    ]  # fmt: skip


def test_one_stage_is_a_lifecycle_too_which_nobody_leaves() -> None:
    alone = read_lifecycle("""
lifecycle: alone
version: 1
title: Alone
stages:
  known: {name: Known, means: We know of it., owner: marketing, goal: Keep it known.}
""")
    assert read(build(alone)) == []
    assert boxes(build(alone)) == [Box("known", "Known", True, True)]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(lifecycles())
def test_every_transition_is_an_edge_from_each_of_its_stages(lifecycle: Lifecycle) -> None:
    types = EventTypes(lifecycle, scope_of(lifecycle))
    wanted = []
    for stage in lifecycle.stages:
        leading = [
            (place, transition)
            for place, transition in enumerate(lifecycle.transitions)
            if stage in lifecycle.origins(transition)
        ]
        for order, (place, transition) in enumerate(leading):
            events = None if transition.event is None else tuple(types.of_all(transition.event))
            wanted.append(Edge(stage, transition.to, events, place, order))
    machine = build(lifecycle)
    assert read(machine) == wanted
    out = {edge.origin for edge in wanted}
    assert [(box.stage, box.final) for box in boxes(machine)] == [
        (stage, stage not in out) for stage in lifecycle.stages
    ]


def test_the_first_that_holds_is_taken() -> None:
    subject = Told(0, 3)
    machine = build(SHOP)(subject, start_value=state_value("lead"))
    assert subject.moves == [(3, "lead", "visitor")]  # without an event it need not wait for one
    machine.send(event_id("subscription.started"))
    assert subject.moves[1:] == [(0, "visitor", "customer")]
    assert stage_of(machine.current_state_value) == "customer"


def test_an_event_that_no_transition_names_changes_nothing() -> None:
    subject = Told(0, 2, 4)
    machine = build(SHOP)(subject, start_value=state_value("visitor"))
    machine.send(event_id("sales.rejected"))
    machine.send(event_id("acme.unheard_of"))
    assert (subject.moves, stage_of(machine.current_state_value)) == ([], "visitor")


def test_the_error_of_a_guard_gets_out() -> None:
    class Failing(Told):
        def holds(self, transition: int) -> bool:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(SHOP)(Failing(), start_value=state_value("visitor"))


def test_a_subject_is_told_types_not_ids_and_nothing_of_beginning() -> None:
    subject = Told()
    build(SHOP)(subject, start_value=state_value("lead")).send(event_id("sales.rejected"))
    assert set(subject.events) == {None, "sales.rejected"}


@pytest.mark.parametrize(
    "kind", ["form.submitted", "form", "acme.used/v1", "error_x", "done.state.lead", "name", "send"]
)
def test_an_event_type_has_an_id_that_is_nothing_else(kind: str) -> None:
    assert type_of(event_id(kind)) == kind
    assert not hasattr(LifecycleMachine, event_id(kind))
    assert event_id(kind).split(".")[0] == event_id(kind)  # no other id is its beginning


def test_stages_and_events_may_have_any_name() -> None:
    text = BASE.replace("lead", "states").replace("visitor", "send").replace("customer", "model")
    machine = build(read_lifecycle(text.replace("sales.rejected", """'"error_x"'""")))
    subject = Told(2)
    started = machine(subject, start_value=state_value("states"))
    started.send(event_id("error_x"))
    assert stage_of(started.current_state_value) == "send"


# Why the class is as it is: should a release of the library change one of these, what is built around it may go.


def test_the_library_takes_an_event_by_the_beginning_of_its_name() -> None:
    class Prefixed(StateMachine):
        here = State(initial=True)
        there = State(final=True)
        form = here.to(there)

    machine = Prefixed()
    machine.send("form.submitted")
    assert machine.current_state_value == "there"


def test_the_library_tries_transitions_without_an_event_before_the_event_s_own() -> None:
    subject = Told(1, 0)
    build(SHOP)(subject, start_value=state_value("visitor"))
    assert subject.moves[0] == (1, "visitor", "lead")


def test_the_library_prepares_only_for_events_that_the_stage_names() -> None:
    subject = Told()
    machine = build(SHOP)(subject, start_value=state_value("visitor"))
    subject.events.clear()
    machine.send(event_id("sales.rejected"))
    assert "sales.rejected" not in subject.events
    machine.send(event_id("subscription.started"))
    assert "subscription.started" in subject.events
