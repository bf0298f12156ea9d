"""The values at which a definition's guards can change: of event fields and traits, read off everything they meet.

Of a number the literals it is compared with, one less and one more; of a text the literals, parts and a match of each
regular expression; of a truth value both. That a field is not there at all is always one of its values.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.lint.subject import Subject

OTHER: Final = "something else"  # a text that no guard names
VALUES_MAX: Final = 24  # of one field

_parser: Any = importlib.import_module("re._parser")


@dataclass
class Values:
    """Field → values worth trying, most telling first; `ids` are the fields that name things kept in sets."""

    event: dict[str, list[Any]] = field(default_factory=dict)
    traits: dict[str, list[Any]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    sources: list[Any] = field(default_factory=list)  # of the envelope's `source`


def values_of(subject: Subject) -> Values:
    """Everything worth trying for the lifecycle's events."""
    found = Values()
    collect = _Collect(subject, found)
    for text in subject.texts():
        collect.tree(text.tree)
    for fact in subject.lifecycle.facts.values():
        collect.fact(fact.type, subject.meaning.parse(fact.from_))
    for name in [*subject.lifecycle.publish.traits]:
        found.traits.setdefault(name, [])
    for values in (*found.event.values(), *found.traits.values(), found.sources):
        values[:] = _unique(values)[:VALUES_MAX]
    return found


def _unique(values: list[Any]) -> list[Any]:
    kept: dict[tuple[str, Any], Any] = {}
    for value in values:
        kept.setdefault((type(value).__name__, repr(value)), value)
    return list(kept.values())


class _Collect:
    def __init__(self, subject: Subject, found: Values) -> None:
        self.subject = subject
        self.found = found
        # a literal that a fact is compared with is worth trying where the fact comes from
        self.origin: dict[str, ast.expr] = {
            name: subject.meaning.parse(fact.from_) for name, fact in subject.lifecycle.facts.items()
        }

    def tree(self, tree: ast.expr) -> None:
        for node in ast.walk(tree):
            match node:
                case ast.Compare():
                    self.comparison(node)
                case ast.BinOp():
                    self.sum(node)
                case ast.Call(func=ast.Name(id=name), args=[first, second]):
                    self.call(name, first, second)
                case ast.Attribute():
                    self.add(node, self.typical(node))

    def fact(self, kind: str, node: ast.expr) -> None:
        if kind == "ids" and isinstance(node, ast.Attribute) and node.attr not in ("type", "ce_source", "time"):
            self.found.ids.add(node.attr)
            self.found.event.setdefault(node.attr, [])
            return
        samples: dict[str, list[Any]] = {
            "boolean": [True, False], "number": [1], "text": [OTHER], "time": ["2020-01-01T00:00:00Z"],
        }  # fmt: skip
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute):
                self.add(part, samples.get(kind, []))

    def typical(self, node: ast.Attribute) -> list[Any]:
        kind = self.kind(node)
        return [True, False] if kind == "boolean" else []

    def kind(self, node: ast.Attribute) -> str:
        scope = self.subject.meaning.scope
        known: Mapping[str, str] = scope.event_fields if _root(node) == "event" else scope.traits
        return known.get(node.attr, "any")

    def comparison(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for side in sides:
            for other in sides:
                if other is not side:
                    self.meets(side, other)

    def sum(self, node: ast.BinOp) -> None:
        """Numbers that are worked with take the literals beside them, small ones and large ones."""
        constants = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        numbers = [value for value in constants if isinstance(value, int | float)]
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute):
                self.add(part, [*numbers, 1, 2, 10, 1000, 1_000_000, 0])

    def meets(self, side: ast.expr, other: ast.expr) -> None:
        """`side` is compared with `other`: its literals are where the comparison changes."""
        constants = other.elts if isinstance(other, ast.Tuple) else [other]
        for constant in constants:
            if isinstance(constant, ast.Constant):
                self.add(side, list(_around(constant.value)))

    def call(self, name: str, first: ast.expr, second: ast.expr) -> None:
        match name, first, second:
            case "contains", _, ast.Constant(value=str(part)):
                self.add(first, [part, f"{part}, {OTHER}", OTHER])
            case "contains", ast.Constant(value=str(whole)), _:
                pieces = [piece.strip() for piece in whole.split(",")]
                self.add(second, [pieces[0], pieces[-1], OTHER])
            case "starts_with", _, ast.Constant(value=str(part)):
                self.add(first, [part, OTHER])
            case "matches", _, ast.Constant(value=str(pattern)):
                self.add(first, [sample(pattern), OTHER, "~"])

    def add(self, side: ast.expr, values: list[Any]) -> None:
        match side:
            case ast.Attribute(value=ast.Name(id="event"), attr="ce_source"):
                self.found.sources.extend(value for value in values if value != OTHER)
            case ast.Attribute(value=ast.Name(id="event"), attr=name) if name not in ("type", "ce_source", "time"):
                self.found.event.setdefault(name, []).extend(values)
            case ast.Attribute(value=ast.Name(id="traits"), attr=name):
                self.found.traits.setdefault(name, []).extend(values)
            case ast.Name(id=name) if name in self.origin:
                self.add_to_origin(self.origin[name], values)

    def add_to_origin(self, node: ast.expr, values: list[Any]) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute):
                self.add(part, values)


def _root(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def _around(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield value
        yield not value
    elif isinstance(value, int | float):
        yield from (value, value + 1, value - 1)
    elif isinstance(value, str):
        if value:
            yield value
        yield OTHER


# A text that a regular expression matches: of every choice the first, of every repetition the fewest.

_CLASSES: Final = {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " ", "CATEGORY_NOT_DIGIT": "a",
                   "CATEGORY_NOT_WORD": "-", "CATEGORY_NOT_SPACE": "a"}  # fmt: skip


def sample(pattern: str) -> str:
    """A text that the pattern is meant to match; where it is not, no more than a value that tells little."""
    return _sample(_parser.parse(pattern))


def _sample(sequence: Any) -> str:
    text = ""
    for operation, value in sequence:
        match str(operation):
            case "LITERAL":
                text += chr(value)
            case "NOT_LITERAL":
                text += "a" if value != ord("a") else "b"
            case "ANY":
                text += "a"
            case "IN":
                text += _member(value)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                text += _sample(value[2]) * min(int(value[0]), 40)
            case "SUBPATTERN":
                text += _sample(value[-1])
            case "ATOMIC_GROUP":
                text += _sample(value)
            case "BRANCH":
                text += _sample(value[1][0])
            case _:  # places between letters match nothing of their own
                pass
    return text


def _member(members: Any) -> str:
    negated = any(str(operation) == "NEGATE" for operation, _ in members)
    for operation, value in members:
        match str(operation):
            case "LITERAL" if not negated:
                return chr(value)
            case "RANGE" if not negated:
                return chr(value[0])
            case "CATEGORY" if not negated:
                return _CLASSES.get(str(value), "a")
    if not negated:
        return "a"
    for letter in "aA0 -~":
        if not any(
            (str(operation) == "LITERAL" and chr(value) == letter)
            or (str(operation) == "RANGE" and value[0] <= ord(letter) <= value[1])
            or (str(operation) == "CATEGORY" and _CLASSES.get(str(value)) == letter)
            for operation, value in members
        ):
            return letter
    return "é"
