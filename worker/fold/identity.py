"""Who is whom: the events that say it, and what follows from claims. Values, no behaviour.

A claim is a list, as `Forward` and `Identity` in `worker.fold.state` hold it: its first three are always the time, the
source and the id of the merge event.
"""

from __future__ import annotations

from typing import Any

from worker.fold.state import Forward, Identity, Kept

MERGES = {"contact.merged": "from", "contact.identified": "anonymous_id"}  # which field of them names the other id
IDENTITY_TYPES = frozenset({*MERGES, "contact.split", "contact.erased"})


def other_of(event: Kept) -> Any:
    """The other id that a merge event names; None where it is none, or came to nothing."""
    field = MERGES.get(event.type)
    return event.data.get(field) if field is not None else None


def ids_of(contact: str, events: list[Kept]) -> set[str]:
    """The ids that were this contact before it was merged: by the merge events that were addressed to it."""
    ids, before = {contact}, 0
    while len(ids) > before:
        before = len(ids)
        ids |= {other for event in events if event.origin in ids and (other := other_of(event)) is not None}
    return ids


def join(identity: Identity, other: str, claim: list[Any]) -> None:
    """The contact is the other id: by this claim, where by none yet; and the id has gone to all that any names."""
    known = identity.merged.get(other)
    if known is None:
        identity.merged[other] = claim
    else:
        known[3] = known[3] and claim[3]
        known += [to for to in claim[4:] if to not in known[4:]]


def is_anonymous(forward: Forward) -> bool:
    """Whether several may claim the id, each from its own identification on."""
    return bool(forward.claims[0][4] == "identified")


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


def is_forgotten(forward: Forward, event: Kept) -> bool:
    """Whether the event was erased, with the id that it is of or with who that was by then."""
    at = event.time
    known = sorted([*forward.claims, *(claim for claim in forward.forgotten if at <= claim[5])])
    return at <= forward.erased or (event.type not in IDENTITY_TYPES and owner_of(known, at) in forward.forgotten)
