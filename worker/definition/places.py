"""Every expression and pattern of a lifecycle: where it stands, what it must come to and what it may use there.

What may be used follows from when it is read. A guard of a transition is read with an event at hand; a segment's also
while only time passes, so there is no event to ask. Facts come before the score, the score before status and stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.definition import vocabulary
from worker.definition.habits import duration_meant
from worker.definition.model import Lifecycle, Sla, Transition
from worker.definition.scope import Ability, Scope

Steps = tuple[str | int, ...]
Form = Literal["guard", "number", "duration", "text", "value", "pattern", "type", "trait"]
"""What a text must be: an expression of that kind (`value`: of any), a pattern, a pattern of a type, or `traits.X`."""


@dataclass(frozen=True)
class Place:
    """One text: its path in the file, and whether it is the key there, as points' guards and patterns are."""

    path: Steps
    text: str
    form: Form
    scope: Scope
    on_key: bool = False
    watched: bool = False  # read again when only time has passed: the instant it changes at must be known
    constant: bool = False  # a figure that must not depend on the contact


def scope_of(lifecycle: Lifecycle) -> Scope:
    """Every name that the lifecycle's expressions may use, with nothing ruled out by where they stand."""
    statuses = lifecycle.statuses
    return Scope(
        parameters={name: _as_meant(parameter.value) for name, parameter in lifecycle.parameters.items()},
        signals=frozenset(lifecycle.signals),
        facts={name: fact.type for name, fact in lifecycle.facts.items()},
        conditions=frozenset(lifecycle.conditions),
        stages=tuple(lifecycle.stages),
        statuses=(*statuses.track, *statuses.aside) if statuses else (),
        event_types=vocabulary.EVENT_TYPES,
        event_fields=vocabulary.EVENT_FIELDS,
        traits=vocabulary.TRAIT_FIELDS,
        field_values=vocabulary.FIELD_VALUES,
    )


def _as_meant(value: bool | int | float | str) -> bool | int | float | str:
    """A misspelt duration is told where it stands, and not at each of its uses."""
    return duration_meant(value) or value if isinstance(value, str) else value


_BEFORE_SCORE: tuple[Ability, ...] = ("traits", "facts", "signals", "conditions")
_STATE: tuple[Ability, ...] = (*_BEFORE_SCORE, "score", "stage", "status")
_EVENT: tuple[Ability, ...] = ("event", "happening")


class _Places:
    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        scope = scope_of(lifecycle)
        self.event_only = scope.only(
            "event", where="in `ignore`, which is read before anything is known of the contact"
        )
        self.in_fact = scope.only(
            *_EVENT, *_BEFORE_SCORE, where="in a fact, which comes before score, status and stage"
        )
        self.in_fit = scope.only(
            *_BEFORE_SCORE, where="in the fit score, which says what a contact is, not what it does"
        )
        self.in_points = scope.only(*_EVENT, *_STATE, where="in the score")
        self.in_event = scope.only(*_EVENT, *_STATE, where="here")
        self.onward = scope.only("happening", *_STATE, where="in a transition without `event`: name the events")
        self.with_moves = scope.only(*_EVENT, *_STATE, "moves", where="here")
        self.in_state = scope.only(*_STATE, where="here, where only time may have passed")
        self.figure = scope.only(where="in a figure that is the same for every contact")

    def patterns(
        self, path: Steps, given: Sequence[str] | None, scope: Scope, form: Form = "pattern"
    ) -> Iterator[Place]:
        for number, text in enumerate(given or ()):
            yield Place((*path, number), text, form, scope)

    def all(self) -> Iterator[Place]:
        lifecycle = self.lifecycle
        yield from self.patterns(("ignore",), lifecycle.ignore, self.event_only, "type")
        for name, signal in lifecycle.signals.items():
            yield from self.patterns(("signals", name, "any"), signal.any, self.with_moves)
        yield from self.facts()
        yield from self.score()
        for name, text in lifecycle.conditions.items():
            yield Place(("conditions", name), text, "guard", self.in_event)
        for name, stage in lifecycle.stages.items():
            if stage.sla is not None:
                yield from self.sla(("stages", name, "sla"), stage.sla)
        for number, transition in enumerate(lifecycle.transitions):
            yield from self.transition(("transitions", number), transition)
        yield from self.statuses()
        yield from self.rest()

    def facts(self) -> Iterator[Place]:
        for name, fact in self.lifecycle.facts.items():
            path: Steps = ("facts", name)
            # With `of` a fact is set by some events only: stage, status and score then read as before the event.
            taken = self.in_fact if fact.of is None and fact.type != "ids" else self.in_event
            yield Place((*path, "from"), fact.from_, "value", taken)
            for key, patterns in (
                ("of", fact.of),
                ("added_by", fact.added_by),
                ("removed_by", fact.removed_by),
                ("forget", fact.forget),
            ):
                yield from self.patterns((*path, key), patterns, self.in_event)
            for key, text in (("amount", fact.amount), ("currency", fact.currency)):
                if text is not None:
                    yield Place((*path, key), text, "number" if key == "amount" else "text", self.in_fact)

    def score(self) -> Iterator[Place]:
        score = self.lifecycle.score
        yield Place(("score", "fit", "cap"), score.fit.cap, "number", self.figure, constant=True)
        for text, figure in score.fit.points.items():
            path: Steps = ("score", "fit", "points", text)
            yield Place(path, text, "guard", self.in_fit, on_key=True)
            yield Place(path, figure, "number", self.in_fit)
        yield Place(("score", "behaviour", "cap"), score.behaviour.cap, "number", self.figure, constant=True)
        if score.behaviour.half_life is not None:
            half_life = score.behaviour.half_life
            yield Place(("score", "behaviour", "half_life"), half_life, "duration", self.figure, constant=True)
        for text, figure in score.behaviour.points.items():
            path = ("score", "behaviour", "points", text)
            yield Place(path, text, "pattern", self.in_points, on_key=True)
            yield Place(path, figure, "number", self.in_points)
        if score.ignore is not None:
            yield Place(("score", "ignore"), score.ignore, "guard", self.in_points)
        yield from self.patterns(("score", "forget"), score.forget, self.in_points)

    def sla(self, path: Steps, sla: Sla) -> Iterator[Place]:
        yield Place((*path, "within"), sla.within, "duration", self.in_state)
        yield from self.patterns((*path, "met_by"), sla.met_by, self.in_event)
        if sla.warn_after is not None:
            yield Place((*path, "warn_after"), sla.warn_after, "duration", self.in_state)
        if sla.unless is not None:
            yield Place((*path, "unless"), sla.unless, "guard", self.in_state)

    def transition(self, path: Steps, transition: Transition) -> Iterator[Place]:
        yield from self.patterns((*path, "event"), transition.event, self.in_event)
        if transition.when is not None:
            # Of events that nothing names no field is kept, so only a transition that names some may read one.
            scope = self.in_event if transition.event is not None else self.onward
            yield Place((*path, "when"), transition.when, "guard", scope, watched=transition.event is None)
        if transition.after is not None:
            yield Place((*path, "after"), transition.after, "duration", self.figure, constant=True)
        if transition.reason is not None:
            yield Place((*path, "reason"), transition.reason, "text", self.in_event)

    def statuses(self) -> Iterator[Place]:
        statuses = self.lifecycle.statuses
        if statuses is None:
            return
        yield from self.patterns(("statuses", "set_by"), statuses.set_by, self.in_event, "type")
        for name, rule in statuses.implied_by.items():
            yield from self.patterns(("statuses", "implied_by", name, "any"), rule.any, self.with_moves)
        for number, reopen in enumerate(statuses.reopen):
            path: Steps = ("statuses", "reopen", number)
            yield from self.patterns((*path, "by"), reopen.by, self.in_event)
            if reopen.when is not None:
                yield Place((*path, "when"), reopen.when, "guard", self.in_event)
        for key, text in (("disqualify", statuses.disqualify), ("suppress", statuses.suppress)):
            if text is not None:
                yield Place(("statuses", key), text, "guard", self.in_state)

    def rest(self) -> Iterator[Place]:
        lifecycle = self.lifecycle
        for name, segment in lifecycle.segments.items():
            yield Place(("segments", name, "when"), segment.when, "guard", self.in_state, watched=True)
        for name, rule in lifecycle.hygiene.items():
            yield Place(("hygiene", name, "when"), rule.when, "guard", self.in_state, watched=True)
        if lifecycle.company is not None:
            company = lifecycle.company
            yield Place(("company", "id"), company.id, "trait", self.in_state)
            if company.parent is not None:
                yield Place(("company", "parent"), company.parent, "trait", self.in_state)
            for name, text in company.statuses.items():
                yield Place(("company", "statuses", name), text, "guard", self.in_state)
        if lifecycle.forget is not None:
            yield Place(("forget", "after"), lifecycle.forget.after, "duration", self.figure, constant=True)
            if lifecycle.forget.unless is not None:
                yield Place(("forget", "unless"), lifecycle.forget.unless, "guard", self.in_state)


def places(lifecycle: Lifecycle) -> Iterable[Place]:
    """Every expression and pattern, in the order of the file's keys as the model has them."""
    return _Places(lifecycle).all()
