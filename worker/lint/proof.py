"""What no contact can come to, proved: guards that can't hold, whatever happens.

`World` holds, of all that could be, what can't be ruled out: it begins with what the search has seen and grows by every
signal, fact and stage whose patterns or guards can hold in it, until nothing more does. What is outside at the end is
impossible. Where a question was too large to answer, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from worker.definition.pattern import ParsedPattern
from worker.lint.axioms import axioms
from worker.lint.explorer import Found
from worker.lint.formula import Formula, Solver, conjunction, negation
from worker.lint.probe import Probe
from worker.lint.subject import SETBACK, Subject
from worker.lint.terms import Reading, World


class Prover:
    def __init__(self, subject: Subject, probe: Probe, found: Found) -> None:
        self.subject = subject
        self.unanswered = 0  # questions too large
        lifecycle = subject.lifecycle
        seen = {
            name
            for name in (SETBACK, *lifecycle.signals)
            if (probe.codes.get(f"(S[{subject.meaning.place[name]}] is not None)"), True) in found.answers
        }
        facts = {
            name
            for name, (place, _) in subject.meaning.names.facts.items()
            if (probe.codes.get(f"bool(F[{place}])"), True) in found.answers
        }
        facts |= {name for name, fact in lifecycle.facts.items() if fact.type != "ids" and fact.of is None}
        manual = {place for place, name in enumerate(subject.stages) if name in subject.plan.manual}
        self.world = World(
            signals={*seen, SETBACK},
            statuses=set(subject.plan.statuses),  # a person may set any
            facts=facts,
            stages={0, *found.stages, *manual},
        )
        self._grow()
        self._narrower: dict[tuple[str, str], bool] = {}
        self.world.narrower = self.narrower

    def narrower(self, one: str, other: str) -> bool:
        """Proved that with every event that sets off the one signal, the other is set off too."""
        known = self._narrower.get((one, other))
        if known is None:
            known = self._narrower[one, other] = self._is_narrower(one, other)
        return known

    def _is_narrower(self, one: str, other: str) -> bool:
        patterns = [pattern for name in (one, other) for pattern in self.subject.meaning.signal_patterns[name]]
        if SETBACK in (one, other) or any(pattern.kind in ("entering", "leaving") for pattern in patterns):
            return False
        for kind in sorted({kind for text in patterns for kind in self.subject.meaning.types_of(text)}):
            reading = Reading(self.subject, self.world, None, kind)
            formula = conjunction([reading.bare(one), negation(reading.bare(other))])
            domains = {term: values.domain() for term, values in reading.ranges.items()}
            if Solver(formula, domains).satisfiable() is not False:
                return False
        return True

    def _grow(self) -> None:
        """Add whatever can't be ruled out, until there is nothing to add."""
        world, lifecycle = self.world, self.subject.lifecycle
        growing = True
        while growing:
            growing = False
            for name in lifecycle.signals:
                if name not in world.signals and self.can_happen(lifecycle.signals[name].any):
                    world.signals.add(name)
                    growing = True
            for name, fact in lifecycle.facts.items():
                given = fact.added_by if fact.type == "ids" else fact.of
                if name not in world.facts and (given is None or self.can_happen(given)):
                    world.facts.add(name)
                    growing = True
            for number, transition in enumerate(lifecycle.transitions):
                target = self.subject.stages.index(transition.to)
                if target not in world.stages and any(
                    self.can_fire_first(number, origin) is not False for origin in self.origins(number)
                ):
                    world.stages.add(target)
                    growing = True

    def origins(self, number: int) -> list[int]:
        """The stages a transition starts from that contacts can be in."""
        lifecycle = self.subject.lifecycle
        places = [self.subject.stages.index(name) for name in lifecycle.origins(lifecycle.transitions[number])]
        return [place for place in places if place in self.world.stages]

    def kinds(self, number: int) -> tuple[str | None, ...]:
        """The event types that a transition may be taken with; None for without."""
        events = self.subject.lifecycle.transitions[number].event
        return (None,) if events is None else self.subject.types_of(events)

    def holds(
        self, stage: int | None, kind: str | None, ask: Callable[[Reading], Formula], world: World | None = None
    ) -> bool | None:
        """Whether a formula can hold in a stage with an event; None where that could not be found out."""
        reading = Reading(self.subject, world or self.world, stage, kind)
        formula = ask(reading)
        if formula is False:
            return False
        whole = conjunction([formula, *axioms(reading)])
        solver = Solver(whole, {term: values.domain() for term, values in reading.ranges.items()})
        answer = solver.satisfiable()
        self.unanswered += answer is None
        return answer

    def can_happen(self, patterns: Iterable[str]) -> bool:
        """Whether one of the patterns could happen at all, in any stage."""
        parsed = [self.subject.pattern(text) for text in patterns]
        for pattern in parsed:
            if pattern.kind in ("entering", "leaving"):
                if self.subject.stages.index(pattern.name) in self.world.stages:
                    return True
                continue
            for kind in sorted(self.subject.meaning.types_of(pattern)):
                if self.holds(None, kind, partial(_before, pattern)) is not False:
                    return True
        return False

    def can_fire(self, number: int, origin: int, world: World | None = None) -> bool | None:
        """Whether a transition's own patterns and guard can hold in a stage."""
        answers = [
            self.holds(origin, kind, lambda reading: reading.transition(number), world) for kind in self.kinds(number)
        ]
        return True if True in answers else None if None in answers else False

    def can_fire_first(self, number: int, origin: int) -> bool | None:
        """The same, with none of those that are tried before it holding."""
        lifecycle = self.subject.lifecycle
        by_event = lifecycle.transitions[number].event is not None
        before = [
            edge.transition
            for edge in self.subject.meaning.ways_out(origin)
            if edge.transition < number and (lifecycle.transitions[edge.transition].event is not None) is by_event
        ]

        def ask(reading: Reading) -> Formula:
            return conjunction([reading.transition(number), *(negation(reading.transition(other)) for other in before)])

        answers = [self.holds(origin, kind, ask) for kind in self.kinds(number)]
        return True if True in answers else None if None in answers else False

    def shadowing(self, number: int, origin: int) -> list[int]:
        """Those tried before it of which one alone is enough to take its place."""
        found = []
        for edge in self.subject.meaning.ways_out(origin):
            other = edge.transition
            if other >= number:
                continue

            def ask(reading: Reading, other: int = other) -> Formula:
                return conjunction([reading.transition(number), negation(reading.transition(other))])

            if all(self.holds(origin, kind, ask) is False for kind in self.kinds(number)):
                found.append(other)
        return found

    def switch(self, number: int, origin: int) -> str | None:
        """The truth value among the parameters that, turned, would let the transition be taken."""
        for name, value in self.subject.meaning.parameters.items():
            if isinstance(value, bool):
                world = replace(self.world, open_parameters=frozenset({name}))
                if self.can_fire(number, origin, world):
                    return name
        return None


def _before(pattern: ParsedPattern, reading: Reading) -> Formula:
    """That a signal's or fact's pattern happens, which is asked before the event has done anything else."""
    reading.before += 1
    formula = reading.pattern(pattern)
    reading.before -= 1
    return formula
