"""Companies: present state, made of their contacts' present states.

Two kinds of key. A member key holds what one contact last told one company; a company key holds counts: how many
contacts stand at each stage, how many hold each customer status. So an event costs a company of fifty thousand contacts
what it costs one of five, whatever the order things arrive in. A company's own standing is what its own contacts make
of it; what it has besides, it has from its ancestors' own standing, never from a derived one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from worker.fold import tell
from worker.fold.messages import PASSED_MAX, Child, Keys, Member, Moved, Standing, decode
from worker.fold.outcome import Event, Outcome, Output
from worker.plan.plan import Plan

CHILDREN_MAX = 10_000
LEFT_MS = 30 * 86_400_000  # a message is on its way for seconds, or for as long as a worker was away


class Place(msgspec.Struct, array_like=True):
    """What a contact last told a company. `sequence`: later tellings have a higher one. `left`: when it went (ms)."""

    sequence: int
    stage: int
    statuses: int
    parent: str = ""
    left: int = 0


class Company(msgspec.Struct, array_like=True):
    """A company by its contacts. `parents` counts which parent the contacts name; `ancestors` is nearest first."""

    name: str
    stages: list[int]
    statuses: list[int]
    parents: dict[str, int] = {}
    parent: str = ""
    children: list[str] = []
    ancestors: list[list[Any]] = []  # [company, stage, statuses]: each one's own
    stage: int = -1  # as last published
    status: int = -1
    revision: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_place = msgspec.msgpack.Decoder(Place).decode
decode_company = msgspec.msgpack.Decoder(Company).decode


def apply_member(keys: Keys, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
    """A contact tells a company where it stands: what changed goes on to the company's counts."""
    outcome = Outcome()
    place = _decode_place(state) if state is not None else Place(0, -1, 0)
    for arrival in arrivals:
        body = decode(arrival) if isinstance(arrival, bytes) else None
        if not isinstance(body, Member) or body.sequence <= place.sequence:
            continue
        moved = Moved(
            body.company, body.at, body.stage, place.stage, body.statuses, place.statuses, body.parent, place.parent
        )  # fmt: skip
        outcome.messages.append(keys.to_company(body.company, moved))
        place = Place(body.sequence, body.stage, body.statuses, body.parent, now if body.stage < 0 else 0)
        outcome.changed = True
    if outcome.changed:
        # A contact that left keeps its sequence here for a time: what it told before may still be on its way.
        outcome.state = _encode(place)
    outcome.due = _ends(place)
    return outcome


def advance_member(state: bytes, clock: int) -> Outcome:
    """A contact that left long ago is forgotten here: for the counts it is as if it had never been a member."""
    due = _ends(_decode_place(state))
    if due is not None and due <= clock:
        return Outcome(changed=True)
    return Outcome(due=due)


def _ends(place: Place) -> int | None:
    return place.left + LEFT_MS if place.left else None


def apply_company(plan: Plan, keys: Keys, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
    """Changes of its members, children that ask, and what its ancestors are, into a company's counts."""
    outcome = Outcome()
    company: Company | None = decode_company(state) if state is not None else None
    own_before: list[int] | None = None
    at = 0
    for arrival in arrivals:
        body = decode(arrival) if isinstance(arrival, bytes) else None
        if not isinstance(body, Moved | Child | Standing):
            continue
        if company is None:
            company = Company(body.company, [0] * len(plan.stages), [0] * len(plan.company_statuses))
        if own_before is None:
            own_before = own(company)
        at = max(at, body.at)
        match body:
            case Moved():
                _count(company, body)
            case Child():
                _adopt(keys, company, body, outcome)
            case Standing() if body.parent == company.parent:
                ancestors = _without_repeats(company, body.ancestors)
                if ancestors != company.ancestors:  # a circle of parents would tell itself for ever
                    company.ancestors = ancestors
                    _tell_children(keys, company, at, outcome)
    if company is None or own_before is None:
        return outcome
    _follow_parent(keys, company, at, outcome)
    if own(company) != own_before:
        _tell_children(keys, company, at, outcome)
    _publish(plan, company, at, now, outcome)
    outcome.changed = True
    alive = any(company.stages) or company.children
    outcome.state = _encode(company) if alive else None
    return outcome


def own(company: Company) -> list[int]:
    """What a company is by its own contacts: the highest stage (-1: no contact), the statuses held, as bits."""
    highest = max((place for place, count in enumerate(company.stages) if count), default=-1)
    return [highest, sum(1 << place for place, count in enumerate(company.statuses) if count)]


def standing(plan: Plan, company: Company) -> tuple[int, int]:
    """(stage, customer status), places or -1: its own, and what an ancestor's own standing gives it besides."""
    stage, statuses = own(company)
    given = plan.lifecycle.company.from_parent if plan.lifecycle.company else None
    if given is not None and stage >= 0:
        bound = plan.stages.index(given)
        above = [ancestor for ancestor in company.ancestors if ancestor[1] >= bound]
        if above:
            stage = max(stage, bound)
            for ancestor in above:
                statuses |= ancestor[2]
    status = next((place for place in range(len(plan.company_statuses)) if statuses >> place & 1), -1)
    return stage, status


def _count(company: Company, moved: Moved) -> None:
    for counts, place, by in ((company.stages, moved.stage_before, -1), (company.stages, moved.stage, 1)):
        if place >= 0:
            counts[place] += by
    for place in range(len(company.statuses)):
        company.statuses[place] += (moved.statuses >> place & 1) - (moved.statuses_before >> place & 1)
    for parent, by in ((moved.parent_before, -1), (moved.parent, 1)):
        if parent:
            company.parents[parent] = company.parents.get(parent, 0) + by
            if not company.parents[parent]:
                del company.parents[parent]


def _follow_parent(keys: Keys, company: Company, at: int, outcome: Outcome) -> None:
    """Ask the parent that most contacts name to be told of its standing; the one before it no longer."""
    named = [(-count, parent) for parent, count in company.parents.items() if parent != company.name]
    wanted = min(named)[1] if named else ""
    if wanted == company.parent:
        return
    if company.parent:
        outcome.messages.append(keys.to_company(company.parent, Child(company.parent, company.name, False, at)))
    company.parent, company.ancestors = wanted, []
    if wanted:
        outcome.messages.append(keys.to_company(wanted, Child(wanted, company.name, True, at)))
    _tell_children(keys, company, at, outcome)


def _adopt(keys: Keys, company: Company, body: Child, outcome: Outcome) -> None:
    if body.child in company.children:
        company.children.remove(body.child)
    if body.stays:
        company.children.append(body.child)
        del company.children[:-CHILDREN_MAX]
        _tell(keys, company, body.child, body.at, outcome)


def _tell_children(keys: Keys, company: Company, at: int, outcome: Outcome) -> None:
    for child in company.children:
        _tell(keys, company, child, at, outcome)


def _tell(keys: Keys, company: Company, child: str, at: int, outcome: Outcome) -> None:
    ancestors = [[company.name, *own(company)], *company.ancestors][:PASSED_MAX]
    outcome.messages.append(keys.to_company(child, Standing(child, company.name, at, ancestors)))


def _without_repeats(company: Company, ancestors: list[list[Any]]) -> list[list[Any]]:
    """Up to where the line of ancestors comes back to one already in it, or to the company itself."""
    seen, kept = {company.name}, []
    for ancestor in ancestors:
        if ancestor[0] in seen:
            break
        seen.add(ancestor[0])
        kept.append(ancestor)
    return kept


def _publish(plan: Plan, company: Company, at: int, now: int, outcome: Outcome) -> None:
    stage, status = standing(plan, company)
    if (stage, status) == (company.stage, company.status):
        return
    names = [name for name, _ in plan.company_statuses]
    data = {
        "company": company.name,
        "stage_from": plan.stages[company.stage] if company.stage >= 0 else None,
        "stage_to": plan.stages[stage] if stage >= 0 else None,
        "customer_status_from": names[company.status] if company.status >= 0 else None,
        "customer_status_to": names[status] if status >= 0 else None,
        "contacts": sum(company.stages),
        "parent": company.parent or None,
    }
    company.stage, company.status = stage, status
    company.revision += 1
    told: Output = tell.output(plan, "lifecycle.company.changed.v1", company.name, at, data)
    told.body["recordedtime"] = tell.iso(now)
    told.body["data"]["revision"] = company.revision
    outcome.outputs.append(told)
