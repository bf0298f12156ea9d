"""The list of machines: what it knows, and what is wrong with another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mapping.records import RECORD, event, mapping
from worker.definition.errors import DefinitionError
from worker.mapping import library
from worker.mapping.machines import read_machines
from worker.mapping.mapping import Mapping, default_machines
from worker.mapping.reader import read_mapping

PERSON = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.0 Safari/605.1.15"
HOME = "198.51.100.7"


@pytest.mark.parametrize(
    ("act", "agent", "address", "expected"),
    [
        ("open", PERSON, HOME, False),
        ("click", PERSON, HOME, False),
        ("open", "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)", HOME, True),
        ("open", "YahooMailProxy; https://help.example/", HOME, True),
        ("open", "Mozilla/5.0", HOME, True),
        ("open", " mozilla/5.0 ", None, True),
        ("click", "Mozilla/5.0", HOME, False),
        ("open", PERSON, "17.58.100.1", True),
        ("click", PERSON, "17.58.100.1", False),
        ("click", PERSON, "209.222.82.9", True),
        ("click", PERSON, "104.47.1.2", True),
        ("click", "Mozilla/5.0 (compatible; proofpoint)", HOME, True),
        ("click", "python-requests/2.31.0", HOME, True),
        ("click", None, None, False),
        ("click", 7, ["x"], False),
        ("click", PERSON, "no address", False),
        ("click", PERSON, "2001:db8::1", False),
    ],
)
def test_known_machines_are_told_from_people(act: str, agent: Any, address: Any, expected: bool) -> None:
    assert default_machines().is_machine(act, agent, address, None) is expected


@pytest.mark.parametrize(("after", "expected"), [(-5, False), (0, True), (999, True), (1_000, False), (None, False)])
def test_a_click_within_a_second_of_the_sending_is_a_machines(after: int | None, expected: bool) -> None:
    assert default_machines().is_machine("click", PERSON, HOME, after) is expected
    assert default_machines().is_machine("open", PERSON, HOME, after) is False


def test_a_mapping_marks_what_the_list_knows() -> None:
    made = mapping(
        "type: email.clicked\n"
        "data: {machine: {scanner: {act: click, agent: ua, address: ip, sent: {milliseconds: sent}}}}"
    )
    assert event(made.apply({**RECORD, "ua": PERSON})).data == {"machine": False}
    assert event(made.apply({**RECORD, "ua": "curl/8.5"})).data == {"machine": True}
    assert event(made.apply({**RECORD, "ua": PERSON, "sent": 1767603599500})).data == {"machine": True}
    assert event(made.apply({**RECORD, "ua": PERSON, "sent": 1767603590000})).data == {"machine": False}


def test_another_list_takes_the_place_of_the_shipped_one() -> None:
    own = read_machines("fastest_click_ms: 0\nmachines: [{contains: robot, who: ours, source: our log}]")
    text = (
        "mapping: test\nsource: /test\nid: id\ntime: {iso: at}\nids: {user: user}\nsubject: [user]\n"
        "rules: [{type: email.opened, data: {machine: {scanner: {act: open, agent: ua}}}}]"
    )
    made = Mapping(read_mapping(text), own)
    assert event(made.apply({**RECORD, "ua": "Robot/1"})).data == {"machine": True}
    assert event(made.apply({**RECORD, "ua": "GoogleImageProxy"})).data == {"machine": False}


def test_every_entry_of_the_shipped_list_says_who_it_is_and_how_that_is_known() -> None:
    entries = default_machines().entries
    assert len(entries) > 30
    assert all(entry.who and len(entry.source) > 10 for entry in entries)
    assert read_machines(library.folder() / library.MACHINES).fastest_click_ms == 1_000


TOP = "fastest_click_ms: 1\nmachines: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machines: []", "own.yaml:1:1: missing-key: fastest_click_ms"),
        ("fastest_click_ms: 1\n", "own.yaml:1:1: missing-key: machines"),
        (TOP + "[{contains: x, is: y, who: a, source: b}]", "own.yaml:2:12: ambiguous"),
        (TOP + "[{contains: x}]", "own.yaml:2:12: missing-key: a pattern says who"),
        (
            TOP + "[{network: 10.0.0.1/8, who: a, source: b}]",
            "own.yaml:2:22: wrong-type: network",
        ),
        (
            TOP + "[{contains: x, acts: [hover], who: a, source: b}]",
            "own.yaml:2:32: wrong-type: acts",
        ),
        (TOP + "[{contains: x, who: a, source: b, kind: c}]", "own.yaml:2:51: unknown-key"),
        (TOP + "[]\nagents: []", "own.yaml:3:9: unknown-key"),
    ],
)
def test_a_fault_of_a_list_is_told_where_it_stands(text: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_machines(text, "own.yaml")
    assert any(str(finding).startswith(expected) for finding in caught.value.findings), str(caught.value)
