"""Contacts whose events are all at hand: read, grouped by contact, and each contact's history folded in one go.

Most contacts are alone, and are folded in one batch: the same as any other batches of the same events in the same order
would give, with no correction to publish and no record to write in between. Contacts that are one person (merges,
identifications, splits, erasures) are folded together, in the order in which their events arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from worker.fold import tell
from worker.fold.contact import Contact, seal
from worker.fold.engine import Engine
from worker.fold.identity import IDENTITY_TYPES
from worker.fold.messages import Member
from worker.fold.messages import decode as decode_body
from worker.fold.outcome import Event, Message, Outcome, Output, Refusal
from worker.fold.state import Record, State, decode_entry
from worker.fold.straight import fold_straight
from worker.plan.plan import Move, Plan
from worker.replay.families import Families
from worker.replay.reading import WIDTH, Arrivals
from worker.replay.records import DeadLetter
from worker.replay.rows import contact_row
from worker.replay.terms import Terms, Totals
from worker.replay.world import World, in_order

STAGE_CHANGED: Final = "lifecycle.stage.changed.v1"


class Told(NamedTuple):
    """A member's place in its company, for companies to be folded afterwards: `at` is the contact's newest event."""

    at: int
    position: int
    key: bytes
    body: bytes


class History(NamedTuple):
    """What became of one contact. `position` is its first event's; `changes` are lines, `row` is one or nothing."""

    position: int
    changes: bytes
    row: bytes


class Counted(tell.Told):
    """Counts what became true and forgets it: for whoever wants to know how much there is."""

    tells_guards = False

    def __init__(self, plan: Plan, contact: str, since: int = 0) -> None:
        super().__init__(plan, contact, since)
        self.count = 0
        self.stage_changes = 0

    def moved(self, state: State, at: int, left: int, passed: int, move: Move | None, why: Any) -> None:
        if at >= self.since:
            self.count += 1
            self.stage_changes += 1

    def _tell(self, kind: str, at: int, data: dict[str, Any]) -> None:
        if at >= self.since:
            self.count += 1

    def status(self, state: State, at: int, before: int, why: Any) -> None:
        self._tell("", at, {})

    def _signal(self, state: State, at: int, name: str, action: str, why: Any) -> None:
        self._tell("", at, {})


class Part:
    """Contacts whose arrivals are given, in the order of their first; folded once, with `fold`.

    `families` are the ties between them.
    """

    def __init__(self, engine: Engine, terms: Terms, families: Families, arrived: dict[str, Arrivals]) -> None:
        self.engine = engine
        self.terms = terms
        self.totals = Totals()
        self.dead: list[DeadLetter] = []
        self.told: list[Told] = []
        self._families = families
        self._arrived = arrived
        self._encode = msgspec.json.Encoder().encode

    def fold(self, clock: int) -> Iterator[History]:
        """The histories up to `clock` of all contacts, in the order of their first events."""
        together: dict[str, History] = {}
        for members in self._members():
            together.update(self._together(members, clock))
        arrived = self._arrived
        for contact in list(arrived):
            arrivals = arrived.pop(contact)
            if contact in together:
                yield together.pop(contact)
            elif not self.terms.as_published:
                yield self._alone(contact, arrivals, clock)
            else:
                yield from self._together({contact: arrivals}, clock).values()

    def _members(self) -> list[dict[str, Arrivals]]:
        """The families among them, each with what arrived for its members."""
        found: dict[str, dict[str, Arrivals]] = {}
        if self._families:
            for contact, arrivals in self._arrived.items():
                if contact in self._families:
                    found.setdefault(self._families.head(contact), {})[contact] = arrivals
        return list(found.values())

    def _alone(self, contact: str, arrivals: Arrivals, clock: int) -> History:
        """One contact's history, in one batch."""
        first = arrivals[0]
        if self.terms.by_time:
            arrivals = by_time(arrivals)
        told = self._teller(contact)
        straight = fold_straight(self.engine, contact, arrivals[1::WIDTH], clock, told)
        if straight is None:
            return self._reordered(first, contact, arrivals, clock)
        for place, refusal in straight.refused:
            self._refuse(arrivals[place * WIDTH], refusal)
        if straight.message is not None:
            self._tell(first, [straight.message])
        self.totals.duplicates += straight.duplicates
        return self._concluded(first, contact, told, told.outputs, straight.state, clock)

    def _reordered(self, first: int, contact: str, arrivals: Arrivals, clock: int) -> History:
        """The same where an event is older than one before it."""
        outcome = Outcome()
        person = Contact(self.engine, contact, None, clock, outcome)
        if self.engine.plan.forget is None:
            person.told = self._teller(contact)
        if not self._arrive(person, arrivals):
            return self._together({contact: arrivals}, clock)[contact]
        outputs = person.conclude(clock)
        record, totals = person.record, self.totals
        if outcome.messages:
            self._tell(first, outcome.messages)
        totals.duplicates += outcome.duplicates
        totals.late += outcome.late
        state = None if record is None or person.over or record.state.stage < 0 else record.state
        return self._concluded(first, contact, person.told, outputs, state, clock)

    def _arrive(self, person: Contact, arrivals: Arrivals) -> bool:
        """Give a contact all that arrived for it, in one batch, unless that can't be told so.

        Whether a contact was forgotten in between is, with late events, only known by folding batch by batch.
        """
        refused: list[tuple[int, Refusal]] = []
        for place, event in enumerate(arrivals[1::WIDTH]):
            refusal = person.arrive(event)
            if refusal is not None:
                refused.append((place * WIDTH, refusal))
        if self.engine.plan.forget is not None and person.late:
            return False
        for place, refusal in refused:
            self._refuse(arrivals[place], refusal)
        return True

    def _teller(self, contact: str) -> tell.Told:
        teller = tell.Told if self.terms.telling else Counted
        return teller(self.engine.plan, contact, self.engine.publish_from)

    def _concluded(
        self, first: int, contact: str, told: tell.Told, outputs: list[Output], state: State | None, clock: int
    ) -> History:
        """Count what one contact came to, and seal what is published of it."""
        if not self.terms.telling:
            changes = told.stage_changes if isinstance(told, Counted) else sum(map(_is_stage_change, outputs))
            self._count(told.count if isinstance(told, Counted) else len(outputs), changes, state)
            return History(first, b"", b"")
        if outputs:
            stands = tell.current(self.engine.plan, state, 0) if state is not None else None
            recorded = tell.iso(clock)
            for number, output in enumerate(outputs, 1):
                seal(output, {**stands, "revision": number} if stands is not None else None, recorded)
        return self._history(first, contact, outputs, state, clock)

    def _together(self, members: dict[str, Arrivals], clock: int) -> dict[str, History]:
        """The histories of contacts that are one person, or were for a time; of others none is changed by these."""
        flat = [part for arrivals in members.values() for part in arrivals]
        order = sorted(range(0, len(flat), WIDTH), key=flat.__getitem__)
        arrivals = [part for place in order for part in flat[place : place + WIDTH]]
        if self.terms.by_time:
            arrivals = by_time(arrivals)
        world = World(self.engine, clock, inside=lambda key: key.startswith(b"c:"))
        for start, end in self._runs(arrivals):
            for place, refusal in world.arrive(arrivals[start + 1 : end : WIDTH]):
                at = start + WIDTH * place
                self._refuse(arrivals[at], refusal)
        world.advance(clock)
        first = min(arrivals[0] for arrivals in members.values())
        for refusal in world.refused:
            self._refuse(first, refusal, b"")
        self._tell(first, world.outgoing)
        self.totals.duplicates += world.duplicates
        self.totals.late += world.late
        held: dict[str, list[Output]] = {contact: [] for contact in members}
        if self.terms.as_published:
            for output in world.outputs:
                held.setdefault(output.key, []).append(output)
        else:
            held.update(in_order(world.outputs))
        entries = map(decode_entry, world.states.values())
        states = {entry.name: entry.state for entry in entries if isinstance(entry, Record) and entry.state.stage >= 0}
        return {
            contact: self._history(
                members[contact][0] if contact in members else first,
                contact,
                held.get(contact, []),
                states.get(contact),
                clock,
            )
            for contact in {**held, **states}
        }

    def _runs(self, arrivals: Arrivals) -> Iterator[tuple[int, int]]:
        """Where each run of one contact's events begins and ends; as published, each event is one.

        What says who is whom ends its run: its answer is there before the next event, as it nearly always is in life.
        """
        start = 0
        for at in range(WIDTH, len(arrivals) + 1, WIDTH):
            before: Event = arrivals[at - WIDTH + 1]
            if (
                at == len(arrivals)
                or arrivals[at + 1].subject != before.subject
                or before.type in IDENTITY_TYPES
                or self.terms.as_published
            ):
                yield start, at
                start = at

    def _history(self, first: int, contact: str, outputs: list[Output], state: State | None, clock: int) -> History:
        encode, telling = self._encode, self.terms.telling
        self._count(len(outputs), sum(map(_is_stage_change, outputs)), state)
        changes = b"".join([encode(output.body) + b"\n" for output in outputs]) if telling else b""
        if state is None or not telling:
            return History(first, changes, b"")
        return History(first, changes, encode(contact_row(self.engine.plan, contact, state, clock)) + b"\n")

    def _count(self, outputs: int, stage_changes: int, state: State | None) -> None:
        totals = self.totals
        totals.outputs += outputs
        totals.stage_changes += stage_changes
        if state is not None:
            totals.contacts += 1
            totals.stages[self.engine.plan.stages[state.stage]] += 1

    def _tell(self, first: int, messages: list[Message]) -> None:
        for message in messages:
            body = decode_body(message.body)
            assert isinstance(body, Member), "contacts tell others of their own family, or a company"
            self.told.append(Told(body.at, first, message.key, message.body))

    def _refuse(self, at: int, refusal: Refusal, record: bytes | None = None) -> None:
        self.dead.append(DeadLetter(at, refusal, record))
        self.totals.reasons[refusal.reason] += 1


def _is_stage_change(output: Output) -> bool:
    return bool(output.body["type"] == STAGE_CHANGED)


def by_time(arrivals: Arrivals) -> Arrivals:
    """The same arrivals, the older events first; equal times in the order of arrival."""
    order = sorted(range(0, len(arrivals), WIDTH), key=lambda place: arrivals[place + 1].time)
    return [part for place in order for part in arrivals[place : place + WIDTH]]
