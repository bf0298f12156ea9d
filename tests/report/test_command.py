"""`lifecycle report` as it is called: from a log, from files, from Parquet; as JSON, as tables."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.report.published import OWNERS, STAGES, changed, corrected, said, touch, write
from worker.commands import group
from worker.report import ReportError, Tables, figures

duckdb = pytest.importorskip("duckdb", reason="the extra `report` is not installed")


def lifecycle(*arguments: str | Path) -> Any:
    ran = CliRunner().invoke(group, [str(argument) for argument in arguments], prog_name="lifecycle")
    assert ran.exit_code == 0, ran.output
    return ran


def report(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lifecycle("report", "--lifecycle", "10ex", "--json", *arguments).stdout)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log that a worker ran on, and the events that it was given."""
    folder = tmp_path_factory.mktemp("demo")
    lifecycle("demo", "--seconds", "0", "--contacts", "25", "--keep", folder)
    return folder


@pytest.fixture(scope="module")
def published(kept: Path) -> dict[str, Any]:
    log = f"embedded:{kept / 'log.db'}"
    return report("--changes", f"{log}#lifecycle", "--events", f"{log}#engagement")


def test_a_topic_that_a_worker_published_to_is_reported_as_its_events_are(
    kept: Path, published: dict[str, Any]
) -> None:
    folded = report("--events", f"embedded:{kept / 'log.db'}#engagement", "--as-of", published["as_of"])
    assert published["contacts"] > 20
    assert folded == published


def test_a_topic_is_reported_as_the_files_of_a_replay_are(
    kept: Path, published: dict[str, Any], tmp_path: Path
) -> None:
    topic = f"embedded:{kept / 'log.db'}#engagement"
    lifecycle("replay", topic, "--lifecycle", "10ex", "--out", tmp_path, "--as-of", published["as_of"])
    from_files = report("--changes", tmp_path, "--events", topic, "--as-of", published["as_of"])
    assert from_files == published
    alone = report("--changes", tmp_path / "stage-changes.jsonl", "--as-of", published["as_of"])
    assert set(alone["missing"]) == {"cost", "list_growth", "touches", "deals"}
    assert alone["stages"] == published["stages"]


def test_the_document_has_the_keys_that_were_agreed(published: dict[str, Any]) -> None:
    assert {"as_of", "stages", "conversions", "velocity", "attribution", "sla", "cost"} <= set(published)
    assert {"stage", "entries", "current", "median_seconds", "p90_seconds"} <= set(published["stages"][0])
    assert set(published["attribution"]) == {"first", "last"}


def test_tables_are_read_back_and_reported_alike(kept: Path, published: dict[str, Any], tmp_path: Path) -> None:
    log = f"embedded:{kept / 'log.db'}"
    topics = ("--changes", f"{log}#lifecycle", "--events", f"{log}#engagement")
    lifecycle("report", "--lifecycle", "10ex", *topics, "--out", tmp_path)
    tables = sorted(path.stem for path in tmp_path.glob("*.parquet"))
    assert {"changes", "visits", "people", "reached", "promises", "deals", "stalled", "spend"} <= set(tables)
    for name in tables:
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        held = duckdb.sql(f"FROM read_parquet('{tmp_path / name}.parquet')")
        assert len(rows) == len(held.fetchall()), name
        assert not rows or list(rows[0]) == held.columns, name
    visits = duckdb.sql(
        f"SELECT stage, count(*) FROM read_parquet('{tmp_path}/visits.parquet') GROUP BY ALL"
    ).fetchall()
    assert dict(visits) == {row["stage"]: row["entries"] for row in published["stages"] if row["entries"]}
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8")) == published
    again = report("--changes", tmp_path, "--as-of", published["as_of"])
    assert again == published


HISTORY = [
    changed("ada", None, "lead", 0, attribution=touch("ads")),
    changed("bob", None, "lead", 1, value={"d1": {"amount": 5.0, "currency": "EUR"}}),
    early := changed("ada", "lead", "sql", 5, 0),
    corrected("ada", 6, [early], [changed("ada", "lead", "mql", 4, 0, attribution=touch("ads"))]),
    said("sla.breached", "bob", 9, stage="lead", visit=1, owner="x", due_at="2026-01-05T09:00:00Z"),
    said("hygiene.failed", "bob", 9, stage="lead", failures=[{"rule": "no_email", "field": None}]),
]


def _reported(path: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    with Tables(STAGES, OWNERS, folder) as tables:
        tables.changes(path, path.name)
        tables.finish()
        return figures(tables, "made").document()


@pytest.mark.parametrize("rows", [len(HISTORY), 3, 1], ids=["all", "no corrections", "one change"])
def test_a_log_in_parquet_is_reported_as_its_lines_are(tmp_path: Path, rows: int) -> None:
    """Whatever columns it has: those that nothing was said in are not there."""
    lines = write(tmp_path / "changes.jsonl", HISTORY[:rows])
    log = tmp_path / "changes.parquet"
    duckdb.sql(f"COPY (FROM read_json('{lines}', format='newline_delimited')) TO '{log}' (FORMAT parquet)")
    assert _reported(log, tmp_path / "a") == _reported(lines, tmp_path / "b")


@pytest.mark.parametrize(
    ("query", "says"),
    [("SELECT 1 AS id, 'x' AS type", "has no column subject, time, data"),
     ("SELECT '1' AS id, 'x' AS type, 'ada' AS subject, 'then' AS time, '{}' AS data", "has data that is no struct"),
     ("SELECT '1' AS id, 'x' AS type, 'ada' AS subject, 'then' AS time, {stage: 'mql'} AS data", "holds no events")],
)  # fmt: skip
def test_parquet_that_holds_something_else_is_refused_in_a_line(tmp_path: Path, query: str, says: str) -> None:
    log = tmp_path / "log.parquet"
    duckdb.sql(f"COPY ({query}) TO '{log}' (FORMAT parquet)")
    with pytest.raises(ReportError, match=f"log.parquet: {says}"):
        _reported(log, tmp_path / "a")


def test_progress_is_told_while_a_report_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.report.tables.PROGRESS_SECONDS", 0.0005)
    told: list[tuple[int, int]] = []
    with Tables(STAGES, OWNERS, tmp_path, lambda done, total: told.append((done, total))) as tables:
        tables.changes(write(tmp_path / "changes.jsonl", HISTORY), "changes.jsonl")
        tables.finish()
        figures(tables, "made")
    assert told == sorted(told)
    assert told[0][0] < 30 < told[-1][0] <= 100


def test_only_the_page_needs_the_library_that_draws_and_says_so_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    changes = write(tmp_path / "changes.jsonl", [changed("ada", None, "lead", 0)])
    lifecycle("report", "--lifecycle", "10ex", "--changes", changes, "--out", tmp_path / "tables")
    page = tmp_path / "report.html"
    refused = CliRunner().invoke(
        group, ["report", "-l", "10ex", "--changes", str(tmp_path / "none"), "--out", str(page)]
    )
    assert refused.exit_code == 1 and not page.exists()
    assert refused.output == "Error: a page with charts needs vl-convert: pip install 'lifecycle-worker[report]'\n"
