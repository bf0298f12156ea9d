"""What happens: a type of event, a signal, a stage entered or left, from text to where each is known."""

from __future__ import annotations

import ast
import re
from typing import Literal, NamedTuple

from worker.definition.errors import ExpressionError
from worker.definition.expression import parse
from worker.definition.names import unknown
from worker.definition.nearest import near_miss, nearest, suggestion
from worker.definition.scope import Scope
from worker.definition.tokens import LENGTH_MAX, TEXT_MAX


class ParsedPattern(NamedTuple):
    """What happens: an event of type `name`, the signal, the stage entered or left; `guard` narrows it."""

    kind: Literal["type", "signal", "entering", "leaving"]
    name: str
    guard: ast.expr | None


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
        raise unknown("stage", stage, place, len(stage), scope.stages)
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
