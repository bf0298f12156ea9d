"""A guard taken apart: what each part of it came to, and the values that it saw.

The parts are compiled by the same rules as the plan, from the same definition, so that what is said of a guard is what
the fold found; the tests hold the two together.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from worker.definition.model import Transition
from worker.definition.pattern import ParsedPattern
from worker.definition.scope import ENVELOPE
from worker.explain.values import Attempt, Condition, Kind, Seen
from worker.fold.state import State
from worker.instants import format_instant
from worker.machine import Edge
from worker.plan import support
from worker.plan.expressions import source
from worker.plan.generate import in_words
from worker.plan.meaning import Meaning
from worker.plan.plan import Plan

Evaluate = Callable[..., Any]
ABILITIES = frozenset({"contains", "starts_with", "matches", "min", "max"})


@dataclass(frozen=True)
class Now:
    """What a guard is read against: the state, the event's data, its time, signals, type and source."""

    state: State
    data: dict[str, Any]
    at: int
    signals: int
    kind: str
    source: str

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.state, self.data, self.at, self.signals, self.kind, self.source


@dataclass(frozen=True)
class Probe:
    """A part of a guard, ready to be read. `node` is as written: conditions and parameters by their names."""

    text: str
    node: ast.expr
    kind: Kind
    evaluate: Evaluate
    parts: tuple[Probe, ...] = ()
    operands: tuple[tuple[str, Evaluate], ...] = ()

    def read(self, now: Now) -> Condition:
        return Condition(
            self.text,
            bool(self.evaluate(*now.arguments)),
            self.kind,
            tuple(part.read(now) for part in self.parts),
            tuple(Seen(what, _plain(read(*now.arguments))) for what, read in self.operands),
        )


class Reasons:
    """Takes apart the guards of one lifecycle. Each is compiled once, when it is first asked for."""

    def __init__(self, plan: Plan) -> None:
        self.lifecycle = plan.lifecycle
        self.meaning = Meaning(plan.lifecycle)
        # What compiled guards call; `fit` and the behaviour score as the plan has them.
        self._space = {name: getattr(support, name) for name in dir(support) if not name.startswith("_")}
        self._space |= {"STAGES": plan.stages, "STATUSES": plan.statuses, "ceil": math.ceil}
        self._space |= {"fit": plan.fit, "behaviour_at": plan.behaviour}
        self._probes: dict[str, Probe] = {}
        self._ways: dict[str, list[Edge]] = {}

    def ways_out(self, stage: str) -> list[Edge]:
        """The transitions out of a stage, in the order in which they are tried."""
        found = self._ways.get(stage)
        if found is None:
            found = self._ways[stage] = self.meaning.ways_out(self.meaning.stages.index(stage))
        return found

    def attempt(self, place: int, now: Now) -> Attempt:
        """The transition as it looks just now."""
        transition = self.lifecycle.transitions[place]
        happened = transition.event is None or any(
            self.happens(pattern, now) for pattern in self.meaning.patterns(transition.event)
        )
        return Attempt(
            place, transition.to, transition.says, tuple(transition.event or ()), happened,
            tuple(self.conditions(transition, now)), transition.assumed,
        )  # fmt: skip

    def conditions(self, transition: Transition, now: Now) -> Iterator[Condition]:
        if transition.when:
            probe = self.probe(transition.when)
            for part in probe.parts if probe.kind == "all" else (probe,):
                yield part.read(now)
        if transition.after:
            needed = int(self._figure(transition.after)(*now.arguments))
            spent = now.at - now.state.entered
            yield Condition(
                f"in the stage for {_figure_words(transition.after)}", spent >= needed,
                seen=(Seen("days_in_stage()", round(spent / 86_400_000, 2)),),
            )  # fmt: skip

    def happens(self, pattern: ParsedPattern, now: Now) -> bool:
        """Whether the pattern happens with the event at hand."""
        if pattern.kind == "type":
            there = now.kind == pattern.name
        else:
            there = pattern.kind == "signal" and bool(now.signals >> self.meaning.place[pattern.name] & 1)
        if not there or pattern.guard is None:
            return there
        return bool(self.evaluator(pattern.guard)(*now.arguments))

    def probe(self, text: str) -> Probe:
        found = self._probes.get(text)
        if found is None:
            found = self._probes[text] = self.probe_of(self.meaning.parse(text))
        return found

    def probe_of(self, node: ast.expr) -> Probe:
        text, evaluate = in_words(node), self.evaluator(node)
        kind: Kind = "atom"
        parts: list[ast.expr] = []
        match node:
            case ast.BoolOp(op=op, values=values):
                kind, parts = ("all" if isinstance(op, ast.And) else "any"), values
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                kind, parts = "not", [operand]
            case ast.IfExp(test=test, body=body, orelse=orelse):
                kind, parts = "choice", [test, body, orelse]
            case ast.Name(id=name) if name in self.meaning.names.conditions:
                kind, parts = "name", [self.meaning.names.conditions[name]]
        if kind != "atom":
            return Probe(text, node, kind, evaluate, tuple(map(self.probe_of, parts)))
        return Probe(text, node, kind, evaluate, operands=tuple(dict(self._operands(node)).items()))

    def _operands(self, node: ast.expr) -> Iterator[tuple[str, Evaluate]]:
        """What an atom looks at, by name; constants speak for themselves."""
        match node:
            case ast.Name(id=name) if name in self.meaning.parameters:
                given = self.lifecycle.parameters[name].value
                yield name, lambda *_: given
            case ast.Name(id=name) if name in self.meaning.place:
                yield name, self.evaluator(node, boolean=True)
            case ast.Attribute(value=ast.Name(id="traits"), attr=name):
                yield in_words(node), lambda s, *_: s.traits.get(name)
            case ast.Attribute(value=ast.Name(id="event"), attr=name) if name not in ENVELOPE:
                yield in_words(node), lambda s, e, *_: e.get(name)
            case ast.Name() | ast.Attribute():
                yield in_words(node), self.evaluator(node)
            case ast.Call(func=ast.Name(id=name), args=args) if name in ABILITIES:
                for part in args:
                    yield from self._operands(part)
            case ast.Call(func=ast.Name(id="since" | "seen" | "last"), args=args):
                for part in args:
                    if isinstance(part, ast.Name) and part.id in self.meaning.place:
                        yield part.id, _last_of(self.meaning.place[part.id])
            case ast.Call(func=ast.Name(id="at_least")):
                yield "stage", lambda s, *_: self.meaning.stages[s.stage]
            case ast.Call():
                yield in_words(node), self.evaluator(node)
            case ast.Compare(left=left, comparators=others):
                for part in (left, *others):
                    yield from self._operands(part)
            case ast.BinOp(left=left, right=right):
                yield from self._operands(left)
                yield from self._operands(right)
            case ast.UnaryOp(operand=operand):
                yield from self._operands(operand)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                for part in (test, body, orelse):
                    yield from self._operands(part)

    def _figure(self, text: str) -> Evaluate:
        return self.evaluator(self.meaning.parse(text))

    def evaluator(self, node: ast.expr, boolean: bool = False) -> Evaluate:
        """The expression as a function of (s, e, t, h, y, z)."""
        names = self.meaning.names
        code = source(names.expand(node), names)
        self._space["R"] = [re.compile(pattern).fullmatch for pattern in names.patterns]
        body = f"    return {f'bool({code})' if boolean else code}"
        lines = ["def probe(s, e, t, h, y, z):", "    S = s.signals; F = s.facts; x = s.traits", body]
        exec(compile("\n".join(lines), "<explanation>", "exec"), self._space)
        probe: Evaluate = self._space.pop("probe")
        return probe


def _last_of(place: int) -> Evaluate:
    def last(s: State, *_: Any) -> str:
        entry = s.signals[place]
        return "never" if entry is None else format_instant(entry[2])

    return last


def _figure_words(text: str) -> str:
    return text.replace("_", " ")


def _plain(value: Any) -> Any:
    """A value that JSON can hold; a set of ids as their list."""
    if isinstance(value, float):
        return round(value, 4) if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return list(value)
    return list(value) if isinstance(value, tuple) else value
