"""Events of an id that is another contact now: sent on to whose they are, taken back, and returned where it is no more.

An anonymous id keeps what it sends on, for a later claim, a split or an erasure may show that it is somebody else's.
"""

from __future__ import annotations

from worker.fold.claim import grant
from worker.fold.contact import Contact
from worker.fold.erasure import forget
from worker.fold.identity import IDENTITY_TYPES, is_anonymous, is_forgotten, join, owner_at
from worker.fold.messages import PASSED_MAX, Claim, Forwarded, Redirected, Restored, Withdrawn
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.state import FORWARD_KEPT, Forward, Identity, Kept
from worker.fold.wanted import tell_once


def pass_on(person: Person, forward: Forward, kept: Kept, passed: list[str]) -> Refusal | None:
    """Send an event on to who this id is; an anonymous id keeps it as well."""
    if len(passed) >= PASSED_MAX:
        return Refusal("merge-circle", f"event {kept.id!r} passed {' → '.join(passed)} and would go round")
    owner = owner_at(forward.claims, kept.time)
    kept.origin = kept.origin or forward.name
    if is_anonymous(forward) and kept.type not in IDENTITY_TYPES:
        known = any(other.id == kept.id and other.source == kept.source for other in forward.events)
        if known and forward.name not in passed:
            person.outcome.duplicates += 1
            return None
        if not known:
            forward.events.append(kept)
            del forward.events[:-FORWARD_KEPT]
    forward.used = max(forward.used, kept.time, person.now)
    person.send(owner, Forwarded(owner, kept, [*passed, forward.name]))
    person.outcome.changed = True
    return None


def withdrawn(person: Person, body: Withdrawn) -> None:
    """Events that turned out to be somebody else's leave this history."""
    holder = person.holder
    if isinstance(holder, Forward):
        for owner in dict.fromkeys(claim[3] for claim in holder.claims):
            person.send(owner, Withdrawn(owner, body.origin, body.events, body.now, round_about=True))
    elif isinstance(holder, Contact) and holder.record is not None:
        gone = {(identity, source) for identity, source in body.events}
        events = holder.remove(lambda event: event.origin == body.origin and (event.id, event.source) in gone)
        if events and (body.round_about or body.now == person.name or person.is_also(body.now)):
            person.send(body.origin, Restored([], body.origin, events))  # which knows whose they are by now


def restored(person: Person, body: Restored) -> Refusal | None:
    """Events of this id come back: it is a contact of its own again, or whose it is by now gets them."""
    forward = person.holder
    if not isinstance(forward, Forward):
        return _begin(person, body)
    before = forward.claims
    forward.claims = [claim for claim in before if claim[3] not in body.of]
    person.outcome.changed |= len(forward.claims) < len(before)
    if forward.claims and is_anonymous(forward):
        for event in body.events:
            if event.origin == forward.name and is_forgotten(forward, event):
                continue
            owner = owner_at(forward.claims, event.time)
            person.send(owner, Forwarded(owner, event, [forward.name]))
        return None
    claims, person.holder = forward.claims, person.past
    refusal = _begin(person, body)
    if claims:  # it has become somebody again since
        time, source, event_id, to, kind = claims[0]
        grant(person, Claim(person.name, to, time, source, event_id, kind))
        if isinstance(person.holder, Forward):
            person.holder.claims = claims
    return refusal


def _begin(person: Person, body: Restored) -> Refusal | None:
    contact = person.contact()
    for event in body.events:
        event.origin = "" if event.origin == body.to else event.origin
        contact.open(event.time)
        contact.add(event, lenient=True)
    person.outcome.changed = True
    if not (body.merged or body.pending):
        return None
    record = contact.open(body.events[0].time if body.events else person.now)
    identity = record.identity = record.identity or Identity()
    for known, more in ((identity.merged, body.merged), (identity.pending, body.pending)):
        for other, claims in more.items():
            join(known, other, claims)
    tell_once(contact, identity)
    if any(claim[0] <= person.erased for claims in (*body.merged.values(), *body.pending.values()) for claim in claims):
        return forget(person, person.name, person.erased)
    return None


def redirected(person: Person, body: Redirected) -> None:
    """This id's events go to whom it is a part of since a split, not to whom it was claimed by."""
    forward = person.holder
    if isinstance(forward, Forward):
        for claim in forward.claims:
            if claim[3] == body.of:
                claim[3] = body.now
                person.outcome.changed = True
