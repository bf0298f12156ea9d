"""All up to a time is forgotten, under each of a contact's ids, and that is said under each.

It reaches who the contact was by then, and takes from whoever became it later what it brought. What came after it
begins anew; what comes again from before it is dropped. Whoever hears only after it that it had been one with another
by then tells that one, or is told.
"""

from __future__ import annotations

from typing import Any

from worker.fold import tell
from worker.fold.claim import claims_that_waited, refuse
from worker.fold.identity import Claims, claims_on, head_of, is_anonymous, is_forgotten, one_by, owner_at, owner_of
from worker.fold.messages import Claim, Forwarded, Gone, Restored, Withdrawn
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.state import DEFERRED_MAX, Erased, Forward, Identity, Kept
from worker.fold.wanted import tell_once

ERASED = "lifecycle.contact.erased.v1"


def erase(person: Person, kept: Kept) -> Refusal | None:
    """The contact is erased, by an event on it or on an id that it is; claims that waited may be refused with that."""
    if not kept.origin and person.erased >= kept.time:
        return None  # said before: what is kept of the erasure is to stay
    return forget(person, kept.origin or person.name, kept.time)


def forget(person: Person, whom: str, at: int, whose: bytes = b"") -> Refusal | None:
    """Who was one with `whom` by then is erased up to it, each a contact of its own again, with who became it later.

    Where that is not this contact it goes on without what they brought. `whose`: a digest of who has told of it.
    """
    contact, identity, past = person.contact(), person.identity or Identity(), person.past
    claims: Claims = {other: claims_on(identity, other) for other in (*identity.pending, *identity.merged)}
    top, gone = one_by(claims, whom, at)
    if person.name not in gone and not contact.whole():  # what it brought can't be told from the rest
        gone |= one_by(claims, person.name, at)[1]
    left = {
        other: [claim for claim in made if claim[0] > at or not (claim[3] in gone or other == whom)]
        for other, made in claims.items()
    }
    parts = _Parts(person.name, gone, left)
    for event in contact.reorder() if contact.record is not None else []:
        if not _is_gone(event, event.origin or person.name, whom, at, gone, claims, left):
            parts.events(event.origin or person.name, event.time).append(event)
    for other, made in left.items():
        for claim in made:
            parts.claim(other, claim, other in identity.merged)
    own = parts.own
    own.deferred, own.parted = identity.deferred, past.parted
    own.parting = [split for split in identity.parting if split[0] in left]
    own.erased, own.whose = past.time, past.whose
    own.until = {**identity.until, top: at} if person.name not in gone else identity.until
    events = parts.given[person.name]
    if person.name in gone and past.time < at:
        contact.leave_company()
        past = person.past  # leaving counts
        own.erased, own.whose = at, whose
        # From now on nothing is known under this key but the erasure.
        person.holder = Erased(at, past.sequence, past.revision + 1, whose, past.parted)
        person.outcome.current, person.outcome.ended = None, person.name
        _say(person, at)
        if events or own.merged or own.pending or own.deferred:
            contact = person.contact()
            contact.open(events[0].time if events else at).identity = own
            for event in events:
                contact.add(event)
    elif contact.record is not None:
        contact.record.identity = own
        kept = {id(event) for event in events}
        contact.remove(lambda event: id(event) not in kept)
    if contact.record is not None:
        tell_once(contact, own)
    for other in sorted(gone - {person.name} - set(identity.pending)):
        claimers = [claim[3] for claim in claims.get(other, ()) if claim not in left[other]]
        person.send(other, Gone(other, at, claimers))
    parts.give(person)
    return claims_that_waited(person, own) if own.deferred else None


def _is_gone(event: Kept, whose: str, whom: str, at: int, gone: set[str], claims: Claims, left: Claims) -> bool:
    """Whether an event is erased: not what somebody else's visitor's id brought, who had claimed it too."""
    if event.time > at or whose not in gone:
        return False
    made = claims.get(whose, [])
    return whose == whom or not any(claim[0] <= at for claim in made) or owner_of(made, event.time) not in left[whose]


class _Parts:
    """What stays with `name`, and what goes back to those who are contacts of their own again: `gone`."""

    def __init__(self, name: str, gone: set[str], left: Claims) -> None:
        self.name, self.gone, self.left = name, gone, left
        self.given: dict[str, list[Kept]] = {name: []}
        self.identities: dict[str, Identity] = {name: Identity()}

    @property
    def own(self) -> Identity:
        return self.identities[self.name]

    def _head(self, other: str, time: int) -> str:
        head = head_of(self.left, other, time)
        head = head if head in self.gone else self.name
        self.given.setdefault(head, [])
        self.identities.setdefault(head, Identity())
        return head

    def events(self, whose: str, time: int) -> list[Kept]:
        return self.given[self._head(whose, time)]

    def claim(self, other: str, claim: list[Any], merged: bool) -> None:
        identity = self.identities[self._head(claim[3], claim[0])]
        claims = identity.merged if merged else identity.pending
        claims.setdefault(other, []).append(claim)

    def give(self, person: Person) -> None:
        for other, events in self.given.items():
            identity = self.identities[other]
            if other != self.name and (events or identity.merged or identity.pending):
                person.send(other, Restored([], other, events, identity.merged, identity.pending))


def reached(person: Person, claim: Claim) -> Refusal | None:
    """This id had become one with the claimer when that was erased: so is this id, unless it had gone to another."""
    forward, at = person.holder, claim.erased
    if claim.time <= person.erased:
        return None  # what made them one had ended
    if not isinstance(forward, Forward):
        return forget(person, person.name, at, person.digest(claim.to))
    made = claim.made
    if made in forward.claims or any(one[:5] == made for one in forward.forgotten):
        return None  # the claimer has told of it, or will when what this id gave arrives there
    past = [one for one in forward.claims if one[0] <= at]
    if past and not is_anonymous(forward) and past[0][3] != claim.to:
        return refuse(person, claim, f"{claim.of!r} had gone to {past[0][3]!r} already")
    before = forward.claims
    forward.claims = sorted([*before, made])
    _disclaim(person, forward, [claim.to], at, before)
    return None


def _disclaim(person: Person, forward: Forward, of: list[str], at: int, before: list[list[Any]]) -> None:
    """Of this id all was to be forgotten that was theirs by then: it leaves whoever has it by the claims `before`."""
    past = [claim for claim in forward.claims if claim[3] in of and claim[0] <= at]
    anonymous = is_anonymous(forward)
    if anonymous:
        brought = [one for one in forward.events if one.time <= at and owner_of(forward.claims, one.time) in past]
        _withdraw(person, forward, brought, before)
    _leave(person, forward, past, at, 0 if anonymous else at)
    if not anonymous and person.holder is forward:  # it has become somebody again since
        owner = owner_at(forward.claims, at)
        erasure = Kept(at, "contact.erased", "", "", {}, origin=forward.name)
        person.send(owner, Forwarded(owner, erasure, [forward.name]))


def erase_forward(person: Person, forward: Forward, kept: Kept) -> None:
    """An id that went elsewhere is erased: so is who it was by then, and what it brought to whoever it is.

    It goes on being who it was until that key says that they are two again: what comes for it meanwhile is returned.
    """
    claims, at = forward.claims, kept.time
    past = [claim for claim in claims if claim[0] <= at]
    owner = owner_at(claims, at)
    found = bool(past) or not is_anonymous(forward)
    kept.origin = forward.name
    if found:
        person.send(owner, Forwarded(owner, kept, [forward.name]))
    brought = [one for one in forward.events if one.time <= at]
    if found:
        brought = [one for one in brought if owner_at(claims, one.time) != owner]
    _withdraw(person, forward, brought, claims)
    _leave(person, forward, [claim for claim in past if claim[3] != owner], at, at)
    forward.whose = person.digest(owner) if past else b""


def _withdraw(person: Person, forward: Forward, events: list[Kept], claims: list[list[Any]]) -> None:
    """These events leave whoever has them by the claims."""
    leaving: dict[str, list[list[str]]] = {}
    for event in events:
        leaving.setdefault(owner_at(claims, event.time), []).append([event.id, event.source])
    for other, some in leaving.items():
        person.send(other, Withdrawn(other, forward.name, some, ""))


def gone(person: Person, body: Gone) -> None:
    """A contact that this id became was erased: what stands published under this id goes as well."""
    forward = person.holder
    if not isinstance(forward, Forward):
        return
    if any(claim[0] <= body.time and claim[3] in body.of for claim in forward.claims):
        _disclaim(person, forward, body.of, body.time, forward.claims)
    elif not body.of and forward.erased < body.time:
        _leave(person, forward, [], body.time, body.time)


def _leave(person: Person, forward: Forward, past: list[list[Any]], at: int, erased: int) -> None:
    """These claims are forgotten, with what was theirs up to `at`; nothing counts up to `erased` any more.

    Where others are left the id goes on being theirs.
    """
    left = [claim for claim in forward.claims if claim not in past]
    if forward.erased < at and not any(claim[5] >= at for claim in forward.forgotten):
        forward.revision += 1
        _say(person, at)
    whose = person.digest(past[-1][3]) if past else b""
    if forward.erased < erased or not left:
        forward.erased, forward.whose = max(forward.erased, erased), whose
    person.outcome.changed = True
    if not left:
        until = max(forward.erased, at)
        person.holder = Erased(until, forward.sequence, forward.revision, whose)
        return
    forward.claims = left
    forward.forgotten = [*forward.forgotten, *([*claim, at] for claim in past)][-DEFERRED_MAX:]
    forward.events = [event for event in forward.events if not is_forgotten(forward, event)]


def _say(person: Person, at: int) -> None:
    said = tell.output(person.engine.plan, ERASED, person.name, at, {"contact": person.name})
    said.body["recordedtime"] = tell.iso(person.now)
    said.body["data"]["current"] = None
    person.outcome.outputs.append(said)
    person.outcome.changed = True
