"""Every shipped mapping against its scenarios, and what holds for all of them."""

from __future__ import annotations

import pytest

from worker.events import decode, encode
from worker.fold.outcome import Event
from worker.mapping import library
from worker.mapping.mapping import Mapping
from worker.mapping.scenario import Scenario, differences, read_scenarios

NAMES = library.names()
MAPPINGS = {name: Mapping.load(name) for name in NAMES}
SCENARIOS = [
    (name, scenario) for name in NAMES for scenario in read_scenarios(library.folder() / f"{name}{library.SCENARIOS}")
]


def _label(value: object) -> str:
    return value.name if isinstance(value, Scenario) else str(value)


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=_label)
def test_a_sample_becomes_what_its_scenario_says(name: str, scenario: Scenario) -> None:
    assert differences(MAPPINGS[name], scenario) == []


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=_label)
def test_what_a_mapping_makes_is_what_the_decoder_accepts(name: str, scenario: Scenario) -> None:
    for result in MAPPINGS[name].apply(scenario.record, scenario.headers):
        if isinstance(result, Event):
            assert decode(None, encode(result)) == result


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=_label)
def test_a_record_twice_is_one_event(name: str, scenario: Scenario) -> None:
    mapping = MAPPINGS[name]
    results = mapping.apply(scenario.record, scenario.headers)
    assert mapping.apply(scenario.record, scenario.headers) == results
    ids = [(result.source, result.id, result.subject) for result in results if isinstance(result, Event)]
    assert len(ids) == len(set(ids)), "two events of one record share an id"


@pytest.mark.parametrize("name", NAMES)
def test_a_mapping_says_where_its_format_was_learnt(name: str) -> None:
    model = MAPPINGS[name].model
    assert model.name == name
    assert model.title
    assert len(model.seen) > 40
    assert len(model.about) > 80
