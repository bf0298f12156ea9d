"""What a replay of a file comes to: the same as a worker's, however it is cut into parts and processes."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.fold.world import World
from tests.replay.support import (
    DAY,
    HOUR,
    MINUTE,
    NAMES,
    START,
    WALL,
    Replayed,
    event,
    job,
    lifecycle,
    made,
    replayed,
    written,
)
from worker.events import decode
from worker.fold.outcome import Event, Output, Refusal
from worker.instants import format_instant
from worker.plan import compile_plan
from worker.replay import ReplayError, Sizes, replay
from worker.replay.world import in_order

SMALL = Sizes(at_hand=1, part=3_000)
SEEDED = settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # a seed doesn't shrink


def a_file(lines: list[bytes], name: str, **how: Any) -> Replayed:
    with tempfile.TemporaryDirectory() as folder:
        return replayed(Path(folder), lines, name, **how)


@pytest.mark.parametrize("name", NAMES)
@SEEDED
@given(seed=st.integers(0, 10_000), part=st.integers(500, 20_000), by_time=st.booleans())
def test_the_files_are_the_same_whole_and_in_parts_of_any_size(name: str, seed: int, part: int, by_time: bool) -> None:
    lines = made(seed, 10, shuffled=True)
    whole = a_file(lines, name, by_time=by_time)
    in_parts = a_file(lines, name, by_time=by_time, sizes=Sizes(at_hand=1, part=part))
    assert in_parts.bytes == whole.bytes
    assert in_parts.summary == whole.summary


@pytest.mark.parametrize("processes", [2, 3])
def test_the_files_are_the_same_from_several_processes(tmp_path: Path, processes: int) -> None:
    lines = made(5, 60, shuffled=True)
    whole = a_file(lines, "mops")
    assert replayed(tmp_path, lines, "mops", processes=processes).bytes == whole.bytes


def one_by_one(lines: list[bytes], name: str, clock: int) -> World:
    """A worker that reads one event at a time, with time passing in the end."""
    world = World(compile_plan(lifecycle(name)))
    for line in lines:
        arrival = decode(None, line)
        if isinstance(arrival, Event):
            world.send([arrival], now=clock)
    return world.advance(clock)


def everybody(result: Replayed, world: World) -> set[str]:
    """All of whom either told something, but for companies; of ids that became somebody else's as well."""
    told = {body["subject"] for body in (*result.changes, *world.published) if "contact" in body["data"]}
    return told | set(result.contacts)


def held(world: World, contact: str) -> list[str]:
    """Ids of what a reader holds of a contact; of one that was erased, of what came from then on."""
    ids: list[str] = []
    for body in world.history(contact):
        if body["type"] == "lifecycle.contact.erased.v1":
            ids = []
        ids.append(body["id"])
    return ids


@pytest.mark.parametrize("name", NAMES)
@SEEDED
@given(seed=st.integers(0, 10_000))
def test_the_history_is_that_of_a_worker_that_reads_one_event_at_a_time(name: str, seed: int) -> None:
    lines = made(seed, 10)
    result = a_file(lines, name)
    world = one_by_one(lines, name, result.summary.clock)
    for contact in everybody(result, world):
        assert result.ids(contact) == held(world, contact)
    fields = ("stage", "status", "entered_at", "qualified")
    assert {contact: [row[field] for field in fields] for contact, row in result.contacts.items()} == {
        contact: [row[field] for field in fields] for contact, row in world.currents.items()
    }
    companies = {name: (row["stage"], row["customer_status"]) for name, row in result.companies.items()}
    assert companies == {name: now for name, now in world.companies().items() if now[0] is not None}


@pytest.mark.parametrize("name", NAMES)
@SEEDED
@given(seed=st.integers(0, 10_000))
def test_so_it_is_where_events_come_late_repeated_and_broken(name: str, seed: int) -> None:
    lines = made(seed, 10, shuffled=True)
    result = a_file(lines, name)
    world = one_by_one(lines, name, result.summary.clock)
    for contact in everybody(result, world):
        assert result.ids(contact) == held(world, contact)
    assert len(result.dead) == len(world.refused) + sum(1 for line in lines if line.strip() and is_none(line))


def is_none(line: bytes) -> bool:
    return isinstance(decode(None, line), Refusal)


@SEEDED
@given(seed=st.integers(0, 10_000))
def test_what_is_published_one_by_one_comes_to_the_history_once_corrected(seed: int) -> None:
    lines = made(seed, 10, shuffled=True)
    history, published = a_file(lines, "10ex"), a_file(lines, "10ex", as_published=True)
    assert published.contacts == history.contacts
    corrected = in_order([Output(body["subject"], body) for body in published.changes])
    for contact in {body["subject"] for body in history.changes} - set(history.companies):
        assert [output.body["id"] for output in corrected[contact]] == history.ids(contact)


@pytest.mark.parametrize("name", ["10ex", "mops"])
def test_counting_alone_counts_the_same(name: str) -> None:
    lines = made(3, 80, shuffled=True)
    told, counted = a_file(lines, name), a_file(lines, name, telling=False)
    assert counted.summary.totals == told.summary.totals
    assert {body["type"] for body in counted.changes} == {"lifecycle.company.changed.v1"}
    assert counted.contacts == {}


def test_each_contact_of_the_history_is_in_the_order_of_time(tmp_path: Path) -> None:
    result = replayed(tmp_path, made(2, 40, shuffled=True))
    times: dict[str, list[str]] = {}
    for body in result.changes:
        if not body["type"].endswith("company.changed.v1"):
            times.setdefault(body["subject"], []).append(body["time"])
    assert len(times) > 30
    assert all(mine == sorted(mine) for mine in times.values())


def test_the_rows_have_the_fields_that_are_promised(tmp_path: Path) -> None:
    lines = [event(0, "form.submitted", traits={"icp_fit": True, "company_id": "acme"}, kind="demo"), b"none"]
    result = replayed(tmp_path, lines)
    row = result.contacts["c1"]
    promised = ("contact", "stage", "entered_at", "status", "qualified", "score", "company", "visits")
    assert {name: row[name] for name in promised} == {
        "contact": "c1",
        "stage": "mql",
        "entered_at": "2026-01-05T09:00:00.000Z",
        "status": "lead",
        "qualified": True,
        "score": row["score_fit"] + row["score_behaviour"],
        "company": "acme",
        "visits": row["visits"],
    }
    assert row["visits"]["mql"] == {
        "count": 1, "first": "2026-01-05T09:00:00.000Z", "latest": "2026-01-05T09:00:00.000Z", "seconds": 0.0
    }  # fmt: skip
    assert [result.companies["acme"][name] for name in ("company", "stage", "customer_status")] == ["acme", "mql", None]
    assert [result.dead[0][name] for name in ("reason", "source", "record")] == ["not-json", "events.jsonl:2", "none"]
    assert result.visited() == ["prospect", "lead", "mql"]


def test_events_after_the_instant_asked_for_are_left_out(tmp_path: Path) -> None:
    lines = [event(0, "page.viewed"), event(2 * DAY, "form.submitted", kind="demo"), event(DAY, "email.opened")]
    result = replayed(tmp_path, lines, as_of=START + DAY)
    assert result.contacts["c1"]["stage"] == "prospect"
    assert result.summary.totals.left_out == 1
    assert result.summary.totals.events == 2
    assert result.summary.clock == START + DAY


def test_the_clock_runs_on_to_the_instant_asked_for(tmp_path: Path) -> None:
    lines = [event(0, "form.submitted", traits={"icp_fit": True}, kind="demo")]
    assert not any("breached" in body["type"] for body in replayed(tmp_path, lines).changes)
    late = replayed(tmp_path, lines, as_of=START + 30 * DAY)
    assert [body["data"]["stage"] for body in late.changes if "breached" in body["type"]] == ["mql"]


def test_the_clock_stands_at_the_newest_event_that_was_accepted(tmp_path: Path) -> None:
    lines = [
        event(0, "form.submitted"),
        event(HOUR, "email.opened"),  # can do nothing, and yet tells the time
        event(2 * HOUR, "crm.status_changed", status="no such status"),
        event(WALL - START + DAY, "form.submitted"),
        b"nonsense",
    ]
    whole = replayed(tmp_path, lines)
    assert whole.summary.clock == START + HOUR
    assert [row["reason"] for row in whole.dead] == ["unknown-status", "time-ahead", "not-json"]
    assert replayed(tmp_path, lines, sizes=SMALL).summary.clock == START + HOUR


def test_an_old_event_is_a_dead_letter_unless_sorted_or_counted_as_of_now(tmp_path: Path) -> None:
    lines = [event(60 * DAY, "page.viewed"), event(0, "form.submitted"), event(MINUTE, "meeting.booked")]
    result = replayed(tmp_path, lines)
    assert [(row["reason"], row["source"]) for row in result.dead] == [
        ("too-late", "events.jsonl:2"), ("too-late", "events.jsonl:3")
    ]  # fmt: skip
    assert result.dead[0]["record"] == lines[1].decode()
    assert result.visited() == ["prospect"]
    in_time = replayed(tmp_path, lines, by_time=True)
    assert in_time.dead == []
    assert in_time.contacts["c1"]["entered_at"] == "2026-01-05T09:00:00.000Z"
    as_of_now = replayed(tmp_path, lines, too_late="apply-now")
    assert as_of_now.dead == []
    assert as_of_now.contacts["c1"]["entered_at"] == format_instant(START + 60 * DAY)


@SEEDED
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_sorted_a_shuffled_export_is_read_as_it_was_lived(seed: int, order: random.Random) -> None:
    events = [line for line in made(seed, 8) if isinstance(decode(None, line), Event)]
    by_time: dict[int, bytes] = {}
    for line in events:  # equal times keep the order of arrival, which a shuffled file has lost
        arrival = decode(None, line)
        assert isinstance(arrival, Event)
        by_time.setdefault(arrival.time, line)
    lived = [line for _, line in sorted(by_time.items())]
    shuffled = list(lived)
    order.shuffle(shuffled)
    one, other = a_file(lived, "10ex", by_time=True), a_file(shuffled, "10ex", by_time=True)
    assert {contact: one.ids(contact) for contact in one.contacts} == {
        contact: other.ids(contact) for contact in other.contacts
    }
    assert one.contacts == other.contacts


def test_a_redelivered_event_changes_nothing_and_is_counted(tmp_path: Path) -> None:
    line = event(0, "form.submitted", kind="demo", traits={"icp_fit": True})
    once, twice = replayed(tmp_path, [line]), replayed(tmp_path, [line, line])
    assert twice.bytes == once.bytes
    assert (once.summary.totals.duplicates, twice.summary.totals.duplicates) == (0, 1)


def test_an_erased_contact_begins_anew_with_an_event_that_can_do_nothing(tmp_path: Path) -> None:
    lines = [
        event(0, "form.submitted"),
        event(HOUR, "email.opened"),
        event(DAY, "contact.erased"),
        event(2 * DAY, "email.opened"),
    ]
    for by_time, given_lines in ((False, lines), (True, [lines[3], *lines[:3]])):
        result = replayed(tmp_path, given_lines, by_time=by_time)
        assert result.contacts["c1"]["entered_at"] == format_instant(START + 2 * DAY)
        assert result.visited() == ["prospect"]


def test_contacts_that_are_one_person_are_folded_in_the_order_of_arrival(tmp_path: Path) -> None:
    lines = [event(0, "page.viewed", "visitor", high_intent=True)]
    for day in range(1, 60):
        lines.append(event(day * DAY, "page.viewed", "ada", high_intent=True))
        lines.append(event(day * DAY + HOUR, "page.viewed", f"other-{day}", high_intent=True))
    lines[3:3] = [event(DAY + MINUTE, "contact.identified", "ada", anonymous_id="visitor")]
    lines += [event(60 * DAY, "form.submitted", "visitor", kind="demo")]
    result = replayed(tmp_path, lines)
    assert "visitor" not in result.contacts
    assert result.contacts["ada"]["visits"]["prospect"]["first"] == format_instant(START)
    assert result.dead == [], "what came after the merge was passed on in its time"
    assert replayed(tmp_path, lines, sizes=SMALL).bytes == result.bytes


def test_a_merge_written_with_escapes_is_found(tmp_path: Path) -> None:
    merge = event(HOUR, "contact.merged", "ada", **{"from": "double"}).replace(b"contact.", b"\\u0063ontact.")
    lines = [event(0, "form.submitted", "double"), event(MINUTE, "page.viewed", "ada"), merge]
    whole = replayed(tmp_path, lines)
    assert set(whole.contacts) == {"ada"}
    assert replayed(tmp_path, lines, sizes=SMALL).bytes == whole.bytes


def test_nothing_is_told_from_before_the_instant_of_publication(tmp_path: Path) -> None:
    lines = [event(0, "form.submitted", traits={"icp_fit": True}), event(DAY, "meeting.booked")]
    result = replayed(tmp_path, lines, publish_from=START + HOUR)
    assert {body["data"]["to"] for body in result.changes if "to" in body["data"]} == {"mql", "meeting_booked"}
    assert result.contacts["c1"]["visits"]["prospect"]["first"] == format_instant(START)


def test_sources_are_read_one_after_the_other(tmp_path: Path) -> None:
    first = written(tmp_path / "a.jsonl", [event(0, "page.viewed"), event(0, "page.viewed", "c2")])
    second = written(tmp_path / "b.jsonl", [event(HOUR, "form.submitted"), b"x"])
    for sizes in (Sizes(), SMALL):
        summary = replay(job([first, second]), tmp_path / "out", sizes=sizes)
        result = Replayed(tmp_path / "out", summary)
        assert list(result.contacts) == ["c1", "c2"]
        assert result.contacts["c1"]["stage"] == "lead"
        assert [row["source"] for row in result.dead] == ["b.jsonl:2"]


def test_an_empty_file_comes_to_nothing(tmp_path: Path) -> None:
    for sizes in (Sizes(), SMALL):
        result = replayed(tmp_path, [], sizes=sizes)
        assert set(result.bytes.values()) == {b""}
        assert result.summary.totals.events == 0


def test_a_replay_that_fails_leaves_no_half_written_files(tmp_path: Path) -> None:
    source = written(tmp_path / "events.jsonl", [event(0, "page.viewed")])
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00damaged")
    broken = type(source)(tmp_path / "broken.gz", "broken.gz", "gzip")
    for sizes in (Sizes(), SMALL):
        with pytest.raises(ReplayError, match=r"broken\.gz"):
            replay(job([source, broken]), tmp_path / "out", sizes=sizes)
        assert list((tmp_path / "out").iterdir()) == []


def test_a_long_history_of_one_contact_is_folded_in_bounded_time(tmp_path: Path) -> None:
    lines = [event(number * MINUTE, "form.submitted", id=str(number)) for number in range(6_000)]
    result = replayed(tmp_path, lines)
    assert result.contacts["c1"]["stage"] == "lead"
    assert result.summary.totals.late == 0
