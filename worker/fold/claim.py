"""Another contact says that it is this id too: only the key of the id that ends decides whether, and to whom, it goes.

It is answered once with all that is there, and a forwarding record stays. A contact that has itself claimed another
earlier than it is claimed (by time, source and id of the merge events) puts the claim off until its own is answered: of
two that claim each other the earlier claim so stands, and longer circles end as well.
"""

from __future__ import annotations

from typing import Any

from worker.fold.contact import Contact
from worker.fold.identity import owner_at
from worker.fold.messages import Answer, Claim, Forwarded, Withdrawn
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.state import DEFERRED_MAX, FORWARD_KEPT, Forward, Identity, Kept, decode_tail, encoder


def claimed(person: Person, claim: Claim) -> Refusal | None:
    """Grant the claim, put it off, or refuse it; or say that both were erased since."""
    past = person.past
    if claim.time <= past.time:
        if past.whose in (b"", person.digest(claim.to)):
            _belonged(person, claim)
            return None
        if claim.kind != "identified":
            return refuse(person, claim, f"{claim.of!r} had gone to another and was erased with it")
    if isinstance(person.holder, Forward):
        return _again(person, person.holder, claim)
    identity = person.identity
    if identity is not None:
        if claim.to in identity.merged:
            return refuse(person, claim, f"{claim.to!r} has itself been merged into {claim.of!r}")
        mine = [tuple(pending[:3]) for claims in identity.pending.values() for pending in claims]
        if mine and min(mine) < (claim.time, claim.source, claim.id):
            if len(identity.deferred) >= DEFERRED_MAX:
                return refuse(person, claim, "too many claims wait on it")
            identity.deferred.append([claim.to, claim.time, claim.source, claim.id, claim.kind])
            person.outcome.changed = True
            return None
    return grant(person, claim)


def _belonged(person: Person, claim: Claim) -> None:
    """Both were one when this id was erased: so the claimer is to be."""
    erased, whose, holder, identity = person.past.time, person.digest(claim.to), person.holder, person.identity
    if isinstance(holder, Contact):
        if identity is not None:
            identity.whose = whose
        else:
            holder.past.whose = whose
    elif holder is not None:
        holder.whose = whose
    person.outcome.changed = True
    person.send(claim.to, _answer(claim, granted=False, erased=erased))


def claims_that_waited(person: Person, identity: Identity) -> Refusal | None:
    """Claims on this contact that no earlier claim of its own holds back any more; others go on waiting."""
    deferred, identity.deferred = identity.deferred, []
    return _decide(person, deferred)


def refused(event: str, source: str, of: str, to: str, why: str) -> Refusal:
    """Why a merge event came to nothing."""
    return Refusal("merge-refused", f"event {event!r} of {source!r} merges {of!r} into {to!r}, but {why}")


def _answer(claim: Claim, granted: bool, erased: int = 0) -> Answer:
    return Answer(claim.of, claim.to, claim.time, claim.source, claim.id, granted, erased)


def refuse(person: Person, claim: Claim, why: str) -> Refusal:
    """The claim comes to nothing, and the claimer is told."""
    person.send(claim.to, _answer(claim, granted=False))
    return refused(claim.id, claim.source, claim.of, claim.to, why)


def _decide(person: Person, deferred: list[list[Any]]) -> Refusal | None:
    """Claims that were put off are decided as if they came now; their refusals are told as one."""
    claims = [Claim(person.name, to, time, source, event, kind) for to, time, source, event, kind in deferred]
    refusals = [refusal for claim in claims if (refusal := claimed(person, claim)) is not None]
    if refusals:
        return Refusal(refusals[0].reason, "; ".join(refusal.message for refusal in refusals))
    return None


def grant(person: Person, claim: Claim) -> Refusal | None:
    """This id becomes the claimer: all it has goes there, what it published is withdrawn, events are sent on.

    Claims that wait on this id are refused now, unless it is anonymous.
    """
    contact, past = person.contact(), person.past
    record, outcome = contact.record, person.outcome
    answer = _answer(claim, granted=True)
    events: list[Kept] = []
    deferred: list[list[Any]] = []
    if record is not None:
        contact.settle()  # the claimer knows what is published of the record from the record alone
        events = decode_tail(record.tail, record.count)
        for event in events:
            event.origin = event.origin or person.name
        answer.base, answer.events, answer.horizon = record.base, events, record.horizon
        answer.fired, answer.revision = record.fired, record.revision
        answer.under, answer.state, answer.spent = person.engine.under, encoder.encode(record.state), record.spent
        if record.identity is not None:
            answer.pending, answer.merged = record.identity.pending, record.identity.merged
            answer.parted, answer.parting = record.identity.parted, record.identity.parting
            answer.until = record.identity.until
            deferred = record.identity.deferred
        contact.leave_company()
    outcome.current, outcome.ended = None, person.name
    person.send(claim.to, answer)
    sequence, revision = past.sequence, past.revision
    if record is not None:  # the claimer publishes one correction under this id, and its company was told
        sequence, revision = record.sequence, record.revision + 1
    kept = events[-FORWARD_KEPT:] if claim.kind == "identified" else []
    used = max(claim.time, person.now)
    person.holder = Forward(person.name, [claim.made], kept, used, sequence, revision, past.time, past.whose)
    outcome.changed = True
    return _decide(person, deferred)


def _again(person: Person, forward: Forward, claim: Claim) -> Refusal | None:
    """An id that has gone elsewhere is claimed: where it is anonymous its events are shared out anew."""
    made = claim.made
    if made in forward.claims:
        return None
    known = any(other[3] == claim.to for other in forward.claims)
    if not known and any(other[4] != "identified" for other in (*forward.claims, made)):
        owner = forward.claims[0][3]
        return refuse(person, claim, f"{claim.of!r} has gone to {owner!r} already: merge that one instead")
    person.send(claim.to, _answer(claim, granted=True))
    before = list(forward.claims)
    forward.claims = sorted([*before, made])[-DEFERRED_MAX:]
    _move(person, forward, before)
    return None


def _move(person: Person, forward: Forward, before: list[list[Any]]) -> None:
    """What an anonymous id keeps goes to whose it is by its claims, and leaves whose it was by those `before`."""
    moved: dict[tuple[str, str], list[list[str]]] = {}
    for event in forward.events:
        was, now = owner_at(before, event.time), owner_at(forward.claims, event.time)
        if was != now:
            moved.setdefault((was, now), []).append([event.id, event.source])
            person.send(now, Forwarded(now, event, [forward.name]))
    for (was, now), events in moved.items():
        person.send(was, Withdrawn(was, forward.name, events, now))
    person.outcome.changed = True
