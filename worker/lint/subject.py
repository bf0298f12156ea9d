"""What all rules look at: a checked lifecycle with its texts parsed, its plan, and the leaves of its guards."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from worker.definition.model import Lifecycle
from worker.definition.pattern import ParsedPattern
from worker.definition.places import Place, Steps, places
from worker.definition.scope import SETBACK
from worker.plan import Plan, compile_plan, support
from worker.plan.expressions import source
from worker.plan.meaning import Meaning


@dataclass(frozen=True)
class Text:
    """One expression of the file, or the guard of one pattern: `tree` with conditions and parameters written out.

    `types` are the event types it is read with, None where it is also read without an event.
    """

    place: Place
    tree: ast.expr
    types: tuple[str, ...] | None


class Subject:
    """A lifecycle as the rules see it. `plan` folds, `meaning` parses."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.meaning = Meaning(lifecycle)
        self.plan: Plan = compile_plan(lifecycle)
        self.stages = self.plan.stages
        self.places = list(places(lifecycle))

    def space(self) -> dict[str, Any]:
        """What compiled guards call, for code of one's own over the same state."""
        plan = self.plan
        found: dict[str, Any] = {name: getattr(support, name) for name in dir(support) if not name.startswith("_")}
        found |= {"STAGES": plan.stages, "STATUSES": plan.statuses, "ceil": math.ceil, "fit": plan.fit}
        return {**found, "behaviour_at": plan.behaviour, "R": _Patterns(self.meaning.names.patterns)}

    def source(self, node: ast.expr) -> str:
        """Python source of an expanded expression, to be run in a `space`."""
        return source(node, self.meaning.names)

    def expanded(self, text: str) -> ast.expr:
        return self.meaning.names.expand(self.meaning.parse(text))

    def pattern(self, text: str) -> ParsedPattern:
        return self.meaning.patterns([text])[0]

    def texts(self) -> Iterator[Text]:
        """Every guard and figure, expanded; conditions only where they are used."""
        for place in self.places:
            if place.path[0] == "conditions":
                continue
            if place.form in ("pattern", "type"):
                pattern = self.pattern(place.text)
                if pattern.guard is not None:
                    types = tuple(sorted(self.meaning.types_of(pattern)))
                    yield Text(place, self.meaning.names.expand(pattern.guard), types)
            else:
                yield Text(place, self.expanded(place.text), self._types(place.path))

    def _types(self, path: Steps) -> tuple[str, ...] | None:
        """The event types that a text, which is no pattern's, is read with."""
        lifecycle = self.lifecycle
        if path[0] == "transitions" and isinstance(path[1], int):
            events = lifecycle.transitions[path[1]].event
            return None if events is None else self.types_of(events)
        if path[0] == "facts":
            fact = lifecycle.facts[str(path[1])]
            given = fact.added_by if fact.type == "ids" else fact.of
            return None if given is None else self.types_of([*given, *(fact.removed_by or ())])
        if path[:2] == ("statuses", "reopen") and lifecycle.statuses and isinstance(path[2], int):
            return self.types_of(lifecycle.statuses.reopen[path[2]].by)
        return None

    def types_of(self, patterns: list[str]) -> tuple[str, ...]:
        return tuple(sorted({kind for text in patterns for kind in self.meaning.types_of(self.pattern(text))}))


class _Patterns:
    """Regular expressions by their place, each compiled when it is first asked for."""

    def __init__(self, patterns: list[str]) -> None:
        self.patterns = patterns
        self.compiled: dict[int, Callable[[str], Any]] = {}

    def __getitem__(self, place: int) -> Callable[[str], Any]:
        found = self.compiled.get(place)
        if found is None:
            found = self.compiled[place] = re.compile(self.patterns[place]).fullmatch
        return found


def leaves(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of a guard that are true or false of themselves: what `and`, `or`, `not` and choices join."""
    match node:
        case ast.BoolOp(values=values):
            for part in values:
                yield from leaves(part)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from leaves(operand)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            for part in (test, body, orelse):
                yield from leaves(part)
        case _:
            yield node


def conjuncts(node: ast.expr | None) -> list[ast.expr]:
    """What `and` joins at the top of a guard."""
    if node is None:
        return []
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [part for value in node.values for part in conjuncts(value)]
    return [node]


def reads_event(node: ast.expr, signals: frozenset[str]) -> bool:
    """Whether a value depends on the event at hand: its fields, or a signal's bare name."""
    arguments = {
        id(given)
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        for given in (call.func, *call.args, *(keyword.value for keyword in call.keywords))
    }
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            if part.id == "event" or (part.id in signals and id(part) not in arguments):
                return True
    return False


def of_event_alone(node: ast.expr) -> bool:
    """Whether a value follows from the event's own fields."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Name(id=name)) if name not in _PURE:
                return False
            case ast.Attribute(value=ast.Name(id=root)) if root != "event":
                return False
            case ast.Name(id=name) if name != "event" and name not in _PURE:
                return False
    return True


_PURE = frozenset({"min", "max", "contains", "starts_with", "matches"})

__all__ = ["SETBACK", "Subject", "Text", "conjuncts", "leaves", "of_event_alone", "reads_event"]
