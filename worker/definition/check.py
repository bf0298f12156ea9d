"""Whether a definition's names and guards hold together: every fault, not the first.

The models say what may stand where; this says whether it makes sense: every name is that of something, what is
compared can be compared, nothing needs itself, and no contact could go round without end.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from worker.definition.errors import ExpressionError, Fault
from worker.definition.expression import is_timed, parse
from worker.definition.kinds import Kind, described, kind_of
from worker.definition.model import Lifecycle
from worker.definition.needs import EventTypes, Need, Part, circle, needs_of, signals_of_moves
from worker.definition.pattern import parse_pattern
from worker.definition.places import Place, Steps, places, scope_of
from worker.definition.scope import EVERYTHING, Ability, Scope
from worker.definition.structure import faults_of_structure
from worker.definition.walks import CIRCLES_MAX, can_be_gone, circles

__all__ = ["check", "scope_of"]


def check(lifecycle: Lifecycle) -> list[Fault]:
    """Every fault of a definition whose form is right; an empty list means that it can be compiled and run."""
    return _Check(lifecycle).all()


class _Check:
    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.scope = scope_of(lifecycle)
        self.places = list(places(lifecycle))
        self.trees: dict[Steps, ast.expr] = {}  # of what could be read, conditions first
        self.conditions: dict[str, ast.expr] = {}
        self.guards: dict[int, ast.expr] = {}  # of transitions without an event
        self.kinds: dict[str, Kind] = {}
        self.faults: list[Fault] = []
        self.of_moves = signals_of_moves(lifecycle)

    def all(self) -> list[Fault]:
        self.faults += faults_of_structure(self.lifecycle)
        conditions = [place for place in self.places if place.path[0] == "conditions"]
        for place in conditions:
            self.attempt(place, self.condition)
        if circle({("condition", name): needs_of(tree, self.scope) for name, tree in self.conditions.items()}):
            self.needs()
            return self.faults  # what follows reads conditions through and would not come to an end
        for place in conditions:
            self.attempt(place, self.kind_of_condition)
        for place in self.places:
            if place.path[0] != "conditions":
                self.attempt(place, self.text)
        if not self.faults:
            self.needs()
            self.watched()
        if not self.faults:
            self.events()
            self.walks()
        return self.faults

    def attempt(self, place: Place, read: Callable[[Place], None]) -> None:
        try:
            read(place)
        except ExpressionError as error:
            self.fault(place, error)

    def fault(self, place: Place, error: ExpressionError) -> None:
        self.faults.append(
            Fault(place.path, error.code, error.message, error.offset, error.length, on_key=place.on_key)
        )

    def condition(self, place: Place) -> None:
        name = str(place.path[1])
        self.conditions[name] = self.trees[place.path] = parse(place.text, place.scope)

    def kind_of_condition(self, place: Place) -> None:
        name = str(place.path[1])
        if name in self.conditions:
            self.kind(name, frozenset())

    def kind(self, name: str, within: frozenset[str]) -> Kind:
        """The kind of a condition, after those it is made of."""
        if name not in self.kinds:
            tree = self.conditions.get(name)
            if tree is None or name in within:
                return "any"
            for need in needs_of(tree, self.scope):
                if need.part[0] == "condition":
                    self.kind(need.part[1], within | {name})
            self.kinds[name] = "any"  # where its parts don't fit, that is one fault and not one at each of its uses
            self.kinds[name] = kind_of(tree, self.scope, self.kinds)
        return self.kinds[name]

    # One text.

    def text(self, place: Place) -> None:
        if place.form in ("pattern", "type"):
            self.pattern(place)
            return
        tree = parse(place.text, place.scope)
        self.trees[place.path if not place.on_key else (*place.path, "key")] = tree
        self.reaches(tree, place)
        if place.form == "trait":
            self.trait(tree)
        kind = kind_of(tree, self.scope, self.kinds)
        if place.form in ("number", "duration", "text") and kind not in (place.form, "any"):
            wanted = described(place.form)
            raise _whole(tree, f"there must be {wanted}{_such_as(place.form)}, not {described(kind)}", "wrong-kind")
        if place.constant:
            self.constant(place, tree)
        if place.form == "value":
            self.fact(place, tree)
        if (
            place.path[0] == "transitions"
            and place.path[-1] == "when"
            and isinstance(place.path[1], int)
            and place.watched
        ):
            self.guards[place.path[1]] = tree

    def pattern(self, place: Place) -> None:
        pattern = parse_pattern(place.text, place.scope)
        if place.form == "type" and pattern.kind != "type":
            raise ExpressionError(
                f"here stands an event type, not {'a signal' if pattern.kind == 'signal' else 'a move'}", 0,
                len(place.text), "not-allowed",
            )  # fmt: skip
        if pattern.kind == "signal" and pattern.name in self.of_moves and "forget" not in place.path:
            raise ExpressionError(
                f"'{pattern.name}' follows moves, which come after this; a guard may ask seen({pattern.name})",
                0, len(pattern.name), "not-allowed",
            )  # fmt: skip
        if pattern.kind in ("entering", "leaving") and pattern.guard is not None and place.path[0] == "signals":
            raise ExpressionError(
                f"a signal follows every such move, without a guard: `{pattern.kind} {pattern.name}`", 0,
                len(place.text), "not-allowed",
            )  # fmt: skip
        if pattern.guard is not None:
            self.trees[(*place.path, "key") if place.on_key else place.path] = pattern.guard
            self.reaches(pattern.guard, place)
            kind_of(pattern.guard, self.scope, self.kinds)

    def trait(self, tree: ast.expr) -> None:
        if not (isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Name) and tree.value.id == "traits"):
            raise _whole(tree, "here stands one trait, such as traits.company_id", "wrong-kind")

    def fact(self, place: Place, tree: ast.expr) -> None:
        """Without `of`, which events would set a value that is worked out from their fields?"""
        fact = self.lifecycle.facts[str(place.path[1])]
        if fact.type != "ids" and fact.of is None and not isinstance(tree, ast.Attribute):
            if any(isinstance(part, ast.Name) and part.id == "event" for part in ast.walk(tree)):
                raise _whole(tree, "is worked out from an event: say in `of` which events set it", "missing-field")

    def constant(self, place: Place, tree: ast.expr) -> None:
        if not isinstance(tree, ast.Constant | ast.Name):
            raise _whole(tree, "here stands a figure or a parameter, nothing to work out", "wrong-kind")
        value = self.lifecycle.parameters[tree.id].value if isinstance(tree, ast.Name) else tree.value
        if place.form == "duration" and (value == 0 or (isinstance(value, str) and float(value.rstrip("mshdw")) == 0)):
            raise _whole(tree, "must be longer than nothing", "bad-value")

    def reaches(self, tree: ast.expr, place: Place) -> None:
        """Conditions bring along what they use: it must be allowed where they are used."""
        for part in ast.walk(tree):
            if isinstance(part, ast.Name) and part.id in self.conditions:
                missing = self.uses(part.id, frozenset()) - place.scope.allowed
                if missing:
                    what = ", ".join(f"`{name}`" for name in sorted(map(_shown, missing)))
                    raise _whole(
                        part, f"'{part.id}' uses {what}, which can't be used {place.scope.where}", "not-allowed"
                    )

    def uses(self, name: str, within: frozenset[str]) -> frozenset[Ability]:
        """What a condition reads, through the conditions that it is made of."""
        tree = self.conditions.get(name)
        if tree is None or name in within:
            return frozenset()
        found: frozenset[Ability] = frozenset()
        for part in ast.walk(tree):
            if isinstance(part, ast.Name) and part.id in self.conditions:
                found |= self.uses(part.id, within | {name})
        return found | {ability for ability in EVERYTHING if _reads(tree, self.scope, ability)}

    # The texts together.

    def needs(self) -> None:
        """Signals, facts and conditions that need themselves."""
        needs: dict[Part, set[Need]] = {}
        sorts = {"signals": "signal", "facts": "fact", "conditions": "condition"}
        for place in self.places:
            sort = sorts.get(str(place.path[0]))
            if sort is None:
                continue
            part = (sort, str(place.path[1]))
            found = needs.setdefault(part, set())
            if place.path in self.trees:
                tree = self.trees[place.path]
                accumulates = sort == "fact" and _reads(tree, self.scope, "event")  # the value before this event
                found |= {need for need in needs_of(tree, self.scope) if need.part != part or not accumulates}
            if place.form == "pattern":
                pattern = _pattern_or_none(place)
                if pattern is not None:
                    found.add(Need(("signal", pattern), recalled=False))
        found_circle = circle(needs)
        if found_circle is not None:
            section = {sort: name for name, sort in sorts.items()}[found_circle[0][0]]
            shown = " → ".join(name for _, name in found_circle)
            itself = section == "facts" and len(found_circle) == 2
            hint = f"; a field of the event is event.{found_circle[0][1]}" if itself else ""
            self.faults.append(
                Fault((section, found_circle[0][1]), "circle", f"needs itself: {shown}{hint}", on_key=True)
            )

    def watched(self) -> None:
        """Where a guard is read again while time passes, the instant at which it changes must be known."""
        decays = self.lifecycle.score.behaviour.half_life is not None
        reached: dict[str, Place] = {}
        pending = [place for place in self.places if place.watched and place.path in self.trees]
        by_name = {str(place.path[1]): place for place in self.places if place.path[0] == "conditions"}
        while pending:
            place = pending.pop()
            tree = self.trees[place.path]
            try:
                _Instants(self.conditions, decays).guard(tree)
            except ExpressionError as error:
                self.fault(place, error)
            for need in needs_of(tree, self.scope):
                sort, name = need.part
                if sort == "condition" and name not in reached and name in by_name:
                    reached[name] = by_name[name]
                    pending.append(by_name[name])

    def events(self) -> None:
        """A transition on something that no event can set off would never be taken."""
        types = EventTypes(self.lifecycle, self.scope)
        for number, transition in enumerate(self.lifecycle.transitions):
            for place, text in enumerate(transition.event or ()):
                if not types.of_all([text]):
                    self.faults.append(
                        Fault(
                            ("transitions", number, "event", place), "no-event",
                            f"no event can set off '{text}': it follows from moves only; ask in `when` instead",
                        )
                    )  # fmt: skip

    def walks(self) -> None:
        """A circle of moves that one event could go."""
        found = 0
        for steps in circles(self.lifecycle):
            found += 1
            if can_be_gone(self.lifecycle, steps, self.guards, self.conditions):
                shown = " → ".join([steps[0].origin, *(step.target for step in steps)])
                self.faults.append(
                    Fault(
                        ("transitions", steps[-1].transition), "endless",
                        f"a contact could go round within one event: {shown}. Their guards can hold together;"
                        " let one exclude the other (`and not …`), or count only what came since the setback",
                    )
                )  # fmt: skip
                return
        if found >= CIRCLES_MAX:
            self.faults.append(
                Fault(
                    ("transitions",),
                    "endless",
                    f"more than {CIRCLES_MAX} circles of moves without an event",
                    on_key=True,
                )
            )


def _whole(tree: ast.expr, message: str, code: str) -> ExpressionError:
    end = tree.end_col_offset if tree.end_col_offset is not None else tree.col_offset + 1
    return ExpressionError(message, tree.col_offset, max(1, end - tree.col_offset), code)


def _such_as(form: str) -> str:
    return {"duration": " such as 7d", "number": " such as 40"}.get(form, "")


def _shown(ability: Ability) -> str:
    return "this very event's signals" if ability == "happening" else ability


def _pattern_or_none(place: Place) -> str | None:
    """The signal that a pattern names, if it names one."""
    pattern = parse_pattern(place.text, place.scope)
    return pattern.name if pattern.kind == "signal" else None


def _reads(tree: ast.expr, scope: Scope, ability: Ability) -> bool:
    """Whether an expression itself reads what the ability stands for."""
    arguments = {id(given) for call in ast.walk(tree) if isinstance(call, ast.Call)
                 for given in (call.func, *call.args, *(keyword.value for keyword in call.keywords))}  # fmt: skip
    for part in ast.walk(tree):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            if part.func.id in ("seen", "count", "since", "last") and ability == "signals":
                return True
            if part.func.id in ("days_in_stage", "at_least") and ability == "stage":
                return True
        if not isinstance(part, ast.Name):
            continue
        match ability:
            case "event" | "traits" | "score" | "stage" | "status":
                if part.id == ability:
                    return True
            case "facts":
                if part.id in scope.facts:
                    return True
            case "happening":
                if part.id in scope.every_signal and id(part) not in arguments:
                    return True
    return False


class _Instants:
    """Holds a guard to what an instant can be worked out for: time alone on one side, the bound on the other."""

    def __init__(self, conditions: dict[str, ast.expr], decays: bool) -> None:
        self.conditions = conditions
        self.decays = decays

    def timed(self, node: ast.AST) -> bool:
        return is_timed(node, self.conditions, self.decays)

    def guard(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=values):
                for part in values:
                    self.guard(part)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.guard(operand)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                for part in (test, body, orelse):
                    self.guard(part)
            case ast.Compare() if self.timed(node):
                self.comparison(node)
            case ast.Name(id=name) if name in self.conditions:
                pass  # held to it where it stands
            case _ if self.timed(node):
                raise _whole(node, f"changes with time alone: compare it with a figure{_ALONE}", "timed")

    def comparison(self, node: ast.Compare) -> None:
        if len(node.ops) > 1:
            raise _whole(node, "with time in it, a chain is written as two comparisons joined by `and`", "timed")
        sides = [node.left, node.comparators[0]]
        timed = [side for side in sides if self.timed(side)]
        if len(timed) > 1:
            raise _whole(node, f"both sides change with time{_ALONE}", "timed")
        side = timed[0]
        counts = isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "count"
        alone = isinstance(side, ast.Call | ast.Attribute) or (isinstance(side, ast.Name) and side.id == "score")
        if isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id in ("min", "max"):
            alone = False
        if not alone:
            raise _whole(side, f"what changes with time stands alone on its side{_ALONE}", "timed")
        ordered = isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        if not ordered and not (counts and isinstance(node.ops[0], ast.Eq | ast.NotEq)):
            raise _whole(node, "what changes with time is compared by < <= > >=", "timed")


_ALONE = ", such as last(intent) > 30d or score.behaviour >= 50"
