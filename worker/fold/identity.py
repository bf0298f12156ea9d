"""Who is whom: the events that say it, and what follows from claims. Values, no behaviour.

A claim is a list, as `Forward` and `Identity` in `worker.fold.state` hold it: the time, the source and the id of the
merge event, and who claims. Of one id they are in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from worker.fold.state import DEFERRED_MAX, Forward, Identity, Kept, mark

Claims = dict[str, list[list[Any]]]  # of each id

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


def join(claims: Claims, other: str, more: Iterable[list[Any]]) -> None:
    """The contact is the other id by these claims too."""
    known = {tuple(claim[:4]): claim for claim in (*more, *claims.get(other, ()))}
    claims[other] = [known[made] for made in sorted(known)][-DEFERRED_MAX:]


def claims_on(identity: Identity, other: str) -> list[list[Any]]:
    """By which claims the contact is the other id, or waits to hear that it is."""
    return [*identity.pending.get(other, ()), *identity.merged.get(other, ())]


def marked(event: str, source: str) -> bytes:
    """What is remembered of a merge event that is not to be done again."""
    return hashlib.blake2b(mark(event, source), digest_size=8).digest()


def one_by(claims: Claims, whom: str, at: int) -> tuple[str, set[str]]:
    """Who, of the ids that are one now, were one with `whom` by then: the id that nobody had claimed, and all."""
    top, seen = whom, {whom}
    while (past := [claim for claim in claims.get(top, ()) if claim[0] <= at]) and past[-1][3] not in seen:
        top = past[-1][3]
        seen.add(top)
    found, more = set[str](), {top}
    while more:
        found |= more
        more = {
            other for other, made in claims.items() if any(one[0] <= at and one[3] in found for one in made)
        } - found
    return top, found | {whom}


def head_of(claims: Claims, other: str, time: int) -> str:
    """Who an id is at a time, by way of all that have claimed one another."""
    for _ in claims:
        if not claims.get(other):
            break
        other = owner_at(claims[other], time)
    return other


def way_back(name: str, passed: list[str]) -> str | None:
    """Who sent on what has come here by this way; where it has been here before, who did so then. None: it began here.

    What is returned so comes after all that this key told that one before.
    """
    way = passed[: passed.index(name)] if name in passed else passed
    return way[-1] if way else None


def is_anonymous(forward: Forward) -> bool:
    """Whether several may claim the id, each from its own identification on."""
    return any(claim[4] == "identified" for claim in forward.claims)


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
