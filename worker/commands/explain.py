"""Say why a contact is where it is: every move with its cause, and what is missing for another."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.commands._options import INSTANT, json_option, lifecycle_option, now_ms, read_lifecycle
from worker.commands._screen import Bar, console

if TYPE_CHECKING:
    from worker.explain import Explanation
    from worker.fold.engine import Engine


@click.command(
    epilog="""\b
Examples:
  lifecycle explain ada@example.com --lifecycle 10ex --events events.jsonl
  lifecycle explain c-42 -l mops --events kafka://localhost:9092/engagement --why-not sql
  lifecycle explain c-42 -l ./own.yaml --events 2026/ --at 2026-02-01 --json
  lifecycle explain c-42 -l 10ex --state-dir lifecycle-state/lifecycle-10ex"""
)
@click.argument("contact")
@lifecycle_option
@click.option(
    "--events", "-e", multiple=True, metavar="EVENTS",
    help="Files or folders of events, `-`, or a topic, as for `replay`; repeatable.",
)  # fmt: skip
@click.option(
    "--state-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A worker's folder, running or not, instead of events: what it keeps of the contact.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path),
    help="The worker's TOML file, where its state is kept under a contact_key.",
)  # fmt: skip
@click.option("--at", type=INSTANT, help="As of this time. Default: the newest event; of a worker's state, now.")
@click.option("--why-not", "wanted", metavar="STAGE", help="Name what is missing for this stage, and what would help.")
@click.option("--rekey", is_flag=True, help="Of a topic: take records whose key is not their subject.")
@click.option("--partitioner", default="murmur2", show_default=True, help="Of a topic: how its keys were partitioned.")
@json_option
def command(
    contact: str,
    lifecycle: str,
    assignments: tuple[tuple[str, str], ...],
    events: tuple[str, ...],
    state_dir: Path | None,
    config: Path | None,
    at: int | None,
    wanted: str | None,
    rekey: bool,
    partitioner: str,
    as_json: bool,
) -> None:
    """Tell CONTACT's history: each move with its cause, each condition with the values it saw, what was refused, and
    what was published and corrected later.

    From --events the history is whole. From a worker's --state-dir, the newest part of it is, and of what lies
    behind the horizon the visits to each stage. Exit status 1 where nothing is known of the contact.
    """
    from worker.commands._errors import Misused
    from worker.definition.nearest import nearest, suggestion
    from worker.fold.engine import Engine
    from worker.plan import compile_plan

    if bool(events) == (state_dir is not None):
        raise Misused("give --events or --state-dir: where the contact's history is to be read from")
    definition = read_lifecycle(lifecycle, assignments)
    if wanted is not None and wanted not in definition.stages:
        hint = suggestion(nearest(wanted, definition.stages)) or f"; there is {', '.join(definition.stages)}"
        raise Misused(f"'{wanted}' is no stage of {definition.lifecycle}{hint}")
    secret = _contact_key(config) if state_dir is not None else b""
    engine = Engine(compile_plan(definition), grace=False, secret=secret)
    if state_dir is not None:
        explained = _from_state(engine, contact, state_dir, at, wanted)
    else:
        explained = _from_events(engine, contact, events, at, wanted, partitioner, rekey)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(explained).decode())
    else:
        from worker.explain.text import render

        screen = console()
        for line in render(explained):
            screen.print(line, soft_wrap=True)
    if not explained.known:
        raise SystemExit(1)


def _contact_key(config: Path | None) -> bytes:
    """The key of the worker's digests, from where the worker itself has it: environment or TOML file."""
    if config is None and not any(name.upper().startswith("LIFECYCLE_") for name in os.environ):
        return b""  # nothing says any: settings take long to load
    from worker.commands._broker import reach

    key = reach(config, broker="embedded:unused").contact_key
    return b"" if key is None else key.get_secret_value().encode()


def _from_state(engine: Engine, contact: str, folder: Path, at: int | None, wanted: str | None) -> Explanation:
    from worker.commands._errors import Misused
    from worker.explain import Explainer, StoredStates

    with StoredStates(folder) as states:
        states.teach(engine)
        state = states.get(engine.keys.contact(contact))
    try:
        return Explainer(engine).state(contact, state, now_ms() if at is None else at, wanted=wanted)
    except ValueError as error:
        raise Misused(f"{folder}: {error}") from None


def _from_events(
    engine: Engine, contact: str, events: tuple[str, ...], at: int | None, wanted: str | None, partitioner: str,
    rekey: bool,
) -> Explanation:  # fmt: skip
    from worker.commands.replay import inputs
    from worker.explain import Explainer
    from worker.explain.gather import gather

    with tempfile.TemporaryDirectory(prefix="lifecycle-input-") as folder, Bar("read") as bar:
        sources, _ = inputs(events, Path(folder), partitioner, rekey)
        total = 2 * sum(source.path.stat().st_size for source in sources)
        done = 0

        def report(more: int) -> None:
            nonlocal done
            done += more
            bar.report(min(done, total), total)

        found = gather(engine.plan, sources, contact, now_ms(), at, report)
    asked = Explainer(engine)
    return (asked.events if at is None else asked.past)(contact, found.events, found.clock, wanted=wanted)
