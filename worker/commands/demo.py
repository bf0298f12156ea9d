"""Watch the worker at work on four weeks of made traffic: no broker, nothing to set up."""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from worker.commands._screen import console, note, plural

if TYPE_CHECKING:
    from rich.console import Console

    from worker.definition.model import Lifecycle
    from worker.demo.play import Slice
    from worker.demo.telling import Tally
    from worker.demo.traffic import Traffic
    from worker.runtime.metrics import Metrics

SECONDS: Final = 16.0  # that the four weeks take on a terminal
LINES_A_DAY: Final = 4


@click.command(
    epilog="""\b
Examples:
  lifecycle demo
  lifecycle demo --lifecycle mops --contacts 400 --seed 7
  lifecycle demo --keep demo        # then: lifecycle watch --broker embedded:demo/log.db --once
  lifecycle demo --events events.jsonl"""
)
@click.option("--lifecycle", "-l", default="10ex", show_default=True, metavar="L", help="The lifecycle to run.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other people.")
@click.option("--contacts", type=click.IntRange(5, 20_000), default=150, show_default=True, help="How many people.")
@click.option("--seconds", type=click.FloatRange(0, 600), help="How long to take. Default: 16; 0 where nobody watches.")
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps the log and the state."
)
@click.option(
    "--events", type=click.Path(dir_okay=False, allow_dash=True), help="Only write the traffic, as JSON Lines."
)
def command(
    lifecycle: str, seed: int, contacts: int, seconds: float | None, keep: Path | None, events: str | None
) -> None:
    """Run the worker on made traffic and show what it publishes, day by day; then the funnel.

    The traffic is four weeks of forms, mails, meetings and deals of people who come by several campaigns, with what
    goes wrong in earnest: double clicks, mail scanners, repeated deliveries, a webinar's list uploaded a day late,
    promises not kept, two records of one person, records that are none. The worker runs on a log in one file.
    """
    from worker.demo.traffic import make

    traffic = make(seed, contacts)
    if events is not None:
        with click.open_file(events, "wb") as file:
            file.writelines(arrival.value + b"\n" for arrival in traffic.arrivals)
        note(f"{plural(len(traffic.arrivals), 'event')} of {plural(contacts, 'contact')} written to {events}")
        return
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-demo-")))
        _run(lifecycle, traffic, folder, keep, _pace(seconds), seed)


def _pace(seconds: float | None) -> float:
    return seconds if seconds is not None else SECONDS if sys.stdout.isatty() else 0.0


def _run(name: str, traffic: Traffic, folder: Path, keep: Path | None, seconds: float, seed: int) -> None:
    from worker.commands._errors import Misused
    from worker.commands._options import read_lifecycle
    from worker.commands._serve import worker_of
    from worker.demo.play import DemoClock, play, settings_for
    from worker.demo.telling import Tally
    from worker.runtime.logs import open_logger
    from worker.transports import open_transport

    log = folder / "log.db"
    if log.exists():
        raise Misused(f"{log} is there already: name another folder with --keep, or remove this one")
    folder.mkdir(parents=True, exist_ok=True)
    lifecycle = read_lifecycle(name)
    settings = settings_for(name, str(log), str(folder / "state"))
    screen, tally, clock = console(), Tally(list(lifecycle.stages)), DemoClock()
    _opening(screen, lifecycle, traffic, seed)
    with ExitStack() as stack:
        transport = open_transport(settings.broker)
        stack.callback(transport.close)
        worker = stack.enter_context(worker_of(settings, clock, open_logger(settings), transport=transport))
        days = _days(play(worker, transport, settings, traffic, clock), tally)
        _show_days(screen, days, lifecycle, traffic, seconds)
        _funnel(screen, lifecycle, tally)
        _oddities(screen, traffic, tally, worker.metrics)
    _proof(screen, lifecycle, traffic, tally, folder)
    _next(screen, name, keep)


def _opening(screen: Console, lifecycle: Lifecycle, traffic: Traffic, seed: int) -> None:
    screen.print(
        f"[bold]{lifecycle.title}[/bold]: {plural(traffic.contacts, 'person', 'people')}, four weeks, seed {seed}"
    )
    screen.print("The worker runs on a log in one file, in transactions, as it would on Kafka.", style="dim")


def _days(slices: Iterator[Slice], tally: Tally) -> Iterator[tuple[int, int, list[Any]]]:
    """Slices put together by day: when it begins, how many events came, what was published."""
    from worker.instants import DAY_MS

    day, sent = -1, 0
    changes: list[Any] = []
    for part in slices:
        if part.start // DAY_MS != day:
            if day >= 0:
                yield day * DAY_MS, sent, changes
            day, sent, changes = part.start // DAY_MS, 0, []
        sent += part.sent
        changes += part.changes
        tally.add(part.changes)
    if day >= 0:
        yield day * DAY_MS, sent, changes


def _show_days(
    screen: Console, days: Iterator[tuple[int, int, list[Any]]], lifecycle: Lifecycle, traffic: Traffic, seconds: float
) -> None:
    """Day by day what came in and the news of it, at a pace that can be read."""
    from rich.text import Text

    from worker.commands._lines import describe
    from worker.demo.telling import highlights
    from worker.demo.traffic import START_MS
    from worker.instants import DAY_MS

    count = (traffic.end_ms - START_MS) // DAY_MS
    started = time.monotonic()
    for number, (at, sent, changes) in enumerate(days):
        if not sent and not changes:
            continue
        date = dt.datetime.fromtimestamp(at / 1000, dt.UTC)
        title = Text.assemble((f"{date:%a} {date.day:>2} {date:%b}", "bold"), ("  ", ""))
        title.append(f"{plural(sent, 'event')} in, {plural(len(changes), 'change')} out", "dim")
        if at in traffic.notes:
            title.append(f"  {traffic.notes[at]}", "italic")
        chosen = sorted(highlights(changes, list(lifecycle.stages), LINES_A_DAY), key=itemgetter("time"))
        texts = [next(iter(describe(body, dated=False))) for body in chosen]
        screen.print()
        for place, text in enumerate([title, *(Text("  ") + text for text in texts)]):
            due = started + seconds * (number + place / (len(texts) + 1)) / count
            time.sleep(max(0.0, due - time.monotonic()))
            screen.print(text, no_wrap=True, overflow="ellipsis", crop=True)


def _funnel(screen: Console, lifecycle: Lifecycle, tally: Tally) -> None:
    from rich.bar import Bar
    from rich.table import Table

    rows = tally.funnel()
    greatest = max((reached for _, reached, _ in rows), default=0) or 1
    table = Table(box=None, padding=(0, 1), expand=True, header_style="dim")
    table.add_column("Stage", no_wrap=True)
    table.add_column("Reached", justify="right", no_wrap=True)
    table.add_column("", ratio=1)
    table.add_column("Of those before", justify="right", no_wrap=True)
    table.add_column("There now", justify="right", no_wrap=True)
    before = 0
    for stage, reached, now in rows:
        share = f"{reached / before:.0%}" if before else ""
        table.add_row(
            lifecycle.stages[stage].name, f"{reached:,}", Bar(greatest, 0, reached, color="cyan"), share, f"{now:,}"
        )
        before = reached
    screen.print()
    screen.rule("The funnel after four weeks", style="dim")
    screen.print(table)


def _oddities(screen: Console, traffic: Traffic, tally: Tally, metrics: Metrics) -> None:
    """What went wrong in the traffic, and what the worker made of it."""
    from rich.table import Table

    from worker.demo.telling import BREACHED, CORRECTED

    said, dead = traffic.oddities, metrics.dead_letters
    corrections = plural(tally.kinds[CORRECTED], "correction")
    rows = [
        (said["clicked by a scanner"], "clicks by mail scanners", "nobody's act: moved no one"),
        (said["double click"], "forms sent twice by a double click", "counted once"),
        (said["delivered again"], "webhooks delivered again", "changed nothing"),
        (said["came a day late"], "attendances uploaded a day late", f"put in their place; {corrections}"),
        (said["two records of one person"], "people with two records", "one history each, after the merge"),
        (said["visitor who gave a name"], "visitors who gave a name", "what they did before is theirs"),
        (said["asked to be forgotten"], "asked to be forgotten", "erased"),
        (dead.total(), "records that are no events", f"dead letters: {', '.join(sorted(dead))}"),
        (tally.kinds[BREACHED], "promises not kept", "published when they ran out"),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for count, what, became in rows:
        if count:
            table.add_row(f"{count:,}", what, became)
    screen.print()
    screen.rule("What was wrong with the traffic, and what became of it", style="dim")
    screen.print(table)


def _proof(screen: Console, lifecycle: Lifecycle, traffic: Traffic, tally: Tally, folder: Path) -> None:
    """The same events folded again from a file, to be compared with what the worker published."""
    import json

    from worker.replay import Job, Source, Terms, replay

    lines, results = folder / "events.jsonl", folder / "replayed"
    lines.write_bytes(b"".join(arrival.value + b"\n" for arrival in traffic.arrivals))
    job = Job(lifecycle, (Source(lines, "events.jsonl"),), Terms(wall=traffic.end_ms, as_of=traffic.end_ms))
    replay(job, results)
    replayed = {
        row["contact"]: row["stage"] for row in map(json.loads, (results / "contacts.jsonl").open(encoding="utf-8"))
    }
    standing = tally.standing()
    same = sum(1 for contact, stage in replayed.items() if standing.get(contact) == stage)
    screen.print()
    if replayed == standing:
        screen.print(f"Replayed from a file: all {len(replayed):,} contacts stand where the worker put them.")
    else:
        screen.print(f"[red]Replayed from a file: only {same:,} of {len(replayed):,} contacts stand the same.[/red]")


def _next(screen: Console, name: str, keep: Path | None) -> None:
    from rich.table import Table

    rows = [
        (f"lifecycle list {name}", "its stages, rules and figures"),
        (f"lifecycle copy {name} own.yaml", "your own, to change"),
    ]
    if keep is not None:
        rows.append((f"lifecycle watch --broker embedded:{keep}/log.db --once", "all that was published"))
    else:
        rows.append((f"lifecycle run -l {name} --broker kafka://HOST:9092", "the same on your events"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    screen.print("\nNext:")
    screen.print(table)
