"""Whether one event could take a contact round in a circle.

Transitions without an event are tried again after each move. If the guards along a circle of them can hold one after
the other, a contact would go round without end, so such a definition is refused. The question is asked of the guards
alone: each part that is not taken apart here (a fact, a signal, a sum) may have any value, but the same one all
along the circle, unless a move changes it. What is known of moves is used:

- where the guard is read, `stage` and `at_least` are known, and after a move no time has passed in the stage;
- a move backward is a setback: `since(x, setback)` is false after it, `count(x, since=setback)` is 0, and the
  behaviour score is 0 if it forgets by `setback`;
- the status changes on the way where a transition of the circle sets one, to that one, and where entering or leaving
  may imply one, to that one or not at all.

The answer errs on the safe side: a circle that no contact could go may be refused, one that some contact could go is
not let through.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from worker.definition.model import Lifecycle
from worker.definition.needs import signals_of_moves
from worker.definition.parameters import parameter_values
from worker.definition.scope import SETBACK
from worker.definition.trees import copied

CIRCLES_MAX = 500  # circles looked at; a definition with more is refused
STEPS_MAX = 50_000  # readings of guards for one circle; beyond, it counts as one that can be gone

_Domain = tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """A transition without an event, taken from one of its stages."""

    transition: int
    origin: str
    target: str


def circles(lifecycle: Lifecycle) -> Iterator[list[Step]]:
    """Simple circles of transitions without an event, each once, beginning at its lowest stage; at most CIRCLES_MAX."""
    order = {name: place for place, name in enumerate(lifecycle.stages)}
    ways: dict[str, list[Step]] = {name: [] for name in order}
    for number, transition in enumerate(lifecycle.transitions):
        if transition.event is None and transition.to in order:
            for origin in lifecycle.origins(transition):
                if origin != transition.to:
                    ways[origin].append(Step(number, origin, transition.to))
    found = 0
    for first in order:
        pending: list[list[Step]] = [[step] for step in reversed(ways[first]) if order[step.target] > order[first]]
        while pending and found < CIRCLES_MAX:
            path = pending.pop()
            here = path[-1].target
            if here == first:
                found += 1
                yield path
                continue
            been = {step.origin for step in path}
            pending.extend(
                [*path, step]
                for step in reversed(ways[here])
                if order[step.target] >= order[first] and (step.target == first or step.target not in been)
            )


def can_be_gone(lifecycle: Lifecycle, circle: Sequence[Step], guards: Mapping[int, ast.expr],
                conditions: Mapping[str, ast.expr]) -> bool:  # fmt: skip
    """Whether some contact could go the circle within one event, starting from any of its stages.

    `guards` are those of transitions, by place; a transition that has none may always be taken.
    """
    return any(
        _Walk(lifecycle, [*circle[start:], *circle[:start]], guards, conditions).possible()
        for start in range(len(circle))
    )


class _Walk:
    """The guards of a walk as one question: is there a value for each open term with which all of them hold?"""

    def __init__(self, lifecycle: Lifecycle, walk: Sequence[Step], guards: Mapping[int, ast.expr],
                 conditions: Mapping[str, ast.expr]) -> None:  # fmt: skip
        self.lifecycle = lifecycle
        self.order = {name: place for place, name in enumerate(lifecycle.stages)}
        self.parameters = parameter_values(lifecycle)
        self.conditions = conditions
        self.of_moves = signals_of_moves(lifecycle) | {SETBACK}
        forget = set(lifecycle.score.forget or ())
        self.forgets_by_setback = SETBACK in forget
        self.forgets_by_move = bool(forget & self.of_moves - {SETBACK})
        self.possible_at_all = True
        self.tests: list[ast.expr] = []
        fallen = False
        status: ast.expr = ast.Name(id="status", ctx=ast.Load())
        for number, step in enumerate(walk):
            transition = lifecycle.transitions[step.transition]
            if number > 0 and transition.after is not None:
                self.possible_at_all = False  # the stage has only just been entered
            if step.transition in guards:
                reader = _Reading(self, step.origin, number, fallen, status)
                self.tests.append(reader.visit(copied(guards[step.transition])))
            fallen = fallen or self.order[step.target] < self.order[step.origin]
            if transition.status is not None:
                status = ast.Constant(value=transition.status)
            for implied in self.implied_statuses(step):
                taken = ast.Name(id=f"{implied} implied at step {number}", ctx=ast.Load())
                status = ast.IfExp(test=taken, body=ast.Constant(value=implied), orelse=status)

    def implied_statuses(self, step: Step) -> Iterator[str]:
        """Those that the move may bring along; whether it does depends on the status before and on guards."""
        words = (f"entering {step.target}", f"leaving {step.origin}")
        for implied, rule in (self.lifecycle.statuses.implied_by if self.lifecycle.statuses else {}).items():
            if any(" ".join(text.split()[:2]) in words for text in rule.any):
                yield implied

    def possible(self) -> bool:
        if not self.possible_at_all:
            return False
        domains: dict[str, _Domain] = {}
        for test in self.tests:
            _collect(test, domains)
        budget = [STEPS_MAX]
        return self.search(domains, list(domains), {}, budget)

    def search(self, domains: Mapping[str, _Domain], free: list[str], known: dict[str, Any], budget: list[int]) -> bool:
        """Depth-first over the open terms; a guard already false ends a branch."""
        budget[0] -= 1
        if budget[0] <= 0:
            return True
        if any(_truth(test, known) is False for test in self.tests):
            return False
        if not free:
            return True
        term, rest = free[0], free[1:]
        for value in domains[term]:
            known[term] = value
            if self.search(domains, rest, known, budget):
                del known[term]
                return True
            del known[term]
        return False


class _Reading(ast.NodeTransformer):
    """A guard as it reads at one step: names written out, what the step settles put in, what it changes set apart."""

    def __init__(self, walk: _Walk, stage: str, number: int, fallen: bool, status: ast.expr) -> None:
        self.walk = walk
        self.stage = stage
        self.number = number
        self.fallen = fallen
        self.status = status

    def visit_Name(self, node: ast.Name) -> ast.expr:
        walk = self.walk
        if node.id in walk.conditions:
            return self.read(walk.conditions[node.id])
        if node.id in walk.parameters:
            return ast.Constant(value=walk.parameters[node.id])
        match node.id:
            case "stage":
                return ast.Constant(value=self.stage)
            case "status":
                return self.status
            case "score":
                parts = [ast.Attribute(value=node, attr=attr, ctx=ast.Load()) for attr in ("behaviour", "fit")]
                behaviour = self.visit_Attribute(parts[0])
                if isinstance(behaviour, ast.Constant):
                    return parts[1]
                return node if behaviour is parts[0] else self.apart(node)
        return self.apart(node) if node.id in walk.of_moves and self.number > 0 else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if _named(node.value) == "score" and node.attr == "behaviour":
            if self.fallen and self.walk.forgets_by_setback:
                return ast.Constant(value=0)
            if self.number > 0 and self.walk.forgets_by_move:
                return self.apart(node)
        return node  # the name before the dot is no name of its own

    def visit_Call(self, node: ast.Call) -> ast.expr:
        given = {keyword.arg: _named(keyword.value) for keyword in node.keywords}
        names = [*map(_named, node.args), *given.values()]
        match _named(node.func):
            case "at_least":
                bound = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
                return ast.Constant(value=self.walk.order[self.stage] >= self.walk.order.get(str(bound), 0))
            case "days_in_stage" if self.number > 0:
                return ast.Constant(value=0)
            case "since" if names[1] == SETBACK and names[0] not in self.walk.of_moves:
                return ast.Constant(value=False) if self.fallen else node
            case "count" if given.get("since") == SETBACK and names[0] not in self.walk.of_moves:
                return ast.Constant(value=0) if self.fallen else node
            case "since" | "seen" | "last" | "count":
                return self.apart(node) if self.number > 0 and self.walk.of_moves & set(names) else node
        return self.generic_visit(node)  # type: ignore[return-value]  # a call stays one

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        return _by_cases(node)

    def read(self, node: ast.expr) -> ast.expr:
        return self.visit(copied(node))  # type: ignore[no-any-return]  # visit gives Any

    def apart(self, node: ast.expr) -> ast.Name:
        """A term of this step alone: what it is before says nothing of it here."""
        return ast.Name(id=f"{ast.unparse(node)} at step {self.number}", ctx=ast.Load())


def _by_cases(node: ast.Compare) -> ast.expr:
    """A comparison of what is one thing or another, as the one comparison or the other."""
    sides = [node.left, *node.comparators]
    for place, side in enumerate(sides):
        if isinstance(side, ast.IfExp):
            ways = [[*sides[:place], way, *sides[place + 1 :]] for way in (side.body, side.orelse)]
            cases = [ast.Compare(left=left, ops=node.ops, comparators=others) for left, *others in ways]
            return ast.IfExp(test=side.test, body=_by_cases(cases[0]), orelse=_by_cases(cases[1]))
    return node


def _named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


# A guard over open terms: and, or, not, choices and comparisons are taken apart, everything else is a term.


def _term(node: ast.expr) -> str:
    """The text that a term goes by, made once."""
    text: str | None = getattr(node, "term", None)
    if text is None:
        text = ast.unparse(node)
        node.term = text  # type: ignore[attr-defined]
    return text


def _operands(node: ast.expr) -> list[ast.expr] | None:
    match node:
        case ast.BoolOp(values=values):
            return values
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return [test, body, orelse]
    return None


def _collect(node: ast.expr, domains: dict[str, _Domain]) -> None:
    """Every open term with the values worth trying: those it is compared with, between them and beyond."""
    parts = _operands(node)
    if parts is not None:
        for part in parts:
            _collect(part, domains)
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        constants = [value for side in sides for value in _constants(side)]
        for side in sides:
            if not isinstance(side, ast.Constant | ast.Tuple):
                _widen(domains, _term(side), constants, _is_alone(sides, side))
    elif not isinstance(node, ast.Constant):
        _widen(domains, _term(node), [True, False], True)


def _is_alone(sides: Sequence[ast.expr], side: ast.expr) -> bool:
    return all(other is side or isinstance(other, ast.Constant | ast.Tuple) for other in sides)


def _constants(node: ast.expr) -> list[Any]:
    match node:
        case ast.Constant(value=value):
            return [value]
        case ast.Tuple(elts=elts):
            return [element.value for element in elts if isinstance(element, ast.Constant)]
    return []


_OPEN = object()  # a value that nothing is known of: what is compared with it may come out either way


def _widen(domains: dict[str, _Domain], term: str, constants: Sequence[Any], alone: bool) -> None:
    """Add values to a term's domain. A term beside another is of any value: the comparison is open."""
    found = set(domains.get(term, ()))
    if not alone or _OPEN in found:
        domains[term] = (_OPEN,)
        return
    if all(isinstance(value, bool) for value in (*found, *constants)):
        domains[term] = (True, False)
        return
    numbers = sorted(
        {
            float(value)
            for value in (*found, *constants)
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
    )
    between = {(low + high) / 2 for low, high in pairwise(numbers)}
    beyond = {numbers[0] - 1, numbers[-1] + 1} if numbers else set()
    texts = {value for value in (*found, *constants) if not isinstance(value, int | float) or isinstance(value, bool)}
    domains[term] = (*sorted({*numbers, *between, *beyond}), *sorted({*texts, "\0 another"}, key=repr), None)


def _truth(node: ast.expr, known: Mapping[str, Any]) -> bool | None:
    """The guard's truth under the values known so far; None where it is open."""
    match node:
        case ast.BoolOp(op=op, values=values):
            settles = isinstance(op, ast.Or)
            truths = [_truth(part, known) for part in values]
            return settles if settles in truths else None if None in truths else not settles
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(operand, known)
            return None if truth is None else not truth
        case ast.IfExp(test=test, body=body, orelse=orelse):
            chosen = _truth(test, known)
            if chosen is not None:
                return _truth(body if chosen else orelse, known)
            ways = {_truth(body, known), _truth(orelse, known)}
            return ways.pop() if len(ways) == 1 else None
        case ast.Compare():
            return _compared(node, known)
        case ast.Constant(value=value):
            return bool(value)
    value = known.get(_term(node), _OPEN)
    return None if value is _OPEN else bool(value)


def _compared(node: ast.Compare, known: Mapping[str, Any]) -> bool | None:
    sides = [node.left, *node.comparators]
    result: bool | None = True
    for op, left, right in zip(node.ops, sides, sides[1:], strict=False):
        first = left.value if isinstance(left, ast.Constant) else known.get(_term(left), _OPEN)
        if isinstance(op, ast.In | ast.NotIn):
            members = _constants(right)
            open_ended = not isinstance(right, ast.Tuple) or len(members) < len(right.elts)
            truth = None if first is _OPEN or open_ended else any(_equal(first, member) for member in members)
            truth = truth if truth is None or isinstance(op, ast.In) else not truth
        else:
            second = right.value if isinstance(right, ast.Constant) else known.get(_term(right), _OPEN)
            if _OPEN in (first, second):
                truth = None
            elif _asks_whether_set(left, right) and isinstance(op, ast.Eq | ast.NotEq):
                truth = (first is second) == isinstance(op, ast.Eq)
            else:
                truth = _pair(op, first, second)
        if truth is False:
            return False
        result = None if truth is None else result
    return result


def _asks_whether_set(left: ast.expr, right: ast.expr) -> bool:
    """`event.fit == none`: whether the field is there at all; false is there."""
    return any(
        isinstance(side, ast.Attribute) and isinstance(other, ast.Constant) and other.value is None
        for side, other in ((left, right), (right, left))
    )


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        other = right if left is None else left
        return other is None or other is False or other == 0 or other == ""
    return bool(left == right)


def _pair(op: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(op, ast.Eq):
        return _equal(left, right)
    if isinstance(op, ast.NotEq):
        return not _equal(left, right)
    if isinstance(left, str) != isinstance(right, str) and None not in (left, right):
        return False
    empty: Any = "" if isinstance(left, str) or isinstance(right, str) else 0
    low, high = (empty if left is None else left), (empty if right is None else right)
    match op:
        case ast.Lt():
            return bool(low < high)
        case ast.LtE():
            return bool(low <= high)
        case ast.Gt():
            return bool(low > high)
    return bool(low >= high)
