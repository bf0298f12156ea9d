"""Guards, figures and patterns: from text to a syntax tree whose every name is known.

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
import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple

from worker.definition import habits
from worker.definition.errors import ExpressionError
from worker.definition.nearest import near_miss, nearest, suggestion
from worker.definition.regular import check_regular_expression
from worker.definition.scope import ENVELOPE, EVERYTHING, FUNCTIONS, RESERVED, SETBACK, Ability, Scope
from worker.definition.syntax import LENGTH_MAX, TEXT_MAX, duration_ms, parse_syntax

__all__ = [
    "ENVELOPE",
    "EVERYTHING",
    "FUNCTIONS",
    "RESERVED",
    "SETBACK",
    "Ability",
    "ParsedPattern",
    "Scope",
    "is_timed",
    "parse",
    "parse_pattern",
]

_NEEDS: dict[str, Ability] = {
    "seen": "signals", "count": "signals", "since": "signals", "last": "signals", "size": "facts",
    "days_in_stage": "stage", "at_least": "stage",
}  # fmt: skip
_TIMED = frozenset({"last", "days_in_stage", "count"})


class ParsedPattern(NamedTuple):
    """What happens: an event of type `name`, the signal, the stage entered or left; `guard` narrows it."""

    kind: Literal["type", "signal", "entering", "leaving"]
    name: str
    guard: ast.expr | None


def parse(text: str, scope: Scope) -> ast.expr:
    """The tree of an expression. Offsets are characters of `text`. Raises: ExpressionError."""
    node = parse_syntax(text)
    _Resolver(scope).value(node)
    return node


def parse_pattern(text: str, scope: Scope) -> ParsedPattern:
    """`TYPE`, `SIGNAL`, `entering STAGE` or `leaving STAGE`, with ` when GUARD` or without. Raises: ExpressionError.

    A type of one's own is taken as it stands unless it nearly is a known one; without a dot, or to keep a near
    miss, it is written in quotes.
    """
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"longer than {LENGTH_MAX} characters", LENGTH_MAX, 1, "too-long")
    match = _PATTERN.match(text)
    if match is None:
        raise ExpressionError(_PATTERN_FORM, 0, max(1, len(text)), "syntax")
    guard: ast.expr | None = None
    if match["when"] is not None:
        start = match.start("guard")
        try:
            guard = parse(match["guard"], scope)
        except ExpressionError as error:
            error.offset += start
            raise
        for part in ast.walk(guard):
            if isinstance(part, ast.expr):
                part.col_offset += start
                part.end_col_offset = (part.end_col_offset or 0) + start
    elif match["rest"]:
        raise ExpressionError(_PATTERN_FORM, match.start("rest"), len(match["rest"]), "syntax")
    if match["move"] is not None:
        return _move(match, scope, guard)
    return _happening(match, scope, guard)


_PATTERN = re.compile(
    r"""\s*(?:(?P<move>entering|leaving)\s+(?P<stage>[^\s"']+)|(?P<quoted>"[^"]*"|'[^']*')|(?P<name>[^\s"']+))
        (?:\s+(?P<when>when)\b(?P<guard>.*)|\s*(?P<rest>.*?))\s*$""",
    re.VERBOSE | re.DOTALL,
)
_PATTERN_FORM = "expected `TYPE`, `SIGNAL`, `entering STAGE` or `leaving STAGE`, then `when` and a guard or nothing"
_TYPE = re.compile(r"[A-Za-z0-9][\w.:/-]*", re.ASCII)


def _move(match: re.Match[str], scope: Scope, guard: ast.expr | None) -> ParsedPattern:
    stage, place = match["stage"], match.start("stage")
    if "moves" not in scope.allowed:
        raise ExpressionError(
            f"`{match['move']}` can't be used {scope.where}: moves come after all of it", match.start("move"),
            len(match["move"]), "not-allowed",
        )  # fmt: skip
    if stage not in scope.stages:
        raise _unknown("stage", stage, place, len(stage), scope.stages)
    return ParsedPattern("entering" if match["move"] == "entering" else "leaving", stage, guard)


def _happening(match: re.Match[str], scope: Scope, guard: ast.expr | None) -> ParsedPattern:
    if match["quoted"] is not None:
        name, place = match["quoted"][1:-1], match.start("quoted") + 1
        if _TYPE.fullmatch(name) is None or len(name) > TEXT_MAX:
            raise ExpressionError(f"'{name}' can be no event type", place, max(1, len(name)), "syntax")
        return ParsedPattern("type", name, guard)
    name, place = match["name"], match.start("name")
    if name in scope.every_signal:
        if "happening" not in scope.allowed:
            raise ExpressionError(f"a signal can't be used {scope.where}", place, len(name), "not-allowed")
        return ParsedPattern("signal", name, guard)
    if name in scope.event_types:
        return ParsedPattern("type", name, guard)
    if _TYPE.fullmatch(name) is None or len(name) > TEXT_MAX:
        raise ExpressionError(_PATTERN_FORM, place, len(name), "syntax")
    known = {*scope.every_signal, *scope.event_types}
    if "." not in name:
        found = nearest(name, known)
        raise ExpressionError(
            f"'{name}' is no signal{suggestion(found) or '; an event type of your own without a dot stands in quotes'}",
            place, len(name), "unknown-signal", found,
        )  # fmt: skip
    missed = near_miss(name, known)
    if missed:
        raise ExpressionError(
            f"'{name}' is no known event type; did you mean '{missed}'?"
            " A type of your own so near to it stands in quotes",
            place, len(name), "unknown-type", missed,
        )  # fmt: skip
    return ParsedPattern("type", name, guard)


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


def _unknown(
    what: str, name: str, offset: int, length: int, among: Collection[str], code: str | None = None
) -> ExpressionError:
    found = nearest(name, among)
    known = ", ".join(among) if 0 < len(among) <= 12 else ""
    hint = suggestion(found) or (
        f"; there is {known}" if known else f"; there is no {what} at all" if not among else ""
    )
    return ExpressionError(f"'{name}' is no {what}{hint}", offset, length, code or f"unknown-{what}", found)


def _at(node: ast.expr) -> tuple[int, int]:
    end = node.end_col_offset if node.end_col_offset is not None else node.col_offset + 1
    return node.col_offset, max(1, end - node.col_offset)


class _Resolver:
    """Walks a tree once; the methods end where everything has a meaning, and raise where something has none."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

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
                raise ExpressionError("a list stands only after `in`", *_at(node), "syntax")

    def may(self, ability: Ability, node: ast.expr, what: str) -> None:
        if ability not in self.scope.allowed:
            raise ExpressionError(f"{what} can't be used {self.scope.where}", *_at(node), "not-allowed")

    def name(self, node: ast.Name) -> None:
        scope, name = self.scope, node.id
        if name in ("event", "traits"):
            raise ExpressionError(f"`{name}` needs a field: {name}.NAME", *_at(node), "syntax")
        if name in ("score", "stage", "status"):
            self.may("score" if name == "score" else "stage" if name == "stage" else "status", node, f"`{name}`")
            if name == "status" and not scope.statuses:
                raise ExpressionError("this lifecycle has no `statuses`", *_at(node), "unknown-name")
        elif name in scope.parameters:
            pass
        elif name in scope.every_signal:
            if "happening" not in scope.allowed:
                raise ExpressionError(
                    f"no event happens {scope.where}, so no signal's bare name: seen({name}) tells whether it ever did",
                    *_at(node), "not-allowed", f"seen({name})",
                )  # fmt: skip
        elif name in scope.facts:
            self.may("facts", node, "a fact")
            if scope.facts[name] == "ids":
                raise ExpressionError(
                    f"'{name}' is a set of ids: write size({name}) or contains({name}, id)",
                    *_at(node),
                    "wrong-kind",
                    f"size({name})",
                )
        elif name in scope.conditions:
            self.may("conditions", node, "a condition")
        else:
            raise self.unknown_name(node)

    def unknown_name(self, node: ast.Name) -> ExpressionError:
        scope, name = self.scope, node.id
        offset, length = _at(node)
        if name in FUNCTIONS:
            return ExpressionError(f"'{name}' is a function: {FUNCTIONS[name]}", offset, length, "bad-arguments")
        for known, what, meant in (
            (scope.stages, "stage", f'stage == "{name}"'),
            (scope.statuses, "status", f'status == "{name}"'),
            (scope.event_fields, "field of events", f"event.{name}"),
        ):
            if name in known:
                return ExpressionError(f"'{name}' is a {what}: write {meant}", offset, length, "unknown-name", meant)
        names = {*scope.parameters, *scope.every_signal, *scope.facts, *scope.conditions, "score", "stage", "status"}
        found = "none" if name.lower() in habits.NOTHING else nearest(name, names) or nearest(name, FUNCTIONS)
        hint = suggestion(found) or "; a text stands in quotes"
        return ExpressionError(
            f"'{name}' is no parameter, signal, fact or condition{hint}", offset, length, "unknown-name", found
        )

    def attribute(self, node: ast.Attribute) -> None:
        base = node.value
        root = base.id if isinstance(base, ast.Name) else ""
        length = len(node.attr)
        place = (node.end_col_offset or 0) - length - (2 if getattr(node, "quoted", False) else 0)
        if root == "score":
            self.may("score", node, "`score`")
            if node.attr not in ("fit", "behaviour"):
                raise _unknown("score", node.attr, place, length, ("fit", "behaviour"))
        elif root == "event":
            self.may("event", node, "`event`")
            self.field(node, place, {**self.scope.event_fields, **ENVELOPE}, "field of events")
        elif root == "traits":
            self.may("traits", node, "`traits`")
            self.field(node, place, self.scope.traits, "known trait")
        else:
            raise ExpressionError(
                f"'{root}' has no fields; only event, traits and score have", *_at(node), "unknown-name",
                nearest(root, ("event", "traits", "score")),
            )  # fmt: skip

    def field(self, node: ast.Attribute, place: int, known: Mapping[str, str], what: str) -> None:
        if node.attr in known or getattr(node, "quoted", False):
            return
        missed = near_miss(node.attr, known)
        if missed:
            root = node.value.id if isinstance(node.value, ast.Name) else ""
            raise ExpressionError(
                f"'{node.attr}' is no {what}; did you mean '{missed}'?"
                f' One of your own so near to it is written {root}["{node.attr}"]',
                place, len(node.attr), "unknown-field", missed,
            )  # fmt: skip

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
            raise ExpressionError(f"ids have no order{instead}", *_at(side), "wrong-kind")

    def members(self, node: ast.expr) -> None:
        for member in node.elts if isinstance(node, ast.Tuple) else ():
            if isinstance(member, ast.Name) and member.id not in self.scope.parameters:
                found = nearest(member.id, self.scope.parameters)
                hint = suggestion(found) or "; a text stands in quotes"
                raise ExpressionError(f"'{member.id}' is no parameter{hint}", *_at(member), "unknown-name", found)

    def literals(self, side: ast.expr, other: ast.expr) -> None:
        """A text beside `stage`, `status` or a field with a fixed few values must be one of them."""
        constants = other.elts if isinstance(other, ast.Tuple) else [other]
        for constant in constants:
            if not isinstance(constant, ast.Constant):
                continue
            offset, length = _at(constant)
            match side:
                case ast.Name(id="stage" | "status" as what):
                    among = self.scope.stages if what == "stage" else self.scope.statuses
                    if not isinstance(constant.value, str):
                        raise ExpressionError(
                            f"`{what}` is compared with a {what}'s id in quotes", offset, length, "wrong-kind"
                        )
                    if constant.value not in among:
                        raise _unknown(what, constant.value, offset, length, among)
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
            place = _at(node.func)
            if name in self.scope.every_signal:
                raise ExpressionError(
                    f"'{name}' is a signal, no function: seen({name})", *place, "unknown-function", f"seen({name})"
                )
            if name.lower() in habits.FUNCTIONS:
                own = FUNCTIONS[habits.FUNCTIONS[name.lower()]]
                raise ExpressionError(f"'{name}' is no function here; write {own}", *place, "unknown-function", own)
            raise _unknown("function", name, *place, FUNCTIONS)
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
                f"{name}() is written {FUNCTIONS[name]}, not with {len(node.args)} arguments", *_at(node),
                "bad-arguments",
            )  # fmt: skip

    def count(self, node: ast.Call) -> None:
        if not 1 <= len(node.args) <= 2:
            raise ExpressionError(f"count() is written {FUNCTIONS['count']}", *_at(node), "bad-arguments")
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
                raise _unknown("argument", name, keyword.col_offset, len(name), ("within", "since"), "bad-arguments")
            if name in given:
                raise ExpressionError(
                    f"`{name}` stands there twice", keyword.col_offset, len(name) or 1, "bad-arguments"
                )
            given.add(name)
            if name == "since":
                self.signal(keyword.value, "count")
            else:
                self.duration(keyword.value)

    def signal(self, node: ast.expr, function: str) -> None:
        if not isinstance(node, ast.Name):
            raise ExpressionError(f"{function}() takes the name of a signal", *_at(node), "bad-arguments")
        if node.id not in self.scope.every_signal:
            raise _unknown("signal", node.id, *_at(node), sorted(self.scope.every_signal))

    def ids(self, node: ast.expr) -> None:
        sets = [name for name, kind in self.scope.facts.items() if kind == "ids"]
        if not isinstance(node, ast.Name):
            raise ExpressionError("size() takes the name of a fact of type ids", *_at(node), "bad-arguments")
        if node.id not in sets:
            raise _unknown("fact of type ids", node.id, *_at(node), sets, "unknown-name")

    def stage(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise ExpressionError("at_least() takes a stage's id in quotes", *_at(node), "bad-arguments")
        if node.value not in self.scope.stages:
            raise _unknown("stage", node.value, *_at(node), self.scope.stages)

    def duration(self, node: ast.expr) -> None:
        """A window is known at load: it decides what is kept of a signal."""
        match node:
            case ast.Constant(kind="duration"):
                return
            case ast.Name(id=name) if name in self.scope.parameters:
                value = self.scope.parameters[name]
                try:
                    duration_ms(value if isinstance(value, str) else "")
                except ValueError:
                    raise ExpressionError(
                        f"the parameter '{name}' is {value!r}; `within` takes a duration such as 7d", *_at(node),
                        "wrong-kind",
                    ) from None  # fmt: skip
            case ast.Name(id=name):
                raise _unknown("parameter", name, *_at(node), self.scope.parameters, "unknown-name")
            case _:
                raise ExpressionError(
                    "`within` takes a duration such as 7d, or a parameter that is one", *_at(node), "wrong-kind"
                )

    def regular_expression(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise ExpressionError("matches() takes a regular expression in quotes", *_at(node), "bad-arguments")
        try:
            check_regular_expression(node.value)
        except ValueError as error:
            raise ExpressionError(str(error), *_at(node), "bad-regex") from None
