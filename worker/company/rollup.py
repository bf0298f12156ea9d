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
from worker.fold.takeover import stage_named
from worker.plan.plan import Plan

CHILDREN_MAX = 10_000
LEFT_MS = 30 * 86_400_000  # a message is on its way for seconds, or for as long as a worker was away


class Place(msgspec.Struct, array_like=True):
    """What a contact last told a company. `sequence`: later tellings have a higher one. `left`: when it went (ms)."""

    sequence: int
    stage: str
    statuses: list[str]
    parent: str = ""
    left: int = 0


class Company(msgspec.Struct, array_like=True):
    """A company by its contacts: how many there are at each stage, of each status, and that name each parent.

    `ancestors` is nearest first. Stages and statuses stand here by name: another version of the definition, under
    which they lie elsewhere, goes on with the same counts.
    """

    name: str
    stages: dict[str, int] = {}
    statuses: dict[str, int] = {}
    parents: dict[str, int] = {}
    parent: str = ""
    children: list[str] = []
    ancestors: list[list[Any]] = []  # [company, stage, statuses]: each one's own
    stage: str = ""  # as last published
    status: str = ""
    revision: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_place = msgspec.msgpack.Decoder(Place).decode
decode_company = msgspec.msgpack.Decoder(Company).decode


def apply_member(keys: Keys, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
    """A contact tells a company where it stands: what changed goes on to the company's counts."""
    outcome = Outcome()
    place = _decode_place(state) if state is not None else Place(0, "", [])
    for arrival in arrivals:
        body = decode(arrival) if isinstance(arrival, bytes) else None
        if not isinstance(body, Member) or body.sequence <= place.sequence:
            continue
        moved = Moved(
            body.company, body.at, body.stage, place.stage, body.statuses, place.statuses, body.parent, place.parent
        )  # fmt: skip
        outcome.messages.append(keys.to_company(body.company, moved))
        place = Place(body.sequence, body.stage, body.statuses, body.parent, 0 if body.stage else now)
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
    own_before: list[Any] | None = None
    at = 0
    for arrival in arrivals:
        body = decode(arrival) if isinstance(arrival, bytes) else None
        if not isinstance(body, Moved | Child | Standing):
            continue
        if company is None:
            company = Company(body.company)
        if own_before is None:
            own_before = own(plan, company)
        at = max(at, body.at)
        match body:
            case Moved():
                _count(company, body)
            case Child():
                _adopt(plan, keys, company, body, outcome)
            case Standing() if body.parent == company.parent:
                ancestors = _without_repeats(company, body.ancestors)
                if ancestors != company.ancestors:  # a circle of parents would tell itself for ever
                    company.ancestors = ancestors
                    _tell_children(plan, keys, company, at, outcome)
    if company is None or own_before is None:
        return outcome
    _follow_parent(plan, keys, company, at, outcome)
    if own(plan, company) != own_before:
        _tell_children(plan, keys, company, at, outcome)
    _publish(plan, company, at, now, outcome)
    outcome.changed = True
    alive = company.stages or company.children
    outcome.state = _encode(company) if alive else None
    return outcome


def own(plan: Plan, company: Company) -> list[Any]:
    """What a company is by its own contacts: the highest stage ("": no contact), the statuses held."""
    highest = max((place for name in company.stages if (place := stage_named(name, plan)) is not None), default=-1)
    held = [name for name, _ in plan.company_statuses if name in company.statuses]
    return [plan.stages[highest] if highest >= 0 else "", held]


def standing(plan: Plan, company: Company) -> tuple[str | None, str | None]:
    """(stage, customer status), its own and what an ancestor's own standing gives it besides; None: it has none."""
    stage, statuses = own(plan, company)
    given = plan.lifecycle.company.from_parent if plan.lifecycle.company else None
    if given is not None and stage:
        bound = plan.stages.index(given)
        above = [ancestor for ancestor in company.ancestors if _reaches(plan, ancestor[1], bound)]
        if above:
            stage = plan.stages[max(plan.stages.index(stage), bound)]
            statuses = [*statuses, *(name for ancestor in above for name in ancestor[2])]
    status = next((name for name, _ in plan.company_statuses if name in statuses), None)
    return stage or None, status


def _reaches(plan: Plan, stage: str, bound: int) -> bool:
    place = stage_named(stage, plan) if stage else None
    return place is not None and place >= bound


def _count(company: Company, moved: Moved) -> None:
    for counts, names, by in (
        (company.stages, [moved.stage_before], -1),
        (company.stages, [moved.stage], 1),
        (company.statuses, moved.statuses_before, -1),
        (company.statuses, moved.statuses, 1),
        (company.parents, [moved.parent_before], -1),
        (company.parents, [moved.parent], 1),
    ):
        for name in names:
            if name:
                counts[name] = counts.get(name, 0) + by
                if not counts[name]:
                    del counts[name]


def _follow_parent(plan: Plan, keys: Keys, company: Company, at: int, outcome: Outcome) -> None:
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
    _tell_children(plan, keys, company, at, outcome)


def _adopt(plan: Plan, keys: Keys, company: Company, body: Child, outcome: Outcome) -> None:
    if body.child in company.children:
        company.children.remove(body.child)
    if body.stays:
        company.children.append(body.child)
        del company.children[:-CHILDREN_MAX]
        _tell(plan, keys, company, body.child, body.at, outcome)


def _tell_children(plan: Plan, keys: Keys, company: Company, at: int, outcome: Outcome) -> None:
    for child in company.children:
        _tell(plan, keys, company, child, at, outcome)


def _tell(plan: Plan, keys: Keys, company: Company, child: str, at: int, outcome: Outcome) -> None:
    ancestors = [[company.name, *own(plan, company)], *company.ancestors][:PASSED_MAX]
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
    before = stage_named(company.stage, plan) if company.stage else None
    stage_before = company.stage if before is None else plan.stages[before]
    if (stage or "", status or "") == (stage_before, company.status):
        return
    data = {
        "company": company.name,
        "stage_from": stage_before or None,
        "stage_to": stage,
        "customer_status_from": company.status or None,
        "customer_status_to": status,
        "contacts": sum(company.stages.values()),
        "parent": company.parent or None,
    }
    company.stage, company.status = stage or "", status or ""
    company.revision += 1
    told: Output = tell.output(plan, "lifecycle.company.changed.v1", company.name, at, data)
    told.body["recordedtime"] = tell.iso(now)
    told.body["data"]["revision"] = company.revision
    outcome.outputs.append(told)
