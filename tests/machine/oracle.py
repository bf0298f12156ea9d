"""A contact whose moves are made by the python-statemachine class: the plain fold keeps its facts, the class decides.

The class tries event-less transitions when an instance is made and again before an event's own. So what an event
changes is put in only when the class asks for that event's first guard (`prepare`), or before the instance is made
where no transition of the stage names the event.
"""

from __future__ import annotations

from tests.reference import Contact
from worker.definition.model import Lifecycle
from worker.fold.outcome import Event
from worker.machine import LifecycleMachine, build, event_id, read, stage_of, state_value


class Stepped(Contact):
    """A `worker.machine.Subject`. `taken` are the moves: when (epoch ms), and the transition's place."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        super().__init__(lifecycle)
        self.machine = build(lifecycle)
        self.answered = {(edge.origin, event) for edge in read(self.machine) for event in edge.events or ()}
        self.taken: list[tuple[int, int]] = []
        self.waiting: Event | None = None
        self.silent = False  # no guard holds until the event at hand is asked about
        self.state: str | None = None  # where the instance keeps its own

    def take(self, event: Event) -> None:
        if self.stage is None:
            # The first event brings the contact in, so its own transitions are those of the first stage.
            self.begin(event)
            self.learn()
            self.silent = (str(self.stage), event.type) in self.answered
            machine = self.start()
            if self.silent:
                machine.send(event_id(event.type))
            assert not self.silent
        elif (self.stage, event.type) in self.answered:
            self.waiting = event
            self.start().send(event_id(event.type))
            assert self.waiting is None
        else:
            self.begin(event)
            self.learn()
            self.start()
        self.mark()
        self.end()

    def time_passed(self) -> None:
        self.start()
        self.mark()

    def start(self) -> LifecycleMachine:
        """An instance in the contact's stage. Event-less transitions that hold are taken by making it."""
        self.state = None  # with a state of its own an instance would only wait for events
        machine = self.machine(self, start_value=state_value(str(self.stage)))
        assert stage_of(machine.current_state_value) == self.stage
        return machine

    # What the class asks and tells.

    def prepare(self, event: str | None) -> None:
        if event is not None:
            self.silent = False
        if self.waiting is not None and event == self.waiting.type:
            waiting, self.waiting = self.waiting, None
            self.begin(waiting)
            self.learn()

    def holds(self, place: int) -> bool:
        return not self.silent and super().holds(place)

    def moved(self, transition: int, origin: str, target: str) -> None:
        assert self.stage == origin
        self.taken.append((self.now, transition))
        self.enter(target, self.lifecycle.transitions[transition])
