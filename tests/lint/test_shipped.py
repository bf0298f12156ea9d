"""The shipped definitions are clean but for what is marked as assumed, and each is looked through quickly."""

from __future__ import annotations

import time

import pytest

from worker.definition.reader import read
from worker.lint import lint
from worker.lint.explorer import Explorer
from worker.lint.subject import Subject
from worker.shipped import lifecycle_names, lifecycle_path, scenarios_path

ABOUT_ASSUMED = {"assumed", "unsigned", "handoff-without-sla", "switched-off", "skip"}
SECONDS_MAX = 3.0  # of processor time


@pytest.mark.parametrize("name", lifecycle_names())
def test_a_shipped_definition_is_clean_but_for_what_is_assumed(name: str) -> None:
    started = time.process_time()
    found = lint(lifecycle_path(name))
    spent = time.process_time() - started
    assert {finding.severity for finding in found} <= {"note"}, "\n".join(map(str, found))
    assert {finding.code for finding in found} <= ABOUT_ASSUMED, "\n".join(map(str, found))
    assert spent < SECONDS_MAX


@pytest.mark.parametrize("name", lifecycle_names())
def test_the_scenarios_of_a_shipped_definition_have_no_faults(name: str) -> None:
    assert lint(scenarios_path(lifecycle_path(name))) == []


@pytest.mark.parametrize("name", lifecycle_names())
def test_every_move_of_a_shipped_definition_is_come_upon(name: str) -> None:
    """The search is not blind: what a definition can do it finds, but for what a parameter switches off."""
    lifecycle = read(lifecycle_path(name))
    found = Explorer(Subject(lifecycle)).explore()
    stages = list(lifecycle.stages)
    missing = [
        (transition.says, origin)
        for number, transition in enumerate(lifecycle.transitions)
        for origin in lifecycle.origins(transition)
        if (number, stages.index(origin)) not in found.fired and "went_quiet" not in (transition.when or "")
    ]
    assert missing == []


def test_the_same_file_gives_the_same_findings_each_time() -> None:
    path = lifecycle_path("mops")
    assert lint(path) == lint(path)
