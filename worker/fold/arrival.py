"""What arrives for one contact's key, handed to what decides: an event addressed to it, or what another key says."""

from __future__ import annotations

from worker.fold.accept import AHEAD_MS, accept_fields, refuse
from worker.fold.claim import claimed
from worker.fold.erasure import erase, erase_forward, gone, reached
from worker.fold.forwarding import pass_on, redirected, restored, withdrawn
from worker.fold.identity import IDENTITY_TYPES, MERGES, is_forgotten, way_back
from worker.fold.merge import answered, erased_since, merge
from worker.fold.messages import (
    PASSED_MAX,
    AboutIdentity,
    Answer,
    Claim,
    Forwarded,
    Gone,
    Redirected,
    Restored,
    Withdrawn,
)
from worker.fold.outcome import Event, Refusal
from worker.fold.person import Person
from worker.fold.split import split
from worker.fold.state import Forward, Kept


def addressed(person: Person, event: Event) -> Refusal | None:
    """An engagement event addressed to this id."""
    person.name = event.subject
    forward = person.holder
    if not isinstance(forward, Forward) and event.type not in IDENTITY_TYPES:
        return person.contact().arrive(event)
    kept = _kept(person, event)
    if kept is None or isinstance(kept, Refusal):
        return kept
    if not isinstance(forward, Forward):
        return _at_its_place(person, kept)
    if is_forgotten(forward, kept):
        if kept.type in MERGES:
            erased_since(person, kept, forward.erased)
        return None
    if kept.type == "contact.erased":
        erase_forward(person, forward, kept)
        return None
    return pass_on(person, forward, kept, [])


def told(person: Person, body: AboutIdentity) -> Refusal | None:
    """What another key says to this one."""
    person.name = body.of if isinstance(body, Claim) else body.to
    match body:
        case Claim():
            return reached(person, body) if body.erased else claimed(person, body)
        case Answer():
            return answered(person, body)
        case Forwarded():
            return _forwarded(person, body)
        case Withdrawn():
            withdrawn(person, body)
        case Restored():
            return restored(person, body)
        case Redirected():
            redirected(person, body)
        case Gone():
            gone(person, body)
    return None


def _forwarded(person: Person, body: Forwarded) -> Refusal | None:
    """An event of an id that this contact is."""
    forward, origin = person.holder, body.event.origin
    if origin != person.name and len(body.passed) < PASSED_MAX:
        back = way_back(person.name, body.passed) or origin
        if person.name in body.passed if isinstance(forward, Forward) else not person.is_also(origin):
            # It was split off, or this contact was erased, while the event was on its way: who sent it has been told.
            person.send(back, Forwarded(back, body.event, [*body.passed, person.name]))
            return None
    if isinstance(forward, Forward):
        return pass_on(person, forward, body.event, body.passed)
    if origin == person.name:
        body.event.origin = ""
    identity = person.identity
    until = identity.until.get(body.event.origin, 0) if identity is not None else 0
    if body.event.time <= until:
        if body.event.type in MERGES:
            erased_since(person, body.event, until)
        return None
    return _at_its_place(person, body.event)


def _at_its_place(person: Person, kept: Kept) -> Refusal | None:
    """An event of this contact's own, or of an id that it is now."""
    if kept.type in MERGES:
        return merge(person, kept)
    if kept.type == "contact.split":
        return split(person, kept)
    if kept.type == "contact.erased":
        return erase(person, kept)
    return person.contact().add(kept)


def _kept(person: Person, event: Event) -> Kept | Refusal | None:
    """What is kept of an event that goes on from here, or says who is whom."""
    plan = person.engine.plan
    if event.time > person.now + AHEAD_MS:
        return refuse.ahead(event, person.now)
    given = accept_fields(plan, event)
    if isinstance(given, Refusal):
        return given
    if given is None and event.type not in plan.creating:
        return None
    data, traits = given or ({}, None)
    kept = Kept(event.time, event.type, event.id, event.source, data, traits, bare=given is None)
    if event.type in IDENTITY_TYPES:
        kept.bare = False
        kept.data.update((name, event.data[name]) for name in MERGES.values() if name in event.data)
    return kept
