"""What the tests of mappings share: the shipped ones, compiled once, and records to try them on."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import Any

from worker.fold.outcome import Event
from worker.mapping import library
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Dropped, Refused
from worker.mapping.reader import read_mapping
from worker.mapping.scenario import Scenario, read_scenarios

NAMES = library.names()


@cache
def shipped(name: str) -> Mapping:
    return Mapping.load(name)


@cache
def scenarios(name: str) -> tuple[Scenario, ...]:
    return tuple(read_scenarios(library.folder() / f"{name}{library.SCENARIOS}"))


# A small mapping that the tests of single features build on: `extra` are lines at the top, `rule` those of its rule.
BASE = """\
mapping: test
source: /test
id: id
time: {iso: at}
ids: {user: user}
subject: [user]
"""


def mapping(rule: str, extra: str = "", base: str = BASE) -> Mapping:
    rules = textwrap.indent(textwrap.dedent(rule).strip("\n"), "    ").replace("    ", "  - ", 1)
    return Mapping(read_mapping(base + textwrap.dedent(extra) + "rules:\n" + rules + "\n"))


def event(found: list[Any]) -> Event:
    """The only result, an event."""
    assert len(found) == 1, found
    assert isinstance(found[0], Event), found
    return found[0]


def refused(found: list[Any]) -> Refused:
    assert len(found) == 1, found
    assert isinstance(found[0], Refused), found
    return found[0]


def dropped(found: list[Any]) -> Dropped:
    assert len(found) == 1, found
    assert isinstance(found[0], Dropped), found
    return found[0]


RECORD: dict[str, Any] = {"id": "e1", "at": "2026-01-05T09:00:00Z", "user": "u1"}
