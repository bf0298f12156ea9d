"""From a guard to a formula: what it asks, term by term, where it is read (stage, event type or none).

Every term may take more values together than a contact's could, never fewer: what can't hold here can't hold for any
contact. What is known between terms stands in `worker.lint.axioms`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from worker.definition.pattern import ParsedPattern
from worker.definition.scope import SETBACK
from worker.lint.formula import Atom, Domain, Formula, conjunction, disjunction, negation
from worker.lint.subject import Subject
from worker.plan.support import COUNT_CAP, DAY_MS, IDS_KEPT, equal, less, less_or_equal

OTHER: Final = "\0 any other"
BEFORE: Final = "\0before"  # in a term's name: as it was before the event, at the moment that follows
ORDERS: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: equal,
    ast.NotEq: lambda left, right: not equal(left, right),
    ast.Lt: less,
    ast.LtE: less_or_equal,
    ast.Gt: lambda left, right: less(right, left),
    ast.GtE: lambda left, right: less_or_equal(right, left),
}
_TURNED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
}  # fmt: skip


@dataclass
class World:
    """What contacts can come to at most: names outside of it never happen."""

    signals: set[str]
    statuses: set[str]
    facts: set[str]  # those that something can set
    stages: set[int]
    open_parameters: frozenset[str] = frozenset()  # truth values that are taken as free
    narrower: Callable[[str, str], bool] = lambda one, other: (
        False
    )  # (signals) whenever the one happens, so does the other


@dataclass
class Range:
    """The values a term can have: `kind` is boolean, number, text or any; numbers from `least` to `most`."""

    kind: str
    least: float = -math.inf
    most: float = math.inf
    unset: bool = False
    only: tuple[Any, ...] | None = None  # where they are few and known
    whole: bool = False  # numbers without a fraction
    constants: list[Any] = field(default_factory=list)

    def domain(self) -> Domain:
        if self.only is not None:
            return self.only
        values: list[Any] = [None] if self.unset else []
        if self.kind in ("boolean", "any"):
            values += [True, False]
        if self.kind in ("number", "any"):
            values += self.numbers()
        if self.kind in ("text", "any"):
            texts = sorted({value for value in self.constants if isinstance(value, str)} | {""})
            values += [*texts, *(f"{text}\0" for text in texts), OTHER]  # between two texts lies another
        return tuple(values)

    def numbers(self) -> list[float]:
        given = {
            float(value) for value in self.constants if isinstance(value, int | float) and not isinstance(value, bool)
        }
        if self.whole:
            beside = {
                edge + step for value in given for edge in (math.floor(value), math.ceil(value)) for step in (-1, 0, 1)
            }
            return sorted(
                float(value) for value in {*beside, 0, self.least, self.most} if self.least <= value <= self.most
            )
        within = sorted(value for value in given | {0.0} if self.least <= value <= self.most)
        found = {*within, *((low + high) / 2 for low, high in pairwise(within))}
        low, high = (within[0], within[-1]) if within else (0.0, 0.0)
        found |= {self.least} if math.isfinite(self.least) else {low - 1}
        found |= {self.most} if math.isfinite(self.most) else {high + 1, math.inf}
        return sorted(value for value in found if self.least <= value <= self.most)


class Reading:
    """Formulas of guards as they are read in one stage (None: any) with one event type (None: without an event).

    With `before`, terms are those of the moment before the event's own facts and moves: what a signal is set off by.
    """

    def __init__(self, subject: Subject, world: World, stage: int | None, kind: str | None) -> None:
        self.subject = subject
        self.world = world
        self.stage = stage
        self.kind = kind
        self.ranges: dict[str, Range] = {}
        self.calls: dict[str, tuple[ast.Call, str]] = {}  # terms that are calls, and their moment
        self.happened: dict[str, Formula] = {}
        self.before = 0
        self.within = ""  # the signal whose patterns are being read
        self.signals = subject.meaning.scope.every_signal

    @property
    def here(self) -> int | None:
        """The stage at the moment that is read; None where a person may just have changed it."""
        return None if self.before and self.kind == "stage.set" else self.stage

    # What a transition, pattern or guard needs.

    def transition(self, number: int) -> Formula:
        transition = self.subject.lifecycle.transitions[number]
        parts: list[Formula] = []
        if transition.event is not None:
            parts.append(disjunction(self.pattern(self.subject.pattern(text)) for text in transition.event))
        if transition.when is not None:
            parts.append(self.guard(self.expanded(transition.when)))
        if transition.after is not None:
            parts.append(self.stayed(self.subject.expanded(transition.after)))
        return conjunction(parts)

    def stayed(self, after: ast.expr) -> Formula:
        """That the contact has been in its stage for so long."""
        bound = after.value if isinstance(after, ast.Constant) else 0
        days = bound / DAY_MS if isinstance(bound, int | float) else 0
        values = self.ranges.setdefault("days_in_stage()", Range("number", 0))
        values.constants.append(days)
        return Atom("days_in_stage()", f"GtE {days!r}", lambda value: bool(value >= days))

    def expanded(self, text: str) -> ast.expr:
        """The expression, written out but for the parameters that are taken as free."""
        names = self.subject.meaning.names
        if not self.world.open_parameters:
            return names.expand(self.subject.meaning.parse(text))
        kept = {name: value for name, value in names.parameters.items() if name not in self.world.open_parameters}
        return type(names)(**{**names.__dict__, "parameters": kept}).expand(self.subject.meaning.parse(text))

    def pattern(self, pattern: ParsedPattern) -> Formula:
        """That the pattern happens with the event at hand."""
        match pattern.kind:
            case "type":
                if pattern.name != self.kind:
                    return False
                happens: Formula = True
            case "signal":
                happens = self.bare(pattern.name)
            case _:
                place = self.subject.stages.index(pattern.name)
                if place not in self.world.stages:
                    return False
                happens = self.atom(f"{pattern.kind} {pattern.name}", "happens", bool, Range("boolean"))
        if pattern.guard is None or happens is False:
            return happens
        return conjunction([happens, self.guard(self.subject.meaning.names.expand(pattern.guard))])

    def bare(self, name: str) -> Formula:
        """That a signal is set off by the event at hand."""
        if name not in self.world.signals:
            return False
        if self.kind is None:  # at the end of a walk, after an event of any type or none
            return self.atom(f"{name} now", "happens", bool, Range("boolean"))
        if name not in self.happened:
            self.happened[name] = False  # a signal is not made of itself
            outer, self.within = self.within, name
            self.before += 1
            formula = disjunction(self.pattern(pattern) for pattern in self.subject.meaning.signal_patterns[name])
            self.before -= 1
            self.within = outer
            if name == SETBACK:
                formula = disjunction([formula, self.atom("moved back", "happens", bool, Range("boolean"))])
            self.happened[name] = formula
        return self.happened[name]

    # Guards.

    def guard(self, node: ast.expr) -> Formula:
        match node:
            case ast.BoolOp(op=op, values=values):
                join = conjunction if isinstance(op, ast.And) else disjunction
                return join(self.guard(part) for part in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return negation(self.guard(operand))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                chosen = self.guard(test)
                return disjunction(
                    [conjunction([chosen, self.guard(body)]), conjunction([negation(chosen), self.guard(orelse)])]
                )
            case ast.Compare():
                sides = [node.left, *node.comparators]
                return conjunction(
                    self.pair(op, left, right) for op, left, right in zip(node.ops, sides, sides[1:], strict=False)
                )
            case ast.Constant(value=value):
                return bool(value)
            case ast.Name(id=name) if name in self.signals:
                return self.bare(name)
            case ast.Call(func=ast.Name(id="at_least"), args=[ast.Constant(value=bound)]) if self.here is not None:
                return self.here >= self.subject.stages.index(str(bound))
            case ast.Call(func=ast.Name(id="since"), args=[ast.Name(id=one), ast.Name(id=_)]):
                if one not in self.world.signals:
                    return False
        return self.truth(node)

    def truth(self, node: ast.expr) -> Formula:
        term, values = self.term(node)
        return self.atom(term, "holds", bool, values)

    def pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Formula:
        left, right = _folded(left), _folded(right)
        if isinstance(left, ast.IfExp):
            return self.guard(_spread(left, lambda part: ast.Compare(part, [op], [right])))
        if isinstance(right, ast.IfExp):
            return self.guard(_spread(right, lambda part: ast.Compare(left, [op], [part])))
        if isinstance(op, ast.In | ast.NotIn):
            return self.member(op, left, right)
        if isinstance(left, ast.Constant) and not isinstance(right, ast.Constant):
            left, right, op = right, left, _TURNED[type(op)]()
        test = ORDERS[type(op)]
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            return bool(test(left.value, right.value))
        if not isinstance(right, ast.Constant):
            return self.whole(ast.Compare(left, [op], [right]))
        bound = right.value
        if isinstance(left, ast.Name) and left.id == "stage" and self.here is not None:
            return bool(test(self.subject.stages[self.here], bound))
        term, values = self.term(left)
        if bound is None and isinstance(left, ast.Attribute) and isinstance(op, ast.Eq | ast.NotEq):
            unset = self.atom(term, "is unset", lambda value: value is None, values)
            return unset if isinstance(op, ast.Eq) else negation(unset)
        values.constants.append(bound)
        return self.atom(term, f"{type(op).__name__} {bound!r}", lambda value: test(value, bound), values)

    def member(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Formula:
        if not isinstance(right, ast.Tuple) or not all(isinstance(part, ast.Constant) for part in right.elts):
            return self.whole(ast.Compare(left, [op], [right]))
        one_of = disjunction(self.pair(ast.Eq(), left, part) for part in right.elts)
        return negation(one_of) if isinstance(op, ast.NotIn) else one_of

    def whole(self, node: ast.Compare) -> Formula:
        """A comparison that is not taken apart: it may come out either way."""
        moment = self.moment(node) if self.before else ""
        return self.atom(ast.unparse(node) + moment, "holds", bool, Range("boolean"))

    # Terms.

    def atom(self, term: str, test: str, passes: Callable[[Any], bool], values: Range) -> Atom:
        self.ranges.setdefault(term, values)
        return Atom(term, test, passes)

    def term(self, node: ast.expr) -> tuple[str, Range]:
        """The name a term goes by here, and its values."""
        name = ast.unparse(node)
        moment = self.moment(node) if self.before else ""
        name += moment
        if isinstance(node, ast.Call):
            self.calls.setdefault(name, (node, moment))
        if name not in self.ranges:
            self.ranges[name] = self.values(node)
        return name, self.ranges[name]

    def moment(self, node: ast.expr) -> str:
        """What marks a term as of before the event: facts and signals change from one signal's patterns to the next,
        score, status and stage only after all of them, the event's fields and traits not at all."""
        parts = [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
        if all(isinstance(part, ast.Attribute) or part.id in ("event", "traits") for part in parts):
            roots = {_root(part) for part in parts if isinstance(part, ast.Attribute)}
            if roots <= {"event", "traits"}:
                return ""
        if isinstance(node, ast.Name) and node.id in ("score", "stage", "status"):
            return f"{BEFORE} all"
        if isinstance(node, ast.Attribute):
            return f"{BEFORE} all"
        return f"{BEFORE} {self.within}"

    def values(self, node: ast.expr) -> Range:
        scope, world = self.subject.meaning.scope, self.world
        match node:
            case ast.Attribute(value=ast.Name(id="score"), attr=attr):
                return self.score()[attr]
            case ast.Attribute(value=ast.Name(id=root), attr=attr):
                if root == "event" and attr in ("type", "ce_source", "time"):
                    known_type = (self.kind,) if attr == "type" and self.kind else None
                    return Range("number" if attr == "time" else "text", only=known_type)
                known = scope.event_fields if root == "event" else scope.traits
                return Range(known.get(attr, "any"), unset=True)
            case ast.Name(id="score"):
                return self.score()["total"]
            case ast.Name(id="status"):
                return Range("text", only=tuple(sorted(world.statuses)))
            case ast.Name(id="stage"):
                return Range("text", only=tuple(self.subject.stages[place] for place in sorted(world.stages)))
            case ast.Name(id=name) if name in self.subject.lifecycle.facts:
                return self.fact(name)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, args[0] if args else None, node)
        return Range("boolean" if isinstance(node, ast.Name) else "any")

    def fact(self, name: str) -> Range:
        kind = self.subject.lifecycle.facts[name].type
        kind = "number" if kind == "time" else kind
        if name in self.world.facts:
            return Range(kind)
        empty: dict[str, Any] = {"boolean": False, "number": 0, "text": ""}
        return Range(kind, only=(empty[kind],))

    def call(self, name: str, first: ast.expr | None, node: ast.Call) -> Range:
        signal = first.id if isinstance(first, ast.Name) else ""
        possible = signal in self.world.signals
        match name:
            case "seen" | "since":
                return Range("boolean", only=None if possible else (False,))
            case "count":
                kept = self.subject.lifecycle.signals.get(signal)
                most = COUNT_CAP if not node.keywords else kept.keep if kept is not None else 20
                return Range("number", 0, most if possible else 0, whole=True)
            case "last":
                return Range("number", 0, only=None if possible else (math.inf,))
            case "size":
                return Range("number", 0, IDS_KEPT if signal in self.world.facts else 0, whole=True)
            case "contains":
                closed = signal in self.subject.lifecycle.facts and signal not in self.world.facts
                return Range("boolean", only=(False,) if closed else None)
            case "days_in_stage":
                return Range("number", 0)
            case "min" | "max":
                return Range("number")
        return Range("boolean")

    def score(self) -> dict[str, Range]:
        """The least and the most that each score can be."""
        fit, behaviour = score_bounds(self.subject)
        return {
            "fit": Range("number", *fit),
            "behaviour": Range("number", *behaviour),
            "total": Range("number", fit[0] + behaviour[0], fit[1] + behaviour[1]),
        }


def _folded(node: ast.expr) -> ast.expr:
    """A negative figure as one constant."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return ast.Constant(value=-value)
    return node


def _spread(node: ast.IfExp, each: Callable[[ast.expr], ast.expr]) -> ast.expr:
    return ast.IfExp(node.test, each(node.body), each(node.orelse))


def _root(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def score_bounds(subject: Subject) -> tuple[tuple[float, float], tuple[float, float]]:
    """Least and most of fit and of behaviour."""
    score = subject.lifecycle.score
    gains: list[float] = []
    losses: list[float] = []
    for figure in score.fit.points.values():
        least, most = _figure(subject, figure)
        gains.append(max(0.0, most))
        losses.append(min(0.0, least))
    cap = _figure(subject, score.fit.cap)[1]
    fit = (min(cap, sum(losses)), min(cap, sum(gains)))
    earned = [_figure(subject, figure)[1] for figure in score.behaviour.points.values()]
    cap = _figure(subject, score.behaviour.cap)[1]
    return fit, (0.0, max(0.0, cap) if any(value > 0 for value in earned) else 0.0)


def _figure(subject: Subject, text: str) -> tuple[float, float]:
    """Least and most of a figure: one number, where it is one."""
    node = subject.expanded(text)
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        value = -float(node.operand.value)  # type: ignore[arg-type]  # the grammar negates numbers only
        return value, value
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value), float(node.value)
    return -math.inf, math.inf
