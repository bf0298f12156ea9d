"""What lint says can't be, can't: over definitions and traffic out of thin air, and over shipped ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import DAY, START, event_sequences, lifecycles
from worker.definition.model import Lifecycle
from worker.definition.reader import read
from worker.fold import step
from worker.fold.accept import accept_fields
from worker.fold.outcome import Event, Refusal
from worker.fold.state import Kept, State
from worker.lint.explorer import Explorer, Found
from worker.lint.formula import Atom, Formula, Solver, conjunction, disjunction, negation
from worker.lint.probe import Probe
from worker.lint.proof import Prover
from worker.lint.subject import Subject
from worker.shipped import lifecycle_names, lifecycle_path

CLOCK = START + 40 * DAY
TIMERS_MAX = 300


class _Taken:
    """A teller of transitions: (place, the stage it left)."""

    tells_guards = False

    def __init__(self) -> None:
        self.moves: set[tuple[int, int]] = set()
        self.stages: set[int] = set()
        self.marks: set[int] = set()

    def moved(self, state: State, at: int, left: int, passed: int, move: Any, why: Any) -> None:
        self.stages.add(state.stage)
        if move is not None:
            self.moves.add((move.place, left))

    def marked(self, state: State, at: int, flag: int, holds: bool, why: Any) -> None:
        if holds:
            self.marks.add(flag)

    def status(self, *_: Any) -> None: ...

    breached = warned = signalled = merged = status


def lived(subject: Subject, events: list[Event]) -> tuple[_Taken, State]:
    """Everything that became of a contact, its timers included."""
    plan, taken = subject.plan, _Taken()
    state = step.begin(plan)
    for event in events:
        given = accept_fields(plan, event)
        if isinstance(given, Refusal):
            continue
        data, traits = given if given is not None else ({}, None)
        while state.stage >= 0 and 0 < (due := step.next_due(plan, state)) < event.time:
            step.fire(plan, state, due, taken)
        step.take(plan, state, Kept(event.time, event.type, event.id, event.source, data, traits), taken)
    for _ in range(TIMERS_MAX):
        due = step.next_due(plan, state)
        if not due or due > CLOCK:
            break
        step.fire(plan, state, due, taken)
    return taken, state


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(lifecycles(), st.data())
def test_what_happens_was_never_proved_impossible(lifecycle: Lifecycle, data: st.DataObject) -> None:
    """With nothing searched, everything hangs on the proofs alone."""
    subject = Subject(lifecycle)
    prover = Prover(subject, Probe(subject), Found())
    for _ in range(4):
        taken, state = lived(subject, data.draw(event_sequences(placed=True)))
        assert taken.stages <= prover.world.stages
        for number, left in taken.moves:
            assert prover.can_fire_first(number, left) is not False, lifecycle.transitions[number]
        for name, place in subject.meaning.place.items():
            assert state.signals[place] is None or name in prover.world.signals, name
        for name, (place, _) in subject.meaning.names.facts.items():
            assert not state.facts[place] or name in prover.world.facts, name


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(lifecycles())
def test_what_the_search_came_upon_is_not_proved_impossible(lifecycle: Lifecycle) -> None:
    explorer = Explorer(Subject(lifecycle))
    found = explorer.explore(2_000)
    prover = Prover(explorer.subject, explorer.probe, Found())
    assert set(found.stages) <= prover.world.stages
    for number, left in found.fired:
        assert prover.can_fire_first(number, left) is not False, lifecycle.transitions[number]


@pytest.mark.parametrize("name", lifecycle_names())
def test_nothing_that_a_shipped_definition_does_is_proved_impossible(name: str) -> None:
    explorer = Explorer(Subject(read(lifecycle_path(name))))
    found = explorer.explore()
    prover = Prover(explorer.subject, explorer.probe, Found())
    assert set(found.stages) <= prover.world.stages
    assert all(prover.can_fire_first(number, left) is not False for number, left in found.fired)
    lifecycle = explorer.subject.lifecycle
    assert prover.world.signals >= set(lifecycle.signals)
    assert prover.world.facts >= set(lifecycle.facts)


# The solver, held to looking at every combination.


def _is(wanted: int, value: Any) -> bool:
    return bool(value == wanted)


_ATOMS = st.builds(
    lambda term, wanted: Atom(term, f"is {wanted}", partial(_is, wanted)), st.sampled_from("abc"), st.integers(0, 2)
)
_FORMULAS: st.SearchStrategy[Formula] = st.recursive(
    _ATOMS,
    lambda inner: (
        st.builds(negation, inner)
        | st.lists(inner, min_size=1, max_size=3).map(conjunction)
        | st.lists(inner, min_size=1, max_size=3).map(disjunction)
    ),
    max_leaves=8,
)


def _holds(formula: Formula, values: dict[str, int]) -> bool:
    match formula:
        case bool():
            return formula
        case Atom():
            return formula.passes(values[formula.term])
    if hasattr(formula, "part"):
        return not _holds(formula.part, values)
    truths = [_holds(part, values) for part in formula.parts]
    return all(truths) if type(formula).__name__ == "And" else any(truths)


@given(_FORMULAS)
def test_a_formula_can_hold_exactly_where_some_values_make_it(formula: Formula) -> None:
    domain = (0, 1, 2)
    values = [{"a": a, "b": b, "c": c} for a in domain for b in domain for c in domain]
    solver = Solver(formula, dict.fromkeys("abc", domain))
    assert solver.satisfiable() is any(_holds(formula, given) for given in values)


def test_a_question_too_large_is_left_open() -> None:
    """Pigeons and holes: no way to place them, and far too many to try."""
    count = 9
    homes = [[Atom(f"{pigeon} in {hole}", "holds", bool) for hole in range(count)] for pigeon in range(count + 1)]
    parts: list[Formula] = [disjunction(row) for row in homes]
    parts += [
        negation(conjunction([homes[one][hole], homes[other][hole]]))
        for hole in range(count)
        for one in range(count + 1)
        for other in range(one)
    ]
    domains = {atom.term: (True, False) for row in homes for atom in row}
    assert Solver(conjunction(parts), domains).satisfiable() is None
