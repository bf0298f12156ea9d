"""Names that nothing reads or nothing sets, and words of events that an event doesn't have."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from schemas.data_in import DATA
from schemas.fields import FIELDS
from worker.definition.model import Statuses
from worker.definition.places import Place
from worker.definition.scope import SETBACK
from worker.lint.findings import Remark
from worker.lint.machine import Look
from worker.lint.subject import Text

PUBLISHED = "fit"  # a condition of this name goes out with every change


def names(look: Look) -> Iterator[Remark]:
    """Every finding about names that stand there for nothing."""
    yield from _unread(look)
    yield from _owners(look)
    yield from _statuses(look)
    for text in look.subject.texts():
        if text.types:
            yield from _foreign(look, text)


def _unread(look: Look) -> Iterator[Remark]:
    lifecycle, read = look.lifecycle, _reads(look)
    value_facts = [name for name, fact in lifecycle.facts.items() if fact.type == "ids" and fact.amount is not None]
    for name, parameter in lifecycle.parameters.items():
        if name not in read:
            yield _unused("parameters", name, "parameter", f"nothing reads the parameter '{name}'", parameter.assumed)
    for name, signal in lifecycle.signals.items():
        if name not in read and name != SETBACK and not signal.publish:
            yield _unused("signals", name, "signal", f"the signal '{name}' is set and never read or published")
    for name, fact in lifecycle.facts.items():
        if name not in read and name not in value_facts[:1]:
            yield _unused("facts", name, "fact", f"the fact '{name}' is set and never read", fact.assumed)
    for name in lifecycle.conditions:
        if name not in read and name != PUBLISHED:
            yield _unused("conditions", name, "condition", f"nothing asks the condition '{name}'")


def _unused(section: str, name: str, what: str, says: str, assumed: bool = False) -> Remark:
    return Remark((section, name), f"unused-{what}", f"{says}; use it, or take it out", on_key=True, assumed=assumed)


def _reads(look: Look) -> set[str]:
    """Parameters, signals, facts and conditions that something other than themselves reads."""
    found: set[str] = set()
    for place in look.subject.places:
        own = str(place.path[1]) if place.path[0] in ("signals", "facts", "conditions") else None
        found |= {name for name in _named(look, place) if name != own}
    return found


def _named(look: Look, place: Place) -> Iterator[str]:
    if place.form in ("pattern", "type"):
        pattern = look.subject.pattern(place.text)
        if pattern.kind == "signal":
            yield pattern.name
        tree = pattern.guard
    else:
        tree = look.subject.meaning.parse(place.text)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Name):
            yield node.id


def _owners(look: Look) -> Iterator[Remark]:
    lifecycle = look.lifecycle
    used = {stage.owner.value for stage in lifecycle.stages.values()}
    used |= {stage.sla.late for stage in lifecycle.stages.values() if stage.sla is not None}
    for name in lifecycle.owners:
        if name not in used:
            yield _unused("owners", name, "owner", f"'{name}' owns no stage and no SLA")


def _statuses(look: Look) -> Iterator[Remark]:
    statuses = look.lifecycle.statuses
    if statuses is None or statuses.set_by:
        return
    reached = {name for name, rule in statuses.implied_by.items() if look.prover.can_happen(rule.any)}
    reached |= {rule.to for rule in statuses.reopen}
    reached |= {transition.status for transition in look.lifecycle.transitions if transition.status is not None}
    for section, given in (("track", statuses.track[1:]), ("aside", statuses.aside)):
        for place, name in enumerate(given):
            if name not in reached:
                yield Remark(
                    ("statuses", section, place + (section == "track")), "unused-status",
                    f"no event leads to the status '{name}': {_why_unreached(statuses, name)}; say what does, or"
                    " take it out",
                    assumed=statuses.assumed,
                )  # fmt: skip


def _why_unreached(statuses: Statuses, name: str) -> str:
    if name in statuses.implied_by:
        return "what implies it can't hold, and nothing else sets it or reopens to it"
    return "nothing implies it, sets it or reopens to it"


def _foreign(look: Look, text: Text) -> Iterator[Remark]:
    """Fields and values that other types have. In `ignore` any field may stand: what isn't there says nothing."""
    if text.place.path[0] == "ignore" or text.types is None:
        return
    known = look.subject.meaning.scope.event_fields
    types = ", ".join(text.types[:4])
    told: set[str] = set()  # each field once: the place is that of the first
    for node in ast.walk(text.tree):
        field = _event_field(node)
        if (
            field is not None
            and field not in told
            and field in known
            and not any(field in FIELDS[kind] if kind in FIELDS else True for kind in text.types)
        ):
            told.add(field)
            yield _located(
                look, text, node, "foreign-field",
                f"{types} {'has' if len(text.types) == 1 else 'have'} no field '{field}': it is never there; name the"
                " type that has it, or a field of this one",
            )  # fmt: skip
        if isinstance(node, ast.Compare):
            yield from _values(look, text, node, types)


def _values(look: Look, text: Text, node: ast.Compare, types: str) -> Iterator[Remark]:
    sides = [node.left, *node.comparators]
    for side, other in ((side, other) for side in sides for other in sides if other is not side):
        field = _event_field(side)
        if field is None:
            continue
        allowed = _values_of(field, text.types or ())
        somewhere = look.subject.meaning.scope.field_values.get(field, frozenset())
        for constant in other.elts if isinstance(other, ast.Tuple) else [other]:
            if not isinstance(constant, ast.Constant) or allowed is None:
                continue
            if constant.value in somewhere and constant.value not in allowed:
                yield _located(
                    look, text, node, "foreign-value",
                    f"'{constant.value!s}' is no value of event.{field} with {types}, which has"
                    f" {', '.join(sorted(allowed))}; name one of these",
                )  # fmt: skip


def _values_of(field: str, types: tuple[str, ...]) -> set[str] | None:
    """The values with a meaning that a field has with these types; None where any may come."""
    found: set[str] = set()
    for kind in types:
        model = DATA.get(kind)
        if model is None:
            return None
        for name, about in model.model_fields.items():
            if (about.alias or name) == field:
                extra = about.json_schema_extra
                values = extra.get("x-known-values") if isinstance(extra, Mapping) else None
                if not isinstance(values, list):
                    return None
                found |= {str(value) for value in values}
    return found or None


def _event_field(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="event"), attr=name):
            return name
    return None


def _located(look: Look, text: Text, node: ast.AST, code: str, message: str) -> Remark:
    """At the words themselves where they stand in this text; at the text where they stand in one of its conditions."""
    place = text.place
    if place.form in ("pattern", "type"):
        own = look.subject.pattern(place.text).guard
    else:
        own = look.subject.meaning.parse(place.text)
    words = ast.unparse(node)
    for part in ast.walk(own) if own is not None else ():
        if isinstance(part, ast.expr) and ast.unparse(part) == words:
            end = part.end_col_offset if part.end_col_offset is not None else part.col_offset + 1
            return Remark(place.path, code, message, place.on_key, part.col_offset, max(1, end - part.col_offset))
    return Remark(place.path, code, message, place.on_key)
