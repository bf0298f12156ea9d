"""A finding is told once, in words that say what is so."""

from __future__ import annotations

from worker.lint import lint

TEXT = """
lifecycle: mine
version: 1
title: My own
stages:
  visitor: {name: Visitor, means: came by, owner: marketing, goal: know them}
  lead: {name: Lead, means: known, owner: marketing, goal: warm}
transitions:
  - {from: visitor, to: lead, event: form.submitted, says: shows interest}
  - {from: lead, to: visitor, event: email.bounced, when: score < 50, says: cools}
"""


def test_a_guard_of_one_part_is_told_once_and_a_figure_without_points_is_what_it_always_is() -> None:
    told = [finding.message for finding in lint(TEXT, "mine.yaml") if finding.code == "always-holds"]
    assert told == ["`score < 50` holds for every contact: score is always 0; mend it, or take it out"]
