"""A small engine with everything that the runtime must carry: states, outputs, messages, timers, refusals.

It counts the events of a contact, so a lost or doubled one shows in the numbers of what it publishes. Messages are
counted without looking at their ids: one that is delivered twice is seen.

    seen      any event: published with its number
    poke      sends a message to `target`, which publishes `poked` with its own number
    wake      sets a timer `after` ms later, which publishes `woken`
    refuse    is refused by the fold
    pass      changes nothing
    grow      publishes, and keeps, `bytes` of padding
    end       ends the contact's state
    burst     publishes `count` more outputs
    fail      raises
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from worker.fold.outcome import Event, Message, Outcome, Output, Refusal

SEEN_MAX = 10_000


class Contact(msgspec.Struct):
    """The state: ids of events in the order folded, who poked, timers as (due, event id), and which were fired."""

    events: list[str] = msgspec.field(default_factory=list)
    pokes: list[str] = msgspec.field(default_factory=list)
    timers: list[tuple[int, str]] = msgspec.field(default_factory=list)
    woken: list[str] = msgspec.field(default_factory=list)
    padding: bytes = b""

    def due(self) -> int | None:
        return min(self.timers)[0] if self.timers else None

    def current(self) -> dict[str, Any]:
        return {"events": len(self.events), "pokes": len(self.pokes), "woken": len(self.woken)}


class StandIn:
    """An `Engine`."""

    def __init__(self, fingerprint: str = "first", version: int = 1, lifecycle: str = "stand-in") -> None:
        self.lifecycle = lifecycle
        self.version = version
        self.fingerprint = fingerprint
        self.format = 1
        self.applied = 0  # calls

    @property
    def layout(self) -> bytes:
        return b"{}"

    def learn(self, fingerprint: str, layout: bytes) -> list[str]:
        return []

    def key_of(self, event: Event) -> bytes:
        return b"c:" + event.subject.encode()

    def apply(self, key: bytes, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
        self.applied += 1
        contact = read(state)
        outcome = Outcome()
        ended = False
        for place, arrival in enumerate(arrivals):
            if isinstance(arrival, bytes):
                by = arrival.decode()
                contact.pokes.append(by)
                self._publish(outcome, key, "poked", by, len(contact.pokes))
            elif arrival.type == "refuse":
                outcome.refused.append((place, Refusal("refused", "the fold would not have it")))
            elif arrival.id in contact.events:
                outcome.duplicates += 1
            elif arrival.type == "fail":
                raise RuntimeError(f"personal data of {arrival.subject}")
            elif arrival.type != "pass":
                ended |= self._fold(contact, arrival, key, outcome)
        return self._settle(contact, outcome, key, ended=ended)

    def _fold(self, contact: Contact, event: Event, key: bytes, outcome: Outcome) -> bool:
        contact.events.append(event.id)
        data = event.data
        self._publish(outcome, key, "seen", event.id, len(contact.events), "x" * data.get("bytes", 0))
        if event.type == "poke":
            outcome.messages.append(Message(b"c:" + data["target"].encode(), event.id.encode()))
        elif event.type == "wake":
            contact.timers.append((event.time + data["after"], event.id))
        elif event.type == "grow":
            contact.padding += b"x" * data["bytes"]
        elif event.type == "burst":
            for number in range(data["count"]):
                self._publish(outcome, key, "burst", event.id, number)
        return event.type == "end"

    def advance(self, key: bytes, state: bytes, clock: int, now: int) -> Outcome:
        contact = read(state)
        outcome = Outcome()
        for due, by in sorted(contact.timers):
            if due <= clock:
                contact.timers.remove((due, by))
                contact.woken.append(by)
                self._publish(outcome, key, "woken", by, len(contact.woken), due=due)
        return self._settle(contact, outcome, key)

    def _publish(
        self, outcome: Outcome, key: bytes, kind: str, by: str, number: int, padding: str = "", due: int = 0
    ) -> None:
        contact = key[2:].decode()
        data = {"by": by, "number": number, "padding": padding, "due": due}
        outcome.outputs.append(Output(contact, {"type": kind, "subject": contact, "data": data}))

    def _settle(self, contact: Contact, outcome: Outcome, key: bytes, *, ended: bool = False) -> Outcome:
        if outcome.outputs:
            outcome.changed = True
            outcome.state = None if ended else msgspec.msgpack.encode(contact)
            outcome.due = contact.due()
            outcome.current = None if ended else contact.current()
            outcome.ended = key[2:].decode() if ended else None
        else:
            outcome.due = contact.due()
        return outcome


_states = msgspec.msgpack.Decoder(Contact)


def read(state: bytes | None) -> Contact:
    """A state as its values."""
    return Contact() if state is None else _states.decode(state)
