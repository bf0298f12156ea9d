"""Compare two definitions over the same events: what would have been different, for whom and why."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from worker.commands._options import ASSIGNMENT, INSTANT, json_option, now_ms, read_lifecycle
from worker.commands._screen import Bar, console, plural

if TYPE_CHECKING:
    from worker.compare import Comparison, Variant
    from worker.definition.model import Lifecycle


@click.command(
    epilog="""\b
Examples:
  lifecycle diff 10ex own.yaml --events events.jsonl --html diff.html
  lifecycle diff 10ex --set mql_score=60 --events events.jsonl
  lifecycle diff 10ex --sweep mql_score=40..80:5 --events events.jsonl --html sweep.html
  lifecycle diff old.yaml new.yaml --events 2026/ --out differences --json"""
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@click.option(
    "--events", "-e", multiple=True, required=True, metavar="EVENTS",
    help="Files or folders of events, `-`, or a topic, as for `replay`; repeatable.",
)  # fmt: skip
@click.option(
    "--set", "assignments", multiple=True, type=ASSIGNMENT, help="Turn a parameter of NEW (or of OLD, without a NEW)."
)
@click.option(
    "--sweep", type=ASSIGNMENT, metavar="NAME=A..B:STEP", help="Fold OLD under each value and compare volumes."
)
@click.option("--as-of", type=INSTANT, help="Stop the clock here. Default: the newest event.")
@click.option("--sorted", "by_time", is_flag=True, help="Each contact's events by time first: nothing is too late.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for changed.jsonl, a line a contact."
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="A page to read in a browser.")
@click.option(
    "--processes", type=click.IntRange(1, 256), default=2, show_default=True, help="Processes to share the contacts."
)
@json_option
def command(
    old: str,
    new: str | None,
    events: tuple[str, ...],
    assignments: tuple[tuple[str, str], ...],
    sweep: tuple[str, str] | None,
    as_of: int | None,
    by_time: bool,
    out: Path | None,
    html: Path | None,
    processes: int,
    as_json: bool,
) -> None:
    """Fold EVENTS under OLD and under NEW, and say whose history differs, from which event on, and what that comes to.

    Without NEW, OLD is compared with itself under other parameters (--set), or over a range of one (--sweep).
    """
    from worker.charts.drawing import library
    from worker.commands._errors import Misused
    from worker.commands._garbage import relax
    from worker.compare import Variant, compare
    from worker.compare.page import SHOWN_MAX
    from worker.compare.sweep import swept
    from worker.replay import Terms

    if sweep is not None and (new is not None or assignments or out is not None):
        raise Misused("--sweep turns one parameter of OLD: no NEW, --set or --out beside it")
    if sweep is None and new is None and not assignments:
        raise Misused("nothing to compare with: give NEW, --set NAME=VALUE or --sweep NAME=A..B:STEP")
    first = read_lifecycle(old)
    second = read_lifecycle(new or old, assignments)
    if html is not None:
        library()  # missed before the work, not after it
    shown: list[dict[str, Any]] = []
    with ExitStack() as stack:
        lines = _changed_file(stack, out)

        def each(line: bytes) -> None:
            if lines is not None:
                lines.write(line)
            if len(shown) < SHOWN_MAX:
                shown.append(json.loads(line))

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-input-")))
        from worker.commands.replay import inputs

        sources, _ = inputs(events, folder, "murmur2", False)
        bar = stack.enter_context(Bar("compare"))
        relax()

        def compared(variants: Sequence[Variant]) -> Comparison:
            terms = Terms(wall=now_ms(), as_of=as_of, by_time=by_time)
            wanted = each if sweep is None else None
            return compare(variants, sources, terms, processes=processes, each=wanted, progress=bar.report)

        if sweep is None:
            found = compared([Variant("old", first), Variant("new", second)])
        else:
            found = swept(first, *sweep, compared)
    titles = old, (new or old) + "".join(f" with {name}={value}" for name, value in assignments)
    if html is not None:
        html.write_text(_page(found, shown, titles, sweep, first), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(_sweep_json(found, sweep) if sweep is not None else _as_json(found)))
    elif sweep is not None:
        _show_sweep(found, sweep[0], str(first.parameters[sweep[0]].value))
    else:
        _show(found, shown[:10], titles)
    written = [str(path) for path in (out / "changed.jsonl" if out else None, html) if path is not None]
    if written and not as_json:
        click.echo(f"\nWritten to {', '.join(written)}.")


def _changed_file(stack: ExitStack, out: Path | None) -> IO[bytes] | None:
    if out is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    return stack.enter_context((out / "changed.jsonl").open("wb"))


def _page(
    found: Comparison, shown: list[dict[str, Any]], titles: tuple[str, str], sweep: tuple[str, str] | None,
    lifecycle: Lifecycle,
) -> str:  # fmt: skip
    from worker.compare.page import page, sweep_page

    if sweep is None:
        return page(found, shown, titles)
    parameter = lifecycle.parameters[sweep[0]]
    return sweep_page(found, sweep[0], parameter.means, str(parameter.value))


def _as_json(found: Comparison) -> dict[str, Any]:
    old, new = found.figures[:2]
    stages = found.stages
    conversions = zip(old.conversions(stages), new.conversions(stages), strict=True)
    moves = sorted(
        set(old.transitions) | set(new.transitions), key=lambda move: (stages.index(move[0]), stages.index(move[1]))
    )
    return {
        "contacts": found.contacts,
        "changed": found.changed[1],
        "stages": {stage: {"old": old.stages[stage], "new": new.stages[stage]} for stage in stages},
        "transitions": [
            {"from": one, "to": to, "old": old.transitions[one, to], "new": new.transitions[one, to]}
            for one, to in moves
        ],
        "conversion": {
            one.stage: {
                "old": {"reached": one.reached, "onward": one.onward, "rate": round(one.rate, 4)},
                "new": {"reached": other.reached, "onward": other.onward, "rate": round(other.rate, 4)},
            }
            for one, other in conversions
        },
        "sla_breaches": {stage: {"old": old.breaches[stage], "new": new.breaches[stage]} for stage in stages},
        "moved": [
            {"old": one or None, "new": to or None, "contacts": count}
            for (one, to), count in found.moved.most_common()
            if one != to
        ],
        "dead_letters": {"old": old.dead_letters, "new": new.dead_letters},
    }


def _sweep_json(found: Comparison, sweep: tuple[str, str]) -> dict[str, Any]:
    return {
        "contacts": found.contacts,
        "parameter": sweep[0],
        "values": [
            {
                "value": variant.name,
                "changed": found.changed[place],
                "stages": {stage: figures.stages[stage] for stage in found.stages},
                "reached": {stage: figures.reached[stage] for stage in found.stages},
                "conversion": {one.stage: round(one.rate, 4) for one in figures.conversions(found.stages)},
            }
            for place, (variant, figures) in enumerate(zip(found.variants, found.figures, strict=True))
        ],
    }


def _show(found: Comparison, shown: list[dict[str, Any]], titles: tuple[str, str]) -> None:
    from rich.table import Table

    old, new = found.figures[:2]
    screen = console()
    share = found.changed[1] / found.contacts if found.contacts else 0
    screen.print(
        f"{found.changed[1]:,} of {plural(found.contacts, 'contact')} ({share:.1%}) would have another history"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "old", "new", "difference", "ever there", "", "went higher", ""):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for one, other in zip(old.conversions(found.stages), new.conversions(found.stages), strict=True):
        stage = one.stage
        difference = new.stages[stage] - old.stages[stage]
        table.add_row(
            stage.replace("_", " "), f"{old.stages[stage]:,}", f"{new.stages[stage]:,}", f"{difference:+,}",
            f"{one.reached:,}", f"{other.reached:,}", one.share, other.share,
        )  # fmt: skip
    screen.print()
    screen.print(table)
    if shown:
        screen.print()
        for contact in shown:
            stage, parts = contact["stage"], contact["parts"]
            when, what = parts["time"][:16].replace("T", " "), f"{parts['type']} {parts['event'] or ''}".rstrip()
            screen.print(
                f"{contact['contact']}: {stage['old'] or 'nowhere'} → {stage['new'] or 'nowhere'},"
                f" they part {when} at {what}",
                soft_wrap=True,
            )
        if found.changed[1] > len(shown):
            screen.print(f"… and {found.changed[1] - len(shown):,} more")


def _show_sweep(found: Comparison, name: str, own: str) -> None:
    from rich.table import Table

    stages = found.stages[1:]
    table = Table(box=None, pad_edge=False)
    table.add_column(name)
    for stage in stages:
        table.add_column(stage.replace("_", " "), justify="right")
    for variant, figures in zip(found.variants, found.figures, strict=True):
        mark = " (in force)" if variant.name == own else ""
        table.add_row(variant.name + mark, *(f"{figures.reached[stage]:,}" for stage in stages))
    screen = console()
    screen.print(f"Contacts ever in each stage, of {found.contacts:,}")
    screen.print()
    screen.print(table)
