"""Fold recorded events: every contact's history, and where it stands, from files or a topic."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.commands._mapped import mapped, mapping_option
from worker.commands._options import INSTANT, json_option, lifecycle_option, now_ms, read_lifecycle
from worker.commands._screen import Bar, note, plural

if TYPE_CHECKING:
    from worker.replay import DeadLetter, Source, Summary


@click.command(
    epilog="""\b
Examples:
  lifecycle replay events.jsonl --lifecycle 10ex --out results
  lifecycle replay 2025.jsonl.gz 2026.parquet -l mops --sorted --json
  lifecycle replay kafka://localhost:9092/engagement -l 10ex --as-of 2026-01-31
  lifecycle replay hubspot.jsonl --mapping hubspot -l 10ex
  zcat events.gz | lifecycle replay - -l ./own.yaml --set mql_score=60"""
)
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@lifecycle_option
@mapping_option
@click.option(
    "--as-of", type=INSTANT, help="Stop the clock here: later events are left out. Default: the newest event."
)
@click.option("--sorted", "by_time", is_flag=True, help="Each contact's events by time first: nothing is too late.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option(
    "--processes", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes to share the contacts."
)
@click.option(
    "--too-late", type=click.Choice(["dead-letter", "apply-now"]), default="dead-letter", show_default=True,
    help="What becomes of events older than a contact's horizon.",
)  # fmt: skip
@click.option("--publish-from", type=INSTANT, help="Fold what is before this time, and tell none of it.")
@click.option(
    "--published", is_flag=True, help="Write changes as a worker publishes them, one event at a time, with corrections."
)
@click.option("--rekey", is_flag=True, help="Of a topic: take records whose key is not their subject.")
@click.option("--partitioner", default="murmur2", show_default=True, help="Of a topic: how its keys were partitioned.")
@json_option
def command(
    events: tuple[str, ...],
    lifecycle: str,
    assignments: tuple[tuple[str, str], ...],
    mapping: tuple[str, ...],
    as_of: int | None,
    by_time: bool,
    out: Path | None,
    processes: int,
    too_late: Any,
    publish_from: int | None,
    published: bool,
    rekey: bool,
    partitioner: str,
    as_json: bool,
) -> None:
    """Fold recorded events as the worker would, and write what became of every contact.

    EVENTS are files of JSON Lines (plain, .gz, .zst) or Parquet, folders of them, `-` for standard input, or a topic
    (kafka://HOST:PORT/TOPIC, embedded:FILE#TOPIC), read in the order given. With --out the folder then holds
    stage-changes.jsonl (the events out), contacts.jsonl, companies.jsonl and dead-letters.jsonl.

    A Parquet file's columns are named as CloudEvents' attributes, `data` is JSON text or a struct; without a column
    `data` all others are its fields.
    """
    from worker.commands._garbage import relax
    from worker.replay import Job, Terms, replay

    started = time.perf_counter()
    definition = read_lifecycle(lifecycle, assignments)
    terms = Terms(wall=now_ms(), as_of=as_of, by_time=by_time, as_published=published, telling=out is not None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-input-")))
        if not mapping:
            sources, refused = inputs(events, folder, partitioner, rekey)
        else:
            sources, refused, dropped = mapped(mapping, events, folder)
            if dropped:
                note(f"{plural(dropped, 'record')} or parts of them mean no event to the mapping {', '.join(mapping)}")
        job = Job(definition, tuple(sources), terms, too_late, publish_from)
        bar = stack.enter_context(Bar("replay"))
        relax()
        summary = replay(job, out, processes=processes, refused=refused, progress=bar.report)
    seconds = time.perf_counter() - started
    if as_json:
        click.echo(_as_json(summary, seconds))
    else:
        _show(summary, seconds, out, list(definition.stages))


def inputs(
    events: tuple[str, ...], folder: Path, partitioner: str, rekey: bool
) -> tuple[list[Source], list[DeadLetter]]:
    from worker.replay.inputs import open_inputs

    sources: list[Source] = []
    refused: list[DeadLetter] = []
    for name in events:
        if name.startswith(("kafka://", "embedded:")):
            from worker.commands._broker import topic_address
            from worker.replay.topic import copy_topic
            from worker.transports import open_transport

            url, topic = topic_address(name)
            transport = open_transport(url)
            try:
                source, dead = copy_topic(transport, topic, folder, len(sources), partitioner=partitioner, rekey=rekey)
            finally:
                transport.close()
            sources.append(source)
            refused += dead
        else:
            sources += open_inputs([name], folder, sys.stdin.buffer, len(sources))
    return sources, refused


def _as_json(summary: Summary, seconds: float) -> str:
    import json

    from worker.instants import format_instant

    totals = summary.totals
    return json.dumps(
        {
            "events": totals.events,
            "contacts": totals.contacts,
            "stage_changes": totals.stage_changes,
            "duplicates": totals.duplicates,
            "late": totals.late,
            "dead_letters": totals.dead_letters,
            "seconds": round(seconds, 3),
            "left_out": totals.left_out,
            "companies": summary.companies,
            "as_of": format_instant(summary.clock) if summary.clock else None,
        }
    )


def _show(summary: Summary, seconds: float, out: Path | None, stages: list[str]) -> None:
    from worker.commands._bars import bars
    from worker.commands._screen import console
    from worker.instants import format_instant

    totals, screen = summary.totals, console()
    rate = totals.events / seconds if seconds else 0
    screen.print(
        f"{plural(totals.events, 'event')} of {plural(totals.contacts, 'contact')} in {seconds:.1f} s ({rate:,.0f}/s)"
        + (f", as of {format_instant(summary.clock)}" if summary.clock else "")
    )
    screen.print(
        f"{plural(totals.stage_changes, 'stage change')}, {plural(totals.duplicates, 'duplicate')},"
        f" {totals.late:,} late, {plural(totals.dead_letters, 'dead letter')}"
        + (f", {totals.left_out:,} left out" if totals.left_out else "")
        + (f", {plural(summary.companies, 'company', 'companies')}" if summary.companies else "")
    )
    if totals.contacts:
        screen.print()
        screen.print(bars([(stage, totals.stages[stage]) for stage in stages]))
    if out is not None:
        screen.print()
        screen.print(
            f"Written to {out}: stage-changes.jsonl, contacts.jsonl, companies.jsonl, dead-letters.jsonl",
            soft_wrap=True,
        )
    for reason, count in totals.reasons.most_common(5):
        note(
            f"{plural(count, 'dead letter')}: {reason}" + ("" if out else " (--out keeps them, each with its message)")
        )
