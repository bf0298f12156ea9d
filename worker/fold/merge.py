"""This contact is another one too: the other id is claimed, and what its key answers is folded as one with what is.

Only who claims is found here; whether the other id comes is decided at its own key (`worker.fold.claim`). Until then
the merge event lies in the history as `wanted`, and the horizon stands still.
"""

from __future__ import annotations

from worker.fold.claim import claims_that_waited, refused
from worker.fold.erasure import forget
from worker.fold.identity import claims_on, join, marked, other_of, owner_at, way_back
from worker.fold.messages import PASSED_MAX, Answer, Claim, Gone, Restored
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.fold.split import splits_that_waited
from worker.fold.state import MERGED_MAX, Forward, Identity, Kept
from worker.fold.union import is_whole, take_in
from worker.fold.wanted import done, tell_once, want
from worker.plan.plan import TAIL_EVENTS


def merge(person: Person, kept: Kept) -> Refusal | None:
    """The merge event counts, and the other id is claimed."""
    other, claimer = other_of(kept), kept.origin or person.name
    if not isinstance(other, str) or other == claimer:
        return Refusal("merge-into-itself", f"event {kept.id!r} merges a contact into itself")
    if marked(kept.id, kept.source) in person.past.parted:
        person.outcome.duplicates += 1
        return None
    if kept.time <= person.erased and not kept.origin:
        erased_since(person, kept, person.erased)
        return None
    contact = person.contact()
    record = contact.open(kept.time)
    identity = record.identity = record.identity or Identity()
    if len(identity.merged) + len(identity.pending) >= MERGED_MAX:
        return Refusal("too-many-merges", f"a contact may be {MERGED_MAX} ids; event {kept.id!r} would add one")
    if contact.knows(kept):
        person.outcome.duplicates += 1
        return None
    wanted = want(contact, kept, other, person.is_also(other))
    crossed = other == person.name  # a claim that stands: this one was heard, and like any that is refused is nothing
    if crossed:
        wanted.data = {}
    contact.add(wanted, lenient=True)
    if crossed:
        return refused(kept.id, kept.source, other, kept.origin, "they are one already, the other way round")
    claims = identity.merged if other in identity.merged else identity.pending
    join(claims, other, [[kept.time, kept.source, kept.id, claimer, True]])
    person.send(other, _claim(kept, claimer))
    return None


def erased_since(person: Person, kept: Kept, erased: int) -> None:
    """An id became another one, and was erased since, up to then: so is the other."""
    other, claimer = other_of(kept), kept.origin or person.name
    if isinstance(other, str) and other != claimer:
        claim = _claim(kept, claimer)
        claim.erased = erased
        person.send(other, claim)


def _claim(kept: Kept, claimer: str) -> Claim:
    kind = kept.type.removeprefix("contact.")
    return Claim(other_of(kept), claimer, kept.time, kept.source, kept.id, kind)


def answered(person: Person, answer: Answer) -> Refusal | None:
    """The claimed id's record arrives: both histories are folded as one. Where a claimer has gone on, it follows."""
    holder, claimer = person.holder, (answer.passed or [person.name])[0]
    if claimer == person.name and person.erased >= answer.time:
        _give_back(person, answer, person.erased)
        return None
    back = way_back(person.name, answer.passed)
    if isinstance(holder, Forward):
        returned = person.name in answer.passed and back is not None
        _pass_on(person, answer, back if returned else owner_at(holder.claims, answer.time))
        return None
    identity = person.identity
    claims = [] if identity is None else claims_on(identity, answer.of)
    made = [answer.time, answer.source, answer.id, claimer]
    if identity is None or made not in [claim[:4] for claim in claims]:
        # It was split off, or the claimer was erased, while the answer was on its way: who sent it here has been told.
        _pass_on(person, answer, back)
        return None
    if answer.erased:
        return forget(person, claimer, answer.erased)
    contact = person.contact()
    record = contact.open(answer.time)
    identity.pending.pop(answer.of, None)
    event = done(contact, answer)
    if answer.granted:
        whole = contact.whole() and is_whole(answer)
        join(identity.merged, answer.of, [[*claim[:4], whole and claim[4]] for claim in claims])
        for other, passed in answer.merged.items():
            join(identity.merged, other, [[*claim[:4], whole and claim[4]] for claim in passed])
        identity.parted = [*identity.parted, *answer.parted][-MERGED_MAX:]
        identity.until = {**identity.until, **answer.until}
        identity.parting = [*identity.parting, *answer.parting][-MERGED_MAX:]
        for other, waiting in answer.pending.items():
            if other != person.name:
                join(identity.merged if other in identity.merged else identity.pending, other, waiting)
        identity.merged = dict(list(identity.merged.items())[:MERGED_MAX])
        record.spent = [*record.spent, *answer.spent][-TAIL_EVENTS:]
        take_in(contact, answer, event)
        tell_once(contact, identity)
    elif others := [claim for claim in claims if claim[:4] != made]:
        identity.pending[answer.of] = others
    if not identity.pending:
        record.horizon = max(record.horizon, record.newest - person.engine.plan.horizon)
    refusals = [splits_that_waited(person, identity), claims_that_waited(person, identity)]
    return next((refusal for refusal in refusals if refusal is not None), None)


def _pass_on(person: Person, answer: Answer, to: str | None) -> None:
    if to is None or len(answer.passed) >= PASSED_MAX:
        _give_back(person, answer, 0)
        return
    answer.to, answer.passed = to, [*answer.passed, person.name]
    person.send(to, answer)


def _give_back(person: Person, answer: Answer, erased: int) -> None:
    """Nobody waits for what the other id gave: it is a contact of its own again, and erased where its claimer is."""
    if not answer.granted:
        return
    claimer = (answer.passed or [person.name])[0]
    if erased:
        person.send(answer.of, Gone(answer.of, erased, [claimer]))
    of = [] if erased else [claimer]
    person.send(answer.of, Restored(of, answer.of, answer.events, answer.merged, answer.pending))
