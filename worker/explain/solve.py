"""Fields that make a guard come out as wanted: the values at which its comparisons turn, put together.

A sketch, not a proof: what a guard asks of the contact's past is taken as it may be. Whoever uses it has the fold
confirm what comes of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any, Final

from worker.plan.meaning import Meaning

Assignment = dict[tuple[str, str], Any]
"""(`event` or `traits`, field) → value; `ABSENT` where the field must not be there."""

SOLUTIONS_MAX: Final = 12
TEXT: Final = "something"


class Absent:
    """Stands for a field that must not be there."""


ABSENT: Final = Absent()


def solutions(meaning: Meaning, node: ast.expr, wanted: bool = True) -> list[Assignment]:
    """Some assignments under which the guard may come out as wanted; none where no field can make it."""
    return list(islice(_Solver(meaning).solve(node, wanted), SOLUTIONS_MAX))


class _Solver:
    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning

    def solve(self, node: ast.expr, wanted: bool) -> Iterator[Assignment]:
        match node:
            case ast.BoolOp(op=op, values=values):
                if isinstance(op, ast.And) == wanted:
                    for chosen in islice(product(*(list(self.solve(part, wanted)) for part in values)), SOLUTIONS_MAX):
                        if (joined := _joined(chosen)) is not None:
                            yield joined
                else:
                    for part in values:
                        yield from self.solve(part, wanted)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield from self.solve(operand, not wanted)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.solve(body, wanted)
                yield from self.solve(orelse, wanted)
            case ast.Name(id=name) if name in self.meaning.names.conditions:
                yield from self.solve(self.meaning.names.conditions[name], wanted)
            case ast.Attribute(value=ast.Name(id="event" | "traits" as root), attr=name):
                yield {(root, name): True if wanted else ABSENT}
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield from self._compared(left, op, right, wanted)
            case ast.Call(func=ast.Name(id="contains"), args=[whole, part]) if wanted:
                yield from self._contained(whole, part)
            case _:
                yield {}  # it asks the past, or is beyond guessing

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, wanted: bool) -> Iterator[Assignment]:
        turned: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
            ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE,
        }  # fmt: skip
        kind = type(op)
        if not isinstance(left, ast.Attribute):
            left, right, kind = right, left, turned.get(kind, kind)
        if not (isinstance(left, ast.Attribute) and isinstance(left.value, ast.Name)) or left.value.id == "score":
            yield {}
            return
        place = left.value.id, left.attr
        if kind in (ast.In, ast.NotIn):
            members = right.elts if isinstance(right, ast.Tuple) else [right]
            if (kind is ast.In) == wanted:
                for member in members:
                    yield {place: self._value(member)}
            else:
                yield {place: ABSENT}
            return
        value = self._value(right)
        if not wanted:
            opposite: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
                ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
                ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
            }  # fmt: skip
            kind = opposite[kind]
        if kind is ast.Eq:
            yield {place: ABSENT if value is None else value}
        elif kind is ast.NotEq:
            yield {place: _other(value)}
        elif isinstance(value, int | float):
            yield {place: value + {ast.Gt: 1, ast.Lt: -1}.get(kind, 0)}
        else:
            yield {place: value}

    def _contained(self, whole: ast.expr, part: ast.expr) -> Iterator[Assignment]:
        match whole, part:
            case ast.Attribute(value=ast.Name(id=root), attr=name), _ if root in ("event", "traits"):
                value = self._value(part)
                yield {(root, name): value if name != "tech_stack" else [value]}
            case _, ast.Attribute(value=ast.Name(id=root), attr=name) if root in ("event", "traits"):
                listed = self._value(whole)
                for value in str(listed).split(",")[:1] if listed else ():
                    yield {(root, name): value.strip()}
            case _:
                yield {}

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.meaning.parameters:
                return self.meaning.parameters[name]
        return None


def _other(value: Any) -> Any:
    match value:
        case None | "":
            return TEXT
        case bool():
            return not value
        case int() | float():
            return value + 1
    return ABSENT


def _joined(parts: tuple[Assignment, ...]) -> Assignment | None:
    """All of them at once; None where two want something else of one field."""
    found: Assignment = {}
    for part in parts:
        for place, value in part.items():
            if place in found and found[place] != value:
                return None
            found[place] = value
    return found
