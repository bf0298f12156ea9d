"""What merge events say in the history: `wanted` until the other id's record is there, then done, told once.

Their data are replaced, never changed: what was published is told from the events as they were.
"""

from __future__ import annotations

from msgspec.structs import replace

from worker.fold.contact import Contact
from worker.fold.identity import other_of
from worker.fold.messages import Answer
from worker.fold.state import Identity, Kept


def want(contact: Contact, kept: Kept, other: str, known: bool) -> Kept:
    """What the history keeps of a merge event that is heard now; `known`: the two are one already, or will be."""
    wanted = Kept(kept.time, kept.type, kept.id, kept.source, {**kept.data, "wanted": True}, kept.traits, kept.origin)
    if known and not _is_first(contact, kept, other, wanted):
        wanted.data["wanted"] = False
    return wanted


def _is_first(contact: Contact, kept: Kept, other: str, wanted: Kept) -> bool:
    """Of several events of one merge the earliest tells of it: whether that is this one, in another's place."""
    for event in (*contact.opened(), *contact.fresh):
        if other_of(event) == other and event.data.get("wanted", True):
            if (event.time, event.source, event.id) <= (kept.time, kept.source, kept.id):
                return False
            events = contact.reorder()
            place = next(place for place, one in enumerate(events) if one is event)
            events[place] = replace(event, data={**event.data, "wanted": False})
            if "wanted" not in event.data:
                del wanted.data["wanted"]
            return True
    return False


def done(contact: Contact, answer: Answer) -> Kept:
    """The merge event, where it still lies in the tail, now says that the merge is done, or nothing."""
    events = contact.reorder()
    made = Kept(contact.now, "contact.merged", answer.id, answer.source, {})
    for place, event in enumerate(events):
        if event.data.get("wanted") and other_of(event) == answer.of:
            events[place] = made = replace(event, data=_telling(event) if answer.granted else {})
    contact.outcome.changed = True
    return made


def tell_once(contact: Contact, identity: Identity) -> None:
    """Of several events of one merge that is done only the earliest tells of it."""
    events = contact.reorder()
    told = set[str]()
    for place, event in enumerate(events):
        other = other_of(event)
        if other in identity.merged and not event.data.get("wanted"):
            tells = other not in told
            told.add(other)
            if tells != ("wanted" not in event.data):
                events[place] = replace(event, data=_telling(event) if tells else {**event.data, "wanted": False})


def _telling(event: Kept) -> dict[str, object]:
    """The data of a merge event that says that the merge is done."""
    return {name: value for name, value in event.data.items() if name != "wanted"}
