"""What of an event the definition can use, and why one is refused. Nothing here looks at a contact's state."""

from __future__ import annotations

from typing import Any, TypeAlias

from worker.fold.outcome import Event, Refusal
from worker.fold.state import Kept
from worker.fold.tell import iso
from worker.plan.plan import ECHO, Plan

AHEAD_MS = 300_000


class refuse:
    """The refusals of the fold: each a fixed reason and a sentence that says what, where and what to do."""

    @staticmethod
    def ahead(event: Event, now: int) -> Refusal:
        return Refusal(
            "time-ahead",
            f"event {event.id!r} says {iso(event.time)}, more than 5 minutes after the wall clock {iso(now)}:"
            " mend the sender's clock or time zone",
        )

    @staticmethod
    def too_late(event: Event | Kept, horizon: int) -> Refusal:
        return Refusal(
            "too-late",
            f"event {event.id!r} of {iso(event.time)} lies before {iso(horizon)}, up to where this contact's history"
            " is settled: `redrive --as-now`, run with --too-late apply-now, or `replay --sorted` an export",
        )

    @staticmethod
    def unknown_status(event: Event, status: Any) -> Refusal:
        return Refusal("unknown-status", f"{status!r} is no status of this lifecycle, nor a CRM name listed for one")

    @staticmethod
    def unknown_stage(event: Event, stage: Any) -> Refusal:
        return Refusal("unknown-stage", f"{stage!r} is no stage of this lifecycle")

    @staticmethod
    def not_manual(event: Event, stage: str) -> Refusal:
        return Refusal(
            "stage-not-manual", f"nobody places a contact in {stage!r}: the definition does not say `manual: true`"
        )


Useful: TypeAlias = tuple[dict[str, Any], dict[str, Any] | None] | Refusal | None
"""What is kept of an event (data, traits), why it is refused, or None where the definition can do nothing with it."""


def accept_fields(plan: Plan, event: Event) -> Useful:
    """The data and traits of the event that the definition can use; None where it can do nothing with it."""
    kind, given = event.type, event.data
    fields = plan.fields.get(kind)
    if fields is None:
        fields = plan.fields[""]
    traits = None
    if event.traits:
        traits = {name: value for name, value in event.traits.items() if name in plan.traits} or None
    if kind == "stage.set":
        return _placed(plan, event, traits)
    data = {name: given[name] for name in given if name in fields}
    if kind in plan.sets_status:
        if given.get("by") == ECHO:
            return None
        status = data.get("status")
        if status is not None:
            place = plan.status_names.get(status.casefold()) if isinstance(status, str) else None
            if place is None:
                return refuse.unknown_status(event, status)
            data["status"] = plan.statuses[place]
    uses = plan.uses.get(kind) or plan.uses[""]
    if uses(given if kind not in plan.sets_status else data, kind, event.source):
        return data, traits
    if kind in plan.ignores and plan.ignores[kind](given, kind, event.source):
        return (data, traits) if traits is not None else None  # `step.take` asks again: it must see the fields
    if traits is not None or attributes(data):
        return data, traits
    return None


def attributes(data: dict[str, Any]) -> bool:
    """Whether the event says by which campaign the contact came."""
    return "utm_source" in data or "utm_medium" in data or "utm_campaign" in data


def _placed(plan: Plan, event: Event, traits: dict[str, Any] | None) -> tuple[dict[str, Any], Any] | Refusal:
    names: tuple[str, ...] = ("stage", "status", "reason", "by")
    data = {name: event.data[name] for name in names if name in event.data}
    stage, status = data.get("stage"), data.get("status")
    if stage is not None and stage not in plan.stages:
        return refuse.unknown_stage(event, stage)
    if stage is not None and stage not in plan.manual:
        return refuse.not_manual(event, stage)
    if status is not None and str(status).casefold() not in plan.status_names:
        return refuse.unknown_status(event, status)
    return data, traits
