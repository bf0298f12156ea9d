"""A comparison finds exactly what two separate replays differ in, however it is cut, and shows it."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.chromium import contrasts, fits, opened, violations
from tests.fold.world import ROOT
from worker.commands import group
from worker.compare import Comparison, Variant, compare
from worker.compare.page import page
from worker.compare.sweep import swept, values
from worker.definition.errors import ParameterError
from worker.definition.model import Lifecycle
from worker.definition.parameters import resolve
from worker.definition.reader import read
from worker.demo.traffic import make
from worker.replay import Job, Source, Terms, replay

WALL = 1_900_000_000_000
CONTACTS = 120


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made traffic: late, doubled and broken events, merged and erased contacts are in it."""
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    made = make(11, CONTACTS)
    path.write_bytes(b"\n".join(arrival.value.replace(b"\n", b" ") for arrival in made.arrivals) + b"\n")
    return path


def lifecycle(name: str = "10ex", **turned: Any) -> Lifecycle:
    return resolve(read(ROOT / "statemachine" / f"{name}.yaml"), turned)


def replayed(definition: Lifecycle, events: Path, folder: Path) -> tuple[dict[str, Any], dict[str, list[Any]], Any]:
    """Where contacts stand and their histories, as a replay by itself has them."""
    summary = replay(Job(definition, (Source(events, "events"),), Terms(wall=WALL)), folder)
    stands = {row["contact"]: row["stage"] for row in map(json.loads, (folder / "contacts.jsonl").open())}
    histories: dict[str, list[Any]] = {}
    for body in map(json.loads, (folder / "stage-changes.jsonl").open()):
        data, kind = body["data"], body["type"].split(".")[1]
        if body["type"] == "lifecycle.stage.changed.v1":
            said = body["time"], "stage", data["from"], data["to"]
        elif body["type"] == "lifecycle.status.changed.v1":
            said = body["time"], "status", data["from"], data["to"]
        elif body["type"] == "lifecycle.sla.breached.v1":
            said = body["time"], kind, data["stage"], None
        else:
            continue
        histories.setdefault(body["subject"], []).append(said)
    return stands, histories, summary


def said(entries: list[dict[str, Any]]) -> list[Any]:
    return [(entry["time"], entry["kind"], entry["from"], entry["to"]) for entry in entries]


def compared(old: Lifecycle, new: Lifecycle, events: Path, processes: int = 1) -> tuple[Comparison, dict[str, Any]]:
    lines: list[bytes] = []
    found = compare(
        [Variant("old", old), Variant("new", new)], [Source(events, "events")], Terms(wall=WALL),
        processes=processes, each=lines.append,
    )  # fmt: skip
    return found, {row["contact"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (lifecycle(), lifecycle(mql_score=20, accept_within="2h")),
        (lifecycle(), lifecycle(nurture_not_interested=True)),
        (lifecycle("mops"), lifecycle("mops", **{next(iter(lifecycle("mops").parameters)): "20"})),
        (lifecycle("10ex"), lifecycle("agency34")),
    ],
    ids=["score and promise", "policy", "mops", "another lifecycle"],
)
def test_a_comparison_agrees_with_two_separate_replays(
    old: Lifecycle, new: Lifecycle, events: Path, tmp_path: Path
) -> None:
    found, changed = compared(old, new, events)
    sides = [replayed(old, events, tmp_path / "old"), replayed(new, events, tmp_path / "new")]
    everyone = {*sides[0][1], *sides[1][1]}
    wanted = {one for one in everyone if sides[0][1].get(one, []) != sides[1][1].get(one, [])}
    assert set(changed) == wanted and found.changed[1] == len(wanted)
    for contact, row in changed.items():
        assert said(row["old"]) == sides[0][1].get(contact, [])
        assert said(row["new"]) == sides[1][1].get(contact, [])
    for figures, (stands, histories, summary) in zip(found.figures, sides, strict=True):
        assert figures.stages == Counter(stands.values()) == summary.totals.stages
        moves = Counter((one[2], one[3]) for history in histories.values() for one in history if one[1] == "stage")
        assert figures.transitions == Counter({move: count for move, count in moves.items() if move[0]})
        assert figures.dead_letters == summary.totals.dead_letters
    assert found.clock == sides[0][2].clock


def test_no_more_contacts_change_than_there_are(tmp_path: Path) -> None:
    """What was published of an id before it was merged into another stands: it has a history, and is in no stage."""
    events = tmp_path / "events.jsonl"
    happened = [
        ("02", "a", "contact.imported", {}),
        ("03", "b", "form.submitted", {"kind": "demo"}),
        ("30", "a", "form.submitted", {"kind": "demo"}),
        ("31", "a", "contact.merged", {"from": "b"}),
    ]
    envelope = {"specversion": "1.0", "source": "/site"}
    lines = [
        {**envelope, "id": day, "type": kind, "subject": contact, "time": f"2026-01-{day}T09:00:00Z", "data": data}
        for day, contact, kind, data in happened
    ]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found, changed = compared(lifecycle(), lifecycle("clarity"), events)
    assert (found.contacts, found.changed[1], set(changed)) == (2, 2, {"a", "b"})
    assert found.figures[0].contacts == 1


def test_several_processes_find_the_same(events: Path) -> None:
    old, new = lifecycle(), lifecycle(mql_score=20)
    one, other = compared(old, new, events), compared(old, new, events, processes=2)
    assert list(one[1].items()) == list(other[1].items())
    assert one[0].figures == other[0].figures and one[0].moved == other[0].moved


def test_the_first_event_where_histories_part_is_named(events: Path) -> None:
    _, changed = compared(lifecycle(), lifecycle(mql_score=20), events)
    assert changed
    for row in changed.values():
        common = row["parts"]["common"]
        assert said(row["old"][:common]) == said(row["new"][:common])
        assert said(row["old"][common : common + 1]) != said(row["new"][common : common + 1])
        times = [side[common]["time"] for side in (row["old"], row["new"]) if len(side) > common]
        assert row["parts"]["time"] == min(times)
    assert any(row["parts"]["event"] for row in changed.values())


def test_the_same_definition_changes_nobody(events: Path) -> None:
    found, changed = compared(lifecycle(), lifecycle(), events)
    assert not changed and found.changed == [0, 0] and found.figures[0] == found.figures[1]


def test_a_renamed_stage_is_no_difference(events: Path) -> None:
    old = lifecycle()
    text = re.sub(r"\bsql\b", "deal", (ROOT / "statemachine" / "10ex.yaml").read_text())
    new = read(text.replace("\n  deal:\n    name: SQL\n", "\n  deal:\n    name: Deal\n    was: sql\n", 1))
    assert "sql" not in new.stages and new.stages["deal"].was == ["sql"]
    found, _ = compared(old, new, events)
    assert found.changed[1] == 0
    assert found.stages == list(new.stages), "under its newer name, and under that alone"


def test_stages_that_only_one_has_stand_where_it_has_them(events: Path) -> None:
    """And of a stage that a definition doesn't have, nobody can say what share of its contacts went on."""
    old, new = (read(ROOT / "statemachine" / f"{name}.yaml") for name in ("10ex", "clarity"))
    found, contacts = compared(old, new, events)
    assert found.stages == ["prospect", "lead", "mql", "sal", "sql", "opportunity", "pql", "customer"]
    for variant in (old, new):
        assert [stage for stage in found.stages if stage in variant.stages] == list(variant.stages)
    assert found.figures[0].conversions(["sal"])[0].share == "–"
    strange = new.model_copy(update={"stages": {f"other_{name}": stage for name, stage in new.stages.items()}})
    apart = Comparison((Variant("old", old), Variant("new", strange)), [], []).stages
    assert apart == [*old.stages, *strange.stages], "with no stage in common, one after the other"
    drawn = page(found, list(contacts.values())[:3], ("10ex", "clarity"))
    assert f'<th scope="row">{old.stages["prospect"].name}</th>' in drawn
    assert not re.search(r"<td[^>]*>0\.0%</td><td[^>]*>[+−]", drawn)


def test_a_sweep_gives_each_value_what_a_comparison_of_its_own_would(events: Path) -> None:
    def fold(variants: Any) -> Comparison:
        return compare(variants, [Source(events, "events")], Terms(wall=WALL))

    found = swept(lifecycle(), "mql_score", "20..50:15", fold)
    assert [variant.name for variant in found.variants] == ["20", "35", "50"]
    for place, variant in enumerate(found.variants):
        alone, _ = compared(lifecycle(), variant.lifecycle, events)
        assert found.figures[place] == alone.figures[1] and found.changed[place] == alone.changed[1]
    assert found.changed[2] == 0, "the value in force differs from nothing"
    assert found.changed[0] > 0


def test_ranges_are_values_with_both_ends() -> None:
    assert values("40..80:20") == ["40", "60", "80"]
    assert values("0.5..1:0.25") == ["0.5", "0.75", "1"]
    assert values("12h..36h:12h") == ["12h", "24h", "36h"]
    assert values("1, 5,9") == ["1", "5", "9"]
    for given in ("80..40:5", "1..5:0", "1h..2d:1h", "1..1000:1", "a..b"):
        with pytest.raises(ParameterError):
            values(given)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(group, ["diff", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_a_contact_that_only_one_knows_stands_nowhere_under_the_other(tmp_path: Path) -> None:
    text = (ROOT / "statemachine" / "10ex.yaml").read_text()
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("    - form.submitted\n", "    - form.submitted\n    - stall.visited\n", 1))
    events = tmp_path / "events.jsonl"
    event = {"specversion": "1.0", "source": "/site", "id": "1", "type": "stall.visited", "subject": "ann"}
    events.write_text(json.dumps({**event, "time": "2026-01-05T09:00:00Z", "data": {}}) + "\n")
    html = tmp_path / "diff.html"
    given = ["-e", str(events), "--processes", "1"]
    assert "ann: nowhere → lead, they part 2026-01-05 09:00 at stall.visited 1" in run("10ex", str(own), *given).output
    assert "ann: lead → nowhere" in run(str(own), "10ex", *given, "--html", str(html)).output
    assert "</strong> Lead → nowhere" in html.read_text()


def test_programs_get_contacts_changed_stages_and_transitions(events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("10ex", "--set", "mql_score=20", "-e", str(events), "--json", "--out", str(out), "--processes", "1")
    found = json.loads(result.stdout)
    rows = [json.loads(line) for line in (out / "changed.jsonl").open()]
    assert {"contacts", "changed", "stages", "transitions", "conversion"} <= set(found)
    assert found["changed"] == len(rows) > 0
    assert sum(stage["old"] for stage in found["stages"].values()) == found["contacts"]
    move = next(one for one in found["transitions"] if (one["from"], one["to"]) == ("lead", "mql"))
    assert move["new"] > move["old"]


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_shows_both_histories_of_a_contact(events: Path, tmp_path: Path, theme: Any) -> None:
    html = tmp_path / "diff.html"
    run("10ex", "--set", "mql_score=20", "-e", str(events), "--html", str(html), "--processes", "1")
    with opened(html, theme) as page:
        contact = page.locator("details").first
        assert not contact.locator(".sides").is_visible()
        contact.locator("summary").click()
        assert contact.locator(".sides > div").count() == 2
        assert contact.locator("li.first").count() >= 1
        assert violations(page) == []
        assert fits(page) and contrasts(page, "p, li strong, th, td, summary, .soft") >= 4.5


@pytest.mark.browser
def test_a_sweeps_page_draws_a_line_for_each_stage(events: Path, tmp_path: Path) -> None:
    html = tmp_path / "sweep.html"
    run("10ex", "--sweep", "mql_score=10..50:20", "-e", str(events), "--html", str(html), "--processes", "1")
    with opened(html) as page:
        plots = page.locator(".plot[role=img][aria-label]")
        assert plots.count() == 2
        names = plots.first.locator("text[font-weight='600']").all_text_contents()
        assert sorted(names) == ["Customer", "Lead", "MQL", "SQL"]
        assert plots.first.locator(".mark-line path").count() == len(names)
        assert "in force" in plots.first.inner_text()
        assert "(in force)" in page.locator("table").inner_text()
        assert violations(page) == []
        assert fits(page)
        page.set_viewport_size({"width": 390, "height": 800})
        letters = plots.first.locator("text[font-weight='600']").first.bounding_box()
        assert letters is not None and letters["height"] >= 9, "moved sideways, and not shrunk until nobody can read it"
        assert fits(page) and violations(page) == []


@pytest.mark.parametrize("turned", [("--set", "mql_score=20"), ("--sweep", "mql_score=10..50:20")])
def test_only_the_page_needs_the_library_that_draws_and_says_so_before_the_work(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: tuple[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    run("10ex", *turned, "-e", str(events), "--processes", "1")
    html = tmp_path / "diff.html"
    refused = CliRunner().invoke(group, ["diff", "10ex", *turned, "-e", str(tmp_path / "none"), "--html", str(html)])
    assert refused.exit_code == 1 and not html.exists()
    assert refused.output == "Error: a page with charts needs vl-convert: pip install 'lifecycle-worker[report]'\n"
