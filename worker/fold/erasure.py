"""All up to a time is forgotten, under each of a contact's ids, and that is said under each.

It reaches who the contact was by then, and takes from whoever became it later what it brought. What came after it
begins anew; what comes again from before it is dropped.
"""

from __future__ import annotations

from typing import Any

from worker.fold import tell
from worker.fold.claim import claims_that_waited
from worker.fold.identity import is_anonymous, is_forgotten, owner_at
from worker.fold.messages import Forwarded, Gone, Restored, Withdrawn
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.state import DEFERRED_MAX, Erased, Forward, Identity, Kept

ERASED = "lifecycle.contact.erased.v1"


def erase(person: Person, kept: Kept) -> Refusal | None:
    """The contact is erased, by an event on it or on an id that it is; claims that waited may be refused with that."""
    if person.erased >= kept.time:
        return None  # said before: what is kept of the erasure is to stay
    contact, identity = person.contact(), person.identity
    record = contact.record
    claim = identity.merged.get(kept.origin) if identity is not None else None
    if claim is not None and claim[0] > kept.time and contact.whole():
        # It was somebody else by then: what it brought goes, and nothing else.
        contact.remove(lambda event: event.origin == kept.origin and event.time <= kept.time)
        return None
    events: list[Kept] = []
    sequence, revision = contact.sequence, contact.revision
    if record is not None:
        events = contact.reorder()
        contact.leave_company()
        sequence, revision = record.sequence, record.revision
    left = _let_go(person, identity, kept, events) if identity is not None else Identity(erased=kept.time)
    _forget(person, kept.time, sequence, revision)
    stays = [event for event in events if event.origin in left.merged or (not event.origin and event.time > kept.time)]
    if not (stays or left.merged or left.pending or left.deferred):
        return None
    fresh = person.contact()
    fresh.open(stays[0].time if stays else kept.time).identity = left
    for event in stays:
        fresh.add(event)
    return claims_that_waited(person, left)


def _let_go(person: Person, identity: Identity, kept: Kept, events: list[Kept]) -> Identity:
    """Who was this contact by then is erased with it, and has its later events back; left is who became it after."""
    left = Identity(erased=kept.time, deferred=identity.deferred)
    for claims, staying in ((identity.merged, left.merged), (identity.pending, left.pending)):
        for other, claim in claims.items():
            if claim[0] > kept.time and other != kept.origin:
                staying[other] = claim
                continue
            person.send(other, Gone(other, kept.time, claim[4:] or [person.name]))
            theirs = [event for event in events if event.origin == other and event.time > kept.time]
            if theirs:
                person.send(other, Restored(claim[4:], other, theirs))
    return left


def erase_forward(person: Person, forward: Forward, kept: Kept) -> None:
    """An id that went elsewhere is erased: so is who it was by then, and what it brought to whoever it is."""
    claims, at = forward.claims, kept.time
    past = [claim for claim in claims if claim[0] <= at]
    owner = owner_at(claims, at)
    found = bool(past) or not is_anonymous(forward)
    kept.origin = forward.name
    if found:
        person.send(owner, Forwarded(owner, kept, [forward.name]))
    brought: dict[str, list[list[str]]] = {}
    for event in forward.events:
        if event.time <= at and not (found and owner_at(claims, event.time) == owner):
            brought.setdefault(owner_at(claims, event.time), []).append([event.id, event.source])
    for other, events in brought.items():
        person.send(other, Withdrawn(other, forward.name, events, ""))
    _leave(person, forward, past, at, at)


def gone(person: Person, body: Gone) -> None:
    """A contact that this id became was erased: what stands published under this id goes as well."""
    forward = person.holder
    if not isinstance(forward, Forward):
        return
    past = [claim for claim in forward.claims if claim[0] <= body.time and claim[3] in body.of]
    if past:
        _leave(person, forward, past, body.time, 0)


def _leave(person: Person, forward: Forward, past: list[list[Any]], at: int, erased: int) -> None:
    """These claims are forgotten, with what was theirs up to `at`; nothing counts up to `erased` any more.

    Where others are left the id goes on being theirs.
    """
    left = [claim for claim in forward.claims if claim not in past]
    if not left:
        _forget(person, at, forward.sequence, forward.revision)
        return
    forward.claims, forward.erased = left, max(forward.erased, erased)
    forward.forgotten = [*forward.forgotten, *([*claim, at] for claim in past)][-DEFERRED_MAX:]
    forward.events = [event for event in forward.events if not is_forgotten(forward, event)]
    forward.revision += 1
    _say(person, at)


def _forget(person: Person, at: int, sequence: int, revision: int) -> None:
    """From now on nothing is known under this key but the erasure, and that is said."""
    person.holder = Erased(at, sequence, revision + 1)
    person.outcome.current, person.outcome.ended = None, person.name
    _say(person, at)


def _say(person: Person, at: int) -> None:
    said = tell.output(person.engine.plan, ERASED, person.name, at, {"contact": person.name})
    said.body["recordedtime"] = tell.iso(person.now)
    said.body["data"]["current"] = None
    person.outcome.outputs.append(said)
    person.outcome.changed = True
