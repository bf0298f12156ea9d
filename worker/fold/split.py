"""What was merged is two again: the other id gets back its events, and those of the ids that it had been before."""

from __future__ import annotations

from worker.fold.identity import ids_of, marked
from worker.fold.messages import Redirected, Restored
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.state import MERGED_MAX, Identity, Kept


def split(person: Person, kept: Kept) -> Refusal | None:
    """Part the contact and the id that the event names; where all of that is not there yet, once it is."""
    other = kept.data.get("from")
    contact, identity = person.contact(), person.identity
    if contact.record is not None and contact.knows(kept):
        person.outcome.duplicates += 1
        return None
    claims = None
    if identity is not None and isinstance(other, str):
        claims = identity.merged.get(other) or identity.pending.get(other)
    if identity is None or not claims or not isinstance(other, str) or kept.time < claims[0][0]:
        return Refusal(
            "nothing-to-split", f"event {kept.id!r} splits off an id that is not part of this contact by then"
        )
    if _awaits(person, identity, other):
        identity.parting.append([other, kept.time])
    elif (refusal := _part(person, identity, other, kept.id)) is not None:
        return refusal
    return contact.add(kept, lenient=True)


def splits_that_waited(person: Person, identity: Identity) -> Refusal | None:
    """Splits that were heard before all was there that they are to give back."""
    waited, identity.parting = identity.parting, []
    for other in dict.fromkeys(other for other, _ in waited):
        if _awaits(person, identity, other):
            identity.parting += [split for split in waited if split[0] == other]
        elif other in identity.merged and (refusal := _part(person, identity, other)) is not None:
            return refusal
    return None


def _awaits(person: Person, identity: Identity, other: str) -> bool:
    """Whether the record of the other id, or of one that it has claimed itself, is still on its way."""
    return any(one in identity.pending for one in ids_of(other, person.contact().reorder()))


def _part(person: Person, identity: Identity, other: str, event: str = "") -> Refusal | None:
    """Give the other id its events back, with those of the ids that it had been."""
    contact, claims = person.contact(), identity.merged[other]
    if not all(claim[4] for claim in claims) or not contact.whole():
        return Refusal("split-too-late", f"event {event!r}: the two histories were joined behind the horizon")
    del identity.merged[other]
    identity.parted = [*identity.parted, *(marked(claim[2], claim[1]) for claim in claims)][-MERGED_MAX:]
    ids = ids_of(other, contact.reorder())
    events = contact.remove(lambda event: event.origin in ids)
    merged = {one: identity.merged.pop(one) for one in ids if one in identity.merged}
    person.send(other, Restored([claim[3] for claim in claims], other, events, merged))
    for one in merged:
        person.send(one, Redirected(one, person.name, other))
    return None
