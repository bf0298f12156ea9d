"""Report the figures: funnel, conversion, time in stage, SLA, attribution, cost; as a page, as tables, as JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from worker.commands._options import INSTANT, json_option, lifecycle_option, now_ms, read_lifecycle
from worker.commands._screen import Bar, console, plural

if TYPE_CHECKING:
    from worker.report import Figures, Tables

DAY_SECONDS: Final = 86_400


@click.command(
    epilog="""\b
Examples:
  lifecycle report --lifecycle 10ex --events events.jsonl --out report.html
  lifecycle report -l mops --changes results/stage-changes.jsonl --json
  lifecycle report -l mops --changes kafka://localhost:9092/lifecycle --events spend.jsonl --out tables
  lifecycle report -l mops --changes tables --as-of 2026-03-31"""
)
@lifecycle_option
@click.option(
    "--events", "-e", multiple=True, metavar="EVENTS",
    help="Files or folders of events, `-`, or a topic, as for `replay`; repeatable. Folded first, but for --changes.",
)  # fmt: skip
@click.option(
    "--changes", metavar="CHANGES",
    help="What a worker published: a topic, `replay`'s file, the same as Parquet, or a folder of tables from `--out`.",
)  # fmt: skip
@click.option("--as-of", type=INSTANT, help="As of this time. Default: the newest there is.")
@click.option("--sorted", "by_time", is_flag=True, help="Fold each contact's events by time first.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.html|DIR",
    help="A page that needs nothing else, or a folder for the tables as Parquet and CSV.",
)  # fmt: skip
@json_option
def command(
    lifecycle: str,
    assignments: tuple[tuple[str, str], ...],
    events: tuple[str, ...],
    changes: str | None,
    as_of: int | None,
    by_time: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Report what became of all contacts: how many came to each stage, how long it took, who kept promises, what
    brought them.

    From what a worker published (--changes), from events (--events), or from both: spend, list growth, won deals and
    touches are in the events only, and are named as missing without them.
    """
    from worker.charts.drawing import library
    from worker.commands._errors import Misused, Told
    from worker.commands.replay import inputs
    from worker.report import ReportError, figures
    from worker.report.export import is_page
    from worker.report.load import empty_tables, fold_events, job_of, load_changes, load_events

    if not events and changes is None:
        raise Misused("give --events or --changes: what to report on")
    definition = read_lifecycle(lifecycle, assignments)
    if out is not None and is_page(out):
        library()  # missed before the work, not after it
    with tempfile.TemporaryDirectory(prefix="lifecycle-report-") as name, Bar("figures", "hundredths") as bar:
        folder = Path(name)
        try:
            with empty_tables(definition, folder, bar.report) as tables:
                sources, _ = inputs(events, folder, "murmur2", False)
                if changes is not None:
                    load_changes(tables, _published(changes, folder))
                else:
                    job = job_of(definition, sources, now_ms(), as_of, by_time)
                    with Bar("fold") as folding:
                        as_of = fold_events(tables, job, folder / "folded", folding.report) or as_of
                load_events(tables, sources)
                tables.finish(as_of)
                found = figures(tables, definition.lifecycle)
                if out is not None:
                    _write(tables, found, out)
        except ReportError as error:
            raise Told(str(error)) from None
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False))
    else:
        _show(found, out)


def _published(name: str, folder: Path) -> Path:
    """Where the changes lie: as named, or copied from the topic that is named."""
    if not name.startswith(("kafka://", "embedded:")):
        return Path(name)
    from worker.commands._broker import topic_address
    from worker.report.load import copy_published
    from worker.transports import open_transport

    url, topic = topic_address(name)
    transport = open_transport(url)
    path = folder / "published.jsonl"
    try:
        with Bar("read", "records") as reading:
            copy_published(transport, topic, path, reading.report)
    finally:
        transport.close()
    return path


def _write(tables: Tables, found: Figures, out: Path) -> None:
    from worker.report.errors import ReportError
    from worker.report.export import export

    try:
        export(tables, found, out)
    except OSError as error:
        raise ReportError(f"{out}: can't be written: {error.strerror}") from None


def _show(found: Figures, out: Path | None) -> None:
    from worker.commands._bars import bars

    screen = console()
    screen.print(f"{found.lifecycle}: {plural(found.contacts, 'contact')}, as of {found.as_of}")
    screen.print()
    notes = [
        f"{plural(stage['entries'], 'entry', 'entries')}, median {_days(stage['median_seconds'])}"
        for stage in found.stages
    ]
    screen.print(bars([(stage["stage"], stage["current"]) for stage in found.stages], notes))
    screen.print()
    for pair in found.conversions:
        if pair["adjacent"]:
            rate = "nobody yet" if pair["rate"] is None else f"{pair['rate']:.0%}"
            screen.print(
                f"{pair['from_stage']} → {pair['to_stage']}: {rate} ({pair['converted']:,} of {pair['entered']:,})"
            )
    for row in found.sla:
        screen.print(f"SLA of {row['owner']} on {row['stage']}: {row['kept']:,} kept, {row['breached']:,} breached")
    for figure, why in found.missing.items():
        screen.print(f"{figure}: {why}")
    if out is not None:
        screen.print(f"Written to {out}.", soft_wrap=True)


def _days(seconds: float | None) -> str:
    return "open" if seconds is None else f"{seconds / DAY_SECONDS:.1f} d"
