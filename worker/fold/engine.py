"""The law, incrementally: a contact's record, a batch of arrivals, what is published of it.

A batch is one contact's arrivals of one transaction, in the order of arrival. Those that continue the history are
folded at once. As soon as one of them belongs further back, the batch is only put in order, and at its end the tail is
folded again, once: with the events as they were when the batch began, which gives what was published, and with all of
them, which gives what should be. From where the two part, the one is withdrawn and the other restated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Literal

from worker.fold import step, tell
from worker.fold.accept import AHEAD_MS, accept_fields, refuse
from worker.fold.outcome import Event, Outcome, Output, Refusal
from worker.fold.state import (
    Kept,
    Record,
    State,
    decode_record,
    decode_state,
    decode_tail,
    encoder,
    mark,
)
from worker.plan.compile import TAIL_BYTES, TAIL_EVENTS, Plan

GRACE_MS = 60_000
PROMISE_GRACE_MS = 900_000
TAIL_KEPT = 3 / 4  # of a limit that was passed stays so much: the tail is decoded once for many events

TooLate = Literal["dead-letter", "apply-now"]


class Engine:
    """One definition's fold. Holds no contact: state goes in and comes out, so that any number may share it."""

    def __init__(
        self, plan: Plan, *, grace: bool, too_late: TooLate = "dead-letter", publish_from: int | None = None
    ) -> None:
        self.plan = plan
        self.fingerprint = plan.fingerprint
        self.grace = grace
        self.too_late = too_late
        self.publish_from = publish_from or 0

    def key_of(self, event: Event) -> bytes:
        """The key whose history the event belongs to."""
        return b"c:" + event.subject.encode()

    def apply(self, key: bytes, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
        """Fold a batch of arrivals into one key's state. `now` is the wall clock, epoch ms."""
        contact = Contact(self, key[2:].decode(), decode_record(state) if state is not None else None, now)
        outcome = contact.outcome
        for place, arrival in enumerate(arrivals):
            if isinstance(arrival, Event):
                refusal = contact.arrive(arrival)
                if refusal is not None:
                    outcome.refused.append((place, refusal))
        return contact.settle()

    def advance(self, key: bytes, state: bytes, clock: int, now: int) -> Outcome:
        """Fire the timers that are ripe at `clock`; with grace, each waits its own before it is published."""
        contact = Contact(self, key[2:].decode(), decode_record(state), now)
        contact.advance(clock)
        return contact.settle()

    def wait(self, state: State, deadline: int) -> int:
        """How long after its deadline a timer is published (ms)."""
        if not self.grace:
            return 0
        return PROMISE_GRACE_MS if step.is_promise(state, deadline) else GRACE_MS


class Contact:
    """One contact during one batch."""

    def __init__(self, engine: Engine, name: str, record: Record | None, now: int) -> None:
        self.engine = engine
        self.plan = engine.plan
        self.name = name
        self.record = record
        self.now = now
        self.outcome = Outcome()
        self.told = tell.Told(self.plan, name, engine.publish_from)
        self.begun = record is not None
        self.fired = record.fired if record is not None else 0  # as the batch began
        self.events: list[Kept] | None = None  # the tail, decoded, in order
        self.before: list[Kept] = []  # the tail as the batch began; kept from the first late event on
        self.fresh: list[Kept] = []  # appended in this batch, not yet encoded
        self.marks: set[tuple[str, str]] | None = None
        self.late = False
        self.folded = 0  # of `events`, how many the limits have put behind the horizon
        self.snapshot: tuple[bytes, int] | None = None  # a state that may become the base; how much of `fresh` is in it

    # Acceptance: what becomes part of the history.

    def arrive(self, event: Event) -> Refusal | None:
        """Accept the event, or say why not. What repeats or can't matter is passed over without a word."""
        plan, record = self.plan, self.record
        if event.time > self.now + AHEAD_MS:
            return refuse.ahead(event, self.now)
        given = accept_fields(plan, event)
        if isinstance(given, Refusal):
            return given
        if given is None:
            if record is not None and event.time >= record.state.created:
                return None
            if event.type not in plan.creating:
                return None
            given = {}, None
        data, traits = given
        kept = Kept(event.time, event.type, event.id, event.source, data, traits)
        if record is None:
            self.record = record = Record(
                fingerprint=plan.fingerprint, state=step.begin(plan), base=b"", tail=b"", count=0, oldest=event.time,
                newest=event.time, horizon=event.time - plan.horizon, fired=0, revision=0, published=0,
            )  # fmt: skip
        if kept.time < record.horizon:
            if self.engine.too_late != "apply-now":
                return refuse.too_late(event, record.horizon) if data or traits or event.type in plan.uses else None
            if self.knows(kept):
                self.outcome.duplicates += 1
                return None
            kept.true_time, kept.time = kept.time, max(record.newest, self.now)
        elif self.knows(kept):
            self.outcome.duplicates += 1
            return None
        self.accept(kept)
        return None

    def knows(self, event: Kept) -> bool:
        """Whether an event of this source and id is in the tail."""
        record = self.record
        assert record is not None
        if self.marks is not None:
            return (event.id, event.source) in self.marks
        for other in self.fresh:
            if other.id == event.id and other.source == event.source:
                return True
        if not record.count or mark(event.id, event.source) not in record.tail:
            return False
        # The same bytes may stand in a text of some event's data: the decoded tail decides.
        self.marks = {(other.id, other.source) for other in (*self.opened(), *self.fresh)}
        return (event.id, event.source) in self.marks

    def opened(self) -> list[Kept]:
        """The tail without what this batch appended and has not written yet."""
        record = self.record
        assert record is not None
        if self.events is None:
            self.events = decode_tail(record.tail, record.count)
        return self.events

    def accept(self, event: Kept) -> None:
        record, plan = self.record, self.plan
        assert record is not None
        if self.marks is not None:
            self.marks.add((event.id, event.source))
        late = event.time < record.newest or event.time <= record.fired
        if late and not self.late:
            self.late = True
            self.before = list(self.opened())
            self.events = [*self.opened(), *self.fresh]
            self.fresh = []
        if event.time < record.newest:
            self.outcome.late += 1
        if self.late:
            events = self.opened()
            events.insert(bisect_right(events, order_of(event), key=order_of), event)
        else:
            state = record.state
            boundary = event.time - plan.horizon
            if boundary >= record.newest and boundary >= record.fired and state.stage >= 0:
                self.snapshot = encoder.encode(state), len(self.fresh)
            while 0 < (due := step.next_due(plan, state)) < event.time:
                step.fire(plan, state, due, self.told)
            step.take(plan, state, event, self.told)
            self.fresh.append(event)
        record.newest = max(record.newest, event.time)
        record.horizon = max(record.horizon, record.newest - plan.horizon)
        self.outcome.changed = True
        self._limit()

    def _limit(self) -> None:
        """Past the tail's limit in events, the oldest are behind the horizon from now on."""
        record = self.record
        assert record is not None
        count = len(self.opened()) if self.late else record.count + len(self.fresh)
        if count - self.folded <= TAIL_EVENTS:
            return
        events = self.opened() if self.late else [*self.opened(), *self.fresh]
        self.folded = count - int(TAIL_EVENTS * TAIL_KEPT)
        record.horizon = max(record.horizon, events[self.folded - 1].time)

    # Time.

    def advance(self, clock: int) -> None:
        """Fire, in the order of their deadlines, the timers whose deadline and grace are at or before `clock`."""
        record, plan = self.record, self.plan
        assert record is not None
        state = record.state
        while (due := step.next_due(plan, state)) and due + self.engine.wait(state, due) <= clock:
            step.fire(plan, state, due, self.told)
            record.fired = due
            self.outcome.changed = True

    # The end of the batch: base, tail, and what is published.

    def settle(self) -> Outcome:
        """Write the record, and say what is published."""
        outcome, record = self.outcome, self.record
        if record is None or not outcome.changed:
            if record is not None and self.begun:
                outcome.due = self._due(record)
            return outcome
        if self.late:
            outputs = self._refold(record)
        else:
            outputs = self.told.outputs
            self._append(record)
        self._publish(record, outputs)
        outcome.state = encoder.encode(record)
        outcome.due = self._due(record)
        return outcome

    def _due(self, record: Record) -> int | None:
        due = step.next_due(self.plan, record.state)
        return due + self.engine.wait(record.state, due) if due else None

    def _append(self, record: Record) -> None:
        """Add the batch's events to the tail, and fold into the base what is far enough behind the horizon."""
        if self.snapshot is not None and not self.folded:
            record.base, place = self.snapshot
            record.tail, record.count, self.events = b"", 0, None
            self.fresh = self.fresh[place:]
            record.oldest = self.fresh[0].time
        if not record.count and self.fresh:
            record.oldest = self.fresh[0].time
        record.tail += b"".join(map(encoder.encode, self.fresh))
        record.count += len(self.fresh)
        if self.events is not None:
            self.events += self.fresh
        behind = record.oldest < record.horizon - self.plan.horizon // 2
        if behind or self.folded or len(record.tail) > TAIL_BYTES:
            events = self.opened()
            state = self._base(record)
            count = self._behind(record, events)
            self._run(state, events[:count], 0, None)
            self._rebase(record, state, events, count)

    def _behind(self, record: Record, events: list[Kept]) -> int:
        """How many of the oldest events go into the base: those behind the horizon, and more past the limit in bytes."""
        count = self.folded
        while count < len(events) and events[count].time < record.horizon:
            count += 1
        sizes = [len(encoder.encode(event)) for event in events[count:]]
        total = sum(sizes)
        if total > TAIL_BYTES:
            while total > TAIL_BYTES * TAIL_KEPT and count < len(events):
                total -= sizes[count - len(events)]
                count += 1
            record.horizon = max(record.horizon, events[count - 1].time)
        return count

    def _rebase(self, record: Record, state: State, events: list[Kept], count: int) -> None:
        record.base = encoder.encode(state)
        rest = events[count:]
        record.tail, record.count = b"".join(map(encoder.encode, rest)), len(rest)
        record.oldest = rest[0].time if rest else record.newest

    def _base(self, record: Record) -> State:
        return decode_state(record.base) if record.base else step.begin(self.plan)

    def _run(self, state: State, events: list[Kept], fired: int, told: tell.Told | None) -> None:
        """Fold events onto a state, with the timers before each, and those that had fired by `fired`."""
        plan = self.plan
        for event in events:
            while 0 < (due := step.next_due(plan, state)) < event.time:
                step.fire(plan, state, due, told)
            step.take(plan, state, event, told)
        while 0 < (due := step.next_due(plan, state)) <= fired:
            step.fire(plan, state, due, told)

    def _refold(self, record: Record) -> list[Output]:
        """Fold the tail as it was and as it is; the outputs that mend what was published."""
        plan, engine, events = self.plan, self.engine, self.opened()
        was = tell.Told(plan, self.name, engine.publish_from)
        if self.begun:
            self._run(self._base(record), self.before, self.fired, was)
        now = tell.Told(plan, self.name, engine.publish_from)
        state = self._base(record)
        count = self._behind(record, events)
        self._run(state, events[:count], 0, now)
        base = encoder.encode(state) if count else record.base
        self._run(state, events[count:], record.fired, now)
        record.state = state
        if count:
            self._rebase(record, state, events, count)
            record.base = base
        else:
            record.tail, record.count = b"".join(map(encoder.encode, events)), len(events)
            record.oldest = events[0].time
        return mend(plan, self.name, was.outputs, now.outputs, record.newest)

    def _publish(self, record: Record, outputs: list[Output]) -> None:
        """Seal the outputs with where the contact stands; each raises the revision."""
        if not outputs:
            return
        recorded = tell.iso(self.now)
        for output in outputs:
            record.revision += 1
            stands = tell.current(self.plan, record.state, record.revision)
            for body in (output.body, *output.body["data"].get("restated", ())):
                body["recordedtime"] = recorded
                body["data"]["current"] = stands
        self.outcome.outputs = outputs
        self.outcome.current = {
            "lifecycle": self.plan.lifecycle.lifecycle, "contact": self.name,
            **tell.current(self.plan, record.state, record.revision),
        }  # fmt: skip


def mend(plan: Plan, name: str, was: list[Output], now: list[Output], at: int) -> list[Output]:
    """What to publish so that a reader who holds `was`, in order, holds `now`.

    Where `now` only goes on from `was`, that is the rest of it. Else one correction: all of `was` from where the two
    part is withdrawn, and what stands instead restated, so that removing the one and adding the other keeps the order.
    """
    same = 0
    for one, other in zip(was, now, strict=False):
        if one.body["id"] != other.body["id"]:
            break
        same += 1
    if same == len(was):
        return now[same:]
    data: dict[str, Any] = {
        "contact": name,
        "withdrawn": [output.body["id"] for output in was[same:]],
        "restated": [output.body for output in now[same:]],
    }
    return [tell.output(plan, "lifecycle.corrected.v1", name, at, data)]


def order_of(event: Kept) -> tuple[int, str]:
    """By time, then original contact; the sort is stable, so then by acceptance."""
    return event.time, event.origin
