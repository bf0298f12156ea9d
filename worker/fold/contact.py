"""One contact during one batch: what is accepted, in what order it counts, and what is published of it.

Arrivals that continue the history are folded at once. As soon as one belongs further back, the batch is only put in
order, and at its end the tail is folded again, once: with the events as they were when the batch began, which gives
what was published, and with all of them, which gives what should be. From where the two part, the one is withdrawn and
the other restated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from worker.fold import step, tell
from worker.fold.accept import AHEAD_MS, Useful, accept_fields, refuse
from worker.fold.messages import Member
from worker.fold.outcome import Event, Outcome, Output, Refusal
from worker.fold.state import (
    Erased,
    Identity,
    Kept,
    Membership,
    Record,
    State,
    decode_state,
    decode_tail,
    encoder,
    mark,
)
from worker.plan.plan import TAIL_BYTES, TAIL_EVENTS, Plan

if TYPE_CHECKING:
    from worker.fold.engine import Engine

CORRECTED = "lifecycle.corrected.v1"
TAIL_KEPT = 3 / 4  # of a limit that was passed so much stays: the tail is decoded once for many events
LOOKED_THROUGH = 16  # events of one batch, before all that is known is put in a set: the tail is decoded for it


class Contact:
    """A contact's record, being changed. `settle` writes it; until then nothing outside has changed."""

    def __init__(self, engine: Engine, name: str, record: Record | None, now: int, outcome: Outcome) -> None:
        self.engine = engine
        self.plan: Plan = engine.plan
        self.name = name
        self.record = record
        self.now = now
        self.outcome = outcome
        self.told = tell.Told(self.plan, name, engine.publish_from)
        self.base = record.base if record is not None else b""  # as the batch began
        self.fired = record.fired if record is not None else 0  # likewise
        self.begun = record is not None and record.state.stage >= 0
        self.past = Erased(0)  # what a record that begins here goes on from
        self.carried: list[Output] = []  # of a history that ended in this batch, before the one that began anew
        self.settled: list[Output] = []  # of the published, what a merge has put behind the horizon: it stands
        self.events: list[Kept] | None = None  # the tail, decoded, in order
        self.before: list[Kept] = []  # the tail as the batch began; kept from the first late event on
        self.fresh: list[Kept] = []  # appended in this batch, not yet encoded
        self.marks: set[tuple[str, str]] | None = None
        self.late = False
        self.over = False  # the contact ends with this batch
        self.folded = 0  # of `events`, how many the limits have put behind the horizon
        self.snapshot: tuple[bytes, int] | None = None  # a state that may become the base; how much of `fresh` is in it

    # Acceptance: what becomes part of the history.

    def arrive(self, event: Event) -> Refusal | None:
        """Accept the event, or say why not. What repeats or can't matter is passed over without a word."""
        if event.time > self.now + AHEAD_MS:
            return refuse.ahead(event, self.now)
        return self.take_in(event, accept_fields(self.plan, event))

    def take_in(self, event: Event, given: Useful) -> Refusal | None:
        """`arrive`, for an event that is not ahead of the clock and of which is known what the definition can use."""
        if isinstance(given, Refusal):
            return given
        if given is None:
            created = self.record.state.created if self.record is not None and self.record.state.stage >= 0 else None
            known = created is not None and event.time >= created
            if event.type not in self.plan.creating or (known and not 0 < self.ends() < event.time):
                return None
            return self.add(Kept(event.time, event.type, event.id, event.source, {}, bare=True))
        return self.add(Kept(event.time, event.type, event.id, event.source, *given))

    def add(self, event: Kept, lenient: bool = False) -> Refusal | None:
        """Put an event with the fields that are kept of it into the history, or say why not.

        `lenient`: it counts from the horizon on where it is older (who is whom does not grow stale).
        """
        identity = self.record.identity if self.record is not None else None
        erased = identity.erased if identity is not None else self.past.time
        if event.time <= erased and not event.origin:  # of an id that is this contact now, that id's key has said so
            return None  # and nothing is opened for it: of who was erased no more is known than before
        record = self.open(event.time)
        if event.time < record.horizon:
            if record.spent and [event.id, event.source] in record.spent:
                self.outcome.duplicates += 1
                return None
            if lenient or self.engine.too_late == "apply-now":
                if self.knows(event):
                    self.outcome.duplicates += 1
                    return None
                event.true_time = event.time
                event.time = record.horizon if lenient else max(record.newest, self.now)
            else:
                return None if event.bare else refuse.too_late(event, record.horizon)
        if self.knows(event):
            self.outcome.duplicates += 1
            return None
        self._accept(event)
        return None

    def open(self, at: int) -> Record:
        """The contact's record; where there is none, one that has not begun."""
        if self.record is None:
            past = self.past
            identity = Identity(erased=past.time, whose=past.whose, parted=past.parted) if past.time else None
            self.record = Record(
                fingerprint=self.plan.fingerprint, name=self.name, state=step.begin(self.plan), base=b"", tail=b"",
                count=0, oldest=at, newest=at, horizon=at - self.plan.horizon, fired=0, revision=past.revision,
                sequence=past.sequence, identity=identity,
            )  # fmt: skip
        return self.record

    def knows(self, event: Kept) -> bool:
        """Whether an event of this source and id is in the tail."""
        record = self.record
        assert record is not None
        if record.spent and [event.id, event.source] in record.spent:
            return True
        if self.marks is not None:
            return (event.id, event.source) in self.marks
        if len(self.fresh) < LOOKED_THROUGH:
            for other in self.fresh:
                if other.id == event.id and other.source == event.source:
                    return True
            if not self.late and (not record.count or mark(event.id, event.source) not in record.tail):
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

    def reorder(self) -> list[Kept]:
        """From here on the batch only puts events in order; the tail is folded again at its end."""
        if not self.late:
            self.late = True
            self.before = list(self.opened())
            self.events = [*self.before, *self.fresh]
            self.fresh = []
        return self.opened()

    def order(self, event: Kept) -> tuple[int, str]:
        """By time, then original contact; what is put after its equals keeps the order of acceptance."""
        return event.time, event.origin or self.name

    def insert(self, event: Kept) -> None:
        """Put an event where its time, its origin and the order of acceptance say; the tail is folded again."""
        events = self.reorder()
        events.insert(bisect_right(events, self.order(event), key=self.order), event)
        if self.marks is not None:
            self.marks.add((event.id, event.source))
        self.outcome.changed = True

    def remove(self, which: Callable[[Kept], bool]) -> list[Kept]:
        """Take events out of the tail, which is folded again."""
        events = self.reorder()
        removed = [event for event in events if which(event)]
        events[:] = [event for event in events if not which(event)]
        if self.marks is not None:
            self.marks -= {(event.id, event.source) for event in removed}
        self.outcome.changed = True
        return removed

    def _accept(self, event: Kept) -> None:
        record, plan, at = self.record, self.plan, event.time
        assert record is not None
        if self.late and plan.forget is not None and at - record.newest > plan.forget[1]:
            self._catch_up(record)
        identity = record.identity
        if at < record.newest or at <= record.fired:
            self.outcome.late += 1
            self.insert(event)
        # Of a merged contact's equal times the original contact's id decides, not the order of acceptance.
        elif self.late or (identity is not None and at == record.newest):
            self.insert(event)
        else:
            if plan.forget is not None and 0 < self.ends() < at:
                record = self._begin_anew(at)
                identity = record.identity
            state = record.state
            boundary = at - plan.horizon
            if boundary >= record.newest and boundary >= record.fired and state.stage >= 0 and not self.frozen():
                self.snapshot = encoder.encode(state), len(self.fresh)
            self._take(state, event)
            self.fresh.append(event)
            if self.marks is not None:
                self.marks.add((event.id, event.source))
        self.outcome.changed = True
        if at > record.newest:
            record.newest = at
        horizon = record.newest - plan.horizon
        if horizon > record.horizon and (identity is None or not identity.pending):
            record.horizon = horizon
        if self.late or record.count + len(self.fresh) - self.folded > TAIL_EVENTS:
            self._limit()

    def _take(self, state: State, event: Kept) -> None:
        """Fold an event that continues the history, and note where it could not move the contact."""
        refusals = self.engine.refusals
        if state.stage >= 0:
            step.elapse(self.plan, state, event.time, self.told)
        if refusals is None:
            step.take(self.plan, state, event, self.told)
            return
        refusals.stage = -1
        step.take(self.plan, state, event, self.told)
        if state.stage == refusals.stage:  # no transition without an event took it on
            self.outcome.stayed.append(state.stage)

    def frozen(self) -> bool:
        """While another id's record is awaited, the horizon stands still: its events may lie anywhere after it."""
        record = self.record
        return record is not None and record.identity is not None and bool(record.identity.pending)

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
        """Fire, in the order of their deadlines, the timers whose deadline and grace are at or before `clock`.

        A contact that came to nothing ends when its time is over.
        """
        record, plan = self.record, self.plan
        assert record is not None
        state = record.state
        while (due := step.next_due(plan, state)) and due + self.engine.wait(state, due) <= clock:
            step.fire(plan, state, due, self.told)
            record.fired = due
            self.outcome.changed = True
        if 0 < self.ends() <= clock:
            self.over = True
            self.outcome.changed = True

    def ends(self) -> int:
        """When the contact is to be forgotten if nothing more comes, 0 where it isn't."""
        record, forget = self.record, self.plan.forget
        if record is None or forget is None or record.state.stage != forget[0] or record.identity is not None:
            return 0
        return 0 if self.plan.spared(record.state, record.state.at) else record.newest + forget[1]

    def _catch_up(self, record: Record) -> None:
        """Fold what this batch put in order, as if it ended here: whether the contact has ended must be known."""
        self.carried += self._refold(record)
        self.told = tell.Told(self.plan, self.name, self.engine.publish_from)
        self.base, self.fired, self.begun = record.base, record.fired, True
        self.events, self.before, self.late, self.folded = None, [], False, 0

    def _begin_anew(self, at: int) -> Record:
        """The contact had been forgotten when this event happened: it is a new one."""
        record, plan, ends = self.record, self.plan, self.ends()
        assert record is not None
        step.elapse(plan, record.state, ends, self.told)
        self.leave_company()
        self.carried += self.told.outputs
        self.told = tell.Told(plan, self.name, self.engine.publish_from)
        self.past = Erased(0, record.sequence, record.revision)
        self.base, self.fired, self.begun = b"", 0, False
        self.events, self.before, self.fresh, self.marks = None, [], [], None
        self.folded, self.snapshot, self.record = 0, None, None
        return self.open(at)

    # The end of the batch: base, tail, and what is published.

    def settle(self) -> None:
        """Write the record and what is published of it into the outcome."""
        outcome, record = self.outcome, self.record
        if record is None:
            return
        if outcome.changed:
            if self.late:
                outputs = self._refold(record)
            else:
                outputs = self.told.outputs
                self._append(record)
            if self.carried or outputs:
                self.publish([*self.carried, *outputs])
            if self.over:
                self.leave_company()
                outcome.current, outcome.ended = None, self.name
                return
            self._membership(record)
            outcome.state = encoder.encode(record)
        outcome.due = self.due()

    def conclude(self, clock: int) -> list[Output]:
        """In place of `settle`, where all of the contact's events are in this batch: its history up to `clock`.

        The record then says where the contact stands, and its company is told; nothing could be folded onto it. Only
        for a contact of which nothing was known before, and that is nobody else.
        """
        record = self.record
        if record is None:
            return []
        if self.late:
            self.told = tell.Told(self.plan, self.name, self.engine.publish_from)
            state = step.begin(self.plan)
            step.run(self.plan, state, self.opened(), record.fired, self.told)
            record.state = state
        self.advance(clock)
        if self.over:
            self.leave_company()
        else:
            self._membership(record)
        return [*self.carried, *self.told.outputs]

    def due(self) -> int | None:
        record = self.record
        if record is None:
            return None
        due, ends = step.next_due(self.plan, record.state), self.ends()
        if due:
            due += self.engine.wait(record.state, due)
        return min(due, ends) if due and ends else due or ends or None

    def _append(self, record: Record) -> None:
        """Add the batch's events to the tail, and fold into the base what is far enough behind the horizon."""
        if self.snapshot is not None and not self.folded:
            record.base, place = self.snapshot
            record.tail, record.count, self.events = b"", 0, None
            self.fresh = self.fresh[place:]
        if not self.fresh and not self.folded:
            return
        if not record.count:
            record.oldest = self.fresh[0].time
        record.tail += b"".join(map(encoder.encode, self.fresh))
        record.count += len(self.fresh)
        if self.events is not None:
            self.events += self.fresh
        behind = record.oldest < record.horizon - self.plan.horizon // 2
        if behind or self.folded or len(record.tail) > TAIL_BYTES:
            events = self.opened()
            state = self.state_of(record.base)
            count = self._behind(record, events)
            step.run(self.plan, state, events[:count], 0, None)
            self._rebase(record, encoder.encode(state), events, count)

    def _behind(self, record: Record, events: list[Kept]) -> int:
        """How many of the oldest events go into the base: those behind the horizon, more past the limit in bytes."""
        count = self.folded
        while count < len(events) and events[count].time < record.horizon:
            count += 1
        sizes = [len(encoder.encode(event)) for event in events[count:]] if len(record.tail) > TAIL_BYTES // 2 else []
        total = sum(sizes)
        if total > TAIL_BYTES:
            while total > TAIL_BYTES * TAIL_KEPT and count < len(events):
                total -= sizes[count - len(events)]
                count += 1
            record.horizon = max(record.horizon, events[count - 1].time)
        return count

    def _rebase(self, record: Record, base: bytes, events: list[Kept], count: int) -> None:
        if count:
            record.base = base
        rest = events[count:]
        record.tail, record.count = b"".join(map(encoder.encode, rest)), len(rest)
        record.oldest = rest[0].time if rest else record.newest

    def whole(self) -> bool:
        """Whether nothing of the contact lies behind its horizon; what does can't be told apart or folded again."""
        record = self.record
        if record is None:
            return True
        events = self.opened()
        first = events[0].time if events else record.oldest
        return not record.base and not self.folded and first >= record.horizon

    def state_of(self, base: bytes) -> State:
        return decode_state(base) if base else step.begin(self.plan)

    def was_published(self) -> list[Output]:
        """The events out that stand published of what lies after the base, as the batch began."""
        was = tell.Told(self.plan, self.name, self.engine.publish_from)
        if self.begun:
            step.run(self.plan, self.state_of(self.base), self.before, self.fired, was)
        return was.outputs

    def _refold(self, record: Record) -> list[Output]:
        """Fold the tail as it was and as it is; the outputs that mend what was published."""
        events = self.opened()
        now = tell.Told(self.plan, self.name, self.engine.publish_from)
        state = self.state_of(record.base)
        count = self._behind(record, events)
        step.run(self.plan, state, events[:count], 0, now)
        base = encoder.encode(state)
        step.run(self.plan, state, events[count:], record.fired, now)
        self._rebase(record, base, events, count)
        record.state = state
        return mend(self.plan, self.name, self.was_published(), [*self.settled, *now.outputs], record.newest)

    def publish(self, outputs: list[Output]) -> None:
        """Seal the outputs with where the contact stands; each raises the revision."""
        record = self.record
        assert record is not None
        if not outputs:
            return
        recorded = tell.iso(self.now)
        stands = tell.current(self.plan, record.state, 0) if record.state.stage >= 0 else None
        for output in outputs:
            record.revision += 1
            if stands is not None:
                stands = {**stands, "revision": record.revision}
            seal(output, stands, recorded)
        self.outcome.outputs += outputs
        if stands is not None:
            self.outcome.current = {"lifecycle": self.plan.lifecycle.lifecycle, "contact": self.name, **stands}

    def _membership(self, record: Record) -> None:
        """Tell the contact's company, and the one it left, where it stands now."""
        plan, state = self.plan, record.state
        if plan.company is None or state.stage < 0:
            return
        now = place_in_company(plan, state)
        before = record.member
        if now == before:
            return
        if before is not None and (now is None or now.company != before.company):
            self._tell_company(record, before, left=True)
        if now is not None:
            self._tell_company(record, now, left=False)
        record.member = now

    def _tell_company(self, record: Record, place: Membership, left: bool) -> None:
        record.sequence += 1
        keys = self.engine.keys
        body = Member(
            place.company, keys.contact(self.name), record.sequence, max(record.newest, record.fired),
            "" if left else place.stage, [] if left else place.statuses, "" if left else place.parent,
        )  # fmt: skip
        self.outcome.messages.append(keys.to_member(body))

    def leave_company(self) -> None:
        """The contact is no more, or another one now: its company is told."""
        record = self.record
        if record is not None and record.member is not None:
            self._tell_company(record, record.member, left=True)
            record.member = None


def place_in_company(plan: Plan, state: State) -> Membership | None:
    """What the contact's company is to know of it; None where it has none."""
    company = tell.company_of(plan, state)
    if company is None:
        return None
    statuses = [name for name, holds in plan.company_statuses if holds(state, state.at)]
    parent = state.traits.get(plan.parent) if plan.parent else None
    parent = parent if isinstance(parent, str) and parent != company else ""
    return Membership(company, parent, plan.stages[state.stage], statuses)


def seal(output: Output, stands: dict[str, Any] | None, recorded: str) -> None:
    """Add to an output, and to those in it, what depends on the run: when it was said, where the contact stands."""
    for body in (output.body, *output.body["data"].get("restated", ())):
        body["recordedtime"] = recorded
        body["data"]["current"] = stands


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
    return [tell.output(plan, CORRECTED, name, at, data)]
