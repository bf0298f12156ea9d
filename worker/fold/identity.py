"""Who is whom: merges, splits, anonymous ids and erasure, between two keys that may lie in two partitions.

Only the partition of the id that ends decides where it goes. A merge A ← B sends a claim to B's key; B answers once
with all it has and stays as a forwarding record; A's horizon stands still until the answer is there. A contact that has
itself claimed another earlier than it is claimed (by time, source and id of the merge events) puts the claim off until
its own is answered: of two that claim each other the earlier claim so stands, and longer circles end as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from worker.fold import tell
from worker.fold.accept import AHEAD_MS, accept_fields, refuse
from worker.fold.contact import Contact
from worker.fold.messages import (
    PASSED_MAX,
    Answer,
    Claim,
    Forwarded,
    Gone,
    Redirected,
    Restored,
    Withdrawn,
)
from worker.fold.outcome import Event, Outcome, Refusal
from worker.fold.state import Erased, Forward, Identity, Kept, Record, decode_tail, encoder
from worker.fold.union import is_whole, take_in
from worker.plan.plan import TAIL_EVENTS

if TYPE_CHECKING:
    from worker.fold.engine import Engine

MERGES = {"contact.merged": "from", "contact.identified": "anonymous_id"}
IDENTITY_TYPES = frozenset({*MERGES, "contact.split", "contact.erased"})
MERGED_MAX = 100  # ids that one contact may be
DEFERRED_MAX = 16
FORWARD_KEPT = 1_000  # events that an anonymous id keeps for a later claim

Holder = Contact | Forward | Erased


class Person:
    """Whatever stands under one contact's key during a batch: a contact, an id that went elsewhere, or nothing more."""

    def __init__(self, engine: Engine, key: bytes, entry: Record | Forward | Erased | None, now: int) -> None:
        self.engine = engine
        self.key = key
        self.now = now
        self.outcome = Outcome()
        self.name = "" if entry is None or isinstance(entry, Erased) else entry.name
        self.holder: Holder | None = entry if isinstance(entry, Forward | Erased) else None
        if isinstance(entry, Record):
            self.holder = Contact(engine, entry.name, entry, now, self.outcome)
        self.was_record = isinstance(entry, Record)

    def contact(self) -> Contact:
        """The contact under this key, begun where there was none or an erased one."""
        holder = self.holder
        if isinstance(holder, Contact):
            return holder
        contact = Contact(self.engine, self.name, None, self.now, self.outcome)
        if isinstance(holder, Erased | Forward):
            contact.revision, contact.sequence = holder.revision, holder.sequence
            contact.erased = holder.time if isinstance(holder, Erased) else holder.erased
        self.holder = contact
        return contact

    # Events.

    def event(self, event: Event) -> Refusal | None:
        """An engagement event addressed to this id."""
        self.name = event.subject
        if event.type in IDENTITY_TYPES:
            return self._identity(event)
        if isinstance(self.holder, Forward):
            given = self._kept(event)
            return given if given is None or isinstance(given, Refusal) else self._pass_on(given, [])
        return self.contact().arrive(event)

    def _kept(self, event: Event) -> Kept | Refusal | None:
        if event.time > self.now + AHEAD_MS:
            return refuse.ahead(event, self.now)
        given = accept_fields(self.engine.plan, event)
        if given is None:
            if event.type not in self.engine.plan.creating:
                return None
            return Kept(event.time, event.type, event.id, event.source, {}, bare=True)
        if isinstance(given, Refusal):
            return given
        return Kept(event.time, event.type, event.id, event.source, *given)

    def _identity(self, event: Event) -> Refusal | None:
        kept = self._kept(event)
        if kept is None or isinstance(kept, Refusal):
            return kept
        kept.bare = False
        for name in ("from", "anonymous_id"):
            if name in event.data:
                kept.data[name] = event.data[name]
        if isinstance(self.holder, Forward):
            return self._pass_on(kept, [])
        return self._arrived(kept)

    def _arrived(self, kept: Kept) -> Refusal | None:
        """An event that is at its place: this contact's own, or one of an id that it is now."""
        if kept.type in MERGES:
            return self._merge(kept)
        if kept.type == "contact.split":
            return self._split(kept)
        if kept.type == "contact.erased":
            self._erase(kept)
            return None
        return self.contact().add(kept)

    def _pass_on(self, kept: Kept, passed: list[str]) -> Refusal | None:
        """Send an event on to who this id is; an anonymous id keeps it as well."""
        forward = self.holder
        assert isinstance(forward, Forward)
        if not kept.origin and _is_forgotten(forward, kept):
            return None
        if len(passed) >= PASSED_MAX:
            return Refusal("merge-circle", f"event {kept.id!r} passed {' → '.join(passed)} and would go round")
        if kept.type == "contact.erased" and not kept.origin:
            self._erase_forward(forward, kept)
            return None
        owner = owner_at(forward.claims, kept.time)
        kept.origin = kept.origin or forward.name
        if forward.claims[0][4] == "identified" and kept.type not in IDENTITY_TYPES:
            known = any(other.id == kept.id and other.source == kept.source for other in forward.events)
            if known and forward.name not in passed:
                self.outcome.duplicates += 1
                return None
            if not known:
                forward.events.append(kept)
                del forward.events[:-FORWARD_KEPT]
        forward.used = max(forward.used, kept.time, self.now)
        self._send(owner, Forwarded(owner, kept, [*passed, forward.name]))
        self.outcome.changed = True
        return None

    def _send(self, contact: str, body: Any) -> None:
        self.outcome.messages.append(self.engine.keys.to_contact(contact, body))

    # Claims.

    def _merge(self, kept: Kept) -> Refusal | None:
        """This contact is another one too: the event counts, and the other id is claimed."""
        other = kept.data.get(MERGES[kept.type])
        if not isinstance(other, str) or other == (kept.origin or self.name):
            return Refusal("merge-into-itself", f"event {kept.id!r} merges a contact into itself")
        contact = self.contact()
        record = contact.open(kept.time)
        identity = record.identity = record.identity or Identity()
        if len(identity.merged) + len(identity.pending) >= MERGED_MAX:
            return Refusal("too-many-merges", f"a contact may be {MERGED_MAX} ids; event {kept.id!r} would add one")
        if kept.time <= max(contact.erased, identity.erased):
            return None
        if [kept.id, kept.source] in identity.parted or contact.knows(kept):
            self.outcome.duplicates += 1
            return None
        claimed = other in identity.merged or other in identity.pending
        kind, claim = kept.type.removeprefix("contact."), [kept.time, kept.source, kept.id]
        # Until the other id's record is there, the event says that a merge is wanted, not that it is done.
        wanted = Kept(
            kept.time, kept.type, kept.id, kept.source, {**kept.data, "wanted": True}, kept.traits, kept.origin
        )
        if claimed and not self._is_first(contact, kept, other, wanted):
            wanted.data["wanted"] = False
        crossed = other == self.name  # a claim that stands: this one was heard, and like any that is refused is nothing
        if crossed:
            wanted.data = {}
        contact.add(wanted, lenient=True)
        if crossed:
            return _refused(kept.id, kept.source, other, kept.origin, "they are one already, the other way round")
        if not claimed:
            identity.pending[other] = claim
        if not claimed or kind == "identified":
            self._send(other, Claim(other, self.name, kept.time, kept.source, kept.id, kind))
        return None

    @staticmethod
    def _is_first(contact: Contact, kept: Kept, other: str, wanted: Kept) -> bool:
        """Of several events of one merge the earliest tells of it: whether that is this one, in another's place."""
        for event in (*contact.opened(), *contact.fresh):
            if event.type in MERGES and event.data.get(MERGES[event.type]) == other and event.data.get("wanted", True):
                if (event.time, event.source, event.id) <= (kept.time, kept.source, kept.id):
                    return False
                events = contact.reorder()
                place = next(place for place, one in enumerate(events) if one is event)
                events[place] = replace(event, data={**event.data, "wanted": False})
                if "wanted" not in event.data:
                    del wanted.data["wanted"]
                return True
        return False

    def claim(self, claim: Claim) -> Refusal | None:
        """Another contact says that it is this id too. Answered once."""
        self.name = claim.of
        holder = self.holder
        if isinstance(holder, Forward):
            return self._claim_again(holder, claim)
        if isinstance(holder, Contact) and holder.record is not None:
            identity = holder.record.identity
            if identity is not None:
                if claim.to in identity.merged:
                    return self._refuse(claim, f"{claim.to!r} has itself been merged into {claim.of!r}")
                mine = [tuple(pending) for pending in identity.pending.values()]
                if mine and min(mine) < (claim.time, claim.source, claim.id):
                    if len(identity.deferred) >= DEFERRED_MAX:
                        return self._refuse(claim, "too many claims wait on it")
                    identity.deferred.append([claim.to, claim.time, claim.source, claim.id, claim.kind])
                    self.outcome.changed = True
                    return None
        self._go(claim)
        return None

    def _refuse(self, claim: Claim, why: str) -> Refusal:
        self._send(claim.to, Answer(claim.of, claim.to, claim.id, claim.source, granted=False))
        return _refused(claim.id, claim.source, claim.of, claim.to, why)

    def _go(self, claim: Claim) -> None:
        """This id becomes the claimer: all it has goes there, what it published is withdrawn, events are sent on."""
        contact = self.contact()
        record, outcome = contact.record, self.outcome
        answer = Answer(claim.of, claim.to, claim.id, claim.source, granted=True)
        events: list[Kept] = []
        deferred: list[list[Any]] = []
        if record is not None:
            contact.settle()  # the claimer knows what is published of the record from the record alone
            events = decode_tail(record.tail, record.count)
            for event in events:
                event.origin = event.origin or self.name
            answer.base, answer.events, answer.horizon = record.base, events, record.horizon
            answer.fired, answer.revision = record.fired, record.revision
            answer.under, answer.state, answer.spent = self.engine.under, encoder.encode(record.state), record.spent
            if record.identity is not None:
                answer.pending, answer.merged = record.identity.pending, record.identity.merged
                answer.parted, answer.parting = record.identity.parted, record.identity.parting
                deferred = record.identity.deferred
            contact.leave_company()
        outcome.current, outcome.ended = None, self.name
        self._send(claim.to, answer)
        sequence = record.sequence if record is not None else contact.sequence
        # The claimer publishes one correction under this id.
        revision = record.revision + 1 if record is not None else contact.revision
        made = [claim.time, claim.source, claim.id, claim.to, claim.kind]
        kept = events[-FORWARD_KEPT:] if claim.kind == "identified" else []
        erased = max(contact.erased, record.identity.erased if record is not None and record.identity else 0)
        self.holder = Forward(self.name, [made], kept, max(claim.time, self.now), sequence, revision, erased)
        outcome.changed = True
        for to, time, source, identity, kind in deferred:
            self.claim(Claim(self.name, to, time, source, identity, kind))

    def _claim_again(self, forward: Forward, claim: Claim) -> Refusal | None:
        made = [claim.time, claim.source, claim.id, claim.to, claim.kind]
        if made in forward.claims:
            return None
        if any(known[3] == claim.to for known in forward.claims):
            self._send(claim.to, Answer(claim.of, claim.to, claim.id, claim.source, granted=True))
            if forward.claims[0][4] != "identified":
                return None
        elif any(known[4] != "identified" for known in (*forward.claims, made)):
            owner = forward.claims[0][3]
            return self._refuse(claim, f"{claim.of!r} has gone to {owner!r} already: merge that one instead")
        else:
            self._send(claim.to, Answer(claim.of, claim.to, claim.id, claim.source, granted=True))
        before = list(forward.claims)
        forward.claims = sorted([*before, made])[-DEFERRED_MAX:]
        self._move(forward, before)
        return None

    def _move(self, forward: Forward, before: list[list[Any]]) -> None:
        """What an anonymous id keeps goes to whose it is by its claims, and leaves whose it was by those `before`."""
        moved: dict[tuple[str, str], list[list[str]]] = {}
        for event in forward.events:
            was, now = owner_at(before, event.time), owner_at(forward.claims, event.time)
            if was != now:
                moved.setdefault((was, now), []).append([event.id, event.source])
                self._send(now, Forwarded(now, event, [forward.name]))
        for (was, now), events in moved.items():
            self._send(was, Withdrawn(was, forward.name, events, now))
        self.outcome.changed = True

    def answer(self, answer: Answer) -> Refusal | None:
        """The claimed id's record arrives: both histories are folded as one."""
        self.name = answer.to
        holder = self.holder
        if isinstance(holder, Forward):
            owner = owner_at(holder.claims, answer.events[0].time if answer.events else holder.used)
            if len(answer.passed) < PASSED_MAX:
                answer.to, answer.passed = owner, [*answer.passed, holder.name]
                self._send(owner, answer)
            return None
        contact = self.contact()
        at = answer.events[0].time if answer.events else self.now
        if contact.record is None and not answer.events and not answer.base:
            return None
        record = contact.open(at)
        identity = record.identity = record.identity or Identity()
        claim = identity.pending.pop(answer.of, None)
        claimer = answer.passed[0] if answer.passed else self.name
        if claim is None and answer.of in identity.merged and not answer.events and not answer.base:
            self._done(contact, answer)  # an identification that was made again, or by another id
            self._tell_once(contact)
            _join(identity, answer.of, [*identity.merged[answer.of][:4], claimer])
            return None
        if claim is None and answer.of not in identity.merged:  # split off, or erased, while the answer was on its way
            self._send(answer.of, Restored([claimer], answer.of, answer.events, answer.merged))
            return None
        claim = claim or [record.newest, answer.source, answer.id]
        made = self._done(contact, answer)
        if answer.granted:
            whole = contact.whole() and is_whole(answer)
            _join(identity, answer.of, [*claim[:3], whole, claimer])
            for other, passed in answer.merged.items():
                _join(identity, other, [*passed[:3], whole and bool(passed[3]), *passed[4:]])
            identity.parted = [*identity.parted, *answer.parted][-MERGED_MAX:]
            identity.parting = [*identity.parting, *answer.parting][-MERGED_MAX:]
            for other, wanted in answer.pending.items():
                if other != self.name and other not in identity.merged:
                    identity.pending[other] = wanted
            identity.merged = dict(list(identity.merged.items())[:MERGED_MAX])
            record.spent = [*record.spent, *answer.spent][-TAIL_EVENTS:]
            take_in(contact, answer, made)
            self._tell_once(contact)
        if not identity.pending:
            record.horizon = max(record.horizon, record.newest - self.engine.plan.horizon)
        refusals = [self._splits_that_waited(identity), self._claims_that_waited(identity)]
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _splits_that_waited(self, identity: Identity) -> Refusal | None:
        """Splits that were heard before all was there that they are to give back."""
        waited, identity.parting = identity.parting, []
        for other in dict.fromkeys(other for other, _ in waited):
            if self._awaits(identity, other):
                identity.parting += [split for split in waited if split[0] == other]
            elif other in identity.merged and (refusal := self._part(other)) is not None:
                return refusal
        return None

    def _awaits(self, identity: Identity, other: str) -> bool:
        """Whether the record of the other id, or of one that it has claimed itself, is still on its way."""
        return any(one in identity.pending for one in _ids_of(other, self.contact().reorder()))

    def _claims_that_waited(self, identity: Identity) -> Refusal | None:
        """Claims on this contact that no earlier claim of its own holds back any more; others go on waiting."""
        deferred, identity.deferred = identity.deferred, []
        claims = [Claim(self.name, to, time, source, event, kind) for to, time, source, event, kind in deferred]
        refusals = [refusal for claim in claims if (refusal := self.claim(claim)) is not None]
        if refusals:
            return Refusal(refusals[0].reason, "; ".join(refusal.message for refusal in refusals))
        return None

    @staticmethod
    def _tell_once(contact: Contact) -> None:
        """Of several events of one merge that is done only the earliest tells of it."""
        events = contact.reorder()
        telling: dict[Any, bool] = {}
        for event in events:
            other = event.data.get(MERGES.get(event.type, ""))
            if other is not None and "wanted" not in event.data:
                telling[other] = True
        for place, event in enumerate(events):
            other = event.data.get(MERGES.get(event.type, ""))
            if other in telling and not event.data.get("wanted"):
                tells = telling[other]
                telling[other] = False
                if tells != ("wanted" not in event.data):
                    data = {name: value for name, value in event.data.items() if name != "wanted"}
                    events[place] = replace(event, data=data if tells else {**data, "wanted": False})

    def _done(self, contact: Contact, answer: Answer) -> Kept:
        """The merge event, where it still lies in the tail, now says that the merge is done, or nothing."""
        events = contact.reorder()
        made = Kept(self.now, "contact.merged", answer.id, answer.source, {})
        for place, event in enumerate(events):
            if event.data.get("wanted") and event.data.get(MERGES.get(event.type, "")) == answer.of:
                data = {name: value for name, value in event.data.items() if name != "wanted"}
                # A new event in the old one's place: what was published is told from the one as it was.
                events[place] = made = replace(event, data=data if answer.granted else {})
        contact.outcome.changed = True
        return made

    def forwarded(self, body: Forwarded) -> Refusal | None:
        """An event of an id that this contact is."""
        self.name = body.to
        if isinstance(self.holder, Forward):
            return self._pass_on(body.event, body.passed)
        origin = body.event.origin
        if origin == self.name:
            body.event.origin = ""
        elif not any(map(self._is_also, [origin, *body.passed])) and len(body.passed) < PASSED_MAX:
            # It was split off, or this contact was erased, while the event was on its way.
            self._send(origin, Forwarded(origin, body.event, [*body.passed, self.name]))
            return None
        if body.event.type in IDENTITY_TYPES:
            return self._arrived(body.event)
        return self.contact().add(body.event)

    def _is_also(self, other: str) -> bool:
        record = self.holder.record if isinstance(self.holder, Contact) else None
        identity = record.identity if record is not None else None
        return identity is not None and (other in identity.merged or other in identity.pending)

    def withdrawn(self, body: Withdrawn) -> None:
        """Events that turned out to be somebody else's leave this history."""
        self.name = body.to
        holder = self.holder
        if isinstance(holder, Forward):
            for owner in dict.fromkeys(claim[3] for claim in holder.claims):
                self._send(owner, Withdrawn(owner, body.origin, body.events, body.now, round_about=True))
        elif isinstance(holder, Contact) and holder.record is not None:
            gone = {(identity, source) for identity, source in body.events}
            events = self._remove(
                holder, lambda event: event.origin == body.origin and (event.id, event.source) in gone
            )
            if events and (body.round_about or body.now == self.name or self._is_also(body.now)):
                self._send(body.origin, Restored([], body.origin, events))  # which knows whose they are by now

    @staticmethod
    def _remove(contact: Contact, which: Any) -> list[Kept]:
        events = contact.reorder()
        removed = [event for event in events if which(event)]
        events[:] = [event for event in events if not which(event)]
        if contact.marks is not None:
            contact.marks -= {(event.id, event.source) for event in removed}
        contact.outcome.changed = True
        return removed

    # Splits.

    def _split(self, kept: Kept) -> Refusal | None:
        """What was merged is two again: the other id's events go back to it."""
        other = kept.data.get("from")
        contact = self.contact()
        identity = contact.record.identity if contact.record is not None else None
        if contact.record is not None and contact.knows(kept):
            self.outcome.duplicates += 1
            return None
        claim = None
        if identity is not None and isinstance(other, str):
            claim = identity.merged.get(other) or identity.pending.get(other)
        if identity is None or claim is None or not isinstance(other, str) or kept.time < claim[0]:
            return Refusal(
                "nothing-to-split", f"event {kept.id!r} splits off an id that is not part of this contact by then"
            )
        if self._awaits(identity, other):
            identity.parting.append([other, kept.time])
        elif (refusal := self._part(other, kept.id)) is not None:
            return refusal
        return contact.add(kept, lenient=True)

    def _part(self, other: str, event: str = "") -> Refusal | None:
        """Give the other id its events back, with those of the ids that it had been."""
        contact = self.contact()
        record = contact.record
        assert record is not None and record.identity is not None
        identity = record.identity
        claim = identity.merged[other]
        if not claim[3] or not contact.whole():
            return Refusal("split-too-late", f"event {event!r}: the two histories were joined behind the horizon")
        del identity.merged[other]
        identity.parted = [*identity.parted, [claim[2], claim[1]]][-MERGED_MAX:]
        ids = _ids_of(other, contact.reorder())
        events = self._remove(contact, lambda event: event.origin in ids)
        merged = {one: identity.merged.pop(one) for one in ids if one in identity.merged}
        self._send(other, Restored(claim[4:], other, events, merged))
        for one in merged:
            self._send(one, Redirected(one, self.name, other))
        return None

    def redirected(self, body: Redirected) -> None:
        """This id's events go to whom it is a part of since a split, not to whom it was claimed by."""
        self.name = body.to
        forward = self.holder
        if isinstance(forward, Forward):
            for claim in forward.claims:
                if claim[3] == body.of:
                    claim[3] = body.now
                    self.outcome.changed = True

    def restored(self, body: Restored) -> None:
        """This id is a contact of its own again."""
        self.name = body.to
        forward = self.holder
        if isinstance(forward, Forward):
            before = forward.claims
            forward.claims = [claim for claim in before if claim[3] not in body.of]
            self.outcome.changed |= len(forward.claims) < len(before)
            if forward.claims:
                for event in body.events:
                    if event.origin == forward.name and _is_forgotten(forward, event):
                        continue
                    owner = owner_at(forward.claims, event.time)
                    self._send(owner, Forwarded(owner, event, [forward.name]))
                return
        contact = self.contact()
        for event in body.events:
            event.origin = "" if event.origin == body.to else event.origin
            contact.open(event.time)
            contact.add(event, lenient=True)
        if contact.record is not None and body.merged:
            identity = contact.record.identity = contact.record.identity or Identity()
            identity.merged = {**body.merged, **identity.merged}
        self.outcome.changed = True

    # Erasure.

    def _erase(self, kept: Kept) -> None:
        """All up to the event's time is forgotten; what came after it begins anew."""
        if isinstance(self.holder, Erased) and self.holder.time >= kept.time:
            return  # said before: what is kept of the erasure is to stay
        contact = self.contact()
        record = contact.record
        sequence = record.sequence if record is not None else contact.sequence
        revision = record.revision if record is not None else contact.revision
        identity = record.identity if record is not None else None
        if max(contact.erased, identity.erased if identity is not None else 0) >= kept.time:
            return
        claim = identity.merged.get(kept.origin) if identity is not None else None
        if claim is not None and claim[0] > kept.time and contact.whole():
            # It was somebody else by then: what it brought goes, and nothing else.
            self._remove(contact, lambda event: event.origin == kept.origin and event.time <= kept.time)
            return
        events: list[Kept] = []
        kept_ids = Identity(erased=kept.time)
        if record is not None:
            events = contact.reorder()
            contact.leave_company()
            sequence = record.sequence
        if identity is not None:
            # Who was this contact by then is erased with it; who became it afterwards is not.
            for claims, left in ((identity.merged, kept_ids.merged), (identity.pending, kept_ids.pending)):
                for other, claim in claims.items():
                    if claim[0] > kept.time and other != kept.origin:
                        left[other] = claim
                        continue
                    self._send(other, Gone(other, kept.time, claim[4:] or [self.name]))
                    theirs = [event for event in events if event.origin == other and event.time > kept.time]
                    if theirs:
                        self._send(other, Restored(claim[4:], other, theirs))
            kept_ids.deferred = identity.deferred
        self._erased(self.name, kept.time, sequence, revision)
        stays = [
            event
            for event in events
            if event.origin in kept_ids.merged or (not event.origin and event.time > kept.time)
        ]
        if stays or kept_ids.merged or kept_ids.pending or kept_ids.deferred:
            fresh = self.contact()
            fresh.open(stays[0].time if stays else kept.time).identity = kept_ids
            for event in stays:
                fresh.add(event)
            self._claims_that_waited(kept_ids)

    def _erased(self, name: str, time: int, sequence: int, revision: int) -> None:
        """From now on nothing is known under this key but the erasure, and that is said."""
        outcome = self.outcome
        self.holder = Erased(time, sequence, revision + 1)
        outcome.current, outcome.ended = None, name
        self._say_erased(name, time)

    def _say_erased(self, name: str, time: int) -> None:
        outcome = self.outcome
        outcome.changed = True
        said = tell.output(self.engine.plan, "lifecycle.contact.erased.v1", name, time, {"contact": name})
        said.body["recordedtime"] = tell.iso(self.now)
        said.body["data"]["current"] = None
        outcome.outputs.append(said)

    def _erase_forward(self, forward: Forward, kept: Kept) -> None:
        """An id that went elsewhere is erased: so is who it was by then, and what it brought to whoever it is."""
        claims, at = forward.claims, kept.time
        past = [claim for claim in claims if claim[0] <= at]
        owner = owner_at(claims, at)
        found = bool(past) or claims[0][4] != "identified"
        kept.origin = forward.name
        if found:
            self._send(owner, Forwarded(owner, kept, [forward.name]))
        brought: dict[str, list[list[str]]] = {}
        for event in forward.events:
            if event.time <= at and not (found and owner_at(claims, event.time) == owner):
                brought.setdefault(owner_at(claims, event.time), []).append([event.id, event.source])
        for other, events in brought.items():
            self._send(other, Withdrawn(other, forward.name, events, ""))
        self._leave(forward, past, at, at)

    def gone(self, body: Gone) -> None:
        """A contact that this id became was erased: what stands published under this id goes as well."""
        self.name = body.to
        forward = self.holder
        if not isinstance(forward, Forward):
            return
        past = [claim for claim in forward.claims if claim[0] <= body.time and claim[3] in body.of]
        if not past:
            return
        self._leave(forward, past, body.time, 0)

    def _leave(self, forward: Forward, past: list[list[Any]], at: int, erased: int) -> None:
        """These claims are forgotten, with what was theirs up to `at`; nothing counts up to `erased` any more.

        Where others are left the id goes on being theirs.
        """
        left = [claim for claim in forward.claims if claim not in past]
        if not left:
            self._erased(forward.name, at, forward.sequence, forward.revision)
            return
        forward.claims, forward.erased = left, max(forward.erased, erased)
        forward.forgotten = [*forward.forgotten, *([*claim, at] for claim in past)][-DEFERRED_MAX:]
        forward.events = [event for event in forward.events if not _is_forgotten(forward, event)]
        forward.revision += 1
        self._say_erased(forward.name, at)

    # The end of the batch.

    def settle(self) -> Outcome:
        """The batch's outcome. Where the contact ended, what it told before that in this batch is not published."""
        outcome, holder = self.outcome, self.holder
        if isinstance(holder, Contact):
            holder.settle()
            if holder.record is None and outcome.changed:  # what begins here some day goes on counting
                outcome.state = encoder.encode(Erased(holder.erased, holder.sequence, holder.revision))
            if outcome.current is not None:
                outcome.ended = None
        elif outcome.changed and holder is not None:
            outcome.state = encoder.encode(holder)
            outcome.due = holder.used + self.engine.forwarding if isinstance(holder, Forward) else None
        return outcome


def _is_forgotten(forward: Forward, event: Kept) -> bool:
    """Whether the event was erased, with the id that it is of or with who that was by then."""
    at = event.time
    known = sorted([*forward.claims, *(claim for claim in forward.forgotten if at <= claim[5])])
    return at <= forward.erased or (event.type not in IDENTITY_TYPES and owner_of(known, at) in forward.forgotten)


def _join(identity: Identity, other: str, claim: list[Any]) -> None:
    """The contact is the other id: by this claim, where by none yet; and the id has gone to all that any names."""
    known = identity.merged.get(other)
    if known is None:
        identity.merged[other] = claim
    else:
        known[3] = known[3] and claim[3]
        known += [to for to in claim[4:] if to not in known[4:]]


def _ids_of(contact: str, events: list[Kept]) -> set[str]:
    """The ids that were this contact before it was merged: by the merge events that were addressed to it."""
    ids, before = {contact}, 0
    while len(ids) > before:
        before = len(ids)
        ids |= {
            event.data[MERGES[event.type]]
            for event in events
            if event.origin in ids and MERGES.get(event.type) in event.data
        }
    return ids


def _refused(event: str, source: str, of: str, to: str, why: str) -> Refusal:
    return Refusal("merge-refused", f"event {event!r} of {source!r} merges {of!r} into {to!r}, but {why}")


def owner_at(claims: list[list[Any]], time: int) -> str:
    """Whose an id is at a time: the latest claim's not after it; before the first, the first one's."""
    owner: str = owner_of(claims, time)[3]
    return owner


def owner_of(claims: list[list[Any]], time: int) -> list[Any]:
    """The claim by which an id is somebody at a time."""
    found = claims[0]
    for claim in claims:
        if claim[0] <= time:
            found = claim
    return found
