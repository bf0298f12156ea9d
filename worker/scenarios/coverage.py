"""What scenarios reach of a lifecycle: transitions taken, guards seen both ways, promises kept waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from worker.plan import Plan


@dataclass
class Coverage:
    """Filled while a watched plan is folded with."""

    plan: Plan
    taken: set[tuple[int, int]] = field(default_factory=set)  # (stage it was left, transition)
    seen: dict[tuple[int, str], set[bool]] = field(default_factory=dict)  # (transition, condition) → outcomes
    due: set[int] = field(default_factory=set)  # stages whose promise ran out
    forgotten: bool = False

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
                yield f"{condition} is always {str(*outcomes).lower()} where contacts may go to {transition.to}"
        for place, stage in enumerate(stages):
            if place in self.plan.within and place not in self.due:
                yield f"the promise on {stage} never runs out"

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

    def look(numbers: Mapping[int, list[int]], function: Callable[..., int]) -> Callable[..., int]:
        def chosen(state: Any, *rest: Any) -> int:
            for number in numbers.get(state.stage, ()):
                for condition, holds in plan.moves[number].guards(state, *rest).items():
                    coverage.seen.setdefault((number, condition), set()).add(bool(holds))
            number = function(state, *rest)
            if number >= 0:
                coverage.taken.add((state.stage, number))
            return number

        return chosen

    def ran_out(place: int, function: Callable[..., Any] | None) -> Callable[..., Any]:
        def unless(*arguments: Any) -> Any:
            spared = function is not None and function(*arguments)
            if not spared:
                coverage.due.add(place)
            return spared

        return unless

    with_event = {place: [number for number in numbers if number in by_event] for place, numbers in leaving.items()}
    without = {place: [number for number in numbers if number not in by_event] for place, numbers in leaving.items()}
    telling = replace(
        plan,
        moves_for={kind: look(with_event, function) for kind, function in plan.moves_for.items()},
        onward=look(without, plan.onward),
        unless={place: ran_out(place, plan.unless.get(place)) for place in plan.within},
    )
    return telling, coverage
