"""What must hold between the parts of a definition, expressions apart: every name is that of something."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from functools import cache
from zoneinfo import available_timezones

from worker.definition.errors import Fault
from worker.definition.habits import duration_meant
from worker.definition.model import BusinessHours, Lifecycle
from worker.definition.nearest import nearest, suggestion
from worker.definition.scope import RESERVED, SETBACK
from worker.definition.tokens import duration_ms

Steps = tuple[str | int, ...]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def faults_of_structure(lifecycle: Lifecycle) -> Iterator[Fault]:
    """Every fault that shows without reading an expression."""
    yield from _names(lifecycle)
    yield from _parameters(lifecycle)
    yield from _stages(lifecycle)
    yield from _transitions(lifecycle)
    yield from _statuses(lifecycle)
    yield from _rest(lifecycle)
    yield from business_hours(lifecycle.business_hours)


def unknown(what: str, name: str, among: Collection[str], path: Steps, on_key: bool = False) -> Fault:
    found = nearest(name, among)
    hint = suggestion(found)
    if not hint:
        hint = (
            f"; there is {', '.join(among)}" if 0 < len(among) <= 12 else f"; there is no {what}" if not among else ""
        )
    return Fault(path, f"unknown-{what}", f"'{name}' is no {what}{hint}", on_key=on_key)


def _parameters(lifecycle: Lifecycle) -> Iterator[Fault]:
    """A duration that is spelt another way would be a text, and a fault at each of its uses."""
    for name, parameter in lifecycle.parameters.items():
        meant = duration_meant(parameter.value) if isinstance(parameter.value, str) else None
        if meant is not None:
            message = f"'{parameter.value}' is no duration; write {meant}"
            yield Fault(("parameters", name, "value"), "bad-duration", message)


def _names(lifecycle: Lifecycle) -> Iterator[Fault]:
    """Parameters, signals, facts and conditions stand side by side in expressions, so a name belongs to one of them."""
    owners: dict[str, str] = {}
    for section, names in (
        ("parameters", lifecycle.parameters),
        ("signals", lifecycle.signals),
        ("facts", lifecycle.facts),
        ("conditions", lifecycle.conditions),
    ):
        for name in names:
            path: Steps = (section, name)
            if name in RESERVED or (name == SETBACK and section != "signals"):
                yield Fault(
                    path, "reserved-name", f"'{name}' has a meaning of its own; choose another name", on_key=True
                )
            elif name in owners:
                yield Fault(path, "duplicate-name", f"'{name}' already stands under `{owners[name]}`", on_key=True)
            else:
                owners[name] = section
    if _is_empty_duration(lifecycle.horizon):
        yield Fault(("horizon",), "bad-value", "the horizon is longer than nothing, such as 7d")


def _is_empty_duration(text: str) -> bool:
    try:
        return duration_ms(text) <= 0
    except ValueError:
        return True


def _owners(lifecycle: Lifecycle) -> Collection[str]:
    """Whom a stage or an SLA may name: those under `owners`; where that is empty, those that stages name."""
    return list(lifecycle.owners) or list(dict.fromkeys(stage.owner.value for stage in lifecycle.stages.values()))


def _stages(lifecycle: Lifecycle) -> Iterator[Fault]:
    owners = _owners(lifecycle)
    reached = {transition.to for transition in lifecycle.transitions}
    all_known = reached <= set(lifecycle.stages)  # else the misspelt one is the fault
    for place, (name, stage) in enumerate(lifecycle.stages.items()):
        path: Steps = ("stages", name)
        if stage.owner.value not in owners:
            yield unknown("owner", stage.owner.value, owners, (*path, "owner"))
        if stage.sla is not None and stage.sla.late not in owners:
            yield unknown("owner", stage.sla.late, owners, (*path, "sla", "late"))
        if place and all_known and name not in reached and not stage.manual:
            yield Fault(
                path, "unreachable-stage",
                f"nothing leads to '{name}': no transition has `to: {name}`, and it isn't `manual: true`", on_key=True,
            )  # fmt: skip


def _transitions(lifecycle: Lifecycle) -> Iterator[Fault]:
    stages = list(lifecycle.stages)
    statuses = _status_ids(lifecycle)
    for number, transition in enumerate(lifecycle.transitions):
        path: Steps = ("transitions", number)
        faults = list(_origins(transition.from_, stages, (*path, "from")))
        if transition.to not in stages:
            faults.append(unknown("stage", transition.to, stages, (*path, "to")))
        yield from faults
        if not faults:
            origins = lifecycle.origins(transition)
            if not origins:
                yield Fault((*path, "from"), "bad-value", f"'{transition.from_}' is no stage at all: none is there")
            if transition.to in origins:
                yield Fault(
                    (*path, "to"), "bad-value", f"would move a contact from '{transition.to}' to '{transition.to}'"
                )
        if transition.status is not None and transition.status not in statuses:
            yield unknown("status", transition.status, statuses, (*path, "status"))


def _origins(given: str | list[str], stages: Collection[str], path: Steps) -> Iterator[Fault]:
    if isinstance(given, list):
        if not given:
            yield Fault(path, "bad-value", "names no stage")
        for number, name in enumerate(given):
            if name not in stages:
                yield unknown("stage", name, stages, (*path, number))
            elif name in given[:number]:
                yield Fault((*path, number), "duplicate-name", f"'{name}' stands there twice")
        return
    match given.split():
        case ["any"]:
            return
        case ["any", "below" | "above", bound]:
            if bound not in stages:
                fault = unknown("stage", bound, stages, path)
                yield fault._replace(offset=given.index(bound, 9 if given.count(bound) > 1 else 0), length=len(bound))
        case [name]:
            if name not in stages:
                yield unknown("stage", name, [*stages, "any"], path)
        case _:
            yield Fault(
                path, "bad-value", f"'{given}' is no origin: a stage, a list, `any`, `any below X`, `any above X`"
            )


def _status_ids(lifecycle: Lifecycle) -> list[str]:
    return [*lifecycle.statuses.track, *lifecycle.statuses.aside] if lifecycle.statuses else []


def _statuses(lifecycle: Lifecycle) -> Iterator[Fault]:
    statuses = lifecycle.statuses
    if statuses is None:
        return
    known = _status_ids(lifecycle)
    for section, names, before in (("track", statuses.track, []), ("aside", statuses.aside, statuses.track)):
        for number, name in enumerate(names):
            if name in names[:number] or name in before:
                yield Fault(("statuses", section, number), "duplicate-name", f"the status '{name}' stands there twice")
    for section, given in (("meanings", statuses.meanings), ("implied_by", statuses.implied_by)):
        for name in given:
            if name not in known:
                yield unknown("status", name, known, ("statuses", section, name), on_key=True)
    claimed: dict[str, str] = {name.casefold(): name for name in known}
    for name, meaning in statuses.meanings.items():
        if name not in known:
            continue
        for number, other in enumerate(meaning.crm):
            owner = claimed.setdefault(other.casefold(), name)
            if owner != name:
                yield Fault(
                    ("statuses", "meanings", name, "crm", number), "duplicate-name",
                    f"the CRM's name '{other}' already means '{owner}'",
                )  # fmt: skip
    for number, reopen in enumerate(statuses.reopen):
        path: Steps = ("statuses", "reopen", number)
        for place, name in enumerate(reopen.from_ or ()):
            if name not in statuses.aside:
                yield unknown("aside", name, statuses.aside, (*path, "from", place))
        if reopen.to not in known:
            yield unknown("status", reopen.to, known, (*path, "to"))
        if not statuses.aside:
            yield Fault(path, "bad-value", "there is nothing to reopen: `aside` names no status")


def _rest(lifecycle: Lifecycle) -> Iterator[Fault]:
    stages = list(lifecycle.stages)
    company = lifecycle.company
    if company is not None and company.from_parent is not None and company.from_parent not in stages:
        yield unknown("stage", company.from_parent, stages, ("company", "from_parent"))
    if lifecycle.forget is not None and lifecycle.forget.stage not in stages:
        yield unknown("stage", lifecycle.forget.stage, stages, ("forget", "stage"))


def business_hours(hours: BusinessHours) -> Iterator[Fault]:
    """Every fault of a calendar: days, times, zone, days off."""
    path = ("business_hours",)
    for part in hours.days.split(","):
        ends = [end.strip().lower() for end in part.split("-")]
        wrong = next((end for end in ends if end not in DAYS), None)
        if wrong is not None or len(ends) > 2:
            hint = suggestion(nearest(wrong or "", DAYS))
            yield Fault(
                (*path, "days"), "bad-value",
                f"'{part.strip()}' is no day or range of days; days are {', '.join(DAYS)}, such as mon-fri{hint}",
            )  # fmt: skip
    if hours.open >= hours.close:
        yield Fault((*path, "close"), "bad-value", f"closes at {hours.close}, not after it opens at {hours.open}")
    if hours.timezone not in _zones():
        hint = suggestion(nearest(hours.timezone, _zones()))
        yield Fault(
            (*path, "timezone"), "bad-value",
            f"'{hours.timezone}' is no time zone of the IANA database, such as Europe/Berlin{hint}",
        )  # fmt: skip
    for number, day in enumerate(hours.holidays):
        try:
            date.fromisoformat(day)
        except ValueError:
            yield Fault((*path, "holidays", number), "bad-value", f"'{day}' is no day of the calendar")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
