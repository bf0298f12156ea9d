"""Scenario files: what happens to a contact, and what has become of it then.

A scenario is read whole: times are worked out, ids given, `until` known; an event after it lies ahead of the clock.
Whether the lifecycle then does what is expected is for whoever runs it; whether the names in `expect` are the
lifecycle's is told by `unknown_names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS
from worker.definition import vocabulary
from worker.definition.document import Document, read_document
from worker.definition.errors import DefinitionError, Fault, Finding, ParameterError
from worker.definition.form import located, validated
from worker.definition.model import Lifecycle, Text
from worker.definition.nearest import near_miss
from worker.definition.parameters import Value, resolve
from worker.definition.reader import turn
from worker.definition.structure import unknown
from worker.definition.tokens import duration_ms
from worker.instants import parse_instant

CONTACT = "c1"  # whom an event is about that doesn't say
SOURCE = "/scenario"
SCENARIOS_MAX = 2_000
EVENTS_MAX = 5_000  # of one scenario

_RELATIVE = re.compile(r"(\+-|[+-])(\S+)")
_LEAVE_OUT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
_OWN_KEYS = ("at", "type", "contact", "id", "source", "traits", "data")


def _as_written(value: Any) -> Any:
    """A whole number where a text belongs is that text, as it is written without quotes: `deal_id: 17`."""
    return str(value) if type(value) is int else value


def _no_step(value: Any) -> Any:
    """`+0` needs no unit; other numbers would be a guess."""
    return "+0s" if (type(value) is int and value == 0) or value in ("+0", "-0") else value


_Name = Annotated[Text, BeforeValidator(_as_written, json_schema_input_type=Text | int)]
_Moment = Annotated[Text, BeforeValidator(_no_step, json_schema_input_type=Text | Literal[0])]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ExpectedContact(_Part):
    """What a contact is expected to have come to; what isn't given isn't looked at.

    `known`: false where nothing is kept of the contact: it never came, was erased or forgotten. `segment` is one that
    it is in (null: none), `segments` are all of them, `hygiene` all rules that it breaks, each in any order; `signals`
    are those that went out, in order.
    """

    known: bool | None = None
    stage: Text | None = None
    visited: list[Text] | None = None
    status: Text | None = None
    qualified: bool | None = None
    suppressed: bool | None = None
    icp_fit: bool | None = None
    score: int | float | None = None
    segment: Text | None = None
    segments: list[Text] | None = None
    hygiene: list[Text] | None = None
    signals: list[Text] | None = None
    owner: Text | None = None
    customer_status: Text | None = None
    sla_breaches: list[Text] | None = None


class ExpectedCompany(_Part):
    """What a company is expected to have come to."""

    stage: Text | None = None
    customer_status: Text | None = None


class Expected(ExpectedContact):
    """The same of the contact the scenario is about (`c1`), of others by id, of companies, and of dead letters."""

    dead_letters: Annotated[int, Field(ge=0)] | None = None
    companies: dict[str, ExpectedCompany] = {}
    contacts: dict[str, ExpectedContact] = {}


class _EventForm(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    at: _Moment
    type: Text
    contact: _Name = CONTACT
    id: _Name | None = None
    source: Text = SOURCE
    traits: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


class ScenarioForm(_Part):
    """`parameters` are turned for this scenario alone; the others have the definition's values."""

    name: Text
    lifecycle: Text
    parameters: dict[str, bool | int | float | Text] = {}
    events: Annotated[list[_EventForm], Field(min_length=1, max_length=EVENTS_MAX)]
    until: _Moment | None = None
    expect: Expected


class Sent(NamedTuple):
    """One event as it arrives; the fields, in order, are those of `worker.fold.outcome.Event`."""

    time: int
    type: str
    id: str
    source: str
    subject: str
    data: dict[str, Any]
    traits: dict[str, Any] | None = None


@dataclass(frozen=True)
class Scenario:
    """One scenario: `sent` in the order of arrival, and `until_ms`, where the clock stands in the end (epoch ms)."""

    name: str
    lifecycle: str
    sent: Sequence[Sent]
    until_ms: int
    expect: Expected
    parameters: Mapping[str, Value] = field(default_factory=dict)
    source: str = "<text>"
    line: int = 1
    _document: Document | None = field(default=None, repr=False, compare=False)
    _place: int = field(default=0, repr=False, compare=False)

    def unknown_names(self, lifecycle: Lifecycle) -> list[Finding]:
        """Names in `expect` and `parameters` that the lifecycle doesn't have, and values its parameters can't have.

        Such a scenario could never tell anything.
        """
        faults = [
            fault._replace(path=(self._place, "expect", *fault.path)) for fault in _unknown(self.expect, lifecycle)
        ]
        faults += [fault._replace(path=(self._place, "parameters", *fault.path)) for fault in _turned(self, lifecycle)]
        return self._located(faults)

    def findings(self, key: str, code: str, message: str) -> list[Finding]:
        """One fault of the value that one of its keys has, at its place."""
        return self._located([Fault((self._place, key), code, message)])

    def _located(self, faults: list[Fault]) -> list[Finding]:
        if self._document is not None:
            return located(self._document, faults)
        return [Finding(self.source, self.line, 1, fault.code, fault.message) for fault in faults]


def read_scenarios(given: Path | str | bytes, source: str | None = None) -> list[Scenario]:
    """The scenarios of a file (a `Path`) or a text, in its order.

    Raises: DefinitionError with every finding.
    """
    document = read_document(given, source)
    if not document.root.is_list or document.root.items is None:
        raise DefinitionError(
            [document.finding(document.root.start, "wrong-type", "a scenario file is a list: `- name: …`")]
        )
    if len(document.root.items) > SCENARIOS_MAX:
        raise DefinitionError([document.finding(0, "too-large", f"more than {SCENARIOS_MAX} scenarios")])
    scenarios: list[Scenario] = []
    findings: list[Finding] = []
    for place in range(len(document.root.items)):
        try:
            scenarios.append(_scenario(document, place))
        except DefinitionError as error:
            findings += error.findings
    if findings:
        raise DefinitionError(findings)
    return scenarios


def _scenario(document: Document, place: int) -> Scenario:
    node, _ = document.find((place,))
    form = validated(document, ScenarioForm, node.plain(), (place,))
    faults: list[Fault] = []
    sent: list[Sent] = []
    before: int | None = None
    taken = {event.id for event in form.events}
    for number, event in enumerate(form.events):
        path = (place, "events", number)
        data = {**(event.model_extra or {}), **(event.data or {})}
        faults += _misspelt(event, path)
        try:
            before = _time(event.at, before, "the first event")
        except ValueError as error:
            faults.append(Fault((*path, "at"), "bad-value", str(error)))
            before = before or 0
        sent.append(
            Sent(
                time=before,
                type=event.type,
                id=event.id or _free(str(number + 1), taken),
                source=event.source,
                subject=event.contact,
                data=_texts(data, {**EVENT_FIELDS, **FIELDS.get(event.type, {})}),
                traits=event.traits and _texts(event.traits, TRAITS),
            )
        )
    newest = max(event.time for event in sent)
    until = newest
    if form.until is not None:
        try:
            until = _time(form.until, newest, "until")
        except ValueError as error:
            faults.append(Fault((place, "until"), "bad-value", str(error)))
    if faults:
        raise DefinitionError(located(document, faults))
    line, _ = document.place(node.start)
    return Scenario(
        form.name, form.lifecycle, tuple(sent), until, form.expect, form.parameters, document.source, line, document,
        place,
    )  # fmt: skip


def _texts(fields: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The fields, those that hold texts as they are written."""
    return {name: _as_written(value) if kinds.get(name) in ("text", "id") else value for name, value in fields.items()}


def _free(id_: str, taken: Set[str | None]) -> str:
    """An id for an event that has none: never that of another one, or the later of the two would be a repetition."""
    return _free(f"{id_}'", taken) if id_ in taken else id_


def _time(text: str, before: int | None, what: str) -> int:
    """Epoch ms of `+1d`, `-2h` (from `before`) or of an absolute time. Raises: ValueError."""
    match = _RELATIVE.fullmatch(text)
    if match is None:
        try:
            return parse_instant(_whole(text))
        except ValueError as error:
            raise ValueError(f"'{text}' is {error}; or +1d, counted from the event before") from None
    if before is None:
        raise ValueError(
            f"'{text}': {what} stands at a time such as 2026-01-05T09:00:00Z, with nothing before it to count from"
        )
    step = duration_ms(match[2])
    return before + (step if match[1] == "+" else -step)


def _whole(text: str) -> str:
    """A time with what may be left out of one that is written by hand: seconds, the time of day, and UTC's `Z`."""
    match = _LEAVE_OUT.fullmatch(text)
    if match is None:
        return text
    day, minute, second, zone = match.groups()
    return f"{day}T{minute or '00:00'}{second or ':00'}{zone or 'Z'}"


def _misspelt(event: _EventForm, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """A field that is nearly a known one of this type is a slip; one's own field of such a name stands in `data`.

    What other types of events have is none: `currency` beside `urgency`.
    """
    known = {*vocabulary.fields_of(event.type), *_OWN_KEYS}
    for name, value in (event.model_extra or {}).items():
        missed = None if name in known or name in EVENT_FIELDS else near_miss(name, known)
        if missed in ("traits", "data") and not isinstance(value, dict):
            continue  # a `date` of one's own, not `data`
        if missed:
            yield Fault(
                (*path, name), "unknown-field",
                f"'{name}' is no field of {event.type}; did you mean '{missed}'? One of your own stands in `data`",
                on_key=True,
            )  # fmt: skip
    for name in event.data or {}:
        if name in (event.model_extra or {}):
            yield Fault((*path, "data", name), "duplicate-key", f"'{name}' stands beside `data` as well", on_key=True)


def _turned(scenario: Scenario, lifecycle: Lifecycle) -> Iterator[Fault]:
    """What is wrong with the scenario's parameters, one by one, and with all of them together."""
    faults: list[Fault] = []
    for name, value in scenario.parameters.items():
        try:
            resolve(lifecycle, {name: value})
        except ParameterError as error:
            known = name in lifecycle.parameters
            code = "bad-value" if known else "unknown-parameter"
            faults.append(Fault((name,), code, str(error), on_key=not known))
    if not faults and scenario.parameters:
        try:
            turn(lifecycle, scenario.parameters)
        except ParameterError as error:
            faults.append(Fault((), "bad-value", str(error), on_key=True))
    yield from faults


def _unknown(expect: Expected, lifecycle: Lifecycle) -> Iterator[Fault]:
    yield from _unknown_of(expect, lifecycle, ())
    for contact, expected in expect.contacts.items():
        yield from _unknown_of(expected, lifecycle, ("contacts", contact))
    stages = list(lifecycle.stages)
    for company, wanted in expect.companies.items():
        if wanted.stage is not None and wanted.stage not in stages:
            yield unknown("stage", wanted.stage, stages, ("companies", company, "stage"))


def _unknown_of(expect: ExpectedContact, lifecycle: Lifecycle, path: tuple[str | int, ...]) -> Iterator[Fault]:
    stages = list(lifecycle.stages)
    statuses = [*lifecycle.statuses.track, *lifecycle.statuses.aside] if lifecycle.statuses else []
    owners = dict.fromkeys([*lifecycle.owners, *(stage.owner.value for stage in lifecycle.stages.values())])
    known: Mapping[str, tuple[Sequence[str], str | None]] = {
        "stage": (stages, expect.stage),
        "status": (statuses, expect.status),
        "segment": (list(lifecycle.segments), expect.segment),
        "owner": (list(owners), expect.owner),
    }
    for what, (names, name) in known.items():
        if name is not None and name not in names:
            yield unknown(what, name, names, (*path, what))
    published = [name for name, signal in lifecycle.signals.items() if signal.publish]
    lists: tuple[tuple[str, str, Sequence[str], Sequence[str] | None], ...] = (
        ("visited", "stage", stages, expect.visited),
        ("sla_breaches", "stage", stages, expect.sla_breaches),
        ("signals", "published signal", published, expect.signals),
        ("segments", "segment", list(lifecycle.segments), expect.segments),
        ("hygiene", "rule", list(lifecycle.hygiene), expect.hygiene),
    )
    for key, what, names, listed in lists:
        for number, name in enumerate(listed or ()):
            if name not in names:
                yield unknown(what, name, names, (*path, key, number))._replace(code=f"unknown-{what.split()[-1]}")
