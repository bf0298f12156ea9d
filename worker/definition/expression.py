"""Guards and figures: from text to a syntax tree whose every name is known.

`worker.definition.syntax` gives the tree; here each name in it finds what it stands for in a `Scope`, or the text is
refused with the place and the nearest valid name. What comes out holds only:

    Name       a parameter, signal, fact, condition; `score`, `stage`, `status`
    Attribute  `event.X`, `traits.X`, `score.fit`, `score.behaviour` (the value is a `Name`)
    Call       of a function below; `within` and `since` of `count` always as keywords, everything else by position
    Constant   a truth value, number, text, `none`; of `kind="duration"`: milliseconds
    Tuple      of constants and parameters, right of `in` and `not in`

and the operators of the grammar. Parameters are left as names: whoever compiles puts in the values in force.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from worker.definition import habits
from worker.definition.errors import ExpressionError
from worker.definition.names import Names, at, unknown
from worker.definition.nearest import near_miss
from worker.definition.regular import check_regular_expression
from worker.definition.scope import FUNCTIONS, Ability, Scope
from worker.definition.syntax import parse_syntax

_NEEDS: dict[str, Ability] = {
    "seen": "signals", "count": "signals", "since": "signals", "last": "signals", "size": "facts",
    "days_in_stage": "stage", "at_least": "stage",
}  # fmt: skip
_TIMED = frozenset({"last", "days_in_stage", "count"})


def parse(text: str, scope: Scope) -> ast.expr:
    """The tree of an expression. Offsets are characters of `text`. Raises: ExpressionError."""
    node = parse_syntax(text)
    _Resolver(scope).value(node)
    return node


def is_timed(
    node: ast.AST, conditions: Mapping[str, ast.expr] | None = None, decays: Callable[[], bool] | bool = True
) -> bool:
    """Whether the value can change while nothing happens: time since a signal or in the stage, counts in a window,
    a decaying score (`decays=False`: scores don't), and conditions made of these."""
    pending: list[ast.AST] = [node]
    known = dict(conditions or {})
    while pending:
        part = pending.pop()
        pending.extend(ast.iter_child_nodes(part))
        match part:
            case ast.Call(func=ast.Name(id="count"), keywords=keywords):
                if any(keyword.arg == "within" for keyword in keywords):
                    return True
            case ast.Call(func=ast.Name(id=name)) if name in _TIMED:
                return True
            case ast.Attribute(value=ast.Name(id="score"), attr="fit"):
                pending.remove(part.value)
            case ast.Name(id="score") if decays() if callable(decays) else decays:
                return True
            case ast.Name(id=name) if name in known:
                pending.append(known.pop(name))  # each once, so that a cycle ends
    return False


class _Resolver(Names):
    """Walks a tree once; the methods end where everything has a meaning, and raise where something has none."""

    def value(self, node: ast.expr) -> None:
        match node:
            case ast.Constant():
                pass
            case ast.Name():
                self.name(node)
            case ast.Attribute():
                self.attribute(node)
            case ast.BoolOp(values=values):
                for part in values:
                    self.value(part)
            case ast.UnaryOp(operand=operand):
                self.value(operand)
            case ast.BinOp(left=left, right=right):
                self.value(left)
                self.value(right)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.value(test)
                self.value(body)
                self.value(orelse)
            case ast.Compare():
                self.comparison(node)
            case ast.Call():
                self.call(node)
            case _:
                raise ExpressionError("a list stands only after `in`", *at(node), "syntax")

    def comparison(self, node: ast.Compare) -> None:
        parts = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, parts, parts[1:], strict=False):
            if isinstance(op, ast.In | ast.NotIn):
                self.members(right)
            for side, other in ((left, right), (right, left)):
                if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                    self.ordered(side)
                self.literals(side, other)
        for part in parts:
            if not isinstance(part, ast.Tuple):
                self.value(part)

    def ordered(self, side: ast.expr) -> None:
        if isinstance(side, ast.Name) and side.id in ("stage", "status"):
            instead = ': write at_least("ID")' if side.id == "stage" else ""
            raise ExpressionError(f"ids have no order{instead}", *at(side), "wrong-kind")

    def literals(self, side: ast.expr, other: ast.expr) -> None:
        """A text beside `stage`, `status` or a field with a fixed few values must be one of them."""
        constants = other.elts if isinstance(other, ast.Tuple) else [other]
        for constant in constants:
            if not isinstance(constant, ast.Constant):
                continue
            offset, length = at(constant)
            match side:
                case ast.Name(id="stage" | "status" as what):
                    among = self.scope.stages if what == "stage" else self.scope.statuses
                    if not isinstance(constant.value, str):
                        raise ExpressionError(
                            f"`{what}` is compared with a {what}'s id in quotes", offset, length, "wrong-kind"
                        )
                    if constant.value not in among:
                        raise unknown(what, constant.value, offset, length, among)
                case ast.Attribute(value=ast.Name(id="event"), attr=attr) if isinstance(constant.value, str):
                    values = self.scope.event_types if attr == "type" else self.scope.field_values.get(attr, ())
                    missed = None if constant.value in values else near_miss(constant.value, values)
                    if missed:
                        raise ExpressionError(
                            f"'{constant.value}' is no value of event.{attr}; did you mean '{missed}'?",
                            offset, length, "unknown-value", missed,
                        )  # fmt: skip

    def call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            place = at(node.func)
            if name in self.scope.every_signal:
                raise ExpressionError(
                    f"'{name}' is a signal, no function: seen({name})", *place, "unknown-function", f"seen({name})"
                )
            if name.lower() in habits.FUNCTIONS:
                own = FUNCTIONS[habits.FUNCTIONS[name.lower()]]
                raise ExpressionError(f"'{name}' is no function here; write {own}", *place, "unknown-function", own)
            raise unknown("function", name, *place, FUNCTIONS)
        if name in _NEEDS:
            self.may(_NEEDS[name], node, f"{name}()")
        if name == "count":
            self.count(node)
            return
        if node.keywords:
            keyword = node.keywords[0]
            raise ExpressionError(
                f"{name}() takes nothing by name: {FUNCTIONS[name]}", keyword.col_offset, len(keyword.arg or ""),
                "bad-arguments",
            )  # fmt: skip
        self.arity(node, name)
        match name:
            case "seen" | "since" | "last":
                for part in node.args:
                    self.signal(part, name)
            case "size":
                self.ids(node.args[0])
            case "at_least":
                self.stage(node.args[0])
            case "contains":
                first = node.args[0]
                if isinstance(first, ast.Name) and self.scope.facts.get(first.id) == "ids":
                    self.may("facts", first, "a fact")
                else:
                    self.value(first)
                self.value(node.args[1])
            case "matches":
                self.value(node.args[0])
                self.regular_expression(node.args[1])
            case _:
                for part in node.args:
                    self.value(part)

    def arity(self, node: ast.Call, name: str) -> None:
        least, most = {"since": (2, 2), "min": (2, 10), "max": (2, 10), "contains": (2, 2), "starts_with": (2, 2),
                       "matches": (2, 2), "days_in_stage": (0, 0)}.get(name, (1, 1))  # fmt: skip
        if not least <= len(node.args) <= most:
            raise ExpressionError(
                f"{name}() is written {FUNCTIONS[name]}, not with {len(node.args)} arguments", *at(node),
                "bad-arguments",
            )  # fmt: skip

    def count(self, node: ast.Call) -> None:
        if not 1 <= len(node.args) <= 2:
            raise ExpressionError(f"count() is written {FUNCTIONS['count']}", *at(node), "bad-arguments")
        if len(node.args) == 2:
            window = ast.keyword(arg="within", value=node.args.pop())
            window.col_offset, window.end_col_offset = window.value.col_offset, window.value.end_col_offset
            window.lineno = window.end_lineno = 1
            node.keywords.insert(0, window)
        self.signal(node.args[0], "count")
        given: set[str] = set()
        for keyword in node.keywords:
            name = keyword.arg or ""
            if name not in ("within", "since"):
                raise unknown("argument", name, keyword.col_offset, len(name), ("within", "since"), "bad-arguments")
            if name in given:
                raise ExpressionError(
                    f"`{name}` stands there twice", keyword.col_offset, len(name) or 1, "bad-arguments"
                )
            given.add(name)
            if name == "since":
                self.signal(keyword.value, "count")
            else:
                self.duration(keyword.value)

    def regular_expression(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise ExpressionError("matches() takes a regular expression in quotes", *at(node), "bad-arguments")
        try:
            check_regular_expression(node.value)
        except ValueError as error:
            raise ExpressionError(str(error), *at(node), "bad-regex") from None
