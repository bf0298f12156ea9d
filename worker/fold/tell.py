"""What is published of a contact: the events out, as the state stood when each became true.

An output's id is a digest of lifecycle, definition and its own content, recorded time and `current` apart, so that the
same history gives the same ids on any run.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from worker.fold.outcome import Output
from worker.fold.state import Kept, State
from worker.instants import format_instant
from worker.plan.plan import Move, Plan

__all__ = ["Told", "cause", "current", "digest", "iso", "output", "qualified", "score"]

# One change says the same instant several times over.
iso = lru_cache(maxsize=1_024)(format_instant)

# Each `data` is made with its keys in one order, so that equal contents are equal bytes.
_canonical = msgspec.json.Encoder().encode


def digest(plan: Plan, kind: str, subject: str, time: str, data: dict[str, Any]) -> str:
    content = _canonical((plan.lifecycle.lifecycle, plan.fingerprint, kind, subject, time, data))
    return blake2b(content, digest_size=16).hexdigest()


def output(plan: Plan, kind: str, subject: str, at: int, data: dict[str, Any]) -> Output:
    """A CloudEvent without what depends on the run (`recordedtime`, `current`), which `seal` adds."""
    known = plan.lifecycle
    return _output(
        plan, kind, subject, iso(at), {"lifecycle": known.lifecycle, "definition_version": known.version, **data}
    )


def _output(plan: Plan, kind: str, subject: str, time: str, data: dict[str, Any]) -> Output:
    return Output(
        subject,
        {
            "specversion": "1.0",
            "id": digest(plan, kind, subject, time, data),
            "source": "/lifecycle/" + plan.lifecycle.lifecycle,
            "type": kind,
            "subject": subject,
            "time": time,
            "datacontenttype": "application/json",
            "data": data,
        },
    )


def current(plan: Plan, state: State, revision: int) -> dict[str, Any]:
    """Where the contact stands: what a mirror keeps, of the highest revision it has seen."""
    return {
        "stage": plan.stages[state.stage],
        "status": plan.statuses[state.status] or None,
        "qualified": qualified(plan, state),
        "entered_at": iso(state.entered),
        "revision": revision,
    }


def qualified(plan: Plan, state: State) -> bool:
    return plan.qualified[state.stage] and not plan.disqualified(state, state.at)


def score(plan: Plan, state: State, at: int) -> dict[str, float]:
    fit, behaviour = float(plan.fit(state)), float(plan.behaviour(state, at))
    if fit and behaviour:
        return {"total": round(fit + behaviour, 2), "fit": round(fit, 2), "behaviour": round(behaviour, 2)}
    total = round(fit or behaviour, 2)  # of one part alone it is that part: rounding is half of what a score costs
    return {"total": total, "fit": total if fit else 0.0, "behaviour": total if behaviour else 0.0}


class Told:
    """Collects what became true of one contact, in order. `since`: nothing before it is told (epoch ms)."""

    tells_guards = True

    def __init__(self, plan: Plan, contact: str, since: int = 0) -> None:
        self.plan = plan
        self.contact = contact
        self.since = since
        self.outputs: list[Output] = []

    def moved(self, state: State, at: int, left: int, passed: int, move: Move | None, why: Any) -> None:
        if at < self.since:
            return
        plan = self.plan
        stage, visit = state.stage, state.visits[state.stage]
        event, guards = (why, {}) if why is None or isinstance(why, Kept) else (why.event, why.guards)
        name, owners, promise, time = plan.stages[stage], plan.owners, state.promise, iso(at)
        handed = left >= 0 and owners[left] != owners[stage]
        due = promise.due if promise is not None else 0
        sla = plan.lifecycle.stages[name].sla if due else None
        first, last = state.first_touch, state.last_touch
        self.outputs.append(
            _output(
                plan,
                "lifecycle.stage.changed.v1",
                self.contact,
                time,
                {
                    "lifecycle": plan.lifecycle.lifecycle,
                    "definition_version": plan.lifecycle.version,
                    "contact": self.contact,
                    "from": plan.stages[left] if left >= 0 else None,
                    "to": name,
                    "direction": "initial" if left < 0 else "forward" if stage > left else "backward",
                    "says": move.says if move is not None else "",
                    "reason": reason_of(event, state, move),
                    "cause": cause(event, at),
                    "guards": guards,
                    "visit": visit[0] if visit else 1,
                    "entered_at": time,
                    "seconds_in_previous": (at - passed) / 1000 if left >= 0 else None,
                    "handoff": {"from_owner": owners[left], "to_owner": owners[stage]} if handed else None,
                    "sla": {"due_at": iso(due), "late": sla.late} if sla is not None else None,
                    "status": plan.statuses[state.status] or None,
                    "qualified": qualified(plan, state),
                    "suppressed": bool(plan.suppressed(state, at)),
                    "score": score(plan, state, at),
                    "icp_fit": fit_of(plan, state, at),
                    "value": self._value(state),
                    "company": company_of(plan, state),
                    "attribution": {
                        "first": _touch(first) if first is not None else None,
                        "last": _touch(last) if last is not None else None,
                    },
                    "traits": self._traits(state) if state.traits else {},
                },
            )
        )

    def status(self, state: State, at: int, before: int, why: Any) -> None:
        event = why if why is None or isinstance(why, Kept) else why.event
        plan = self.plan
        self._tell(
            "lifecycle.status.changed.v1",
            at,
            {
                "contact": self.contact,
                "from": plan.statuses[before],
                "to": plan.statuses[state.status],
                "reason": reason_of(event, state, None),
                "cause": cause(event, at),
                "stage": plan.stages[state.stage],
                "qualified": qualified(plan, state),
                "suppressed": bool(plan.suppressed(state, at)),
            },
        )

    def merged(self, state: State, at: int, other: Any, why: Kept) -> None:
        """Nothing is told of a merge that was refused, or was done before: its event names no other id any more."""
        if isinstance(other, str):
            data = {"contact": self.contact, "from": other, "cause": cause(why, at)}
            self._tell("lifecycle.contact.merged.v1", at, data)

    def breached(self, state: State, at: int) -> None:
        self._tell("lifecycle.sla.breached.v1", at, self._promise(state, at))

    def warned(self, state: State, at: int) -> None:
        data = self._promise(state, at)
        due = iso(state.promise.due) if state.promise else iso(at)
        self._tell(
            "lifecycle.signal.v1",
            at,
            {**data, "signal": "sla_warning", "action": "warned", "due_at": due, "cause": cause(None, at)}
            | {"status": self.plan.statuses[state.status] or None},
        )

    def signalled(self, state: State, at: int, signal: int, why: Any) -> None:
        self._signal(state, at, self.plan.signals[signal], "occurred", why)

    def marked(self, state: State, at: int, flag: int, holds: bool, why: Any) -> None:
        known = self.plan.flags[flag]
        if known.kind == "segment":
            self._signal(state, at, known.name, "entered" if holds else "left", why)
        elif holds:
            field = known.field or ""
            event = why if why is None or isinstance(why, Kept) else why.event
            self._tell(
                "lifecycle.hygiene.failed.v1",
                at,
                {
                    "contact": self.contact,
                    "missing": [field] if field else [],
                    "failures": [{"rule": known.name, "field": field, "message": known.says}],
                    "stage": self.plan.stages[state.stage],
                    "cause": cause(event, at),
                },
            )

    def _signal(self, state: State, at: int, name: str, action: str, why: Any) -> None:
        event = why if why is None or isinstance(why, Kept) else why.event
        self._tell(
            "lifecycle.signal.v1",
            at,
            {
                "contact": self.contact,
                "signal": name,
                "action": action,
                "cause": cause(event, at),
                "stage": self.plan.stages[state.stage],
                "status": self.plan.statuses[state.status] or None,
            },
        )

    def _promise(self, state: State, at: int) -> dict[str, Any]:
        visit = state.visits[state.stage]
        stage = self.plan.stages[state.stage]
        sla = self.plan.lifecycle.stages[stage].sla
        return {
            "contact": self.contact,
            "stage": stage,
            "visit": visit[0] if visit else 1,
            "owner": sla.late if sla else self.plan.owners[state.stage],
            "entered_at": iso(state.entered),
            "due_at": iso(at),
        }

    def _value(self, state: State) -> dict[str, Any]:
        place = self.plan.value_fact
        ids = state.facts[place] if place is not None else None
        if not ids:
            return {}
        return {name: {"amount": amount, "currency": currency} for name, (amount, currency) in ids.items()}

    def _traits(self, state: State) -> dict[str, Any]:
        return {name: state.traits[name] for name in self.plan.lifecycle.publish.traits if name in state.traits}

    def _tell(self, kind: str, at: int, data: dict[str, Any]) -> None:
        if at >= self.since:
            self.outputs.append(output(self.plan, kind, self.contact, at, data))


def cause(event: Kept | None, at: int) -> dict[str, Any]:
    """The event, the timer or the person behind a change."""
    if event is None:
        return {"kind": "timer", "timer": "deadline", "due_at": iso(at)}
    time = iso(event.true_time or event.time)
    if event.type == "stage.set":
        told = {"id": event.id, "source": event.source, "type": event.type, "time": time}
        return {"kind": "person", "by": event.data.get("by", ""), "reason": event.data.get("reason", ""), **told}
    return {"kind": "event", "id": event.id, "source": event.source, "type": event.type, "time": time}


def reason_of(event: Kept | None, state: State, move: Move | None) -> str:
    if move is not None and move.reason is not None:
        return state.reason
    return str(event.data.get("reason", "")) if event is not None else ""


def company_of(plan: Plan, state: State) -> str | None:
    company = state.traits.get(plan.company) if plan.company else state.traits.get("company_id")
    return company if isinstance(company, str) and company else None


def fit_of(plan: Plan, state: State, at: int) -> bool | None:
    """Whether the contact fits: by the definition's condition `fit`, else as its traits say."""
    if plan.fits is not None:
        return bool(plan.fits(state, at))
    given = state.traits.get("icp_fit")
    return given if isinstance(given, bool) else None


def _touch(touch: list[Any]) -> dict[str, Any]:
    source, medium, campaign, at, kind = touch
    return {"source": source, "medium": medium, "campaign": campaign, "time": iso(at), "type": kind}
