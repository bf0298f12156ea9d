"""The law, applied to one key at a time: what the worker, the replay, the tests and the explanation all call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from worker.company.rollup import advance_member, apply_company, apply_member
from worker.fold import messages, step
from worker.fold.accept import AHEAD_MS, Useful, accept_fields
from worker.fold.arrival import addressed, told
from worker.fold.contact import Contact
from worker.fold.identity import IDENTITY_TYPES
from worker.fold.messages import AboutIdentity, Answer, Keys, Under
from worker.fold.outcome import Event, Outcome
from worker.fold.person import Person
from worker.fold.state import FORMAT, Entry, Forward, Record, State, decode_entry, decode_head
from worker.fold.takeover import Foreign, Layout, missing, take_over, take_over_answer
from worker.plan.plan import Plan

GRACE_MS = 60_000
PROMISE_GRACE_MS = 900_000
FORWARDING_MS = 400 * 86_400_000  # an id that went elsewhere and was not used for so long is forgotten

TooLate = Literal["dead-letter", "apply-now"]


class Refusals(Protocol):
    """Tells of the event folded last: `stage` is where it could have moved the contact and was refused, else -1."""

    stage: int


class Engine:
    """One definition's fold. Holds no contact: state goes in and comes out, so that any number may share it.

    With `grace` a timer is published some time after its deadline, so that ordinary delay makes no false alarms;
    without, as soon as the clock has passed it. What happened before `publish_from` (epoch ms) is folded and not told.
    `refusals` watches the decisions of `plan`: events that it refused are then in the outcomes.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        grace: bool,
        too_late: TooLate = "dead-letter",
        publish_from: int | None = None,
        secret: bytes = b"",
        refusals: Refusals | None = None,
    ) -> None:
        self.plan = plan
        self.lifecycle = plan.lifecycle.lifecycle
        self.version = plan.lifecycle.version
        self.fingerprint = plan.fingerprint
        self.grace = grace
        self.too_late = too_late
        self.publish_from = publish_from or 0
        self.keys = Keys(secret)
        self.forwarding = FORWARDING_MS
        self.refusals = refusals
        self._layouts: dict[str, Layout] = {}

    def key_of(self, event: Event) -> bytes:
        """The state key whose history the event belongs to."""
        return self.keys.contact(event.subject)

    def apply(self, key: bytes, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
        """Fold a batch of arrivals into one key's state. `now` is the wall clock, epoch ms.

        Raises `Foreign` where a record arrives that was folded under a definition that `learn` was not told of.
        """
        match key[:2]:
            case b"m:":
                return apply_member(self.keys, state, arrivals, now)
            case b"o:":
                return apply_company(self.plan, self.keys, state, arrivals, now)
        first = self._first_useful(state, arrivals, now) if state is not None else (0, None)
        if first is None:
            return Outcome()
        useful, given = first
        person = Person(self, self.entry(state), now)
        for place, arrival in enumerate(arrivals):
            holder = person.holder
            if not isinstance(arrival, Event):
                refusal = told(person, self._under_this(messages.decode(arrival)))
            elif not isinstance(holder, Contact) or arrival.type in IDENTITY_TYPES:
                refusal = addressed(person, arrival)
            elif place == useful and given is not None:
                refusal = holder.take_in(arrival, given)
            else:
                refusal = holder.arrive(arrival)
            if refusal is not None:
                person.outcome.refused.append((place, refusal))
        return person.settle()

    def _first_useful(self, state: bytes, arrivals: Sequence[Event | bytes], now: int) -> tuple[int, Useful] | None:
        """The place of the first arrival that may do something, with what is kept of it where that was found out.

        None where none can: most traffic is of that kind, and is passed over without reading the contact's record.
        """
        earliest, latest = now, 0
        for place, arrival in enumerate(arrivals):
            if not isinstance(arrival, Event) or arrival.time > now + AHEAD_MS or arrival.type in IDENTITY_TYPES:
                return place, None
            given = accept_fields(self.plan, arrival)
            if given is not None:
                return place, given
            earliest, latest = min(earliest, arrival.time), max(latest, arrival.time)
        try:
            head = decode_head(state)
        except msgspec.ValidationError:  # an id that went elsewhere, or was erased
            return 0, None
        forget = self.plan.forget
        if forget is not None and head.state.stage == forget[0] and latest > head.state.created + forget[1]:
            return 0, None  # it may have been forgotten meanwhile
        begun = head.fingerprint == self.fingerprint and head.state.stage >= 0
        return None if begun and earliest >= head.state.created else (0, None)

    def entry(self, state: bytes | None) -> Entry | None:
        """What stands under a contact's key, under this definition."""
        if state is None:
            return None
        entry: Entry = decode_entry(state)
        if not isinstance(entry, Record) or entry.fingerprint == self.fingerprint:
            return entry
        layout = self._layouts.get(entry.fingerprint)
        if layout is None:
            raise ValueError(f"a state was folded under a definition that is not known here: {entry.fingerprint}")
        return take_over(entry, layout, self.plan)

    @property
    def format(self) -> int:
        """The number of the form in which states and messages are written."""
        return FORMAT

    @property
    def layout(self) -> bytes:
        """What another definition's engine needs to go on from this one's states."""
        return msgspec.json.encode(Layout.of(self.plan))

    def learn(self, fingerprint: str, layout: bytes) -> list[str]:
        """Contacts of an older definition go on under this one; the stages of it that have no place here."""
        old = msgspec.json.decode(layout, type=Layout)
        self._layouts[fingerprint] = old
        return missing(old, self.plan)

    @property
    def under(self) -> Under:
        """What a record that goes to another key says of this definition."""
        return Under(self.fingerprint, self.version, self.layout)

    def _under_this(self, body: AboutIdentity) -> AboutIdentity:
        """A record on its way, which may have been folded before this definition was there; all else as it is."""
        if not isinstance(body, Answer) or body.under is None or body.under.fingerprint == self.fingerprint:
            return body
        layout = self._layouts.get(body.under.fingerprint)
        if layout is None:
            raise Foreign(body.under)
        return take_over_answer(body, layout, self.plan)

    def advance(self, key: bytes, state: bytes, clock: int, now: int) -> Outcome:
        """Fire the timers that are ripe at `clock`; with grace, each waits its own before it is published."""
        if key.startswith(b"m:"):
            return advance_member(state, clock)
        entry = self.entry(state)
        if isinstance(entry, Forward) and entry.used + self.forwarding <= clock:
            return Outcome(changed=True)
        person = Person(self, entry, now)
        if isinstance(person.holder, Contact):
            person.holder.advance(clock)
        return person.settle()

    def wait(self, state: State, deadline: int) -> int:
        """How long after its deadline a timer is published (ms)."""
        if not self.grace:
            return 0
        return PROMISE_GRACE_MS if step.is_promise(state, deadline) else GRACE_MS
