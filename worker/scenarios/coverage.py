"""What scenarios reach of a lifecycle: transitions taken, guards seen both ways, timers that ran out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from worker.definition.pattern import ParsedPattern
from worker.fold.erasure import ERASED
from worker.fold.outcome import Output
from worker.plan import Plan
from worker.plan.generate import ARGUMENTS, Generator, in_words
from worker.plan.meaning import Meaning

ENDINGS: Final = frozenset({ERASED, "lifecycle.contact.merged.v1"})
"""Where a contact that is no more may be so for another reason than that it was forgotten."""


@dataclass
class Coverage:
    """Filled while a watched plan is folded with, and by what that published."""

    plan: Plan
    taken: set[tuple[int, int]] = field(default_factory=set)  # (stage it was left, transition)
    seen: dict[tuple[int, str], set[bool]] = field(default_factory=dict)  # (transition, condition) → outcomes
    due: dict[int, set[bool]] = field(default_factory=dict)  # stage whose promise ran out → whether it was spared
    warned: set[str] = field(default_factory=set)  # stages of whose promise a warning went out
    forgotten: bool = False
    spared: set[bool] = field(default_factory=set)  # outcomes of what keeps a contact from being forgotten

    def told(self, histories: Mapping[str, Sequence[Output]], kept: Iterable[str]) -> None:
        """Take in what a scenario published, by contact or company, and the contacts that something is kept of."""
        kept = set(kept)
        for name, outputs in histories.items():
            bodies = [output.body for output in outputs]
            self.warned.update(body["data"]["stage"] for body in bodies if body["data"].get("action") == "warned")
            begun = sum(
                body["type"] == "lifecycle.stage.changed.v1" and body["data"]["from"] is None for body in bodies
            )
            if begun > (name in kept) and not any(body["type"] in ENDINGS for body in bodies):
                self.forgotten = True

    def missing(self) -> Iterator[str]:
        """What no scenario reached, a sentence each."""
        lifecycle, stages = self.plan.lifecycle, self.plan.stages
        for number, transition in enumerate(lifecycle.transitions):
            for origin in lifecycle.origins(transition):
                if (stages.index(origin), number) not in self.taken:
                    yield f"no contact goes from {origin} to {transition.to}: {transition.says}"
        for (number, condition), outcomes in sorted(self.seen.items()):
            if len(outcomes) == 1 and condition != "True":
                transition = lifecycle.transitions[number]
                yield f"{condition} is {_always(outcomes)} where contacts may go to {transition.to}"
        yield from self._promises()
        yield from self._forgetting()

    def _promises(self) -> Iterator[str]:
        for place, stage in enumerate(self.plan.stages):
            sla = self.plan.lifecycle.stages[stage].sla
            if sla is None:
                continue
            outcomes = self.due.get(place)
            if outcomes is None:
                yield f"the promise on {stage} never runs out"
            elif sla.unless is not None and len(outcomes) == 1:
                yield f"{sla.unless} is {_always(outcomes)} where the promise on {stage} runs out"
            if sla.warn_after is not None and stage not in self.warned:
                yield f"nobody is warned of the promise on {stage}"

    def _forgetting(self) -> Iterator[str]:
        forget = self.plan.lifecycle.forget
        if forget is None:
            return
        if not self.forgotten:
            yield f"no contact is forgotten in {forget.stage}"
        if forget.unless is not None and len(self.spared) == 1:
            yield f"{forget.unless} is {_always(self.spared)} where contacts of {forget.stage} may be forgotten"

    def count(self) -> tuple[int, int]:
        """How many of the lifecycle's moves (a transition from a stage) were taken, of how many."""
        lifecycle = self.plan.lifecycle
        return len(self.taken), sum(len(lifecycle.origins(transition)) for transition in lifecycle.transitions)


def watched(plan: Plan, coverage: Coverage | None = None) -> tuple[Plan, Coverage]:
    """The same plan, telling its coverage what it does. It does nothing else otherwise, and is slower.

    Plans of one lifecycle under several values of its parameters may share their coverage.
    """
    coverage = coverage or Coverage(plan)
    lifecycle, stages = plan.lifecycle, plan.stages
    leaving: dict[int, list[int]] = {}
    for number, transition in enumerate(lifecycle.transitions):
        for origin in lifecycle.origins(transition):
            leaving.setdefault(stages.index(origin), []).append(number)
    by_event = {number for number, transition in enumerate(lifecycle.transitions) if transition.event is not None}
    conditions = _conditions(plan)

    def look(numbers: Mapping[int, list[int]], function: Callable[..., int]) -> Callable[..., int]:
        def chosen(state: Any, *rest: Any) -> int:
            for number in numbers.get(state.stage, ()):
                for condition, holds in conditions[number](state, *rest):
                    if condition:
                        coverage.seen.setdefault((number, condition), set()).add(holds)
            number = function(state, *rest)
            if number >= 0:
                coverage.taken.add((state.stage, number))
            return number

        return chosen

    def ran_out(place: int, function: Callable[..., Any] | None) -> Callable[..., Any]:
        def unless(*arguments: Any) -> Any:
            spared = function is not None and bool(function(*arguments))
            coverage.due.setdefault(place, set()).add(spared)
            return spared

        return unless

    def spared(state: Any, at: int) -> Any:
        stays = bool(plan.spared(state, at))
        coverage.spared.add(stays)
        return stays

    with_event = {place: [number for number in numbers if number in by_event] for place, numbers in leaving.items()}
    without = {place: [number for number in numbers if number not in by_event] for place, numbers in leaving.items()}
    telling = replace(
        plan,
        moves_for={kind: look(with_event, function) for kind, function in plan.moves_for.items()},
        onward=look(without, plan.onward),
        unless={place: ran_out(place, plan.unless.get(place)) for place in plan.within},
        spared=spared,
    )
    return telling, coverage


def _conditions(plan: Plan) -> list[Callable[..., Iterator[tuple[str, bool]]]]:
    """Of each transition, its conditions with what they came to, as far as they were asked.

    A guard is asked only where what the transition waits for has happened: else every event of another kind, and every
    minute before the time in the stage is over, would count as an outcome that a scenario has shown.
    """
    meaning = Meaning(plan.lifecycle)
    generator = Generator(meaning)
    generator.generate()
    for place, transition in enumerate(plan.lifecycle.transitions):
        patterns = [
            f"({_at_hand(meaning, pattern)}, {'' if pattern.guard is None else in_words(pattern.guard)!r},"
            f" {'True' if pattern.guard is None else meaning.guard(pattern.guard)})"
            for pattern in meaning.patterns(transition.event or ())
        ]
        over = f"t - s.entered >= {meaning.text(transition.after)}" if transition.after else "True"
        generator.function(f"asked_{place}", ARGUMENTS, [f"return {over}, [{', '.join(patterns)}]"])
    space = generator.run()

    def of(place: int) -> Callable[..., Iterator[tuple[str, bool]]]:
        asked, guards = space[f"asked_{place}"], plan.moves[place].guards

        def conditions(*arguments: Any) -> Iterator[tuple[str, bool]]:
            over, patterns = asked(*arguments)
            happened = not patterns
            for at_hand, words, holds in patterns:
                if at_hand:
                    happened = happened or bool(holds)
                    yield words, bool(holds)
            if happened and over:
                yield from guards(*arguments).items()

        return conditions

    return [of(place) for place in range(len(plan.lifecycle.transitions))]


def _at_hand(meaning: Meaning, pattern: ParsedPattern) -> str:
    """Source of whether the event is of the pattern's type, or set off its signal."""
    return f"y == {pattern.name!r}" if pattern.kind == "type" else f"h >> {meaning.place[pattern.name]} & 1"


def _always(outcomes: set[bool]) -> str:
    return f"always {str(*outcomes).lower()}"
