"""What the documentation shows works as it says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from worker.fold.outcome import Event
from worker.mapping import library
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Refused
from worker.mapping.reader import read_mapping
from worker.mapping.scenario import differences, read_scenarios

PAGE = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_small_mapping_does_what_is_said_of_it() -> None:
    small, scenarios = blocks("yaml")
    mapping = Mapping(read_mapping(small))
    (record,) = blocks("json")
    joined, form = mapping.apply(record.encode())
    assert isinstance(joined, Event)
    assert isinstance(form, Event)
    assert (joined.type, joined.subject, joined.data) == (
        "contact.identified",
        "7",
        {"anonymous_id": "ada@example.com"},
    )
    assert form.data == {"form": "Book a demo", "kind": "demo", "utm_source": "search"}
    assert form.traits == {"email": "ada@example.com"}
    strict = Mapping(read_mapping(small.replace("{from: account.size, if_wrong: leave out}", "account.size")))
    (refused,) = strict.apply(msgspec.json.decode(record))
    assert isinstance(refused, Refused)
    assert refused.refusal.message in PAGE.replace("\n", " ")
    assert [differences(mapping, scenario) for scenario in read_scenarios(scenarios)] == [[], []]


def test_the_page_names_every_shipped_mapping_and_no_other() -> None:
    table = PAGE.partition("## Those that ship")[2]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([a-z-]+)`", row)}
    assert named == set(library.names())
    assert f"{len(library.names())} ship with the worker" in PAGE


def test_the_page_says_of_each_format_how_far_it_is_known_as_the_mapping_does() -> None:
    rows = dict(
        re.findall(r"^\| (captured payloads|captured payloads in part|documentation alone) \| (.*) \|$", PAGE, re.M)
    )
    captured, in_part, documented = (re.findall(r"`([a-z-]+)`", row) for row in rows.values())
    assert sorted([*captured, *in_part, *documented]) == sorted(library.names())
    for name in library.names():
        seen = read_mapping(library.find(name)).seen
        assert ("No captured" in seen) == (name in documented), name
        assert "captured" in seen, name
