"""The fold once more, slow and plain: a whole sorted list of events straight through the definition's words.

Written from the definition's words (docs/decisions/0001-definition-and-fold.md), not from the worker's code: guards are
read by walking their trees, nothing is compiled, kept back or forgotten, and the instants at which time alone changes a
guard are found by halving the time in between. Where the worker and this disagree, one of them is wrong.

Left out, because it is not a matter of one contact's events in order: companies, merges, erasure, attribution.
"""

from __future__ import annotations

import ast
import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from worker.definition.expression import parse
from worker.definition.model import Lifecycle, Transition
from worker.definition.parameters import parameter_values
from worker.definition.pattern import ParsedPattern, parse_pattern
from worker.definition.places import scope_of
from worker.fold.outcome import Event

DAY_MS = 86_400_000
TIMERS_MAX = 2_000
ECHO = "lifecycle-worker"
IDS_KEPT = 200

Entry = tuple[Any, ...]


def history(lifecycle: Lifecycle, events: Iterable[Event], clock: int, words: Words | None = None) -> list[Entry]:
    """What became true of one contact: its events, in order of arrival, once each and sorted by time, then the clock.

    `words` are the lifecycle's, where they were read before.

    Entries: ("stage", ms, from, to, status, visit), ("status", ms, from, to), ("breach" | "warning", ms, stage),
    ("signal", ms, name), ("entered" | "left", ms, segment), ("hygiene", ms, rule).
    """
    contact = Contact(lifecycle, words)
    seen: set[tuple[str, str]] = set()
    accepted: list[Event] = []
    for event in events:
        if (event.source, event.id) not in seen:
            seen.add((event.source, event.id))
            accepted.append(event)
    for event in sorted(accepted, key=lambda event: event.time):
        contact.pass_time(event.time, inclusive=False)
        contact.take(event)
    contact.pass_time(clock, inclusive=True)
    return contact.told


class Words:
    """A lifecycle's texts as trees."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.scope = scope_of(lifecycle)
        self.known_trees: dict[str, ast.expr] = {}
        self.known_patterns: dict[str, ParsedPattern] = {}
        self.parameters = parameter_values(lifecycle)
        self.conditions = {name: self.tree(text) for name, text in lifecycle.conditions.items()}
        self.signals = {"setback": [], **{name: self.patterns(one.any) for name, one in lifecycle.signals.items()}}

    def tree(self, text: str) -> ast.expr:
        if text not in self.known_trees:
            self.known_trees[text] = parse(text, self.scope)
        return self.known_trees[text]

    def pattern(self, text: str) -> ParsedPattern:
        if text not in self.known_patterns:
            self.known_patterns[text] = parse_pattern(text, self.scope)
        return self.known_patterns[text]

    def patterns(self, texts: Iterable[str] | None) -> list[ParsedPattern]:
        return [self.pattern(text) for text in texts or ()]


class Contact:
    """One contact, with everything that was ever known of it."""

    def __init__(self, lifecycle: Lifecycle, words: Words | None = None) -> None:
        self.lifecycle = lifecycle
        self.words = words or Words(lifecycle)
        self.stages = list(lifecycle.stages)
        statuses = lifecycle.statuses
        self.statuses = [*statuses.track, *statuses.aside] if statuses else [""]
        self.track = len(statuses.track) if statuses else 1
        self.told: list[Entry] = []
        self.order = 0
        self.now = 0
        self.event: Event | None = None
        self.data: Mapping[str, Any] = {}
        self.happened: set[str] = set()  # signals of the event at hand, those of its moves among them
        self.set_off: set[str] = set()  # those that the event itself set off: what patterns ask for
        self.stage: str | None = None
        self.entered = 0
        self.learning = False  # before the event's moves: what they set off is not known yet
        self.visits: dict[str, int] = {}
        self.status = self.statuses[0]
        self.occurrences: dict[str, list[tuple[int, int]]] = {}
        self.facts: dict[str, Any] = {name: _empty(fact.type) for name, fact in lifecycle.facts.items()}
        self.traits: dict[str, Any] = {}
        self.points: list[tuple[float, int]] = []  # (behaviour right after, at ms); the last counts
        self.due: int | None = None
        self.warn: int | None = None
        self.holding: dict[str, bool] = {}

    # What happens.

    def take(self, event: Event) -> None:
        """One event, all of it."""
        self.begin(event)
        self.learn()
        self.move_by_event()
        self.walk()
        self.mark()
        self.end()

    def begin(self, event: Event) -> None:
        self.order += 1
        self.now = event.time
        self.event, self.data, self.happened, self.set_off = event, event.data, set(), set()
        if self.stage is None:
            self.enter(self.stages[0], None)

    def end(self) -> None:
        self.event, self.data, self.happened = None, {}, set()

    def learn(self) -> None:
        """Everything of an event but the moves."""
        self.learning = True
        self.take_in()
        self.learning = False

    def take_in(self) -> None:
        assert self.event is not None
        event, lifecycle = self.event, self.lifecycle
        nobodys = any(self.happens(pattern) for pattern in self.words.patterns(lifecycle.ignore))
        statuses = lifecycle.statuses
        setters = self.words.patterns(statuses.set_by) if statuses else []
        if any(pattern.name == event.type for pattern in setters) and event.data.get("by") == ECHO:
            self.event = event._replace(type="", traits=None, data={})
            self.data = {}
            return
        self.traits |= event.traits or {}
        if nobodys:
            self.event = event._replace(type="", data={})
            self.data = {}
        done: set[tuple[str, str]] = set()
        for name in lifecycle.facts:
            self.settle(("fact", name), done)
        for name in self.words.signals:
            self.settle(("signal", name), done)
        self.score()
        for name in sorted(self.set_off, key=list(self.words.signals).index):
            if name in lifecycle.signals and lifecycle.signals[name].publish:
                self.told.append(("signal", self.now, name))
        after = self.status_after()
        if after is not None:
            self.set_status(after)
        sla = lifecycle.stages[str(self.stage)].sla
        if sla is not None and any(self.happens(pattern) for pattern in self.words.patterns(sla.met_by)):
            self.due = self.warn = None
        if event.type == "stage.set":
            self.learning = False
            self.place(event)

    def settle(self, part: tuple[str, str], done: set[tuple[str, str]]) -> None:
        """A fact or a signal after this event, after those that it needs."""
        if part in done:
            return
        done.add(part)
        sort, name = part
        if sort == "signal":
            patterns = self.words.signals[name]
            trees: list[ast.expr] = []
        else:
            fact = self.lifecycle.facts[name]
            groups = (fact.of, fact.added_by, fact.removed_by, fact.forget)
            patterns = [pattern for group in groups for pattern in self.words.patterns(group)]
            trees = [] if fact.type == "ids" else [self.words.tree(fact.from_)]
        for pattern in patterns:
            if pattern.kind == "signal":
                self.settle(("signal", pattern.name), done)
            if pattern.guard is not None:
                trees.append(pattern.guard)
        for need in self.named(trees):
            self.settle(need, done)
        if sort == "signal":
            if any(self.happens(pattern) for pattern in patterns):
                self.occur(name)
                self.set_off.add(name)
        else:
            self.set_fact(name)

    def named(self, trees: Sequence[ast.expr]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        pending = list(trees)
        while pending:
            for part in ast.walk(pending.pop(0)):
                if isinstance(part, ast.Name):
                    if part.id in self.words.conditions:
                        pending.append(self.words.conditions[part.id])
                    elif part.id in self.lifecycle.facts:
                        found.append(("fact", part.id))
                    elif part.id in self.words.signals:
                        found.append(("signal", part.id))
        return found

    def occur(self, name: str) -> None:
        if name not in self.happened:
            self.happened.add(name)
            self.occurrences.setdefault(name, []).append((self.now, self.order))

    def set_fact(self, name: str) -> None:
        fact = self.lifecycle.facts[name]
        tree = self.words.tree(fact.from_)
        if fact.type == "ids":
            self.set_ids(name, tree)
        elif fact.of is None:
            given = self.event.traits or {} if self.event is not None else {}
            match tree:
                case ast.Attribute(value=ast.Name(id="traits"), attr=attr):
                    if attr in given:
                        self.facts[name] = _as(fact.type, given[attr], self.facts[name])
                case ast.Attribute(value=ast.Name(id="event")):
                    self.facts[name] = _as(fact.type, self.value(tree), self.facts[name])
                case _:
                    self.facts[name] = _as(fact.type, self.value(tree), self.facts[name])
        elif self.any_happens(fact.of):
            self.facts[name] = _as(fact.type, self.value(tree), self.facts[name])
        if self.any_happens(fact.forget) and not self.is_made_of_others(name):
            self.facts[name] = _empty(fact.type)

    def is_made_of_others(self, name: str) -> bool:
        """Worked out from traits and other facts: there is nothing in it to forget."""
        fact = self.lifecycle.facts[name]
        return fact.type != "ids" and fact.of is None and not isinstance(self.words.tree(fact.from_), ast.Attribute)

    def set_ids(self, name: str, tree: ast.expr) -> None:
        fact = self.lifecycle.facts[name]
        ids: dict[str, Any] = self.facts[name]
        if self.any_happens(fact.added_by):
            given = self.value(tree)
            ids[given if isinstance(given, str) else ""] = None
            while len(ids) > IDS_KEPT:
                del ids[next(iter(ids))]
        if self.any_happens(fact.removed_by):
            given = self.value(tree)
            ids.pop(given if isinstance(given, str) else "", None)

    def score(self) -> None:
        score = self.lifecycle.score
        if score.ignore is None or not self.truth(score.ignore):
            gained = sum(
                _number(self.figure(points))
                for text, points in score.behaviour.points.items()
                if self.happens(self.words.pattern(text))
            )
            if gained:
                cap = _number(self.figure(score.behaviour.cap))
                self.points.append((min(cap, max(0, self.behaviour() + gained)), self.now))
        if self.any_happens(score.forget):
            self.points.append((0.0, self.now))

    def behaviour(self) -> float:
        if not self.points:
            return 0.0
        value, at = self.points[-1]
        half_life = self.lifecycle.score.behaviour.half_life
        if half_life is None or self.now <= at or not value:
            return value
        return float(value * 0.5 ** ((self.now - at) / _number(self.figure(half_life))))

    def fit(self) -> float:
        fit = self.lifecycle.score.fit
        event, data, happened = self.event, self.data, self.happened
        self.end()
        total = sum(_number(self.figure(points)) for guard, points in fit.points.items() if self.truth(guard))
        cap = _number(self.figure(fit.cap))
        self.event, self.data, self.happened = event, data, happened
        return min(cap, total)

    # The status.

    def status_after(self) -> str | None:
        """The status that the event leads to, or None."""
        statuses = self.lifecycle.statuses
        assert self.event is not None
        if statuses is None:
            return None
        if self.any_happens(statuses.set_by):
            named = self.status_named(self.data.get("status"))
            if named is not None:
                return named
        implied = [name for name, rule in statuses.implied_by.items() if self.any_happens(rule.any)]
        here = self.statuses.index(self.status)
        for reopen in statuses.reopen:
            if self.status not in (reopen.from_ or statuses.aside) or not self.any_happens(reopen.by):
                continue
            if reopen.when is not None and not self.truth(reopen.when):
                continue
            best = reopen.to
            for name in implied:
                if name in statuses.track and self.statuses.index(name) > self.statuses.index(best):
                    best = name
            for name in implied:
                if name in statuses.aside and name != self.status:
                    best = name
            return best
        aside = here >= self.track
        for name in implied:
            if name in statuses.aside and (not aside or statuses.implied_by[name].from_aside):
                return name
        candidates = [
            name
            for name in implied
            if name in statuses.track
            and (statuses.implied_by[name].from_aside if aside else self.statuses.index(name) > here)
        ]
        return max(candidates, key=self.statuses.index, default=None)

    def status_named(self, given: Any) -> str | None:
        statuses = self.lifecycle.statuses
        if statuses is None or not isinstance(given, str):
            return None
        for name in self.statuses:
            meaning = statuses.meanings.get(name)
            names = [name, *([meaning.name, *meaning.crm] if meaning else [])]
            if given.casefold() in [one.casefold() for one in names]:
                return name
        return None

    def set_status(self, name: str) -> None:
        if name != self.status:
            self.told.append(("status", self.now, self.status, name))
            self.status = name

    # Moves.

    def place(self, event: Event) -> None:
        named = self.status_named(event.data.get("status"))
        if named is not None:
            self.set_status(named)
        stage = event.data.get("stage")
        if stage in self.stages and self.lifecycle.stages[stage].manual and stage != self.stage:
            self.enter(stage, None)

    def holds(self, place: int) -> bool:
        """Whether a transition's patterns happen with the event at hand, and its guard and time hold."""
        transition = self.lifecycle.transitions[place]
        if transition.event is not None and not self.any_happens(transition.event):
            return False
        if transition.after is not None and self.now - self.entered < _number(self.figure(transition.after)):
            return False
        return transition.when is None or self.truth(transition.when)

    def ways(self, by_event: bool) -> Iterable[tuple[int, Transition]]:
        for place, transition in enumerate(self.lifecycle.transitions):
            if (transition.event is not None) == by_event and self.stage in self.lifecycle.origins(transition):
                yield place, transition

    def move_by_event(self) -> None:
        for place, transition in self.ways(by_event=True):
            if self.holds(place):
                self.enter(transition.to, transition)
                return

    def walk(self) -> None:
        for _ in self.stages:
            for place, transition in self.ways(by_event=False):
                if self.holds(place):
                    self.enter(transition.to, transition)
                    break
            else:
                return

    def enter(self, target: str, transition: Transition | None) -> None:
        left = self.stage
        self.visits[target] = self.visits.get(target, 0) + 1
        self.stage, self.entered = target, self.now
        before, moved = self.status, set[str]()
        for name, patterns in self.words.signals.items():
            if any(self.is_move(pattern, left, target) for pattern in patterns):
                moved.add(name)
        if left is not None and self.stages.index(target) < self.stages.index(left):
            moved.add("setback")
        for name in moved:
            self.happened.discard(name)
            self.occur(name)
        self.forget_by(moved)
        if transition is not None and transition.status is not None:
            self.status = transition.status
        for word, stage in (("leaving", left), ("entering", target)):
            self.imply(word, stage)
        self.promise()
        self.told.append(("stage", self.now, left, target, self.status, self.visits[target]))
        if self.status != before:
            self.told.append(("status", self.now, before, self.status))
        for name in sorted(moved, key=list(self.words.signals).index):
            if name in self.lifecycle.signals and self.lifecycle.signals[name].publish:
                self.told.append(("signal", self.now, name))

    def forget_by(self, moved: set[str]) -> None:
        """What a move makes forgotten, by the signals that it set off; facts made of others are made anew."""

        def forgets(texts: Iterable[str] | None) -> bool:
            return any(
                pattern.kind == "signal"
                and pattern.name in moved
                and (pattern.guard is None or self.true(pattern.guard))
                for pattern in self.words.patterns(texts)
            )

        forgotten = [name for name, fact in self.lifecycle.facts.items() if forgets(fact.forget)]
        if forgets(self.lifecycle.score.forget):
            self.points.append((0.0, self.now))
        for name in forgotten:
            self.facts[name] = _empty(self.lifecycle.facts[name].type)
        for name in self.lifecycle.facts:
            if forgotten and self.is_made_of_others(name):
                self.set_fact(name)

    def is_move(self, pattern: ParsedPattern, left: str | None, target: str) -> bool:
        ends = {"entering": target, "leaving": left}
        return pattern.kind in ends and pattern.name == ends[pattern.kind]

    def imply(self, word: str, stage: str | None) -> None:
        statuses = self.lifecycle.statuses
        for name, rule in (statuses.implied_by if statuses else {}).items():
            for pattern in self.words.patterns(rule.any):
                if (pattern.kind, pattern.name) != (word, stage):
                    continue
                here, there = self.statuses.index(self.status), self.statuses.index(name)
                aside, to_aside = here >= self.track, there >= self.track
                free = rule.from_aside or there > here if aside else to_aside or there > here
                if aside and not rule.from_aside:
                    free = False
                if free and (pattern.guard is None or self.true(pattern.guard)):
                    self.status = name
                    return

    def promise(self) -> None:
        sla = self.lifecycle.stages[str(self.stage)].sla
        self.due = self.warn = None
        if sla is None:
            return
        event, data, happened = self.event, self.data, self.happened
        self.end()
        self.due = self.after(_number(self.figure(sla.within)), sla.business_hours)
        if sla.warn_after is not None:
            warn = self.after(_number(self.figure(sla.warn_after)), sla.business_hours)
            self.warn = warn if warn < self.due else None
        self.event, self.data, self.happened = event, data, happened

    def after(self, duration: float, working: bool) -> int:
        if not working:
            return self.now + int(duration)
        hours = self.lifecycle.business_hours
        zone, left, at = ZoneInfo(hours.timezone), int(duration), self.now
        for _ in range(3_000_000):
            if is_open(hours.days, hours.open, hours.close, hours.holidays, dt.datetime.fromtimestamp(at / 1000, zone)):
                step = min(60_000 - at % 60_000, left)
                left -= step
                at += step
                if left == 0:
                    return at
            else:
                at += 60_000 - at % 60_000
        raise AssertionError("so much working time never passes")

    def mark(self) -> None:
        rules = [("segment", name, part.when) for name, part in self.lifecycle.segments.items()]
        rules += [("hygiene", name, rule.when) for name, rule in self.lifecycle.hygiene.items()]
        for kind, name, when in rules:
            holds = self.truth(when)
            if holds != self.holding.get(name, False):
                self.holding[name] = holds
                if kind == "segment":
                    self.told.append(("entered" if holds else "left", self.now, name))
                elif holds:
                    self.told.append(("hygiene", self.now, name))

    # Time.

    def pass_time(self, until: int, inclusive: bool) -> None:
        """Everything that falls due up to `until`, one instant after the other."""
        for _ in range(TIMERS_MAX):
            if self.stage is None:
                return
            at = self.next_instant(until)
            if at is None or at > until or (at == until and not inclusive):
                return
            self.now = at
            self.end()
            stage = str(self.stage)
            if self.warn is not None and self.warn <= at:
                self.warn = None
                self.told.append(("warning", at, stage))
            if self.due is not None and self.due <= at:
                self.due = None
                sla = self.lifecycle.stages[stage].sla
                if sla is not None and (sla.unless is None or not self.truth(sla.unless)):
                    self.told.append(("breach", at, stage))
            self.time_passed()
        raise AssertionError("timers without end")

    def time_passed(self) -> None:
        self.walk()
        self.mark()

    def next_instant(self, until: int) -> int | None:
        """The first instant after now at which an SLA falls due or a guard that is watched reads otherwise."""
        found = [at for at in (self.due, self.warn) if at is not None and at >= self.now]
        trees = [self.words.tree(part.when) for part in self.lifecycle.segments.values()]
        trees += [self.words.tree(rule.when) for rule in self.lifecycle.hygiene.values()]
        for _, transition in self.ways(by_event=False):
            if transition.after is not None:
                found += [
                    at for at in [self.entered + math.ceil(_number(self.figure(transition.after)))] if at > self.now
                ]
            if transition.when is not None:
                trees.append(self.words.tree(transition.when))
        comparisons = [part for tree in trees for part in self.comparisons(tree)]
        for part in comparisons:
            flip = self.flip(part, until)
            if flip is not None:
                found.append(flip)
        return min(found, default=None)

    def comparisons(self, tree: ast.expr) -> Iterable[ast.Compare]:
        for part in ast.walk(tree):
            if isinstance(part, ast.Name) and part.id in self.words.conditions:
                yield from self.comparisons(self.words.conditions[part.id])
            elif isinstance(part, ast.Compare) and self.is_timed(part):
                yield part

    def is_timed(self, tree: ast.expr) -> bool:
        text = ast.unparse(tree)
        return bool(re.search(r"\b(last|days_in_stage|count)\(|\bscore\b(?!\.fit)", text))

    def flip(self, comparison: ast.Compare, until: int) -> int | None:
        """The first instant in (now, until] at which the comparison reads otherwise than now.

        What it compares only rises or only falls while nothing happens, so each order of its sides changes once.
        """
        found: list[int] = []
        for op in (ast.Lt(), ast.Gt()) if isinstance(comparison.ops[0], ast.Eq | ast.NotEq) else (comparison.ops[0],):
            test = ast.Compare(left=comparison.left, ops=[op], comparators=comparison.comparators)
            low, high = self.now, until
            if self.at(low, test) == self.at(high, test):
                continue
            while high - low > 1:
                middle = (low + high) // 2
                if self.at(middle, test) == self.at(low, test):
                    low = middle
                else:
                    high = middle
            found.append(high)
        return min(found, default=None)

    def at(self, instant: int, tree: ast.expr) -> bool:
        now, self.now = self.now, instant
        event, data, happened = self.event, self.data, self.happened
        self.end()
        truth = self.true(tree)
        self.now, self.event, self.data, self.happened = now, event, data, happened
        return truth

    # Reading.

    def any_happens(self, texts: Iterable[str] | None) -> bool:
        return any(self.happens(pattern) for pattern in self.words.patterns(texts))

    def happens(self, pattern: ParsedPattern) -> bool:
        if self.event is None:
            return False
        happens = pattern.name == self.event.type if pattern.kind == "type" else pattern.name in self.set_off
        return happens and pattern.kind in ("type", "signal") and (pattern.guard is None or self.true(pattern.guard))

    def truth(self, text: str) -> bool:
        return self.true(self.words.tree(text))

    def figure(self, text: str) -> Any:
        return self.value(self.words.tree(text))

    def true(self, tree: ast.expr) -> bool:
        return bool(self.value(tree))

    def value(self, tree: ast.expr) -> Any:
        match tree:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute(value=ast.Name(id=root), attr=attr):
                return self.attribute(root, attr)
            case ast.BoolOp(op=op, values=values):
                return (all if isinstance(op, ast.And) else any)(self.true(part) for part in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.true(operand)
            case ast.UnaryOp(operand=operand):
                return -_number(self.value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _arithmetic(op, _number(self.value(left)), _number(self.value(right)))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body) if self.true(test) else self.value(orelse)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                return all(self.compare(op, sides[place], sides[place + 1]) for place, op in enumerate(ops))
            case ast.Tuple(elts=elts):
                return [self.value(part) for part in elts]
            case ast.Call(func=ast.Name(id=name)):
                return self.call(name, tree)
        raise AssertionError(ast.dump(tree))

    def compare(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> bool:
        for side, other in ((left, right), (right, left)):
            if isinstance(side, ast.Attribute) and isinstance(other, ast.Constant) and other.value is None:
                if isinstance(op, ast.Eq | ast.NotEq):  # is the field there at all?
                    return (self.value(side) is None) == isinstance(op, ast.Eq)
        return _compare(op, self.value(left), self.value(right))

    def name(self, name: str) -> Any:
        if name in self.words.parameters:
            return self.words.parameters[name]
        if name in self.words.conditions:
            return self.value(self.words.conditions[name])
        if name in self.facts:
            return self.facts[name]
        if name in self.words.signals:
            return name in (self.set_off if self.learning else self.happened)
        return {"stage": self.stage, "status": self.status}[name] if name != "score" else self.behaviour() + self.fit()

    def attribute(self, root: str, attr: str) -> Any:
        match root, attr:
            case "event", "type":
                return self.event.type if self.event else ""
            case "event", "ce_source":
                return self.event.source if self.event else ""
            case "event", "time":
                return self.now
            case "event", _:
                return self.data.get(attr)
            case "traits", _:
                return self.traits.get(attr)
            case "score", "fit":
                return self.fit()
        return self.behaviour()

    def call(self, name: str, call: ast.Call) -> Any:
        match name:
            case "days_in_stage":
                return (self.now - self.entered) / DAY_MS
            case "at_least":
                return self.stages.index(str(self.stage)) >= self.stages.index(str(self.value(call.args[0])))
            case "size":
                return len(self.value(call.args[0]))
            case "min" | "max":
                return (min if name == "min" else max)(_number(self.value(part)) for part in call.args)
            case "contains" | "starts_with" | "matches":
                return _of_texts(name, self.value(call.args[0]), self.value(call.args[1]))
        first, *others = (part.id if isinstance(part, ast.Name) else "" for part in call.args)
        mine = self.occurrences.get(first, [])
        match name:
            case "seen":
                return bool(mine)
            case "last":
                return self.now - mine[-1][0] if mine else math.inf
            case "since":
                other = self.occurrences.get(others[0], [])
                return bool(mine) and (not other or mine[-1][1] > other[-1][1])
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        within = self.value(named["within"]) if "within" in named else None
        after = -1
        if "since" in named and isinstance(named["since"], ast.Name):
            after = self.occurrences.get(named["since"].id, [(0, -1)])[-1][1]
        if not named:
            return len(mine)
        signal = self.lifecycle.signals.get(first)
        kept = mine[-(signal.keep if signal is not None else 20) :]
        return sum(1 for at, order in kept if order > after and (within is None or at >= self.now - within))


def is_open(days: str, opens: str, closes: str, holidays: Sequence[str], local: dt.datetime) -> bool:
    week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    open_days: set[str] = set()
    for part in days.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        place = week.index(first)
        while True:
            open_days.add(week[place])
            if week[place] == (last or first):
                break
            place = (place + 1) % 7
    clock = f"{local:%H:%M}"
    return week[local.weekday()] in open_days and opens <= clock < closes and f"{local:%Y-%m-%d}" not in holidays


def _empty(kind: str) -> Any:
    return {"boolean": False, "number": 0, "text": "", "time": 0, "ids": {}}[kind]


def _as(kind: str, value: Any, before: Any) -> Any:
    """A value of the fact's kind, or what was there before."""
    if kind == "boolean":
        return value if isinstance(value, bool) else before
    if kind == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else before
    if kind == "time" and isinstance(value, str):
        try:
            at = dt.datetime.fromisoformat(value)
        except ValueError:
            return before
        return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() * 1000)
    if kind == "time":
        return value if isinstance(value, int) and not isinstance(value, bool) else before
    return value if isinstance(value, str) else before


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else 0


def _arithmetic(op: ast.operator, left: float, right: float) -> float:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right if right else 0
    return left % right if right else 0


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return all(side is None or side is False or side == "" or side == 0 for side in (left, right))
    return bool(left == right)


def _compare(op: ast.cmpop, left: Any, right: Any) -> bool:
    match op:
        case ast.Eq():
            return _equal(left, right)
        case ast.NotEq():
            return not _equal(left, right)
        case ast.In():
            return any(_equal(left, member) for member in right)
        case ast.NotIn():
            return not any(_equal(left, member) for member in right)
    texts = [isinstance(side, str) for side in (left, right) if side is not None]
    if any(texts) and not all(texts):
        return False
    if any(side is not None and not isinstance(side, str | int | float) for side in (left, right)):
        return False
    empty: Any = "" if any(texts) else 0
    low, high = (empty if side is None else side for side in (left, right))
    match op:
        case ast.Lt():
            return bool(low < high)
        case ast.LtE():
            return bool(low <= high)
        case ast.Gt():
            return bool(low > high)
    return bool(low >= high)


def _of_texts(name: str, whole: Any, part: Any) -> bool:
    if name == "contains" and isinstance(whole, list | dict):
        return part in whole if part is not None else "" in whole
    if not isinstance(part, str):
        return False
    if name == "matches":
        return re.fullmatch(part, whole if isinstance(whole, str) else "") is not None
    if not isinstance(whole, str) or part == "":
        return name == "starts_with" and isinstance(whole, str)
    return part.casefold() in whole.casefold() if name == "contains" else whole.casefold().startswith(part.casefold())
