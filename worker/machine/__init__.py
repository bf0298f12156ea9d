"""The definition as a python-statemachine class: states, events, guarded transitions. It is what the plan is held to.

`build` makes the class, `read` tells what stands in it. An instance decides nothing itself: its guards ask the model
object it was made with (a `Subject`), so that the same class serves whoever evaluates the guards.

Three habits of the library shape the class. An event named `form` also takes `form.submitted`, so a type's dots are
written otherwise in an event's id. A class without a path from each state to a final one is refused unless told not
to be. `StateMachine`, unlike `StateChart`, lets the error of a guard out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from statemachine import Event, State, StateMachine
from statemachine.transition import Transition as Arrow

from worker.definition.model import Lifecycle
from worker.definition.needs import EventTypes
from worker.definition.places import scope_of

_NEVER = "never"  # the event of a transition that no event can set off: without one it would be taken unasked


class Edge(NamedTuple):
    """One way out of a stage. `events` are the types that may take it, None where it needs no event.

    `transition` is the place of what it was made from in `Lifecycle.transitions`, `order` its rank among the ways out
    of `origin`: of those that hold, the lowest is taken.
    """

    origin: str
    target: str
    events: tuple[str, ...] | None
    transition: int
    order: int


class Box(NamedTuple):
    """One stage as a diagram shows it. `final`: nothing leads out of it."""

    stage: str
    name: str
    initial: bool
    final: bool


class Subject(Protocol):
    """What an instance asks of the object it was made with (`machine.model`), and tells it."""

    def prepare(self, event: str | None) -> None:
        """Before the first guard of this event is asked, and possibly again: `event` is the type, None for none."""

    def holds(self, transition: int) -> bool:
        """Whether the transition's patterns happen with the event at hand and its guard and time hold."""

    def moved(self, transition: int, origin: str, target: str) -> None:
        """The transition is being taken."""


def _guard(transition: int) -> Callable[[Subject], bool]:
    """A transition's condition: the model's word on it."""

    def holds(model: Subject) -> bool:
        return model.holds(transition)

    holds.transition = transition  # type: ignore[attr-defined]  # where `read` finds what the condition belongs to
    return holds


def _taken(transition: int, origin: str, target: str) -> Callable[[Subject], None]:
    """What a transition does: it tells the model."""

    def moved(model: Subject) -> None:
        model.moved(transition, origin, target)

    return moved


class LifecycleMachine(StateMachine):
    """A contact's stage. An event that no transition of the stage names changes nothing and is no error."""

    allow_event_without_transition = True
    validate_disconnected_states = False  # a stage may be reached by hand only
    validate_final_reachability = False  # what has an end need not end
    lifecycle: Lifecycle

    def prepare_event(self, event: str | None, model: Subject) -> dict[str, Any]:
        model.prepare(None if event is None or event == "__initial__" else type_of(str(event)))
        return {}


def event_id(kind: str) -> str:
    """The id under which an event type stands in the class: no type is the beginning of another's."""
    return "on·" + kind.replace(".", "·")


def type_of(event: str) -> str:
    """The event type of an id that `event_id` made."""
    return event.removeprefix("on·").replace("·", ".")


def state_value(stage: str) -> str:
    """The value that stands for a stage in the class: as it is, `model` would take the place of an instance's own."""
    return "at·" + stage


def stage_of(value: Any) -> str:
    """The stage of a value that `state_value` made."""
    return str(value).removeprefix("at·")


def build(lifecycle: Lifecycle) -> type[LifecycleMachine]:
    """The class of a checked lifecycle. Stages nothing leads out of are final states."""
    states = {
        name: State(stage.name, value=state_value(name), initial=not place)
        for place, (name, stage) in enumerate(lifecycle.stages.items())
    }
    types = EventTypes(lifecycle, scope_of(lifecycle))
    for place, transition in enumerate(lifecycle.transitions):
        kinds = None if transition.event is None else types.of_all(transition.event)
        for origin in lifecycle.origins(transition):
            if origin == transition.to:
                continue
            states[origin].to(
                states[transition.to],
                event=None if kinds is None else [Event(event_id(kind), name=kind) for kind in kinds or [_NEVER]],
                cond=_guard(place),
                on=_taken(place, origin, transition.to),
            )
    for state in states.values():
        state._final = not state.transitions.transitions
    attributes = {f"stage_{name}": state for name, state in states.items()}
    name = "".join(part.capitalize() for part in lifecycle.lifecycle.replace("_", "-").split("-"))
    return type(name + "Machine", (LifecycleMachine,), {**attributes, "lifecycle": lifecycle})


def read(machine: type[LifecycleMachine]) -> list[Edge]:
    """Every way from stage to stage in the class, by stage and, within one, in the order it is tried."""
    edges: list[Edge] = []
    for state in machine.states:
        order = 0
        for arrow in state.transitions:
            if arrow.target is None or arrow.initial:
                continue
            events = None if arrow.is_eventless else tuple(type_of(str(event)) for event in arrow.events)
            if events == (type_of(event_id(_NEVER)),):
                events = ()
            edges.append(Edge(stage_of(state.value), stage_of(arrow.target.value), events, _place(arrow), order))
            order += 1
    return edges


def boxes(machine: type[LifecycleMachine]) -> list[Box]:
    """The stages in the class, lowest first; with the edges that `read` gives, a diagram."""
    return [Box(stage_of(state.value), state.name, state.initial, state.final) for state in machine.states]


def _place(arrow: Arrow) -> int:
    for spec in arrow._specs:
        place = getattr(spec.func, "transition", None)
        if isinstance(place, int):
            return place
    raise TypeError(f"{arrow} was not made from a lifecycle")
