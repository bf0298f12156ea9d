"""Where a contact and a company stand in the end: the rows of `contacts.jsonl` and `companies.jsonl`."""

from __future__ import annotations

from typing import Any

from worker.company.rollup import Company, standing
from worker.fold import tell
from worker.fold.state import State
from worker.plan import Plan


def contact_row(plan: Plan, contact: str, state: State, at: int) -> dict[str, Any]:
    """A contact as it stands at `at` (epoch ms). `visits`: each stage it was in, how often, when and how long."""
    score = tell.score(plan, state, at)
    return {
        "contact": contact,
        "stage": plan.stages[state.stage],
        "entered_at": tell.iso(state.entered),
        "status": plan.statuses[state.status] or None,
        "qualified": tell.qualified(plan, state),
        "suppressed": bool(plan.suppressed(state, at)),
        "score": score["total"],
        "score_fit": score["fit"],
        "score_behaviour": score["behaviour"],
        "company": tell.company_of(plan, state),
        "customer_status": customer_status(plan, state),
        "owner": plan.owners[state.stage],
        "segments": segments(plan, state),
        "visits": {name: visit for place, name in enumerate(plan.stages) if (visit := _visit(state, place, at))},
    }


def _visit(state: State, place: int, at: int) -> dict[str, Any] | None:
    visit = state.visits[place]
    if visit is None:
        return None
    count, first, latest, total, _ = visit
    spent = total + max(0, at - latest) if place == state.stage else total
    return {"count": count, "first": tell.iso(first), "latest": tell.iso(latest), "seconds": spent / 1000}


def segments(plan: Plan, state: State) -> list[str]:
    """The segments that the contact is in."""
    flags = enumerate(plan.flags)
    return [flag.name for place, flag in flags if flag.kind == "segment" and state.flags >> place & 1]


def broken_rules(plan: Plan, state: State) -> list[str]:
    """The hygiene rules that the contact breaks."""
    flags = enumerate(plan.flags)
    return [flag.name for place, flag in flags if flag.kind == "hygiene" and state.flags >> place & 1]


def customer_status(plan: Plan, state: State) -> str | None:
    """The first of the lifecycle's customer statuses that the contact holds by itself."""
    return next((name for name, holds in plan.company_statuses if holds(state, state.at)), None)


def company_row(plan: Plan, company: Company) -> dict[str, Any]:
    """A company as it stands, by its contacts and its ancestors."""
    stage, status = standing(plan, company)
    return {
        "company": company.name,
        "stage": stage,
        "customer_status": status,
        "contacts": sum(company.stages.values()),
        "contacts_by_stage": {name: company.stages[name] for name in plan.stages if name in company.stages},
        "parent": company.parent or None,
    }
