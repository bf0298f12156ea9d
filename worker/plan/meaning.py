"""What a lifecycle's texts mean, parsed once: names, patterns, which event types matter to what, and in which order.

Everything here is read off the definition and its python-statemachine class; nothing is generated yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from worker.definition.expression import parse
from worker.definition.model import Lifecycle
from worker.definition.parameters import duration_ms, parameter_values
from worker.definition.pattern import ParsedPattern, parse_pattern
from worker.definition.places import scope_of
from worker.machine import Edge, build, read
from worker.plan.expressions import Names, event_fields, source, trait_names
from worker.plan.plan import SETBACK, UTM


class Meaning:
    """A lifecycle, parsed. Places are indices as in `Plan`."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.scope = scope_of(lifecycle)
        self._parsed: dict[str, ast.expr] = {}
        self._patterns: dict[str, ParsedPattern] = {}
        self._order: list[tuple[str, str]] | None = None
        self.parameters = parameter_values(lifecycle)
        self.stages = tuple(lifecycle.stages)
        statuses = lifecycle.statuses
        self.statuses = (*statuses.track, *statuses.aside) if statuses else ("",)
        self.signals = (SETBACK, *(name for name in lifecycle.signals if name != SETBACK))
        self.place = {name: place for place, name in enumerate(self.signals)}
        self.signal_patterns = {name: self.patterns(signal.any) for name, signal in lifecycle.signals.items()}
        self.signal_patterns.setdefault(SETBACK, [])
        self.names = self._names()
        self.types = self._types()
        self.edges = read(build(lifecycle))

    # What the parts say, parsed.

    def parse(self, text: str) -> ast.expr:
        """The expression's tree; callers must not change it."""
        node = self._parsed.get(text)
        if node is None:
            node = self._parsed[text] = parse(text, self.scope)
        return node

    def patterns(self, given: Iterable[str]) -> list[ParsedPattern]:
        """The patterns of the texts; callers must not change their guards."""
        return [self._pattern(text) for text in given]

    def _pattern(self, text: str) -> ParsedPattern:
        found = self._patterns.get(text)
        if found is None:
            found = self._patterns[text] = parse_pattern(text, self.scope)
        return found

    def _names(self) -> Names:
        lifecycle = self.lifecycle
        conditions = {name: self.parse(text) for name, text in lifecycle.conditions.items()}
        half_life = lifecycle.score.behaviour.half_life
        return Names(
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

    def _constant(self, text: str) -> float:
        """The number that a figure without any state comes to."""
        node = self.parse(text)
        value = self.parameters[node.id] if isinstance(node, ast.Name) else getattr(node, "value", None)
        if isinstance(value, str):
            return duration_ms(value)
        return float(value) if isinstance(value, int | float) else 0.0

    def _windowed(self) -> set[str]:
        """Signals whose single occurrences are kept: those counted in a window or since another."""
        found: set[str] = set()
        for text in self.expressions():
            for node in ast.walk(text):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("count", "seen"):
                    if (len(node.args) > 1 or node.keywords) and isinstance(node.args[0], ast.Name):
                        found.add(node.args[0].id)
        return found

    def expressions(self) -> list[ast.expr]:
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
        parsed = [self.parse(text) for text in texts]
        return parsed + [pattern.guard for pattern in self.all_patterns() if pattern.guard is not None]

    def all_patterns(self) -> list[ParsedPattern]:
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
            found += self.patterns(group)
        return found

    def _types(self) -> list[str]:
        return sorted({pattern.name for pattern in self.all_patterns() if pattern.kind == "type"})

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
        return self.guard(self.parse(given))

    def happens(self, pattern: ParsedPattern, kind: str) -> str | None:
        """Source of whether the pattern happens with an event of type `kind`; None where it can't."""
        return self.held(pattern) if kind in self.types_of(pattern) else None

    def held(self, pattern: ParsedPattern) -> str:
        """Source of whether the pattern happens, where its type of event is at hand or its signal may be set off."""
        bit = "True" if pattern.kind == "type" else f"h >> {self.place[pattern.name]} & 1"
        if pattern.guard is None:
            return bit
        guard = self.guard(pattern.guard)
        return guard if bit == "True" else f"({bit} and {guard})"

    def forgetting(self, given: Iterable[str] | None) -> list[ParsedPattern]:
        """The patterns of a `forget` by which a move may make something forgotten: those that name a signal."""
        return [pattern for pattern in self.patterns(given or []) if pattern.kind == "signal"]

    def forgotten(self, given: Iterable[str] | None) -> str:
        """Source of whether a move makes something with this `forget` forgotten; empty where none does."""
        return " or ".join(map(self.held, self.forgetting(given)))

    def any_of(self, patterns: Iterable[ParsedPattern], kind: str) -> str | None:
        found = [code for pattern in patterns if (code := self.happens(pattern, kind)) is not None]
        if not found:
            return None
        return "True" if "True" in found else " or ".join(found)

    def bits(self, names: Iterable[str]) -> int:
        bits = 0
        for name in names:
            bits |= 1 << self.place[name]
        return bits

    def only_ignores(self, pattern: ParsedPattern) -> bool:
        return any(pattern == other for other in self.patterns(self.lifecycle.ignore))

    def free_fields(self) -> set[str]:
        """Event fields that a fact takes from any event."""
        return {
            field
            for fact in self.lifecycle.facts.values()
            if fact.type != "ids" and fact.of is None
            for field in event_fields(self.parse(fact.from_))
        }

    def order(self) -> list[tuple[str, str]]:
        """Facts and signals, each after those it needs; where nothing is needed, facts first, as written."""
        if self._order is None:
            self._order = self._ordered()
        return self._order

    def _ordered(self) -> list[tuple[str, str]]:
        facts, done = self.lifecycle.facts, dict[tuple[str, str], bool]()
        ordered: list[tuple[str, str]] = []

        def needs(sort: str, name: str) -> Iterable[tuple[str, str]]:
            if sort == "signal":
                patterns = self.signal_patterns[name]
            else:
                fact = facts[name]
                groups = (fact.of, fact.added_by, fact.removed_by, fact.forget)
                patterns = [pattern for group in groups for pattern in self.patterns(group or [])]
                if fact.type != "ids":
                    yield from self._named(self.names.expand(self.parse(fact.from_)))
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

    def derived(self, node: ast.expr) -> bool:
        """Worked out from traits and other facts, so read again whenever something happened."""
        return not isinstance(node, ast.Attribute) and not event_fields(node)

    def forget(self) -> tuple[int, int] | None:
        """In which stage a contact that came to nothing ends, and after how long: two horizons at least.

        Within the tail no gap between events can so be long enough to end a contact.
        """
        given = self.lifecycle.forget
        if given is None:
            return None
        least = 2 * int(duration_ms(self.lifecycle.horizon))
        return self.stages.index(given.stage), max(least, int(self._constant(given.after)))

    def ways_out(self, origin: int) -> list[Edge]:
        """The class's ways out of a stage, the first to be tried first."""
        edges = [edge for edge in self.edges if edge.origin == self.stages[origin]]
        return sorted(edges, key=lambda edge: edge.order)

    def rest(self, place: int) -> str | None:
        """The guard and the time in the stage that a transition asks for."""
        transition = self.lifecycle.transitions[place]
        parts = [f"({self.text(transition.when)})"] if transition.when else []
        if transition.after:
            parts.append(f"t - s.entered >= {self.text(transition.after)}")
        return " and ".join(parts) or None

    def flag_guards(self) -> list[str]:
        lifecycle = self.lifecycle
        return [part.when for part in lifecycle.segments.values()] + [rule.when for rule in lifecycle.hygiene.values()]

    def move_signals(self, word: str) -> dict[int, int]:
        found: dict[int, int] = {}
        for name, patterns in self.signal_patterns.items():
            for pattern in patterns:
                if pattern.kind == word:
                    place = self.stages.index(pattern.name)
                    found[place] = found.get(place, 0) | 1 << self.place[name]
        return found

    def fields(self) -> dict[str, frozenset[str]]:
        """What is kept of an event's data: the fields that something reads, by type."""
        common = {*self.free_fields(), *UTM, "reason", "by"}
        for node in self.expressions():
            common |= event_fields(self.names.expand(node))
        for fact in self.lifecycle.facts.values():
            for text in (fact.from_, fact.amount, fact.currency):
                if text:
                    common |= event_fields(self.parse(text))
        for transition in self.lifecycle.transitions:
            if transition.reason:
                common |= event_fields(self.names.expand(self.parse(transition.reason)))
        kept = dict.fromkeys(["", *self.types], frozenset(common))
        setters = self.patterns(self.lifecycle.statuses.set_by) if self.lifecycle.statuses else []
        for pattern in setters:
            kept[pattern.name] = kept[pattern.name] | {"status"}
        kept["stage.set"] = frozenset(common | {"stage", "status"})
        return kept

    def kept_traits(self) -> frozenset[str]:
        lifecycle = self.lifecycle
        found = set(lifecycle.publish.traits)
        for node in self.expressions():
            found |= trait_names(self.names.expand(node))
        if lifecycle.company:
            for text in (lifecycle.company.id, lifecycle.company.parent):
                if text:
                    found |= trait_names(self.parse(text))
        return frozenset(found)

    def status_names(self) -> dict[str, int]:
        """Every name that a CRM may send for a status, without regard to case, and its place."""
        names: dict[str, int] = {}
        statuses = self.lifecycle.statuses
        for place, name in enumerate(self.statuses if statuses else ()):
            names[name.casefold()] = place
            meaning = statuses.meanings.get(name) if statuses else None
            for other in (meaning.name, *meaning.crm) if meaning else ():
                names.setdefault(other.casefold(), place)
        return names
