"""Faults of a mapping file are told with their line and column, all at once."""

from __future__ import annotations

import pytest

from worker.definition.errors import DefinitionError
from worker.mapping.mapping import Mapping
from worker.mapping.reader import read_mapping

GOOD = """\
mapping: test
source: /test
takes: kind
id: id
time: {iso: at}
ids:
  user: user
  email: {email: mail}
subject: [user, email]
rules:
  - when: kind == 'a'
    type: deal.won
    data: {amount: total}
  - type: cta.clicked
"""


def faults(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read_mapping(text, "own.yaml")
    return [str(finding) for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("takes: kind", "tkes: kind", "own.yaml:3:1: unknown-key: a mapping has no 'tkes'; did you mean 'takes'?"),
        ("source: /test\n", "", "own.yaml:1:1: missing-key: a mapping needs `source`"),
        ("kind == 'a'", "kind == a'", "own.yaml:11:20: path: when: this is no JMESPath"),
        ("kind == 'a'", "lowr(kind) == 'a'", "own.yaml:11:11: unknown-function: when: there is no function 'lowr'"),
        ("kind == 'a'", "x && !a.b", "own.yaml:11:16: path: when: `!` takes only the name"),
        (
            "type: deal.won",
            "type: deal.one",
            "own.yaml:12:11: unknown-type: type: there is no 'deal.one'; did you mean",
        ),
        ("type: deal.won", "type: won", "own.yaml:12:11: bad-type: type: 'won' is no type"),
        ("type: deal.won", "skip: x", "own.yaml:13:11: ambiguous: a rule with `skip` makes no event: no `data`"),
        (
            "amount: total",
            "amuont: total",
            "own.yaml:13:12: unknown-field: data: there is no 'amuont'; did you mean 'amount'?",
        ),
        ("amount: total", "traits: total", "own.yaml:13:12: unknown-field: data: traits stand beside data"),
        (
            "amount: total",
            "amount: {frm: total}",
            "own.yaml:13:21: unknown-key: data.amount has no 'frm'; did you mean 'from'?",
        ),
        ("amount: total", "amount: {trim: true}", "own.yaml:13:20: ambiguous: data.amount: one of from, always"),
        ("amount: total", "amount: {from: t, if_wrong: skip}", "own.yaml:13:40: unknown-value: data.amount, if_wrong"),
        (
            "amount: total",
            "amount: {from: t, table: moneys}",
            "own.yaml:13:37: unknown-table: data.amount, table: no table",
        ),
        ("amount: total", "amount: {from: t, lower: 3}", "own.yaml:13:37: wrong-type: lower: expected true or false"),
        (
            "amount: total",
            "amount: {always: much}",
            "own.yaml:13:20: wrong-type: data.amount: expected a number, got text",
        ),
        ("id: id", "id: meta.attempt", "own.yaml:4:5: id-of-delivery: id: 'attempt' tells of the delivery"),
        ("id: id", "id: {digest: [a, sentAt]}", "own.yaml:4:14: id-of-delivery: id: 'sentAt'"),
        ("id: id", "id: {digest: [a, deliveryAttempts]}", "own.yaml:4:14: id-of-delivery"),
        ("id: id", "id: {digest: []}", "own.yaml:4:14: empty"),
        (
            "time: {iso: at}",
            "time: at",
            "own.yaml:5:7: wrong-type: time: say how it is written, as in `{iso: createdAt}`",
        ),
        ("time: {iso: at}", "time: {iso: at, seconds: at}", "own.yaml:5:7: ambiguous: time: one of iso, seconds"),
        ("time: {iso: at}", "time: {seconds: at, zone: UTC}", "own.yaml:5:7: ambiguous: time: `zone` and `layout`"),
        ("time: {iso: at}", "time: {iso: at, zone: Berlin}", "own.yaml:5:23: unknown-zone: zone: 'Berlin'"),
        ("time: {iso: at}\n", "", "own.yaml:10:5: missing-key: an event needs `time`"),
        (
            "subject: [user, email]",
            "subject: [usr]",
            "own.yaml:9:11: unknown-id: subject: 'usr' is not among `ids`; did you mean",
        ),
        ("- type: cta.clicked", "- type: cta.clicked\n  - type: cta.clicked", "own.yaml:14:5: unreachable"),
        ("- type: cta.clicked", "- when: x", "own.yaml:14:5: missing-key: an event needs a `type`"),
        ("mapping: test", "mapping: Test Me", "own.yaml:1:10: bad-name: mapping: 'Test Me' is no name"),
        ("takes: kind", "takes: kind\nlet: {parent: a}", "own.yaml:4:7: bad-name: let: 'parent' can't be a name here"),
        (
            "takes: kind",
            "takes: kind\nversion: {from: v}",
            "own.yaml:4:10: missing-key: version: needs `from` and `known`",
        ),
        ("takes: kind", "takes: 5", "own.yaml:3:8: wrong-type: takes: expected a path, got a number"),
        (
            "takes: kind",
            "takes: kind\nreads: xml",
            "own.yaml:4:8: unknown-value: reads: 'xml' is none of json, form, either",
        ),
        (
            "data: {amount: total}",
            "data: {high_intent: {scanner: {act: hover}}}",
            "own.yaml:13:35: missing-key: data.high_intent, scanner: needs `act`",
        ),
        (
            "type: deal.won\n    data: {amount: total}",
            "events: [{type: deal.won}, {type: deal.won}]",
            "own.yaml:12:14: duplicate-part: two events of a rule are 'deal.won'",
        ),
        (
            "type: deal.won\n    data: {amount: total}",
            "events: [{type: {from: x}}, {type: deal.won}]",
            "own.yaml:12:14: missing-key: one of several events whose type is looked up needs `part`",
        ),
        ("mapping: test", "mapping: [", "own.yaml:1:10: yaml: this `[` is not closed"),
    ],
)
def test_a_fault_is_told_where_it_stands(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    found = faults(GOOD.replace(old, new))
    assert any(line.startswith(expected) for line in found), found


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("takes: kind", "takes: (kind").replace("total", "[").replace("type: cta.clicked", "type: x")
    text = text.replace("{amount: [}", "{amount: 'a['}")
    assert [line.split(":")[1] for line in faults(text)] == ["3", "13", "14"]


def test_the_good_one_loads() -> None:
    assert Mapping(read_mapping(GOOD)).name == "test"


def test_an_unknown_name_is_told_its_neighbour() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'hubspot'"):
        Mapping.load("hubspt")
    with pytest.raises(DefinitionError, match="no such mapping file"):
        Mapping.load("own/nowhere.yaml")


def test_tables_that_several_fields_use_stand_once() -> None:
    text = GOOD.replace("takes: kind", "takes: kind\ntables: {words: {yes: positive}}")
    text = text.replace(
        "data: {amount: total}", "data: {stage: {from: x, table: words}, reason: {from: y, words: words}}"
    )
    mapping = Mapping(read_mapping(text))
    record = {"kind": "a", "id": "1", "at": "2026-01-05T09:00:00Z", "user": "u", "x": "yes", "y": "oh YES"}
    (found,) = mapping.apply(record)
    assert getattr(found, "data", None) == {"stage": "positive", "reason": "positive"}
