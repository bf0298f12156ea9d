"""Show what records of other systems become by a mapping, and what of them is used."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final

import click

from worker.commands._options import json_option, shown
from worker.commands._screen import console, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from worker.mapping.machines import Machines
    from worker.mapping.mapping import Mapping, Step
    from worker.mapping.outcome import Result
    from worker.mapping.samples import Sample

LABEL_SHOWN: Final = 90  # characters of a rule's condition
UNUSED_SHOWN: Final = 12  # fields of one record; --json has them all
DRAFTED_FROM: Final = 1_000  # records


@click.command(
    epilog="""\b
Examples:
  lifecycle map --list
  lifecycle map captured.json --mapping stripe
  lifecycle map topic.jsonl.gz --mapping ./own.yaml --json
  lifecycle map captured.jsonl --new > own.yaml
  lifecycle map --show calendly > own.yaml
  lifecycle map own.scenarios.yaml --mapping ./own.yaml --check"""
)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--mapping", "-m", "name", metavar="M", help="A shipped mapping's name, or the path of one.")
@click.option("--new", "is_new", is_flag=True, help="Draft a mapping from the records, on standard output.")
@click.option("--check", is_flag=True, help="FILEs are scenarios: compare what comes out with what they expect.")
@click.option("--list", "is_list", is_flag=True, help="List the shipped mappings.")
@click.option("--show", metavar="M", help="Write out a shipped mapping, to start your own from.")
@click.option(
    "--machines", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="LIST",
    help="A list of machines (scanners, proxies) in place of the shipped one.",
)  # fmt: skip
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[str, ...],
    name: str | None,
    is_new: bool,
    check: bool,
    is_list: bool,
    show: str | None,
    machines: Path | None,
    as_json: bool,
) -> None:
    """Show, record by record, what the records in FILE become by a mapping.

    FILE is JSON (one record, however it is laid out), JSON Lines, CSV, each plain, .gz or .zst, the scenarios of a
    mapping, or `-` for standard input. Shown are the events, what was dropped and why, what was refused and where,
    and the fields that nothing used. Exit status 1 where a record is refused, or a scenario isn't met.
    """
    asked = [is_list, show is not None, is_new, name is not None]
    if sum(asked) != 1:
        raise click.UsageError("say one of --mapping, --new, --list and --show")
    if is_list:
        _list(as_json)
        return
    if show is not None:
        _show(show)
        return
    if not files:
        raise click.UsageError("name a FILE with records, or `-` for standard input")
    if is_new:
        _draft(files)
        return
    assert name is not None
    mapping = _load(name, machines)
    failed = _check(mapping, files, as_json) if check else _map(mapping, files, as_json)
    if failed:
        ctx.exit(1)


def _load(name: str, machines: Path | None) -> Mapping:
    from worker.mapping.machines import read_machines
    from worker.mapping.mapping import Mapping

    own: Machines | None = read_machines(shown(machines)) if machines is not None else None
    return Mapping.load(name, own)


def _samples(files: tuple[str, ...]) -> Iterator[Sample]:
    from worker.mapping.samples import read_samples

    for file in files:
        yield from read_samples(file, sys.stdin.buffer)


# ----------------------------------------------------------------------------------------------------- the small ones
def _list(as_json: bool) -> None:
    from worker.mapping import library
    from worker.mapping.reader import read_mapping

    models = [read_mapping(library.find(name)) for name in library.names()]
    if as_json:
        for model in models:
            click.echo(json.dumps({"name": model.name, "title": model.title, "seen": model.seen}, ensure_ascii=False))
        return
    width = max(len(model.name) for model in models)
    for model in models:
        click.echo(f"{model.name:<{width}}  {model.title}")


def _show(name: str) -> None:
    from worker.mapping import library

    click.echo(library.find(name).read_text(), nl=False)


def _draft(files: tuple[str, ...]) -> None:
    from worker.mapping.bodies import read_body
    from worker.mapping.draft import draft
    from worker.mapping.outcome import BodyError

    documents: list[Any] = []
    for sample in _samples(files):
        if len(documents) == DRAFTED_FROM:
            break
        try:
            documents.append(read_body(sample.record, "either"))
        except BodyError as error:
            raise click.ClickException(f"{sample.where}: {error}") from None
    if not documents:
        raise click.ClickException("there are no records to draft a mapping from")
    stem = Path(files[0]).name.partition(".")[0].lower() if files[0] != "-" else "own"
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem).strip("-0123456789")
    click.echo(draft(name or "own", documents), nl=False)


def _check(mapping: Mapping, files: tuple[str, ...], as_json: bool) -> int:
    from worker.mapping.scenario import differences, read_scenarios

    ran = failed = 0
    for file in files:
        for scenario in read_scenarios(Path(file)):
            found = differences(mapping, scenario)
            ran, failed = ran + 1, failed + bool(found)
            if as_json:
                told = {"file": scenario.source, "line": scenario.line, "name": scenario.name, "differences": found}
                click.echo(json.dumps({**told, "passed": not found}, ensure_ascii=False))
            elif found:
                click.echo(f"FAILED {scenario.source}:{scenario.line}: {scenario.name}")
                for line in found:
                    click.echo(f"  {line}")
    if not as_json:
        click.echo(f"{plural(ran, 'scenario')}, {f'{failed} failed' if failed else 'all pass'}")
    return failed


# ------------------------------------------------------------------------------------------------------------- mapping
def _map(mapping: Mapping, files: tuple[str, ...], as_json: bool) -> int:
    """Show every record; how many of their items were refused."""
    from worker.mapping.mapping import Item, Step
    from worker.mapping.outcome import BodyError, Refused
    from worker.mapping.unused import unused, written

    counted: Counter[str] = Counter()
    passed_over: Counter[str] = Counter()
    screen = console()
    for sample in _samples(files):
        fields: list[str] = []
        try:
            document, steps = mapping.explain(sample.record, sample.headers, sample.key)
            fields = [written(path) for path in unused(mapping.model, document, steps)]
        except BodyError as error:
            steps = [Step(Item(None), None, [Refused(error.refusal, "$", sample.record)])]
        counted["record"] += 1
        passed_over.update(fields)
        for step in steps:
            counted.update(type(result).__name__ for result in step.results)
        if as_json:
            click.echo(json.dumps(_as_json(mapping, sample, steps, fields), ensure_ascii=False))
            continue
        screen.print(_heading(sample.where))
        for step in steps:
            for line in _lines(mapping, step):
                screen.print(line, soft_wrap=True)
        if fields:
            more = f" and {len(fields) - UNUSED_SHOWN} more" if len(fields) > UNUSED_SHOWN else ""
            screen.print(_dim(f"  not used: {', '.join(fields[:UNUSED_SHOWN])}{more}"), soft_wrap=True)
    if not as_json:
        _sum_up(counted, passed_over)
    return counted["Refused"]


def _sum_up(counted: Counter[str], passed_over: Counter[str]) -> None:
    parts = [plural(counted["record"], "record"), plural(counted["Event"], "event")]
    parts += [f"{counted['Dropped']:,} dropped", f"{counted['Refused']:,} refused"]
    click.echo(", ".join(parts))
    if counted["record"] > 1 and passed_over:
        common = ", ".join(f"{name} ({count})" for name, count in passed_over.most_common(UNUSED_SHOWN))
        click.echo(f"not used, most often: {common}")


def _as_json(mapping: Mapping, sample: Sample, steps: list[Step], fields: list[str]) -> dict[str, Any]:
    return {
        "record": sample.where,
        "items": [
            {"path": step.item.path, "rule": _label(mapping, step), "results": [_told(r) for r in step.results]}
            for step in steps
        ],
        "unused": fields,
    }


def _told(result: Result) -> dict[str, Any]:
    """A result as JSON; an event as the worker would have it on a topic."""
    from worker.events import encode
    from worker.fold.outcome import Event
    from worker.mapping.outcome import Dropped

    if isinstance(result, Event):
        return {"event": json.loads(encode(result))}
    if isinstance(result, Dropped):
        return {"dropped": result.reason}
    return {"refused": result.refusal.reason, "path": result.path, "message": result.refusal.message}


def _label(mapping: Mapping, step: Step) -> str | None:
    rules = (*mapping.model.rules, mapping.model.otherwise)
    return None if step.rule is None else rules[step.rule].label


def _heading(where: str) -> Text:
    from rich.text import Text

    return Text(where, "bold")


def _dim(text: str) -> Text:
    from rich.text import Text

    return Text(text, "dim")


def _lines(mapping: Mapping, step: Step) -> Iterator[Text]:
    from rich.text import Text

    from worker.fold.outcome import Event
    from worker.instants import format_instant
    from worker.mapping.outcome import Dropped

    label = _label(mapping, step)
    if step.item.path != "$" or label:
        by = f"  by: {shorten(label, LABEL_SHOWN, placeholder=' …')}" if label else ""
        yield _dim(f"  {step.item.path}{by}")
    for result in step.results:
        if isinstance(result, Event):
            yield Text.assemble(
                "  ", (result.type, "green"), f"  {format_instant(result.time)}  {result.subject}  id {result.id}"
            )
            for name, fields in (("data", result.data), ("traits", result.traits or {})):
                if fields:
                    plain = ", ".join(
                        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()
                    )
                    yield Text(f"    {name}  {plain}")
        elif isinstance(result, Dropped):
            yield Text.assemble("  ", ("dropped", "yellow"), f": {result.reason}")
        else:
            yield Text.assemble("  ", ("refused", "red"), f" ({result.refusal.reason}): {result.refusal.message}")
