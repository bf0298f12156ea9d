"""What a name in an expression stands for: each finds its meaning in a `Scope`, or is refused with its place."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from worker.definition import habits
from worker.definition.errors import ExpressionError
from worker.definition.nearest import near_miss, nearest, suggestion
from worker.definition.scope import ENVELOPE, FUNCTIONS, Ability, Scope
from worker.definition.tokens import duration_ms


def unknown(
    what: str, name: str, offset: int, length: int, among: Collection[str], code: str | None = None
) -> ExpressionError:
    found = nearest(name, among)
    known = ", ".join(among) if 0 < len(among) <= 12 else ""
    hint = suggestion(found) or (
        f"; there is {known}" if known else f"; there is no {what} at all" if not among else ""
    )
    return ExpressionError(f"'{name}' is no {what}{hint}", offset, length, code or f"unknown-{what}", found)


def at(node: ast.expr) -> tuple[int, int]:
    end = node.end_col_offset if node.end_col_offset is not None else node.col_offset + 1
    return node.col_offset, max(1, end - node.col_offset)


class Names:
    """The methods end where a name has a meaning in the scope, and raise ExpressionError where it has none."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def may(self, ability: Ability, node: ast.expr, what: str) -> None:
        if ability not in self.scope.allowed:
            raise ExpressionError(f"{what} can't be used {self.scope.where}", *at(node), "not-allowed")

    def name(self, node: ast.Name) -> None:
        scope, name = self.scope, node.id
        if name in ("event", "traits"):
            raise ExpressionError(f"`{name}` needs a field: {name}.NAME", *at(node), "syntax")
        if name in ("score", "stage", "status"):
            self.may("score" if name == "score" else "stage" if name == "stage" else "status", node, f"`{name}`")
            if name == "status" and not scope.statuses:
                raise ExpressionError("this lifecycle has no `statuses`", *at(node), "unknown-name")
        elif name in scope.parameters:
            pass
        elif name in scope.every_signal:
            if "happening" not in scope.allowed:
                raise ExpressionError(
                    f"no event happens {scope.where}, so no signal's bare name: seen({name}) tells whether it ever did",
                    *at(node), "not-allowed", f"seen({name})",
                )  # fmt: skip
        elif name in scope.facts:
            self.may("facts", node, "a fact")
            if scope.facts[name] == "ids":
                raise ExpressionError(
                    f"'{name}' is a set of ids: write size({name}) or contains({name}, id)",
                    *at(node),
                    "wrong-kind",
                    f"size({name})",
                )
        elif name in scope.conditions:
            self.may("conditions", node, "a condition")
        else:
            raise self.unknown_name(node)

    def unknown_name(self, node: ast.Name) -> ExpressionError:
        scope, name = self.scope, node.id
        offset, length = at(node)
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
                raise unknown("score", node.attr, place, length, ("fit", "behaviour"))
        elif root == "event":
            self.may("event", node, "`event`")
            self.field(node, place, {**self.scope.event_fields, **ENVELOPE}, "field of events")
        elif root == "traits":
            self.may("traits", node, "`traits`")
            self.field(node, place, self.scope.traits, "known trait")
        else:
            raise ExpressionError(
                f"'{root}' has no fields; only event, traits and score have", *at(node), "unknown-name",
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

    def members(self, node: ast.expr) -> None:
        for member in node.elts if isinstance(node, ast.Tuple) else ():
            if isinstance(member, ast.Name) and member.id not in self.scope.parameters:
                found = nearest(member.id, self.scope.parameters)
                hint = suggestion(found) or "; a text stands in quotes"
                raise ExpressionError(f"'{member.id}' is no parameter{hint}", *at(member), "unknown-name", found)

    def signal(self, node: ast.expr, function: str) -> None:
        if not isinstance(node, ast.Name):
            raise ExpressionError(f"{function}() takes the name of a signal", *at(node), "bad-arguments")
        if node.id not in self.scope.every_signal:
            raise unknown("signal", node.id, *at(node), sorted(self.scope.every_signal))

    def ids(self, node: ast.expr) -> None:
        sets = [name for name, kind in self.scope.facts.items() if kind == "ids"]
        if not isinstance(node, ast.Name):
            raise ExpressionError("size() takes the name of a fact of type ids", *at(node), "bad-arguments")
        if node.id not in sets:
            raise unknown("fact of type ids", node.id, *at(node), sets, "unknown-name")

    def stage(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise ExpressionError("at_least() takes a stage's id in quotes", *at(node), "bad-arguments")
        if node.value not in self.scope.stages:
            raise unknown("stage", node.value, *at(node), self.scope.stages)

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
                        f"the parameter '{name}' is {value!r}; `within` takes a duration such as 7d", *at(node),
                        "wrong-kind",
                    ) from None  # fmt: skip
            case ast.Name(id=name):
                raise unknown("parameter", name, *at(node), self.scope.parameters, "unknown-name")
            case _:
                raise ExpressionError(
                    "`within` takes a duration such as 7d, or a parameter that is one", *at(node), "wrong-kind"
                )
