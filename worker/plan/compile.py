"""From a lifecycle to its transition plan: one generated Python module of small functions.

The functions are generated from the definition's expressions, which an allow-list has already checked, and from the
edges of the python-statemachine class. What is generated is the definition's meaning and nothing else; how a contact
is moved by it stands in `worker.fold.step`. `Plan.source` holds the generated text, for reading.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.definition import vocabulary
from worker.definition.places import scope_of
from worker.definition.expression import ParsedPattern, parse, parse_pattern
from worker.definition.model import Lifecycle
from worker.definition.parameters import duration_ms, fingerprint, parameter_values
from worker.machine import Edge, build, read
from worker.plan import support
from worker.plan.calendar import Calendar
from worker.plan.expressions import Names, event_fields, flips, is_event_only, source, trait_names

SETBACK = "setback"
TAIL_EVENTS = 1_000
TAIL_BYTES = 256 * 1024
ECHO = "lifecycle-worker"
NOT_OF_CONTACTS = frozenset({"spend.recorded"})  # subject and key are a campaign
UTM = ("utm_source", "utm_medium", "utm_campaign")

Guarded = Callable[..., Any]


@dataclass(frozen=True)
class Move:
    """A transition as the plan takes it: `to` is a stage's place, `reason` source of the change's reason."""

    place: int
    to: int
    says: str
    status: int | None
    assumed: bool
    guards: Guarded  # (s, e, t, h, y, z) -> {condition: value}
    reason: Guarded | None


@dataclass(frozen=True)
class Flag:
    """A segment or a hygiene rule: a bit of `State.flags`."""

    kind: str  # "segment" or "hygiene"
    name: str
    says: str
    field: str | None


@dataclass(frozen=True)
class Plan:
    """A lifecycle, ready to run. Places are indices into `stages`, `statuses`, `signals`; -1 is none.

    Generated functions take (s, e, t, h, y, z): state, the event's data, its time, the signals it set off (bits), its
    type and its envelope's source; `shape`, `due` and the predicates of a state take fewer, as noted.
    """

    lifecycle: Lifecycle
    fingerprint: str
    parameters: Mapping[str, Any]
    stages: tuple[str, ...]
    statuses: tuple[str, ...]
    track: int  # how many of `statuses` lie on the track; those after are asides
    signals: tuple[str, ...]
    published: int  # bits of signals that go out as events
    horizon: int
    moves: tuple[Move, ...]
    flags: tuple[Flag, ...]
    calendar: Calendar
    fields: Mapping[str, frozenset[str]]  # event type → fields that are kept; "" for types that nothing names
    traits: frozenset[str]
    qualified: tuple[bool, ...]
    owners: tuple[str, ...]
    manual: frozenset[str]
    status_names: Mapping[str, int]
    empty_facts: tuple[Any, ...]
    value_fact: int | None
    company: str | None  # the trait that names a contact's company
    parent: str | None
    creating: frozenset[str]  # event types that bring an unknown contact into the first stage
    sets_status: frozenset[str]
    uses: Mapping[str, Callable[[dict[str, Any], str, str], bool]]  # (e, y, z): could this event do anything
    ignores: Mapping[str, Callable[[dict[str, Any], str, str], bool]]  # (e, y, z): nobody's act
    applies: Mapping[str, Guarded]  # (s, e, t, y, z) -> h: facts, signals, score
    statuses_for: Mapping[str, Guarded]  # -> status's place or -1
    moves_for: Mapping[str, Guarded]  # -> move or -1
    meets: Mapping[str, Guarded]  # -> whether the SLA of the stage is met by this event
    onward: Guarded  # event-less move or -1
    marks: Guarded  # -> flags that hold
    take_traits: Callable[[Any, Mapping[str, Any]], None]
    derive: Callable[[Any, int], None]  # (s, t): facts worked out from others
    due: Callable[[Any], int]  # (s): next instant at which time alone matters, 0 for none
    within: Mapping[int, Guarded]  # stage → promised ms
    warns: Mapping[int, Guarded]
    unless: Mapping[int, Guarded]
    entering: Mapping[int, Guarded]  # stage → (status place or -1)
    leaving: Mapping[int, Guarded]
    entered_signals: Mapping[int, int]  # stage → bits of signals set off by entering it
    left_signals: Mapping[int, int]
    windows: int  # bits of signals whose occurrences are kept
    keep: tuple[int, ...]
    forgets: int  # bits of signals that make the behaviour score start again
    fits: Guarded | None  # (s, t): the condition named `fit`, where the file has one
    fit: Callable[[Any], float]
    behaviour: Callable[[Any, int], float]
    disqualified: Guarded
    suppressed: Guarded
    company_statuses: tuple[tuple[str, Guarded], ...]
    source: str = field(repr=False, default="")


def compile_plan(lifecycle: Lifecycle) -> Plan:
    """The plan of a lifecycle that `worker.definition` has read and found sound."""
    return _Compiler(lifecycle).plan()


_ARGUMENTS = "s, e, t, h, y, z"
_LOCALS = ["S = s.signals", "F = s.facts", "x = s.traits"]


class _Compiler:
    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.scope = scope_of(lifecycle)
        self.parameters = parameter_values(lifecycle)
        self.stages = tuple(lifecycle.stages)
        statuses = lifecycle.statuses
        self.statuses = (*statuses.track, *statuses.aside) if statuses else ("",)
        self.signals = (SETBACK, *(name for name in lifecycle.signals if name != SETBACK))
        self.place = {name: place for place, name in enumerate(self.signals)}
        self.signal_patterns = {name: self._patterns(signal.any) for name, signal in lifecycle.signals.items()}
        self.signal_patterns.setdefault(SETBACK, [])
        self.names = self._names()
        self.lines: list[str] = []
        self.types = self._types()
        self.edges = read(build(lifecycle))

    # What the parts say, parsed.

    def _patterns(self, given: Iterable[str]) -> list[ParsedPattern]:
        return [parse_pattern(text, self.scope) for text in given]

    def _names(self) -> Names:
        lifecycle = self.lifecycle
        conditions = {name: parse(text, self.scope) for name, text in lifecycle.conditions.items()}
        half_life = lifecycle.score.behaviour.half_life
        names = Names(
            parameters=self.parameters,
            conditions=conditions,
            signals=self.place,
            facts={name: (place, fact.type) for place, (name, fact) in enumerate(lifecycle.facts.items())},
            stages=self.stages,
            statuses=self.statuses,
            fields=self.scope.event_fields,
            traits=self.scope.traits,
            half_life=None if half_life is None else float(self._constant(half_life)),
            fit="fit(s)",
            windows=frozenset(self._windowed()),
        )
        return names

    def _constant(self, text: str) -> float:
        """The number that a figure without any state comes to."""
        node = parse(text, self.scope)
        value = self.parameters[node.id] if isinstance(node, ast.Name) else getattr(node, "value", None)
        if isinstance(value, str):
            return duration_ms(value)
        return float(value) if isinstance(value, int | float) else 0.0

    def _windowed(self) -> set[str]:
        """Signals whose single occurrences are kept: those counted in a window or since another."""
        found: set[str] = set()
        for text in self._expressions():
            for node in ast.walk(text):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("count", "seen"):
                    if (len(node.args) > 1 or node.keywords) and isinstance(node.args[0], ast.Name):
                        found.add(node.args[0].id)
        return found

    def _expressions(self) -> list[ast.expr]:
        """Every guard and figure of the file that may count."""
        lifecycle = self.lifecycle
        texts = [*lifecycle.conditions.values(), *(move.when for move in lifecycle.transitions if move.when)]
        texts += [segment.when for segment in lifecycle.segments.values()]
        texts += [rule.when for rule in lifecycle.hygiene.values()]
        texts += [fact.from_ for fact in lifecycle.facts.values()]
        texts += [*lifecycle.score.fit.points, *(figure for figure in lifecycle.score.behaviour.points.values())]
        for stage in lifecycle.stages.values():
            if stage.sla:
                texts += [text for text in (stage.sla.within, stage.sla.unless, stage.sla.warn_after) if text]
        statuses = lifecycle.statuses
        if statuses:
            texts += [text for text in (statuses.disqualify, statuses.suppress) if text]
            texts += [rule.when for rule in statuses.reopen if rule.when]
        if lifecycle.company:
            texts += lifecycle.company.statuses.values()
        parsed = [parse(text, self.scope) for text in texts]
        return parsed + [pattern.guard for pattern in self._all_patterns() if pattern.guard is not None]

    def _all_patterns(self) -> list[ParsedPattern]:
        lifecycle = self.lifecycle
        found = [pattern for patterns in self.signal_patterns.values() for pattern in patterns]
        groups: list[Iterable[str]] = [lifecycle.ignore, lifecycle.score.behaviour.points, lifecycle.score.forget or []]
        groups += [move.event or [] for move in lifecycle.transitions]
        for fact in lifecycle.facts.values():
            groups += [fact.of or [], fact.added_by or [], fact.removed_by or [], fact.forget or []]
        groups += [stage.sla.met_by for stage in lifecycle.stages.values() if stage.sla]
        if lifecycle.statuses:
            groups += [lifecycle.statuses.set_by, *(rule.any for rule in lifecycle.statuses.implied_by.values())]
            groups += [rule.by for rule in lifecycle.statuses.reopen]
        for group in groups:
            found += self._patterns(group)
        return found

    def _types(self) -> list[str]:
        return sorted({pattern.name for pattern in self._all_patterns() if pattern.kind == "type"})

    def types_of(self, pattern: ParsedPattern) -> set[str]:
        """The event types that can make the pattern happen."""
        if pattern.kind == "type":
            return {pattern.name}
        if pattern.kind != "signal":
            return set()
        return {kind for inner in self.signal_patterns[pattern.name] for kind in self.types_of(inner)}

    # Source of the parts.

    def guard(self, node: ast.expr) -> str:
        return source(self.names.expand(node), self.names)

    def text(self, given: str) -> str:
        return self.guard(parse(given, self.scope))

    def happens(self, pattern: ParsedPattern, kind: str) -> str | None:
        """Source of whether the pattern happens with an event of type `kind`; None where it can't."""
        if kind not in self.types_of(pattern):
            return None
        bit = "True" if pattern.kind == "type" else f"h >> {self.place[pattern.name]} & 1"
        if pattern.guard is None:
            return bit
        guard = self.guard(pattern.guard)
        return guard if bit == "True" else f"({bit} and {guard})"

    def any_of(self, patterns: Iterable[ParsedPattern], kind: str) -> str | None:
        found = [code for pattern in patterns if (code := self.happens(pattern, kind)) is not None]
        if not found:
            return None
        return "True" if "True" in found else " or ".join(found)

    def function(self, name: str, arguments: str, body: list[str], inner: bool = True) -> None:
        self.lines.append(f"def {name}({arguments}):")
        self.lines += [f"    {line}" for line in (_LOCALS if inner else []) + body]
        self.lines.append("")

    # The plan, part by part.

    def plan(self) -> Plan:
        lifecycle = self.lifecycle
        kinds = ["", *self.types]
        self._fit()
        for number, kind in enumerate(kinds):
            self._uses(number, kind)
            self._applies(number, kind)
            self._statuses_for(number, kind)
            self._moves_for(number, kind)
            self._meets(number, kind)
        self._onward()
        self._marks()
        self._traits()
        self._derive()
        self._due()
        self._stages()
        self._moves()
        self._predicates()
        text = "\n".join(self.lines)
        space = self._run(text)
        per = {name: {kind: space[f"{name}_{number}"] for number, kind in enumerate(kinds)} for name in _PER_TYPE}
        statuses = lifecycle.statuses
        company = lifecycle.company
        value = [place for place, fact in enumerate(lifecycle.facts.values()) if fact.type == "ids" and fact.amount]
        stages = range(len(self.stages))
        return Plan(
            lifecycle=lifecycle,
            fingerprint=fingerprint(lifecycle),
            parameters=self.parameters,
            stages=self.stages,
            statuses=self.statuses,
            track=len(statuses.track) if statuses else 1,
            signals=self.signals,
            published=self._bits(name for name, signal in lifecycle.signals.items() if signal.publish),
            horizon=int(duration_ms(lifecycle.horizon)),
            moves=tuple(self._move(place, space) for place in range(len(lifecycle.transitions))),
            flags=self._flags(),
            calendar=Calendar.of(lifecycle.business_hours),
            fields=self._fields(),
            traits=self._kept_traits(),
            qualified=tuple(stage.qualified for stage in lifecycle.stages.values()),
            owners=tuple(stage.owner.value for stage in lifecycle.stages.values()),
            manual=frozenset(name for name, stage in lifecycle.stages.items() if stage.manual),
            status_names=self._status_names(),
            empty_facts=tuple(_EMPTY[fact.type] for fact in lifecycle.facts.values()),
            value_fact=value[0] if value else None,
            company=company.id.removeprefix("traits.") if company else None,
            parent=company.parent.removeprefix("traits.") if company and company.parent else None,
            creating=frozenset(vocabulary.EVENT_TYPES - NOT_OF_CONTACTS) | frozenset(self.types),
            sets_status=frozenset(
                pattern.name for pattern in self._patterns(statuses.set_by if statuses else ()) if pattern.kind == "type"
            ),
            uses=per["uses"],
            ignores={
                kind: space[f"ignores_{number}"] for number, kind in enumerate(kinds) if f"ignores_{number}" in space
            },
            applies=per["applies"],
            statuses_for=per["status"],
            moves_for=per["move"],
            meets=per["meets"],
            onward=space["onward"],
            marks=space["marks"],
            take_traits=space["take_traits"],
            derive=space["derive"],
            due=space["due"],
            within={n: space[f"within_{n}"] for n in stages if f"within_{n}" in space},
            warns={n: space[f"warns_{n}"] for n in stages if f"warns_{n}" in space},
            unless={n: space[f"unless_{n}"] for n in stages if f"unless_{n}" in space},
            entering={n: space[f"entering_{n}"] for n in stages if f"entering_{n}" in space},
            leaving={n: space[f"leaving_{n}"] for n in stages if f"leaving_{n}" in space},
            entered_signals=self._move_signals("entering"),
            left_signals=self._move_signals("leaving"),
            windows=self._bits(self.names.windows),
            keep=tuple(lifecycle.signals[name].keep if name in lifecycle.signals else 20 for name in self.signals),
            forgets=self._bits(
                pattern.name
                for pattern in self._patterns(lifecycle.score.forget or [])
                if pattern.kind == "signal" and pattern.guard is None
            ),
            fits=space.get("fits"),
            fit=space["fit"],
            behaviour=space["behaviour_at"],
            disqualified=space["disqualified"],
            suppressed=space["suppressed"],
            company_statuses=tuple(
                (name, space[f"company_{n}"]) for n, name in enumerate(company.statuses if company else ())
            ),
            source=text,
        )

    def _run(self, text: str) -> dict[str, Any]:
        space: dict[str, Any] = {name: getattr(support, name) for name in dir(support) if not name.startswith("_")}
        space |= {"STAGES": self.stages, "STATUSES": self.statuses, "ceil": support.math.ceil}
        space["R"] = [re.compile(pattern).fullmatch for pattern in self.names.patterns]
        name = f"<plan of {self.lifecycle.lifecycle}>"
        exec(compile(text, name, "exec"), space)  # noqa: S102 - generated above from allow-listed expressions only
        return space

    def _bits(self, names: Iterable[str]) -> int:
        bits = 0
        for name in names:
            bits |= 1 << self.place[name]
        return bits

    def _fit(self) -> None:
        fit = self.lifecycle.score.fit
        parts = [f"({self.text(figure)} if {self.text(guard)} else 0)" for guard, figure in fit.points.items()]
        total = f"min({self.text(fit.cap)}, {' + '.join(parts)})" if parts else "0"
        self.function("fit", "s", ["e = {}; h = 0; t = s.at; y = z = ''", f"return {total}"])
        half_life = self.names.half_life
        self.function(
            "behaviour_at", "s, t", [f"return behaviour(s.behaviour, s.behaviour_at, t, {half_life!r})"], inner=False
        )

    def _uses(self, number: int, kind: str) -> None:
        """Could an event of this type do anything, by what it carries alone (traits and attribution apart)?"""
        tests = [f"{name!r} in e" for name in sorted(self._free_fields())]
        for pattern in self._all_patterns():
            if pattern.kind != "type" or pattern.name != kind or self._only_ignores(pattern):
                continue
            guard = None if pattern.guard is None else self.names.expand(pattern.guard)
            tests.append("True" if guard is None or not is_event_only(guard) else source(guard, self.names))
        ignored = self.any_of(self._patterns(self.lifecycle.ignore), kind)
        body = [f"if ignores_{number}(e, y, z): return False"] if ignored else []
        if ignored:
            self.function(f"ignores_{number}", "e, y, z", ["t = 0", f"return bool({ignored})"], inner=False)
        body.append("return True" if "True" in tests else f"return bool({' or '.join(tests) or 'False'})")
        self.function(f"uses_{number}", "e, y, z", ["t = 0", *body], inner=False)

    def _only_ignores(self, pattern: ParsedPattern) -> bool:
        return any(pattern == other for other in self._patterns(self.lifecycle.ignore))

    def _free_fields(self) -> set[str]:
        """Event fields that a fact takes from any event."""
        return {
            field
            for fact in self.lifecycle.facts.values()
            if fact.type != "ids" and fact.of is None
            for field in event_fields(parse(fact.from_, self.scope))
        }

    def _applies(self, number: int, kind: str) -> None:
        body = ["h = 0"]
        for sort, name in self._order():
            body += self._fact(name, kind) if sort == "fact" else self._signal(name, kind)
        body += self._points(kind)
        body.append("return h")
        self.function(f"applies_{number}", "s, e, t, y, z", body)

    def _order(self) -> list[tuple[str, str]]:
        """Facts and signals, each after those it needs; where nothing is needed, facts first, as written."""
        facts, done = self.lifecycle.facts, dict[tuple[str, str], bool]()
        ordered: list[tuple[str, str]] = []

        def needs(sort: str, name: str) -> Iterable[tuple[str, str]]:
            if sort == "signal":
                patterns = self.signal_patterns[name]
            else:
                fact = facts[name]
                groups = (fact.of, fact.added_by, fact.removed_by, fact.forget)
                patterns = [pattern for group in groups for pattern in self._patterns(group or [])]
                if fact.type != "ids":
                    yield from self._named(self.names.expand(parse(fact.from_, self.scope)))
            for pattern in patterns:
                if pattern.kind == "signal":
                    yield "signal", pattern.name
                if pattern.guard is not None:
                    yield from self._named(self.names.expand(pattern.guard))

        def visit(sort: str, name: str) -> None:
            if (sort, name) in done:
                return
            done[sort, name] = True
            for need in needs(sort, name):
                visit(*need)
            ordered.append((sort, name))

        for name in facts:
            visit("fact", name)
        for name in self.signals:
            visit("signal", name)
        return ordered

    def _named(self, node: ast.expr) -> Iterable[tuple[str, str]]:
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                if part.id in self.lifecycle.facts:
                    yield "fact", part.id
                elif part.id in self.place:
                    yield "signal", part.id

    def _fact(self, name: str, kind: str) -> list[str]:
        fact, place = self.lifecycle.facts[name], self.names.facts[name][0]
        node = parse(fact.from_, self.scope)
        lines: list[str] = []
        if fact.type == "ids":
            added = self.any_of(self._patterns(fact.added_by or []), kind)
            removed = self.any_of(self._patterns(fact.removed_by or []), kind)
            value = source(self.names.expand(node), self.names)
            if added:
                amount = self.text(fact.amount) if fact.amount else "None"
                currency = self.text(fact.currency) if fact.currency else "None"
                lines.append(f"if {added}: add_id(F[{place}], {value}, {amount}, {currency})")
            if removed:
                lines.append(f"if {removed}: F[{place}].pop(text({value}), None)")
        elif fact.of is not None or not self._derived(node):
            found = self.any_of(self._patterns(fact.of), kind) if fact.of is not None else "True"
            if found and isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "event":
                    read = {"type": "y", "ce_source": "z", "time": "t"}.get(node.attr, f"e.get({node.attr!r})")
                    lines += [f"v = {read}"]
                    lines += [f"if v is not None and ({found}): F[{place}] = as_{fact.type}(v, F[{place}])"]
                elif fact.of is not None:
                    lines += [f"if {found}: F[{place}] = as_{fact.type}(x.get({node.attr!r}), F[{place}])"]
            elif found:
                lines.append(
                    f"if {found}: F[{place}] = as_{fact.type}({source(self.names.expand(node), self.names)}, F[{place}])"
                )
        if fact.forget:
            forgotten = self.any_of(self._patterns(fact.forget), kind)
            if forgotten:
                lines.append(f"if {forgotten}: F[{place}] = {_EMPTY_SOURCE[fact.type]}")
        return lines

    def _derived(self, node: ast.expr) -> bool:
        """Worked out from traits and other facts, so read again whenever something happened."""
        return not isinstance(node, ast.Attribute) and not event_fields(node)

    def _signal(self, name: str, kind: str) -> list[str]:
        code = self.any_of(self.signal_patterns[name], kind)
        if code is None:
            return []
        place = self.place[name]
        keep = self.lifecycle.signals[name].keep if name in self.names.windows else 0
        hit = f"h |= {1 << place}; S[{place}] = hit(S[{place}], t, s.order, {keep})"
        return [hit] if code == "True" else [f"if {code}:", f"    {hit}"]

    def _points(self, kind: str) -> list[str]:
        score = self.lifecycle.score
        lines: list[str] = []
        for text, figure in score.behaviour.points.items():
            code = self.happens(self._patterns([text])[0], kind)
            if code is not None:
                points = self.text(figure)
                lines.append(f"p += number({points})" if code == "True" else f"if {code}: p += number({points})")
        if lines:
            ignored = f"if not ({self.text(score.ignore)}):" if score.ignore else "if True:"
            grow = f"s.behaviour = min({self.text(score.behaviour.cap)}, max(0, behaviour_at(s, t) + p))"
            lines = ["p = 0", ignored, *(f"    {line}" for line in lines), f"    if p: {grow}; s.behaviour_at = t"]
        forgotten = self.any_of(self._patterns(score.forget or []), kind)
        if forgotten:
            lines.append(f"if {forgotten}: s.behaviour = 0; s.behaviour_at = t")
        return lines

    def _statuses_for(self, number: int, kind: str) -> None:
        statuses = self.lifecycle.statuses
        body = ["now = s.status"]
        if statuses is None:
            self.function(f"status_{number}", _ARGUMENTS, ["return -1"], inner=False)
            return
        setter = self.any_of(self._patterns(statuses.set_by), kind)
        if setter:
            body.append(f"if ({setter}) and e.get('status') in PLACES: return PLACES[e['status']]")
        track = len(statuses.track)
        body += ["best = -1"]
        asides: list[str] = []
        for name, rule in statuses.implied_by.items():
            code = self.any_of(self._patterns(rule.any), kind)
            if code is None:
                continue
            place = self.statuses.index(name)
            if place >= track:
                asides.append(f"if (now < {track}{' or True' if rule.from_aside else ''}) and ({code}): return {place}")
            else:
                free = "" if rule.from_aside else f"now < {track} and "
                right = f"(now >= {track} or {place} > now)" if rule.from_aside else f"{place} > now"
                body.append(f"if {free}{right} and {place} > best and ({code}): best = {place}")
        reopened: list[str] = []
        for reopen in statuses.reopen:
            code = self.any_of(self._patterns(reopen.by), kind)
            if code is None:
                continue
            places = [self.statuses.index(name) for name in (reopen.from_ or statuses.aside)]
            when = f" and ({self.text(reopen.when)})" if reopen.when else ""
            reopened.append(f"if now in {tuple(places)!r} and ({code}){when}:")
            reopened.append(f"    best = {self.statuses.index(reopen.to)}")
            for name, rule in statuses.implied_by.items():
                code, place = self.any_of(self._patterns(rule.any), kind), self.statuses.index(name)
                if code is not None and place < track:
                    reopened.append(f"    if {place} > best and ({code}): best = {place}")
            # An implied aside other than the present one may be what the event implies (a reply "later").
            for name, rule in statuses.implied_by.items():
                code, place = self.any_of(self._patterns(rule.any), kind), self.statuses.index(name)
                if code is not None and place >= track:
                    reopened.append(f"    if now != {place} and ({code}): best = {place}")
            reopened.append("    return best")
        self.function(f"status_{number}", _ARGUMENTS, [*body, *reopened, *asides, "return best"])

    def _moves_for(self, number: int, kind: str) -> None:
        body = ["a = s.stage"]
        for origin in range(len(self.stages)):
            tests: list[str] = []
            for edge in self._from(origin):
                transition = self.lifecycle.transitions[edge.transition]
                if transition.event is None:
                    continue
                code = self.any_of(self._patterns(transition.event), kind)
                if code is not None:
                    tests.append(f"    if {self._and(code, self._rest(edge.transition))}: return {edge.transition}")
            if tests:
                body += [f"if a == {origin}:", *dict.fromkeys(tests), "    return -1"]
        self.function(f"move_{number}", _ARGUMENTS, [*body, "return -1"])

    def _from(self, origin: int) -> list[Edge]:
        """The class's ways out of a stage, the first to be tried first."""
        edges = [edge for edge in self.edges if edge.origin == self.stages[origin]]
        return sorted(edges, key=lambda edge: edge.order)

    def _rest(self, place: int) -> str | None:
        """The guard and the time in the stage that a transition asks for."""
        transition = self.lifecycle.transitions[place]
        parts = [f"({self.text(transition.when)})"] if transition.when else []
        if transition.after:
            parts.append(f"t - s.entered >= {self.text(transition.after)}")
        return " and ".join(parts) or None

    @staticmethod
    def _and(left: str, right: str | None) -> str:
        return f"({left})" if right is None else f"({left}) and {right}"

    def _onward(self) -> None:
        body = ["a = s.stage"]
        for origin in range(len(self.stages)):
            tests = [
                f"    if {self._rest(edge.transition)}: return {edge.transition}"
                for edge in self._from(origin)
                if self.lifecycle.transitions[edge.transition].event is None
            ]
            if tests:
                body += [f"if a == {origin}:", *dict.fromkeys(tests), "    return -1"]
        self.function("onward", _ARGUMENTS, [*body, "return -1"])

    def _meets(self, number: int, kind: str) -> None:
        body = ["a = s.stage"]
        for place, stage in enumerate(self.lifecycle.stages.values()):
            code = self.any_of(self._patterns(stage.sla.met_by), kind) if stage.sla else None
            if code is not None:
                body.append(f"if a == {place}: return {code}")
        self.function(f"meets_{number}", _ARGUMENTS, [*body, "return False"])

    def _flags(self) -> tuple[Flag, ...]:
        lifecycle = self.lifecycle
        segments = [Flag("segment", name, part.means, None) for name, part in lifecycle.segments.items()]
        rules = [Flag("hygiene", name, rule.says, rule.field) for name, rule in lifecycle.hygiene.items()]
        return (*segments, *rules)

    def _flag_guards(self) -> list[str]:
        lifecycle = self.lifecycle
        return [part.when for part in lifecycle.segments.values()] + [rule.when for rule in lifecycle.hygiene.values()]

    def _marks(self) -> None:
        body = ["m = 0"]
        body += [f"if {self.text(guard)}: m |= {1 << place}" for place, guard in enumerate(self._flag_guards())]
        self.function("marks", _ARGUMENTS, [*body, "return m"])

    def _traits(self) -> None:
        body = ["x = s.traits; F = s.facts", "for name in TRAITS:", "    if name in given: x[name] = given[name]"]
        for name, fact in self.lifecycle.facts.items():
            node = parse(fact.from_, self.scope)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "traits":
                place = self.names.facts[name][0]
                if fact.of is None and fact.type != "ids":
                    body.append(f"if {node.attr!r} in given: F[{place}] = as_{fact.type}(given[{node.attr!r}], F[{place}])")
        self.function("take_traits", "s, given", body, inner=False)
        self.lines.append(f"TRAITS = {tuple(sorted(self._kept_traits()))!r}")
        self.lines.append(f"PLACES = { {name: place for place, name in enumerate(self.statuses)}!r}")
        self.lines.append("")

    def _derive(self) -> None:
        body = ["e = {}; h = 0; y = z = ''"]
        for sort, name in self._order():
            if sort != "fact":
                continue
            fact = self.lifecycle.facts[name]
            node = parse(fact.from_, self.scope)
            if fact.type != "ids" and fact.of is None and self._derived(node):
                place = self.names.facts[name][0]
                body.append(f"F[{place}] = as_{fact.type}({self.guard(node)}, F[{place}])")
        self.function("derive", "s, t", body)

    def _due(self) -> None:
        body = ["e = {}; h = 0; t = a = s.at; y = z = ''", "b = 0"]
        seen: set[tuple[int | None, str]] = set()

        def consider(code: str, stage: int | None) -> None:
            if (stage, code) in seen or (None, code) in seen:
                return
            seen.add((stage, code))
            test = "" if stage is None else f"s.stage == {stage} and "
            body.append(f"if {test}a < (v := {code}) and (not b or v < b): b = v")

        for guard in self._flag_guards():
            for flip in flips(self.names.expand(parse(guard, self.scope)), self.names, both=True):
                consider(flip.code, None)
        for origin in range(len(self.stages)):
            for edge in self._from(origin):
                transition = self.lifecycle.transitions[edge.transition]
                if transition.event is not None:
                    continue
                if transition.after:
                    consider(f"s.entered + ceil({self.text(transition.after)})", origin)
                if transition.when:
                    for flip in flips(self.names.expand(parse(transition.when, self.scope)), self.names, both=False):
                        consider(flip.code, origin)
        self.function("due", "s", [*body, "return b"])

    def _stages(self) -> None:
        for place, stage in enumerate(self.lifecycle.stages.values()):
            if stage.sla:
                self.function(f"within_{place}", _ARGUMENTS, [f"return {self.text(stage.sla.within)}"])
                if stage.sla.warn_after:
                    self.function(f"warns_{place}", _ARGUMENTS, [f"return {self.text(stage.sla.warn_after)}"])
                if stage.sla.unless:
                    self.function(f"unless_{place}", _ARGUMENTS, [f"return {self.text(stage.sla.unless)}"])
            for word in ("entering", "leaving"):
                self._status_of_move(word, place)

    def _status_of_move(self, word: str, place: int) -> None:
        """Statuses that follow from entering or leaving a stage: like implied ones, only to the right."""
        statuses = self.lifecycle.statuses
        tests: list[str] = []
        for name, rule in (statuses.implied_by if statuses else {}).items():
            for pattern in self._patterns(rule.any):
                if pattern.kind != word or pattern.name != self.stages[place]:
                    continue
                target, track = self.statuses.index(name), len(statuses.track) if statuses else 1
                right = f"{target} > s.status" if target < track else "True"
                free = f"(s.status < {track} and {right})"
                if rule.from_aside:
                    free = f"(s.status >= {track} or {right})"
                guard = "" if pattern.guard is None else f" and {self.guard(pattern.guard)}"
                tests.append(f"if {free}{guard}: return {target}")
        if tests:
            self.function(f"{word}_{place}", _ARGUMENTS, [*tests, "return -1"])

    def _move_signals(self, word: str) -> dict[int, int]:
        found: dict[int, int] = {}
        for name, patterns in self.signal_patterns.items():
            for pattern in patterns:
                if pattern.kind == word:
                    place = self.stages.index(pattern.name)
                    found[place] = found.get(place, 0) | 1 << self.place[name]
        return found

    def _moves(self) -> None:
        for place, transition in enumerate(self.lifecycle.transitions):
            when = parse(transition.when, self.scope) if transition.when else None
            parts = [f"{in_words(part)!r}: bool({self.guard(part)})" for part in _conjuncts(when)]
            self.function(f"guards_{place}", _ARGUMENTS, ["return {" + ", ".join(parts) + "}"])
            if transition.reason:
                self.function(f"reason_{place}", _ARGUMENTS, [f"return text({self.text(transition.reason)})"])

    def _move(self, place: int, space: Mapping[str, Any]) -> Move:
        transition = self.lifecycle.transitions[place]
        return Move(
            place=place,
            to=self.stages.index(transition.to),
            says=transition.says,
            status=self.statuses.index(transition.status) if transition.status else None,
            assumed=transition.assumed,
            guards=space[f"guards_{place}"],
            reason=space.get(f"reason_{place}"),
        )

    def _predicates(self) -> None:
        statuses, company = self.lifecycle.statuses, self.lifecycle.company
        empty = "e = {}; h = 0; y = z = ''"
        for name, given in (
            ("disqualified", statuses.disqualify if statuses else None),
            ("suppressed", statuses.suppress if statuses else None),
        ):
            self.function(name, "s, t", [empty, f"return bool({self.text(given) if given else 'False'})"])
        if "fit" in self.lifecycle.conditions:
            self.function("fits", "s, t", [empty, f"return bool({self.text('fit')})"])
        for number, guard in enumerate(company.statuses.values() if company else ()):
            self.function(f"company_{number}", "s, t", [empty, f"return bool({self.text(guard)})"])

    def _fields(self) -> dict[str, frozenset[str]]:
        """What is kept of an event's data: the fields that something reads, by type."""
        common = {*self._free_fields(), *UTM, "reason", "by"}
        for node in self._expressions():
            common |= event_fields(self.names.expand(node))
        for fact in self.lifecycle.facts.values():
            for text in (fact.from_, fact.amount, fact.currency):
                if text:
                    common |= event_fields(parse(text, self.scope))
        for transition in self.lifecycle.transitions:
            if transition.reason:
                common |= event_fields(self.names.expand(parse(transition.reason, self.scope)))
        kept = dict.fromkeys(["", *self.types], frozenset(common))
        setters = self._patterns(self.lifecycle.statuses.set_by) if self.lifecycle.statuses else []
        for pattern in setters:
            kept[pattern.name] = kept[pattern.name] | {"status"}
        kept["stage.set"] = frozenset(common | {"stage", "status"})
        return kept

    def _kept_traits(self) -> frozenset[str]:
        lifecycle = self.lifecycle
        found = set(lifecycle.publish.traits)
        for node in self._expressions():
            found |= trait_names(self.names.expand(node))
        if lifecycle.company:
            for text in (lifecycle.company.id, lifecycle.company.parent):
                if text:
                    found |= trait_names(parse(text, self.scope))
        return frozenset(found)

    def _status_names(self) -> dict[str, int]:
        """Every name that a CRM may send for a status, without regard to case, and its place."""
        names: dict[str, int] = {}
        statuses = self.lifecycle.statuses
        for place, name in enumerate(self.statuses if statuses else ()):
            names[name.casefold()] = place
            meaning = statuses.meanings.get(name) if statuses else None
            for other in (meaning.name, *meaning.crm) if meaning else ():
                names.setdefault(other.casefold(), place)
        return names


_PER_TYPE = ("uses", "applies", "status", "move", "meets")
_EMPTY: dict[str, Any] = {"boolean": False, "number": 0, "text": "", "time": 0, "ids": None}
_EMPTY_SOURCE = {"boolean": "False", "number": "0", "text": "''", "time": "0", "ids": "{}"}


def _conjuncts(guard: ast.expr | None) -> list[ast.expr]:
    """The conditions that a guard joins by `and`."""
    if guard is None:
        return []
    return guard.values if isinstance(guard, ast.BoolOp) and isinstance(guard.op, ast.And) else [guard]


class _Words(ast.NodeTransformer):
    """Durations as a person writes them."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if node.kind == "duration" and isinstance(node.value, int | float):
            for unit, ms in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
                if node.value and node.value % ms == 0:
                    return ast.Name(id=f"{node.value // ms:g}{unit}")
        return node


def in_words(node: ast.expr) -> str:
    """The expression as it may stand in the file."""
    return ast.unparse(_Words().visit(copy.deepcopy(node)))
