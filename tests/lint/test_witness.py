"""A witness is a scenario: folded as scenarios are, it shows what the finding says; and it is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lint.cases import HERE
from worker.definition.scenario import read_scenarios
from worker.lint import Finding, lint
from worker.scenarios import Runner

WITH_WITNESS = ("order-decides", "skip", "loose", "bounce")


def history(definition: Path, finding: Finding, folder: Path) -> list[str]:
    """The stages that a scenario of the witness's events goes through."""
    assert finding.witness is not None
    scenario: dict[str, Any] = {
        "name": "the witness", "lifecycle": str(definition), "expect": {},
        "events": [dict(event) for event in finding.witness.events],
    }  # fmt: skip
    if finding.witness.until is not None:
        scenario["until"] = finding.witness.until
    path = folder / "witness.scenarios.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump([scenario], file)
    result = Runner().run(read_scenarios(path)[0])
    assert not result.refused
    bodies = [output.body for output in result.histories["c1"]]
    return [body["data"]["to"] for body in bodies if body["type"] == "lifecycle.stage.changed.v1"]


@pytest.mark.parametrize("code", WITH_WITNESS)
def test_a_witness_shows_what_the_finding_says(code: str, tmp_path: Path) -> None:
    path = HERE / f"{code}.yaml"
    finding = next(finding for finding in lint(path) if finding.code == code)
    assert finding.witness is not None
    visited = history(path, finding, tmp_path)
    if code == "order-decides":
        now, then = finding.witness.shows.removeprefix("to ").split("; with the other first to ")
        assert visited[-1] == now
        assert now != then
    else:
        walked = finding.witness.shows.split(" → ")
        assert visited[-len(walked) :] == walked or ["visitor", *visited][-len(walked) :] == walked


def test_with_the_other_transition_first_the_witness_ends_where_it_says(tmp_path: Path) -> None:
    path = HERE / "order-decides.yaml"
    finding = next(finding for finding in lint(path) if finding.code == "order-decides")
    assert finding.witness is not None
    then = finding.witness.shows.split("; with the other first to ")[1]
    lines = path.read_text().splitlines()
    first, other = finding.line - 1, finding.line
    lines[first], lines[other] = lines[other], lines[first]
    turned = tmp_path / "turned.yaml"
    turned.write_text("\n".join(lines) + "\n")
    assert history(turned, finding, tmp_path)[-1] == then


@pytest.mark.parametrize("code", WITH_WITNESS)
def test_no_event_of_a_witness_can_be_left_out(code: str, tmp_path: Path) -> None:
    path = HERE / f"{code}.yaml"
    finding = next(finding for finding in lint(path) if finding.code == code)
    assert finding.witness is not None
    whole = history(path, finding, tmp_path)
    for place in range(len(finding.witness.events) - 1):
        events = [*finding.witness.events[:place], *finding.witness.events[place + 1 :]]
        events = [{**events[0], "at": "2026-01-05T09:01:00Z"}, *events[1:]]
        fewer = history(
            path, Finding(**{**vars(finding), "witness": finding.witness._replace(events=tuple(events))}), tmp_path
        )
        assert fewer != whole
