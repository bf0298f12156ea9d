"""This contact is another one too: the other id is claimed, and what its key answers is folded as one with what is.

Only who claims is found here; whether the other id comes is decided at its own key (`worker.fold.claim`). Until then
the merge event lies in the history as `wanted`, and the horizon stands still.
"""

from __future__ import annotations

from msgspec.structs import replace

from worker.fold.claim import claims_that_waited, refused
from worker.fold.contact import Contact
from worker.fold.identity import join, other_of, owner_at
from worker.fold.messages import PASSED_MAX, Answer, Claim, Restored
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.split import splits_that_waited
from worker.fold.state import MERGED_MAX, Forward, Identity, Kept
from worker.fold.union import is_empty, is_whole, take_in
from worker.plan.plan import TAIL_EVENTS


def merge(person: Person, kept: Kept) -> Refusal | None:
    """The merge event counts, and the other id is claimed."""
    other = other_of(kept)
    if not isinstance(other, str) or other == (kept.origin or person.name):
        return Refusal("merge-into-itself", f"event {kept.id!r} merges a contact into itself")
    contact = person.contact()
    record = contact.open(kept.time)
    identity = record.identity = record.identity or Identity()
    if len(identity.merged) + len(identity.pending) >= MERGED_MAX:
        return Refusal("too-many-merges", f"a contact may be {MERGED_MAX} ids; event {kept.id!r} would add one")
    if kept.time <= person.erased:
        return None
    if [kept.id, kept.source] in identity.parted or contact.knows(kept):
        person.outcome.duplicates += 1
        return None
    known = person.is_also(other)
    # Until the other id's record is there, the event says that a merge is wanted, not that it is done.
    wanted = Kept(kept.time, kept.type, kept.id, kept.source, {**kept.data, "wanted": True}, kept.traits, kept.origin)
    if known and not _is_first(contact, kept, other, wanted):
        wanted.data["wanted"] = False
    crossed = other == person.name  # a claim that stands: this one was heard, and like any that is refused is nothing
    if crossed:
        wanted.data = {}
    contact.add(wanted, lenient=True)
    if crossed:
        return refused(kept.id, kept.source, other, kept.origin, "they are one already, the other way round")
    if not known:
        identity.pending[other] = [kept.time, kept.source, kept.id]
    kind = kept.type.removeprefix("contact.")
    if not known or kind == "identified":
        person.send(other, Claim(other, person.name, kept.time, kept.source, kept.id, kind))
    return None


def answered(person: Person, answer: Answer) -> Refusal | None:
    """The claimed id's record arrives: both histories are folded as one. Where a claimer has gone on, it follows."""
    holder = person.holder
    if isinstance(holder, Forward):
        owner = owner_at(holder.claims, answer.events[0].time if answer.events else holder.used)
        if len(answer.passed) < PASSED_MAX:
            answer.to, answer.passed = owner, [*answer.passed, holder.name]
            person.send(owner, answer)
        return None
    contact = person.contact()
    if contact.record is None and is_empty(answer):
        return None
    record = contact.open(answer.events[0].time if answer.events else person.now)
    identity = record.identity = record.identity or Identity()
    claim = identity.pending.pop(answer.of, None)
    claimer = answer.passed[0] if answer.passed else person.name
    if claim is None and answer.of in identity.merged and is_empty(answer):
        _done(contact, answer)  # an identification that was made again, or by another id
        _tell_once(contact)
        join(identity, answer.of, [*identity.merged[answer.of][:4], claimer])
        return None
    if claim is None and answer.of not in identity.merged:  # split off, or erased, while the answer was on its way
        person.send(answer.of, Restored([claimer], answer.of, answer.events, answer.merged))
        return None
    claim = claim or [record.newest, answer.source, answer.id]
    made = _done(contact, answer)
    if answer.granted:
        whole = contact.whole() and is_whole(answer)
        join(identity, answer.of, [*claim[:3], whole, claimer])
        for other, passed in answer.merged.items():
            join(identity, other, [*passed[:3], whole and bool(passed[3]), *passed[4:]])
        identity.parted = [*identity.parted, *answer.parted][-MERGED_MAX:]
        identity.parting = [*identity.parting, *answer.parting][-MERGED_MAX:]
        for other, wanted in answer.pending.items():
            if other != person.name and other not in identity.merged:
                identity.pending[other] = wanted
        identity.merged = dict(list(identity.merged.items())[:MERGED_MAX])
        record.spent = [*record.spent, *answer.spent][-TAIL_EVENTS:]
        take_in(contact, answer, made)
        _tell_once(contact)
    if not identity.pending:
        record.horizon = max(record.horizon, record.newest - person.engine.plan.horizon)
    refusals = [splits_that_waited(person, identity), claims_that_waited(person, identity)]
    return next((refusal for refusal in refusals if refusal is not None), None)


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


def _done(contact: Contact, answer: Answer) -> Kept:
    """The merge event, where it still lies in the tail, now says that the merge is done, or nothing."""
    events = contact.reorder()
    made = Kept(contact.now, "contact.merged", answer.id, answer.source, {})
    for place, event in enumerate(events):
        if event.data.get("wanted") and other_of(event) == answer.of:
            # A new event in the old one's place: what was published is told from the one as it was.
            events[place] = made = replace(event, data=_telling(event) if answer.granted else {})
    contact.outcome.changed = True
    return made


def _tell_once(contact: Contact) -> None:
    """Of several events of one merge that is done only the earliest tells of it."""
    events = contact.reorder()
    first = {other: True for event in events if "wanted" not in event.data and (other := other_of(event)) is not None}
    for place, event in enumerate(events):
        other = other_of(event)
        if other in first and not event.data.get("wanted"):
            tells, first[other] = first[other], False
            if tells != ("wanted" not in event.data):
                events[place] = replace(event, data=_telling(event) if tells else {**event.data, "wanted": False})


def _telling(event: Kept) -> dict[str, object]:
    """The data of a merge event that says that the merge is done."""
    return {name: value for name, value in event.data.items() if name != "wanted"}
