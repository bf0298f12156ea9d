"""The real engine in a group that misbehaves as a seed says. `make simulate` runs thousands of seeds, CI a sample.

A failure prints its seed, and `make simulate ARGS="--first-seed N --seeds 1"` plays it again, to the last record.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.runtime.lifecycle_simulation import LIFECYCLES, LifecycleSimulation
from tests.runtime.test_simulation import (
    Patch,
    messages_not_read_again,
    no_restore,
    state_kept_after_an_error,
    store_before_commit,
    unknown_commits_believed,
)
from worker.fold import arrival
from worker.fold.merge import answered
from worker.fold.messages import Answer
from worker.fold.outcome import Refusal
from worker.fold.person import Person
from worker.runtime import restore, session, transaction
from worker.transports.simulator import Faults

STEPS = (*session.STEPS, *restore.STEPS, *transaction.STEPS)
SAMPLE = 60
PARTS = 4  # so that processes of the test run can share them
UNTIL_FOUND = 60


def lifecycle_of(seed: int) -> str:
    return LIFECYCLES[seed % len(LIFECYCLES)]


def mixed(seed: int) -> bool:
    """Whether its traffic comes from several topics: a third of it does, with every lifecycle and crash."""
    return seed % 3 == 0


@pytest.mark.parametrize("part", range(PARTS))
def test_merges_companies_and_erasure_come_out_as_in_one_sorted_pass_under_every_seed(part: int) -> None:
    for seed in range(part, SAMPLE, PARTS):
        LifecycleSimulation(seed, lifecycle=lifecycle_of(seed), mixed=mixed(seed)).run()


@pytest.mark.parametrize("step", STEPS)
def test_crashes_at_any_numbered_step_change_nothing(step: str) -> None:
    """Nothing else goes wrong here but what is done to processes from outside."""
    number = STEPS.index(step)
    simulation = LifecycleSimulation(number, Faults(), crash_at=step, lifecycle=lifecycle_of(number))
    simulation.run()
    assert any(step in plan.reached for plan in simulation.crashes), "the step was never reached"


@pytest.mark.slow
def test_the_same_for_thousands_of_seeds(seed: int) -> None:
    """Every other seed dies at a numbered step besides all else: each step under each lifecycle in turn."""
    step = STEPS[seed // 2 % len(STEPS)] if seed % 2 else None
    LifecycleSimulation(seed, crash_at=step, lifecycle=lifecycle_of(seed), mixed=mixed(seed)).run()


# ------------------------------------------------------------------------------------------------- it can fail


def answers_taken_in_without_their_records(patch: pytest.MonkeyPatch) -> None:
    """A merge is granted, and what the other id was is forgotten."""

    def wrong(person: Person, answer: Answer) -> Refusal | None:
        answer.events = []
        return answered(person, answer)

    patch.setattr(arrival, "answered", wrong)


def events_of_merged_ids_dropped(patch: pytest.MonkeyPatch) -> None:
    """What comes for an id that went elsewhere goes nowhere."""

    def wrong(*_: Any) -> None:
        return None

    patch.setattr(arrival, "pass_on", wrong)


@pytest.mark.parametrize(
    "mistake",
    [
        store_before_commit,
        messages_not_read_again,
        no_restore,
        unknown_commits_believed,
        state_kept_after_an_error,
        answers_taken_in_without_their_records,
        events_of_merged_ids_dropped,
    ],
    ids=lambda mistake: mistake.__name__,
)
def test_the_simulation_finds_what_is_wrong(mistake: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError, match=r"^seed \d+: "):
        for seed in range(UNTIL_FOUND):
            LifecycleSimulation(seed).run()
