"""What kind of value an expression has, and whether its parts fit together.

A guard never fails on a value, so a text compared with a number is no error when it runs: it is just never what was
meant. It is refused where the kinds are known: parameters, facts, constants, functions, and the known fields of
events and traits. A field of one's own is of any kind and fits everywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Literal

from worker.definition.errors import ExpressionError
from worker.definition.parameters import kind_of as kind_of_parameter
from worker.definition.scope import ENVELOPE, Scope

Kind = Literal["boolean", "number", "duration", "time", "text", "list", "any"]

_WORDS: dict[Kind, str] = {
    "boolean": "true or false",
    "number": "a number",
    "duration": "a duration",
    "time": "a time",
    "text": "a text",
    "list": "a list",
    "any": "anything",
}
_RESULTS: dict[str, Kind] = {
    "seen": "boolean", "count": "number", "since": "boolean", "last": "duration", "size": "number",
    "contains": "boolean", "starts_with": "boolean", "matches": "boolean", "days_in_stage": "number",
    "at_least": "boolean",
}  # fmt: skip
_NUMERIC: frozenset[Kind] = frozenset(("number", "duration", "time", "any"))


def kind_of(node: ast.expr, scope: Scope, conditions: Mapping[str, Kind] | None = None) -> Kind:
    """The kind of an expression that `parse` has given. Raises: ExpressionError where its parts don't fit."""
    return _Kinds(scope, conditions or {}).of(node)


def described(kind: Kind) -> str:
    return _WORDS[kind]


def _known(kind: str) -> Kind:
    match kind:
        case "boolean" | "number" | "text" | "time":
            return kind
    return "any"


def _wrong(node: ast.expr, message: str) -> ExpressionError:
    end = node.end_col_offset if node.end_col_offset is not None else node.col_offset + 1
    return ExpressionError(message, node.col_offset, max(1, end - node.col_offset), "wrong-kind")


class _Kinds:
    def __init__(self, scope: Scope, conditions: Mapping[str, Kind]) -> None:
        self.scope = scope
        self.conditions = conditions

    def of(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute(value=ast.Name(id=root), attr=attr):
                if root == "score":
                    return "number"
                known = {**self.scope.event_fields, **ENVELOPE} if root == "event" else self.scope.traits
                return _known(known.get(attr, "any"))
            case ast.BoolOp(values=values):
                for part in values:
                    self.of(part)
                return "boolean"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.of(operand)
                return "boolean"
            case ast.UnaryOp(operand=operand):
                return self.numeric(operand)
            case ast.BinOp():
                return self.arithmetic(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.of(test)
                return self.common(body, orelse)
            case ast.Compare():
                return self.comparison(node)
            case ast.Call():
                return self.call(node)
        return "list"

    def constant(self, node: ast.Constant) -> Kind:
        match node.value:
            case bool():
                return "boolean"
            case int() | float():
                return "duration" if node.kind == "duration" else "number"
            case str():
                return "text"
        return "any"

    def name(self, name: str) -> Kind:
        if name in self.scope.parameters:
            return kind_of_parameter(self.scope.parameters[name])
        if name in self.scope.every_signal:
            return "boolean"
        if name in self.scope.facts:
            return _known(self.scope.facts[name])
        if name in self.conditions:
            return self.conditions[name]
        return {"score": "number", "stage": "text", "status": "text"}.get(name, "any")  # type: ignore[return-value]

    def numeric(self, node: ast.expr) -> Kind:
        kind = self.of(node)
        if kind not in _NUMERIC:
            raise _wrong(node, f"there must be a number, not {_WORDS[kind]}")
        return kind

    def arithmetic(self, node: ast.BinOp) -> Kind:
        left, right = self.numeric(node.left), self.numeric(node.right)
        if "any" in (left, right):
            return "any"
        match node.op:
            case ast.Add() | ast.Sub():
                if left == right:
                    return "duration" if left == "time" else left
                if left == "time" and right == "duration":
                    return "time"
                raise _wrong(node, f"{_WORDS[left]} and {_WORDS[right]} can't be added or taken from each other")
            case ast.Mult():
                if left == right == "number":
                    return "number"
                if {left, right} == {"number", "duration"}:
                    return "duration"
            case ast.Div():
                if left == right:
                    return "number"
                if (left, right) == ("duration", "number"):
                    return "duration"
            case _:
                if left == right:
                    return left
        raise _wrong(node, f"{_WORDS[left]} and {_WORDS[right]} don't go together here")

    def common(self, *nodes: ast.expr) -> Kind:
        kinds = {self.of(node) for node in nodes} - {"any"}
        if len(kinds) > 1:
            first, second = sorted(kinds)[:2]
            raise _wrong(nodes[-1], f"one way this is {_WORDS[first]}, the other way {_WORDS[second]}")
        return kinds.pop() if kinds else "any"

    def comparison(self, node: ast.Compare) -> Kind:
        parts = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, parts, parts[1:], strict=False):
            if isinstance(op, ast.In | ast.NotIn):
                for member in right.elts if isinstance(right, ast.Tuple) else ():
                    self.pair(op, left, member)
            else:
                self.pair(op, left, right)
        return "boolean"

    def pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
        kinds: tuple[Kind, Kind] = (self.of(left), self.of(right))
        ordered = isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        for kind, part in zip(kinds, (left, right), strict=True):
            if ordered and kind == "boolean":
                raise _wrong(part, "true and false have no order")
        if kinds[0] == kinds[1] or "any" in kinds:
            return
        for kind, part, other, whole in ((kinds[0], right, kinds[1], left), (kinds[1], left, kinds[0], right)):
            if kind == "duration" and other == "number":
                if isinstance(part, ast.Constant) and part.value == 0:
                    return
                raise _wrong(part, "a duration is compared with a plain number; give it a unit, such as 7d")
            if kind == "number" and other == "duration" and _calls(whole) == "days_in_stage":
                raise _wrong(part, "days_in_stage() is a number of days: compare it with a number, such as 7")
        raise _wrong(right, f"{_WORDS[kinds[0]]} is compared with {_WORDS[kinds[1]]}")

    def call(self, node: ast.Call) -> Kind:
        name = _calls(node)
        match name:
            case "min" | "max":
                for part in node.args:
                    self.numeric(part)
                return self.common(*node.args)
            case "contains" | "starts_with" | "matches":
                for part in node.args:
                    kind = self.of(part)
                    if kind not in ("text", "any"):
                        raise _wrong(part, f"{name}() takes a text here, not {_WORDS[kind]}")
        return _RESULTS[name]


def _calls(node: ast.expr) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
