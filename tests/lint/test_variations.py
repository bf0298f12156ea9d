"""A richer definition in many variations: a fault of its own each, or a near twin of one, and what lint says then.

Nested signals, windows, `since`, sets of ids, arithmetic, business hours, statuses that are reopened: what the cases
of single codes leave out. `«` marks where the finding stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from worker.lint import lint

RICH: Final = (Path(__file__).parent / "rich.yaml").read_text()
ENDS: Final = "event: ended, when: size(contracts) == 0, status"
LAST: Final = "  - {from: sql, to: deal,"


def said(text: str) -> list[tuple[str, int, int]]:
    return [(found.code, found.line, found.column) for found in lint(text, "own.yaml") if found.code != "unsigned"]


def test_of_the_definition_itself_nothing_is_said() -> None:
    assert said(RICH) == []


IMPOSSIBLE = [
    "since(ended, won) and not seen(ended)",
    "since(won, ended) and since(ended, won)",
    "since(use, setback) and not seen(use)",
    "since(asks, setback) and not since(interest, setback)",
    "seen(looks) and not seen(look)",
    "last(ended) > 30d",
    "last(use) > 30d and last(use) < 20d",
    "last(asks) < 5d and not seen(asks)",
    "count(ended) < 1",
    "count(use, 7d) >= 3 and count(use) < 2",
    "count(use, 7d) >= 3 and count(use, 30d) < 2",
    "count(use, 7d, since=look) >= 3 and count(use, 30d) < 2",
    "size(deals) > 0 and size(deals) < 1",
    "days_in_stage() > 10 and days_in_stage() < 5",
    'traits.country == "DE" and starts_with(traits.country, "F")',
    'traits.title == "CEO" and not contains(traits.title, "CEO")',
    'traits.title == "CEO" and not matches(traits.title, "C.O")',
    'traits.country in ("DE", "AT") and traits.country not in ("DE", "AT", "CH")',
    "(seats > 5 if traits.icp_fit else seats > 10) and seats < 3",
    "seats * 2 > 10 and seats * 2 < 5",
    'event.ce_source == "/crm" and event.ce_source == "/site"',
]
POSSIBLE = [
    "since(ended, won) and not since(won, ended)",
    "last(use) > 20d and last(use) < 30d",
    "count(use, 7d) >= 1 and count(use) < 3",
    "size(deals) > 2",
    "days_in_stage() > 10 and days_in_stage() < 50",
    'traits.title == "CEO" or not matches(traits.title, "C.O")',
    "big and seats < 15",
    "seats * 2 > 10 and seats + 1 < 50",
    'event.ce_source == "/crm"',
    'starts_with(event.ce_source, "/crm")',
]


@pytest.mark.parametrize("guard", IMPOSSIBLE)
def test_what_can_never_hold_is_told_where_it_stands(guard: str) -> None:
    text = RICH.replace(ENDS, f"event: ended, when: 'size(contracts) == 0 and ({guard})', status")
    ((code, line, column),) = said(text)
    assert code == "never-fires"
    assert text.splitlines()[line - 1][column - 1 :].startswith(guard[:4].lstrip("(")), "at the part that can't hold"


@pytest.mark.parametrize("guard", POSSIBLE)
def test_of_what_can_hold_nothing_is_said(guard: str) -> None:
    assert said(RICH.replace(ENDS, f"event: ended, when: 'size(contracts) == 0 and ({guard})', status")) == []


def test_time_in_the_stage_is_one_thing_however_it_is_asked() -> None:
    text = RICH.replace(ENDS, "event: ended, after: 10d, when: size(contracts) == 0 and days_in_stage() < 5, status")
    assert [code for code, *_ in said(text)] == ["never-fires"]
    assert said(text.replace("days_in_stage() < 5", "days_in_stage() < 50")) == []


# What is put before the last transition, and the codes that are then told.
ADDED: list[tuple[list[str], list[str]]] = [
    (
        [
            "{from: sql, to: deal, event: proposal.sent, when: event.amount > 10, says: a}",
            "{from: sql, to: mql, event: proposal.sent, when: event.amount <= 10, says: b}",
            "«{from: sql, to: user, event: proposal.sent, when: event.amount > 5, says: c}",
        ],
        ["shadowed"],
    ),
    (
        [
            "{from: sql, to: deal, event: proposal.sent, when: event.amount > 10, says: a}",
            "«{from: sql, to: mql, event: proposal.sent, when: event.amount <= 8, says: b}",
            "{from: sql, to: user, event: proposal.sent, when: event.amount > 5, says: c}",
        ],
        ["order-decides"],
    ),
    (["{from: sql, to: mql, event: look, says: a}", "«{from: sql, to: user, event: looks, says: b}"], ["shadowed"]),
    (["{from: sql, to: user, event: looks, says: b}", "{from: sql, to: mql, event: look, says: a}"], []),
    (
        [
            "«{from: sql, to: mql, event: meeting.missed, when: fits, status: working, says: a}",
            "{from: sql, to: mql, event: meeting.missed, when: seats > 3, status: open, says: b}",
        ],
        ["order-decides"],
    ),
    (
        [
            "{from: sql, to: mql, event: meeting.missed, when: fits, says: a}",
            "{from: sql, to: user, event: meeting.missed, when: seats > 3 and not fits, says: b}",
        ],
        [],
    ),
    (["«{from: deal, to: sql, when: size(deals) < 2, says: x}"], ["endless"]),
    (["{from: deal, to: sql, when: last(accepted) > 90d, says: x}"], []),
    (["{from: mql, to: user, when: last(use) > 60d and last(interest) > 60d and not fits, says: x}"], []),
    (["«{from: user, to: sql, event: meeting.held, says: x}"], ["skip"]),
    (["{from: [user, mql], to: sql, event: meeting.held, says: x}"], []),
]


@pytest.mark.parametrize(("lines", "codes"), ADDED)
def test_transitions_beside_each_other(lines: list[str], codes: list[str]) -> None:
    marked = RICH.replace(LAST, "".join(f"  - {line}\n" for line in lines) + LAST)
    text = marked.replace("«", "")
    before = marked[: max(0, marked.find("«"))]
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert said(text) == [(code, *place) for code in codes]


# What is replaced by what, and the codes that are then told.
CHANGED: list[tuple[str, str, list[str]]] = [
    ("since(interest, setback) or warm", "seen(interest) or warm", ["bounce"] * 3),
    ("since(interest, setback) or warm", "count(interest, 30d, since=setback) > 0 or warm", []),
    ("  forget: setback\n", "", ["bounce"] * 3),
    ("fits and interested and", "fits and (interested or big) and", ["bounce"] * 3),
    ("warn_after: 2h", "warn_after: 16h", ["warns-too-late"]),
    ("warn_after: 2h", "warn_after: 3h", []),
    ("big: seats >= seats_min", "big: score > 160 or seats >= seats_min", ["out-of-reach"]),
    ("big: seats >= seats_min", "big: score > 159 or seats >= seats_min", []),
    ("last(accepted) < 90d", "last(accepted) >= 0d", ["always-holds"]),
    ("4h if score.behaviour >= 60", "4h if score.behaviour > 80", ["out-of-reach"]),
    ("look: [page.viewed when event.high_intent]", "look: page.viewed when event.kind == 'a' or event.kind == 'b'",
     ["foreign-field"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "codes"), CHANGED)
def test_a_change_of_a_word(old: str, new: str, codes: list[str]) -> None:
    assert old in RICH
    assert [code for code, *_ in said(RICH.replace(old, new, 1))] == codes


def test_a_status_whose_events_can_never_be_is_told() -> None:
    text = RICH.replace("  set_by: crm.status_changed\n", "")
    assert said(text) == []
    text = text.replace("proposal.sent\n", "proposal.sent when event.amount > 2 and event.amount < 1\n")
    assert [code for code, *_ in said(text)] == ["unused-status"]
