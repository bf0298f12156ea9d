"""Every shipped mapping against its scenarios, and what holds for all of them."""

from __future__ import annotations

import pytest

from tests.mapping.records import NAMES, scenarios, shipped
from worker.events import decode, encode
from worker.fold.outcome import Event
from worker.mapping.scenario import Scenario, differences

SCENARIOS = [(name, scenario) for name in NAMES for scenario in scenarios(name)]
EXPECTED = {
    "calcom", "calendly", "customerio", "debezium", "facebook-leads", "gotowebinar", "hubspot", "hubspot-workflow",
    "instantly", "intercom", "mailchimp", "mailgun", "marketo", "outreach", "pipedrive", "posthog", "rudderstack",
    "salesforce", "segment", "sendgrid", "smartlead", "stripe", "typeform", "zoom",
}  # fmt: skip


def _label(value: object) -> str:
    return value.name if isinstance(value, Scenario) else str(value)


def test_the_systems_that_people_have_are_there() -> None:
    assert set(NAMES) >= EXPECTED


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=_label)
def test_a_sample_becomes_what_its_scenario_says(name: str, scenario: Scenario) -> None:
    assert differences(shipped(name), scenario) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_a_mapping_makes_is_what_the_decoder_accepts(name: str) -> None:
    for scenario in scenarios(name):
        for result in shipped(name).apply(scenario.record, scenario.headers):
            if isinstance(result, Event):
                assert decode(None, encode(result)) == result


@pytest.mark.parametrize("name", NAMES)
def test_a_record_twice_is_one_event_and_its_events_have_ids_of_their_own(name: str) -> None:
    for scenario in scenarios(name):
        results = shipped(name).apply(scenario.record, scenario.headers)
        assert shipped(name).apply(scenario.record, scenario.headers) == results
        ids = [(result.source, result.id, result.subject) for result in results if isinstance(result, Event)]
        assert len(ids) == len(set(ids)), scenario.name


@pytest.mark.parametrize("name", NAMES)
def test_different_samples_have_different_ids(name: str) -> None:
    """An id made from too little would swallow the second of two things that happened."""
    seen: dict[tuple[str, str], Event] = {}
    for scenario in scenarios(name):
        for result in shipped(name).apply(scenario.record, scenario.headers):
            if isinstance(result, Event) and result.type != "contact.identified":
                key = (result.subject, result.id)
                assert key not in seen, f"{scenario.name}: {result} has the id of {seen[key]}"
                seen[key] = result


@pytest.mark.parametrize("name", NAMES)
def test_a_mapping_says_where_its_format_was_learnt_and_what_is_peculiar(name: str) -> None:
    model = shipped(name).model
    assert model.name == name
    assert model.title
    assert len(model.seen) > 40
    assert len(model.about) > 80


@pytest.mark.parametrize("name", NAMES)
def test_every_mapping_shows_an_event_and_something_that_is_none(name: str) -> None:
    expected = [item for scenario in scenarios(name) for item in scenario.becomes]
    assert any("type" in item for item in expected)
    assert any("dropped" in item or "refused" in item for item in expected)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_documents_are_mapped_alike(name: str) -> None:
    """Bytes are read without what nothing uses; that must not show."""
    for scenario in scenarios(name):
        if scenario.document is not None:
            assert shipped(name).apply(scenario.record) == shipped(name).apply(scenario.document), scenario.name
