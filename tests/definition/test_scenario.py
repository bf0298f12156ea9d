"""Scenario files: times worked out, ids given, slips told at their place."""

from __future__ import annotations

import pytest

from tests.definition.base import BASE, place_of
from worker.definition.errors import DefinitionError
from worker.definition.reader import read
from worker.definition.scenario import Sent, read_scenarios
from worker.fold.outcome import Event
from worker.instants import parse_instant

TEXT = """\
- name: buys
  lifecycle: shop
  events:
    - {at: "2026-01-05T09:00:00+01:00", type: form.submitted, kind: demo, traits: {icp_fit: true}}
    - {at: +1d, type: subscription.started, contact: c2, data: {agreement_id: a, at: noon}}
    - {at: -2h, type: email.replied, id: x, source: /mail, sentiment: positive}
    - {at: +-30m, type: acme.seen, what: 3}
  until: +2d
  expect:
    stage: lead
    visited: [visitor, lead]
    status: working
    qualified: false
    score: 12.5
    segment: sleepers
    owner: marketing
    sla_breaches: [lead]
    dead_letters: 0
    contacts: {c2: {stage: customer, customer_status: active}}
    companies: {acme: {stage: customer, customer_status: active}}
- name: stands still
  lifecycle: ./shop.yaml
  events:
    - {at: "2026-01-05T09:00:00Z", type: page.viewed}
  expect: {}
"""
HOUR = 3_600_000


def test_a_scenario_is_its_events_in_the_order_of_arrival() -> None:
    first, second = read_scenarios(TEXT)
    start = parse_instant("2026-01-05T08:00:00Z")
    assert first.sent == (
        Sent(start, "form.submitted", "1", "/scenario", "c1", {"kind": "demo"}, {"icp_fit": True}),
        Sent(start + 24 * HOUR, "subscription.started", "2", "/scenario", "c2", {"agreement_id": "a", "at": "noon"}),
        Sent(start + 22 * HOUR, "email.replied", "x", "/mail", "c1", {"sentiment": "positive"}),
        Sent(start + 22 * HOUR - HOUR // 2, "acme.seen", "4", "/scenario", "c1", {"what": 3}),
    )
    assert first.until_ms == start + 72 * HOUR  # from the newest event, not from the last
    assert (second.lifecycle, second.until_ms, second.line) == ("./shop.yaml", second.sent[0].time, 21)
    assert first.expect.contacts["c2"].stage == "customer"
    assert first.expect.score == 12.5


def test_what_is_sent_is_an_event_field_by_field() -> None:
    assert Sent._fields == Event._fields


# What is spoilt, how («: where the fault is told), the code, and what the message must say.
FAULTS = [
    ("  lifecycle: shop\n", "  «lifecylce: shop\n", "unknown-field", "did you mean 'lifecycle'?"),
    ("expect:\n    stage", "expect:\n    «stge", "unknown-field", "did you mean 'stage'?"),
    ("c2: {stage", "c2: {«stag", "unknown-field", "did you mean 'stage'?"),
    ("acme: {stage", "acme: {«status", "unknown-field", "did you mean 'customer_status'?"),
    ('"2026-01-05T09:00:00+01:00"', '«"5 January"', "bad-value", "RFC 3339"),
    ('"2026-01-05T09:00:00+01:00"', "«+1d", "bad-value", "nothing before it to count from"),
    ("{at: +1d,", "{at: «+1y,", "bad-value", "'1y' is no duration"),
    ("{at: +1d,", "{at: «1,", "wrong-type", "a text"),
    ("{at: +1d,", "«{", "missing-field", "'at' is missing"),
    ("until: +2d", "until: «soon", "bad-value", "RFC 3339"),
    ("sentiment: positive", "«sentimnet: positive", "unknown-field", "did you mean 'sentiment'?"),
    ("what: 3", "«dats: {what: 3}", "unknown-field", "did you mean 'data'?"),
    ("traits: {icp_fit: true}", "«trait: {icp_fit: true}", "unknown-field", "did you mean 'traits'?"),
    ("data: {agreement_id: a", "note: x, data: {«note: y", "duplicate-key", "beside `data`"),
    ("qualified: false", "qualified: «no", "wrong-type", "true or false"),
    ("dead_letters: 0", "dead_letters: «-1", "bad-value", "at least 0"),
]


@pytest.mark.parametrize(("old", "new", "code", "says"), FAULTS)
def test_a_fault_is_told_at_its_words(old: str, new: str, code: str, says: str) -> None:
    assert old in TEXT
    marked = TEXT.replace(old, new, 1)
    with pytest.raises(DefinitionError) as caught:
        read_scenarios(marked.replace("«", ""), "x.scenarios.yaml")
    told = [(finding.line, finding.column, finding.code) for finding in caught.value.findings]
    assert told == [(*place_of(marked, "«"), code)], str(caught.value)
    assert says in caught.value.findings[0].message


def test_a_whole_number_where_a_text_belongs_is_that_text() -> None:
    """People write `deal_id: 17` as they write `deal_id: d17`; the worker takes ids as texts."""
    text = """
- name: a
  lifecycle: shop
  events:
    - {at: 2026-01-05T09:00:00Z, type: deal.won, contact: 4, id: 5, deal_id: 17, amount: 9, traits: {company_id: 3}}
    - {at: +1h, type: acme.seen, deal_id: 17, count: 2, data: {reason: 404, note: 7}}
  expect: {}
"""
    (scenario,) = read_scenarios(text)
    won, seen = scenario.sent
    assert (won.subject, won.id, won.data, won.traits) == (
        "4", "5", {"deal_id": "17", "amount": 9}, {"company_id": "3"},
    )  # fmt: skip
    assert seen.data == {"deal_id": "17", "count": 2, "reason": "404", "note": 7}


def test_the_clock_may_stand_before_an_event() -> None:
    first, _ = read_scenarios(TEXT.replace("until: +2d", "until: -1d"))
    assert first.until_ms == max(sent.time for sent in first.sent) - 24 * HOUR


def test_an_id_that_was_given_is_no_other_events() -> None:
    first, _ = read_scenarios(TEXT.replace("id: x", 'id: "1"'))
    assert [sent.id for sent in first.sent] == ["1'", "2", "1", "4"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-05", "2026-01-05T00:00:00Z"),
        ("2026-01-05T09:30Z", "2026-01-05T09:30:00Z"),
        ('"2026-01-05 09:30"', "2026-01-05T09:30:00Z"),
        ("2026-01-05T09:30:15.5", "2026-01-05T09:30:15.5Z"),
        ("2026-01-05T09:30+02:00", "2026-01-05T07:30:00Z"),
    ],
)
def test_a_time_written_by_hand_may_leave_out_seconds_hours_and_zone(written: str, meant: str) -> None:
    first, _ = read_scenarios(TEXT.replace('"2026-01-05T09:00:00+01:00"', written))
    assert first.sent[0].time == parse_instant(meant)


@pytest.mark.parametrize("step", ["+0", "0", '"+0"', "-0s"])
def test_no_step_at_all_needs_no_unit(step: str) -> None:
    first, _ = read_scenarios(TEXT.replace("at: +1d", f"at: {step}").replace("until: +2d", f"until: {step}"))
    assert first.sent[1].time == first.sent[0].time
    assert first.until_ms == max(sent.time for sent in first.sent)


def test_what_stands_empty_is_not_there() -> None:
    first, _ = read_scenarios(TEXT.replace("{icp_fit: true}}", "null, data: null}"))
    assert (first.sent[0].data, first.sent[0].traits) == ({"kind": "demo"}, None)


def test_a_word_that_another_type_of_event_has_is_no_slip() -> None:
    first, _ = read_scenarios(TEXT.replace("kind: demo", "from: x"))
    assert first.sent[0].data == {"from": "x"}


def test_two_scenarios_may_have_one_name() -> None:
    assert [scenario.name for scenario in read_scenarios(TEXT.replace("stands still", "buys"))] == ["buys", "buys"]


def test_a_field_of_ones_own_that_is_nearly_called_data_is_kept() -> None:
    first, _ = read_scenarios(TEXT.replace("what: 3", "date: 2026-02-01"))
    assert first.sent[3].data == {"date": "2026-02-01"}


def test_faults_of_all_scenarios_are_told() -> None:
    text = TEXT.replace("lifecycle: shop", "lifecylce: shop").replace("type: page.viewed", "typ: page.viewed")
    with pytest.raises(DefinitionError) as caught:
        read_scenarios(text)
    assert [finding.code for finding in caught.value.findings] == ["unknown-field", "missing-field"]


@pytest.mark.parametrize("text", ["a: 1", "[]\n- b", "5"])
def test_a_file_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        read_scenarios(text)


def test_names_that_the_lifecycle_does_not_have_are_told() -> None:
    lifecycle = read(BASE)
    scenario, _ = read_scenarios(TEXT)
    assert not scenario.unknown_names(lifecycle)
    text = TEXT.replace("stage: lead", "stage: leed").replace("[visitor, lead]", "[visiter]")
    text = text.replace("status: working", "status: wrking").replace("{stage: customer}", "{stage: custmer}")
    text = text.replace("acme: {stage: customer", "acme: {stage: custmer")
    scenario, _ = read_scenarios(text, "x.yaml")
    assert [(finding.line, finding.column, finding.code) for finding in scenario.unknown_names(lifecycle)] == [
        (*place_of(text, "leed"), "unknown-stage"),
        (*place_of(text, "wrking"), "unknown-status"),
        (*place_of(text, "visiter"), "unknown-stage"),
        (*place_of(text, "custmer"), "unknown-stage"),
    ]
