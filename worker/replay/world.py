"""Any number of keys in memory: events in, one after the other, and what keys tell one another delivered at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from worker.fold.engine import Engine
from worker.fold.outcome import Event, Message, Outcome, Output, Refusal

ROUNDS_MAX: Final = 10_000  # of messages that follow from messages: each passes at most 16 ids, or one parent


class World:
    """The states of keys that know of each other, with everything that came of them, in order.

    `now` is the wall clock (epoch ms) of all that happens. `inside` says which keys are kept here; messages for others
    are put aside in `outgoing`.
    """

    def __init__(self, engine: Engine, now: int, inside: Callable[[bytes], bool] = lambda key: True) -> None:
        self.engine = engine
        self.now = now
        self.states: dict[bytes, bytes] = {}
        self.outputs: list[Output] = []
        self.refused: list[Refusal] = []  # of messages; those of events are returned
        self.outgoing: list[Message] = []
        self.duplicates = 0
        self.late = 0
        self._inside = inside
        self._pending: list[Message] = []

    def arrive(self, events: Sequence[Event]) -> list[tuple[int, Refusal]]:
        """One contact's events in one batch, and all that follows from them; which of them were refused."""
        key = self.engine.key_of(events[0])
        outcome = self.engine.apply(key, self.states.get(key), events, self.now)
        self._take(key, outcome)
        self.deliver()
        return outcome.refused

    def put(self, message: Message) -> None:
        """A message from elsewhere: handed over by the next `deliver`."""
        self._pending.append(message)

    def deliver(self) -> None:
        """Messages are handed over, in rounds, until none is left.

        Raises: RuntimeError where they never end, which is a fault of the fold.
        """
        for _ in range(ROUNDS_MAX):
            if not self._pending:
                return
            round_, self._pending = self._pending, []
            by_key: dict[bytes, list[Event | bytes]] = {}
            for message in round_:
                if self._inside(message.key):
                    by_key.setdefault(message.key, []).append(message.body)
                else:
                    self.outgoing.append(message)
            for key, bodies in by_key.items():
                outcome = self.engine.apply(key, self.states.get(key), bodies, self.now)
                self.refused += [refusal for _, refusal in outcome.refused]
                self._take(key, outcome)
        raise RuntimeError(f"messages between contacts go on after {ROUNDS_MAX} rounds")

    def advance(self, clock: int) -> None:
        """Timers up to `clock` fire, contact by contact, and all that follows from them is delivered."""
        for key in [key for key in self.states if key.startswith(b"c:")]:
            self._take(key, self.engine.advance(key, self.states[key], clock, self.now))
        self.deliver()

    def _take(self, key: bytes, outcome: Outcome) -> None:
        if outcome.changed:
            if outcome.state is None:
                self.states.pop(key, None)
            else:
                self.states[key] = outcome.state
        self.outputs += outcome.outputs
        self._pending += outcome.messages
        self.duplicates += outcome.duplicates
        self.late += outcome.late


def in_order(outputs: Sequence[Output]) -> dict[str, list[Output]]:
    """What a reader holds, by key: without what was withdrawn or erased, and with what stands instead."""
    held: dict[str, list[Output]] = {}
    for output in outputs:
        data = output.body["data"]
        mine = held.setdefault(output.key, [])
        if output.body["type"] == "lifecycle.contact.erased.v1":
            held[output.key] = [output]
            continue
        if output.body["type"] != "lifecycle.corrected.v1":
            mine.append(output)
            continue
        gone = set(data["withdrawn"])
        held[output.key] = [other for other in mine if other.body["id"] not in gone]
        held[output.key] += [Output(output.key, body) for body in data["restated"]]
    return held
