"""Definitions broken at random are noticed before they run: a sample of what `benchmarks.mutations` measures."""

from __future__ import annotations

from benchmarks.mutations import KINDS, Outcome, equivalent, judge, mutations, share, table
from worker.definition.model import Lifecycle
from worker.definition.reader import read
from worker.shipped import lifecycle_path

COUNT, SEED = 30, 7
LEAST_BY_LINT = 0.6  # over a thousand it is about three quarters
LEAST_WITH_SCENARIOS = 0.85  # over a thousand, about 97 of a hundred


def test_breaks_are_noticed_by_reader_lint_or_scenarios() -> None:
    outcomes = [judge(mutation) for mutation in mutations(COUNT, SEED)]
    assert len(outcomes) == COUNT
    assert {outcome.what for outcome in outcomes} == set(KINDS)
    missed = [f"{outcome.lifecycle}: {outcome.where}" for outcome in outcomes if outcome.verdict == "missed"]
    assert share(outcomes, ["reader", "lint"]) >= LEAST_BY_LINT
    assert share(outcomes, ["reader", "lint", "scenarios"]) >= LEAST_WITH_SCENARIOS, missed


def test_the_same_seed_breaks_the_same() -> None:
    assert list(mutations(10, 3)) == list(mutations(10, 3))
    assert list(mutations(10, 3)) != list(mutations(10, 4))


def test_what_is_equivalent_is_not_counted_against_anyone() -> None:
    def outcome(verdict: str) -> Outcome:
        return Outcome("10ex", KINDS[0], "", verdict, "", 0.0)  # type: ignore[arg-type]  # given as texts here

    outcomes = [outcome("reader"), outcome("missed"), outcome("equivalent"), outcome("scenarios")]
    assert share(outcomes, ["reader"]) == 1 / 3
    assert list(table(outcomes))[-1] == "| all | 4 | 1 | 33.3% | 66.7% |"


def with_condition(lifecycle: Lifecycle, name: str, text: str) -> Lifecycle:
    return lifecycle.model_copy(update={"conditions": {**lifecycle.conditions, name: text}})


def test_only_what_makes_no_difference_is_equivalent() -> None:
    lifecycle = read(lifecycle_path("agency34"))
    under_contract = lifecycle.conditions["under_contract"]
    assert equivalent(lifecycle, with_condition(lifecycle, "under_contract", f"not (not ({under_contract}))"))
    assert not equivalent(lifecycle, with_condition(lifecycle, "under_contract", f"not ({under_contract})"))


def test_a_condition_that_is_published_makes_a_difference_though_no_guard_asks_it() -> None:
    lifecycle = read(lifecycle_path("agency34"))
    assert not equivalent(lifecycle, with_condition(lifecycle, "fit", f"not ({lifecycle.conditions['fit']})"))
