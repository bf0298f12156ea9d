"""Why a contact is not in a stage: the transitions that lead there, the conditions they lack, and what would help.

What would help is an event, a trait or points; each proposal is folded onto a copy of the contact's state, and says
whether the condition then holds and whether the contact then stands where it was wanted.
"""

from __future__ import annotations

import ast
import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from worker.definition.pattern import ParsedPattern
from worker.explain.reasons import Now, Probe, Reasons
from worker.explain.solve import ABSENT, Assignment, solutions
from worker.explain.values import Missing, Remedy, Way, WhyNot
from worker.fold import step
from worker.fold.accept import accept_fields
from worker.fold.outcome import Event, Refusal
from worker.fold.state import Kept, State
from worker.plan.generate import in_words
from worker.plan.plan import Plan

REMEDIES_MAX: Final = 6  # of one condition
DEPTH_MAX: Final = 8  # signals made of signals
PROBE_SOURCE: Final = "/explain"


def why_not(reasons: Reasons, plan: Plan, state: State, at: int, stage: str) -> WhyNot:
    """Why the contact in `state` is not in `stage` at `at` (epoch ms)."""
    asked = _Asked(reasons, plan, state, at, stage)
    if plan.stages[state.stage] == stage:
        return WhyNot(stage, True, ())
    here = plan.stages[state.stage]
    path = asked.path(here)
    if not path:
        return WhyNot(stage, False, ())
    first = [asked.way(here, place) for place in path[0][1]]
    then = [asked.way(origin, place) for origin, places in path[1:] for place in places]
    slowly = asked.path(here, leap=False) if len(path) == 1 else []
    by_stages = [asked.way(origin, place) for origin, places in slowly for place in places]
    return WhyNot(stage, False, tuple(first), tuple(then), tuple(by_stages))


class _Asked:
    """One question: a state, a time and the stage that the contact is asked about."""

    def __init__(self, reasons: Reasons, plan: Plan, state: State, at: int, stage: str) -> None:
        self.reasons = reasons
        self.plan = plan
        self.state = state
        self.stage = stage
        self.now = Now(state, {}, at, 0, "", "")
        self.meaning = reasons.meaning

    def path(self, origin: str, leap: bool = True) -> list[tuple[str, list[int]]]:
        """The fewest transitions to the stage: at each step the stage they leave and those to choose from.

        Without `leap`, none that leads there at once, and none backwards.
        """
        order = list(self.plan.stages)
        before: dict[str, str | None] = {origin: None}
        queue = deque([origin])
        while queue and self.stage not in before:
            here = queue.popleft()
            for edge in self.reasons.ways_out(here):
                leaps = edge.target == self.stage and here == origin
                if not leap and (leaps or order.index(edge.target) < order.index(here)):
                    continue
                if edge.target not in before:
                    before[edge.target] = here
                    queue.append(edge.target)
        if self.stage not in before:
            return []
        stages = [self.stage]
        while (earlier := before[stages[-1]]) is not None:
            stages.append(earlier)
        stages.reverse()
        return [
            (here, list(dict.fromkeys(edge.transition for edge in self.reasons.ways_out(here) if edge.target == there)))
            for here, there in zip(stages, stages[1:], strict=False)
        ]

    def way(self, origin: str, place: int) -> Way:
        transition = self.meaning.lifecycle.transitions[place]
        missing: list[Missing] = []
        if transition.when:
            probe = self.reasons.probe(transition.when)
            for part in probe.parts if probe.kind == "all" else (probe,):
                condition = part.read(self.now)
                if not condition.holds and not self._asks_the_event(part):
                    missing.append(Missing(condition, True, self._remedies(part)))
        if transition.after:
            for condition in self.reasons.conditions(transition.model_copy(update={"when": None}), self.now):
                if not condition.holds:
                    missing.append(Missing(condition, True, (Remedy("time", "time in the stage"),)))
        waiting: list[Remedy] = []
        for pattern in self.meaning.patterns(transition.event or ()):
            waiting += self._events(pattern, None)
        return Way(origin, self.reasons.attempt(place, self.now), tuple(missing), _few(waiting))

    def _asks_the_event(self, probe: Probe) -> bool:
        """A condition on the very event that is waited for can't be missing yet."""
        return any(isinstance(part, ast.Name) and part.id == "event" for part in ast.walk(probe.node))

    def _remedies(self, probe: Probe) -> tuple[Remedy, ...]:
        found: list[Remedy] = []
        for atom, wanted in blamed(probe, self.now, True):
            found += self._remedy(atom.node, wanted, probe)
        return _few(found)

    # What would help one atom.

    def _remedy(self, node: ast.expr, wanted: bool, probe: Probe) -> Iterator[Remedy]:
        match node:
            case ast.Name(id=name) if name in self.meaning.place:
                yield from self._signal(name, probe)
            case ast.Name(id=name) if name in self.meaning.lifecycle.facts:
                yield from self._fact(name, wanted, probe)
            case ast.Call(func=ast.Name(id="since" | "seen" as called), args=[ast.Name(id=name), *rest]):
                if wanted:
                    yield from self._signal(name, probe)
                elif called == "since" and isinstance(rest[0], ast.Name):
                    yield from self._signal(rest[0].id, probe)
                else:
                    yield Remedy("other", f"{name} has happened, and nothing makes that undone")
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield from self._compared(node, left, op, right, wanted, probe)
            case _ if any(isinstance(part, ast.Name) and part.id == "traits" for part in ast.walk(node)):
                yield from self._traits(node, wanted, probe)
            case _:
                yield Remedy("other", in_words(node) if wanted else f"not {in_words(node)}")

    def _compared(
        self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr, wanted: bool, probe: Probe
    ) -> Iterator[Remedy]:
        more = isinstance(op, ast.Gt | ast.GtE | ast.NotEq) == wanted
        match left:
            case ast.Attribute(value=ast.Name(id="score"), attr=part):
                yield from self._points(part, left, right, probe)
            case ast.Name(id="score"):
                yield from self._points("total", left, right, probe)
            case ast.Name(id="status"):
                yield from self._status(node, wanted, probe)
            case ast.Call(func=ast.Name(id="count"), args=[ast.Name(id=name)]) if more:
                yield from self._signal(name, probe)
            case ast.Call(func=ast.Name(id="size"), args=[ast.Name(id=name)]):
                fact = self.meaning.lifecycle.facts[name]
                for pattern in self.meaning.patterns((fact.added_by if more else fact.removed_by) or ()):
                    yield from self._events(pattern, probe)
            case ast.Call(func=ast.Name(id="last" | "days_in_stage")):
                yield Remedy("time", in_words(node) if wanted else f"not {in_words(node)}")
            case ast.Name(id=name) if name in self.meaning.lifecycle.facts:
                yield from self._fact(name, wanted, probe)
            case _:
                yield from self._traits(node, wanted, probe)

    def _signal(self, name: str, probe: Probe | None, depth: int = 0) -> Iterator[Remedy]:
        for pattern in self.meaning.signal_patterns[name]:
            yield from self._events(pattern, probe, depth)

    def _events(self, pattern: ParsedPattern, probe: Probe | None, depth: int = 0) -> Iterator[Remedy]:
        """Events by which the pattern may happen."""
        if pattern.kind == "signal":
            if depth < DEPTH_MAX:
                yield from self._signal(pattern.name, probe, depth + 1)
            return
        if pattern.kind != "type":
            yield Remedy("other", f"{pattern.kind} {pattern.name}")
            return
        found = solutions(self.meaning, pattern.guard) if pattern.guard is not None else [{}]
        for assignment in found[:2] or [{}]:
            says = pattern.name + (f" when {in_words(pattern.guard)}" if pattern.guard is not None else "")
            yield self._tried("event", says, pattern.name, assignment, probe)

    def _traits(self, node: ast.expr, wanted: bool, probe: Probe) -> Iterator[Remedy]:
        says = in_words(node) if wanted else f"not ({in_words(node)})"
        for assignment in solutions(self.meaning, node, wanted):
            traits = {place: value for place, value in assignment.items() if place[0] == "traits"}
            yield self._tried("trait", says, "contact.updated", traits, probe)

    def _fact(self, name: str, wanted: bool, probe: Probe) -> Iterator[Remedy]:
        fact = self.meaning.lifecycle.facts[name]
        yield Remedy("other", f"{name}{'' if wanted else ' no longer'}, which is told by {fact.from_}")

    def _points(self, part: str, left: ast.expr, right: ast.expr, probe: Probe) -> Iterator[Remedy]:
        score = self.meaning.lifecycle.score
        have = float(self.reasons.evaluator(left)(*self.now.arguments))
        need = float(self.reasons.evaluator(right)(*self.now.arguments))
        words = {"total": "score", "fit": "fit", "behaviour": "behaviour"}[part]
        yield Remedy("points", f"{max(0.0, need - have):g} more points of {words}")
        if part in ("behaviour", "total"):
            worth = [(self._number(figure), text) for text, figure in score.behaviour.points.items()]
            for points, text in sorted(worth, key=lambda pair: -pair[0])[:3]:
                for remedy in self._events(self.meaning.patterns([text])[0], probe):
                    yield replace(remedy, says=f"{points:g} points: {remedy.says}")
                    break
        if part in ("fit", "total"):
            for text, figure in score.fit.points.items():
                node = self.meaning.parse(text)
                if self.reasons.probe(text).read(self.now).holds:
                    continue
                for remedy in self._traits(node, True, probe):
                    yield replace(remedy, says=f"{self._number(figure):g} points: {remedy.says}")
                    break

    def _number(self, figure: str) -> float:
        value = self.reasons.evaluator(self.meaning.parse(figure))(*self.now.arguments)
        return float(value) if isinstance(value, int | float) else 0.0

    def _status(self, node: ast.expr, wanted: bool, probe: Probe) -> Iterator[Remedy]:
        statuses = self.meaning.lifecycle.statuses
        if statuses is None:
            return
        said = in_words(node) if wanted else f"not ({in_words(node)})"
        helps = []
        for place, name in enumerate(self.plan.statuses):
            tried = copy.deepcopy(self.state)
            tried.status = place
            if bool(self.reasons.evaluator(node)(tried, {}, self.now.at, 0, "", "")) == wanted:
                helps.append(name)
        for name in helps[:3]:
            yield Remedy("status", f"status {name}")
            for pattern in self.meaning.patterns(statuses.set_by):
                yield self._tried("event", said, pattern.name, {("event", "status"): name}, probe)
        for reopen in statuses.reopen:
            if reopen.to in helps and (reopen.from_ is None or self.plan.statuses[self.state.status] in reopen.from_):
                for pattern in self.meaning.patterns(reopen.by):
                    yield from self._events(pattern, probe)

    # The fold's word on it.

    def _tried(self, kind: Any, says: str, name: str, assignment: Assignment, probe: Probe | None) -> Remedy:
        """The proposal, with whether the contact's state after it meets the condition, or stands where wanted."""
        data: dict[str, Any] = {}
        traits: dict[str, Any] = {}
        for (root, field), value in assignment.items():
            if value is not ABSENT and field not in ("type", "ce_source", "time"):
                (data if root == "event" else traits)[field] = value
        sent = {"type": name, **data, **({"traits": traits} if traits else {})}
        event = Event(self.now.at + 1, name, "proposed", PROBE_SOURCE, "", data, traits or None)
        given = accept_fields(self.plan, event)
        if given is None or isinstance(given, Refusal):
            return Remedy(kind, says, sent)
        tried = copy.deepcopy(self.state)
        step.elapse(self.plan, tried, event.time, None)
        step.take(self.plan, tried, Kept(event.time, name, event.id, event.source, *given), None)
        arrived = self.plan.stages[tried.stage] == self.stage
        met = probe is not None and bool(probe.evaluate(tried, {}, event.time, 0, "", ""))
        return Remedy(kind, says, sent, confirmed=arrived or met, arrives=arrived)


def blamed(probe: Probe, now: Now, wanted: bool) -> Iterator[tuple[Probe, bool]]:
    """The atoms that would have to change for the guard to come out as wanted, each with what it should be."""
    if bool(probe.evaluate(*now.arguments)) == wanted:
        return
    match probe.kind:
        case "atom":
            yield probe, wanted
        case "not":
            yield from blamed(probe.parts[0], now, not wanted)
        case "choice":
            for part in probe.parts[1:]:
                yield from blamed(part, now, wanted)
        case _:
            for part in probe.parts:
                yield from blamed(part, now, wanted)


def _few(remedies: list[Remedy]) -> tuple[Remedy, ...]:
    """Each once; those that the fold confirms first, then those that name points or a status."""
    unique = list({(remedy.says, str(remedy.event)): remedy for remedy in remedies}.values())
    if any(remedy.confirmed for remedy in unique):
        unique = [remedy for remedy in unique if remedy.confirmed or remedy.event is None]
    unique.sort(key=lambda remedy: (remedy.event is not None, not remedy.arrives, not remedy.confirmed))
    return tuple(unique[:REMEDIES_MAX])
