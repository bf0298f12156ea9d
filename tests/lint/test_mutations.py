"""Definitions broken at random are noticed before they run: a sample of what `benchmarks.mutations` measures."""

from __future__ import annotations

from benchmarks.mutations import KINDS, Outcome, judge, mutations, share, table

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
