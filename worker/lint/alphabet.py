"""What may happen to a contact, as a list to choose from: events with telling fields, and time passing.

For each event type that the definition names, the fields that the plan reads with it take the values at which some
guard changes: one by one, all together, and as each guard needs them. Variants that no guard tells apart count once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from schemas.fields import FIELDS, REQUIRED, TRAITS
from worker.fold.accept import accept_fields
from worker.fold.outcome import Event, Refusal
from worker.fold.state import Kept
from worker.lint.subject import Subject, leaves, of_event_alone
from worker.lint.values import Values, values_of
from worker.plan.generate import PER_TYPE
from worker.plan.support import DAY_MS

GAP_MS: Final = 60_000  # between events that say nothing of time
VARIANTS_MAX: Final = 24  # of one event type
PRODUCT_MAX: Final = 4_000  # assignments looked at for one event type
WAITS_MAX: Final = 12
SOURCE: Final = "/lint"
CONTACT: Final = "c1"
FIRST_MS: Final = 1_767_603_600_000  # a Monday morning, 2026-01-05T09:00:00Z

_READ = re.compile(r"\be\.get\('([^']+)'|'([^']+)' (?:not )?in e\b")


@dataclass(frozen=True)
class Act:
    """One thing that happens `gap` ms after what was before: an event, or (`kept` None) only time.

    `data` and `traits` are as sent, `kept` as the fold keeps them.
    """

    kind: str
    data: Mapping[str, Any]
    traits: Mapping[str, Any] | None
    gap: int
    kept: Kept | None
    source: str = SOURCE

    @property
    def waits(self) -> bool:
        return self.kept is None


def alphabet(subject: Subject) -> list[Act]:
    """Everything worth trying in one state, in a fixed order; the first is a contact's plainest beginning."""
    return list(_Alphabet(subject).all())


class _Alphabet:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.values: Values = values_of(subject)
        self.read = _fields_read(subject)
        self.atoms = _Atoms(subject)
        self.durations = sorted(_durations(subject))
        self.told_by_source = {
            kind
            for text in subject.texts()
            if any(isinstance(node, ast.Attribute) and node.attr == "ce_source" for node in ast.walk(text.tree))
            for kind in text.types or subject.meaning.types
        }

    def all(self) -> Iterator[Act]:
        begun = "contact.created"
        yield self.act(begun, {}) or Act(begun, {}, None, GAP_MS, Kept(0, begun, "", SOURCE, {}, bare=True))
        kinds = sorted({*self.subject.meaning.types, begun})
        for kind in kinds:
            for data in self.variants(kind):
                for source in (SOURCE, *(self.values.sources if kind in self.told_by_source else ())):
                    found = self.act(kind, data, source=source)
                    if found is not None:
                        yield found
        yield from self.traits()
        yield from self.placed()
        yield from self.waits()

    def act(
        self, kind: str, data: dict[str, Any], traits: dict[str, Any] | None = None, source: str = SOURCE
    ) -> Act | None:
        """The event as the fold would keep it; None where it would not be kept, or was refused."""
        event = Event(FIRST_MS, kind, "", source, CONTACT, data, traits)
        given = accept_fields(self.subject.plan, event)
        if given is None or isinstance(given, Refusal):
            return None
        return Act(kind, data, traits, GAP_MS, Kept(0, kind, "", source, *given), source)

    # Events.

    def variants(self, kind: str) -> list[dict[str, Any]]:
        choices = {name: self.choices(kind, name) for name in sorted(self.read.get(kind, ()))}
        if kind in self.subject.plan.sets_status:
            choices["status"] = [*self.subject.plan.statuses]
        choices = {name: values for name, values in choices.items() if values}
        base = {name: values[0] for name, values in choices.items() if name in self.values.ids}
        base |= {name: "x" for name in REQUIRED.get(kind, ()) if name not in base}
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for data in self.candidates(choices, base):
            if len(found) >= VARIANTS_MAX:
                break
            found.setdefault(self.atoms.signature(kind, data, self.values.ids), data)
        return list(found.values())

    def choices(self, kind: str, name: str) -> list[Any]:
        if name in self.values.ids:
            return ["1", "2"]
        declared = FIELDS.get(kind, {}).get(name)
        return [value for value in self.values.event.get(name, []) if _is(value, declared)]

    def candidates(self, choices: dict[str, list[Any]], base: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Assignments from the plainest on: all of them where they are few, else telling ones."""
        yield dict(base)
        full = {**base, **{name: values[0] for name, values in choices.items()}}
        yield full
        others = {name: values for name, values in choices.items() if name not in self.values.ids}
        size = 1
        for values in others.values():
            size *= len(values) + 1
        if size <= PRODUCT_MAX // 10:
            for picked in product(*([None, *values] for values in others.values())):
                chosen = {name: value for name, value in zip(others, picked, strict=True) if value is not None}
                yield {**base, **chosen}
        else:
            for name, values in others.items():
                for value in values:
                    yield {**base, name: value}
            for name, values in others.items():
                for value in values:
                    yield {**full, name: value}
                yield {key: value for key, value in full.items() if key != name}
        for name in choices:
            if name in self.values.ids:
                yield {**base, name: "2"}
                yield {**full, name: "2"}
                yield {key: value for key, value in base.items() if key != name}

    # Traits, hand, time.

    def traits(self) -> Iterator[Act]:
        known = {
            name: [fitted for value in values if (fitted := _as_trait(name, value)) is not None]
            for name, values in sorted(self.values.traits.items())
        }
        known = {name: values for name, values in known.items() if values}
        if not known:
            return
        best = {name: values[0] for name, values in known.items()}
        worst = {name: values[-1] for name, values in known.items()}
        given = [best, worst, *({name: value} for name, values in known.items() for value in values)]
        for traits in _distinct(given):
            found = self.act("contact.updated", {}, traits)
            if found is not None:
                yield found

    def placed(self) -> Iterator[Act]:
        plan = self.subject.plan
        for stage in plan.stages:
            if stage in plan.manual:
                found = self.act("stage.set", {"stage": stage, "by": "somebody"})
                if found is not None:
                    yield found

    def waits(self) -> Iterator[Act]:
        for duration in self.durations[-WAITS_MAX:]:
            yield Act("", {}, None, duration + 1, None)


def with_traits(subject: Subject, acts: list[Act]) -> list[Act]:
    """The events once more, each by a contact of whom everything is told that speaks for it."""
    best = next((act.traits for act in acts if act.kind == "contact.updated" and act.traits), None)
    if best is None:
        return []
    found = []
    for act in acts:
        if act.kept is not None and act.traits is None:
            event = Event(FIRST_MS, act.kind, "", act.source, CONTACT, dict(act.data), dict(best))
            given = accept_fields(subject.plan, event)
            if given is not None and not isinstance(given, Refusal):
                found.append(replace(act, traits=best, kept=Kept(0, act.kind, "", act.source, *given)))
    return found


def _is(value: Any, declared: str | None) -> bool:
    """Whether a field of the declared kind could come with this value."""
    match declared:
        case "text" | "id":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "texts":
            return isinstance(value, list)
    return True


def _as_trait(name: str, value: Any) -> Any:
    declared = TRAITS.get(name)
    if declared == "texts":
        return [value] if isinstance(value, str) else None
    return value if _is(value, declared) else None


def _distinct(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({repr(sorted(traits.items())): traits for traits in given}.values())


def _fields_read(subject: Subject) -> dict[str, set[str]]:
    """Event type → fields of data that the plan's code for that type reads, guards without an event among it."""
    functions: dict[str, str] = {}
    for block in subject.plan.source.split("\ndef "):
        functions[block.removeprefix("def ").partition("(")[0]] = block
    kinds = ["", *subject.meaning.types]
    found: dict[str, set[str]] = {}
    for number, kind in enumerate(kinds):
        names = [f"{part}_{number}" for part in (*PER_TYPE, "ignores")]
        if kind:
            names += [name for name in functions if name.startswith(("onward", "reason_", "entering_", "leaving_"))]
        code = "".join(functions.get(name, "") for name in names)
        found[kind] = {one or other for one, other in _READ.findall(code)} - {"status", "by"}
        if not kind:
            continue
        known = FIELDS.get(kind)
        if known is not None:  # a field that only other types have says nothing unless the type's own guards name it
            own = "".join(functions.get(f"{part}_{number}", "") for part in (*PER_TYPE, "ignores"))
            named = {one or other for one, other in _READ.findall(own)}
            found[kind] = {name for name in found[kind] if name in known or name in named}
    return found


class _Atoms:
    """What guards ask of an event itself, as one function: two events alike in all of it are one to the definition."""

    def __init__(self, subject: Subject) -> None:
        self.space = subject.space()
        lines = ["def signature(e, y, z, t):", "    return ("]
        seen: dict[str, None] = {}
        self.raw: set[str] = set()  # fields whose value itself is kept or compared with something of the contact
        for text in subject.texts():
            for leaf in leaves(text.tree):
                if of_event_alone(leaf):
                    seen.setdefault(subject.source(leaf))
                else:
                    self.raw |= _event_fields(leaf)
        for fact in subject.lifecycle.facts.values():
            for given in (fact.from_, fact.amount, fact.currency):
                if given is not None:
                    self.raw |= _event_fields(subject.expanded(given))
        lines += [f"        bool({code})," for code in seen]
        lines.append("    )")
        exec(compile("\n".join(lines), "<what guards ask of an event>", "exec"), self.space)
        self.raw -= {"reason"}

    def signature(self, kind: str, data: dict[str, Any], ids: set[str]) -> tuple[Any, ...]:
        raw = tuple((name, repr(data[name])) for name in sorted(self.raw | ids | {"status"}) if name in data)
        return (self.space["signature"](data, kind, SOURCE, FIRST_MS), raw)


def _event_fields(node: ast.expr) -> set[str]:
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "event"
    }


def _durations(subject: Subject) -> set[int]:
    """The spans of time after which some guard may read otherwise, and those after which a score is all but gone."""
    found: set[int] = set()
    for text in subject.texts():
        for node in ast.walk(text.tree):
            match node:
                case ast.Compare(left=ast.Call(func=ast.Name(id=name)), comparators=[ast.Constant(value=bound)]):
                    if name in ("last", "days_in_stage") and isinstance(bound, int | float):
                        found.add(int(bound * (DAY_MS if name == "days_in_stage" else 1)))
                case ast.keyword(arg="within", value=ast.Constant(value=window)) if isinstance(window, int | float):
                    found.add(int(window))
    for transition in subject.lifecycle.transitions:
        if transition.after is not None:
            bound = getattr(subject.expanded(transition.after), "value", 0)
            found |= {int(bound)} if isinstance(bound, int | float) else set()
    half_life = subject.meaning.names.half_life
    if half_life:
        found |= {int(half_life), int(half_life * 8)}
    return {duration for duration in found if duration > 0}
