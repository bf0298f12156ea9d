"""Draw a lifecycle: stages, what moves contacts between them, and how many go which way."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.commands._options import ASSIGNMENT, now_ms, read_lifecycle

if TYPE_CHECKING:
    from worker.definition.model import Lifecycle
    from worker.diagram import Volumes


@click.command(
    epilog="""\b
Examples:
  lifecycle diagram 10ex
  lifecycle diagram ./own.yaml --out picture.svg
  lifecycle diagram 10ex --events events.jsonl --out volumes.svg"""
)
@click.argument("lifecycle", metavar="L")
@click.option(
    "--format", "form", type=click.Choice(["mermaid", "svg"]), help="Default: what FILE's name says, else mermaid."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: standard output."
)
@click.option(
    "--events", "-e", multiple=True, metavar="EVENTS",
    help="Fold these (files, folders or a topic) and draw lines as wide as contacts went along them.",
)  # fmt: skip
@click.option("--set", "assignments", multiple=True, type=ASSIGNMENT, help="Turn a parameter; repeatable.")
def command(
    lifecycle: str,
    form: str | None,
    out: Path | None,
    events: tuple[str, ...],
    assignments: tuple[tuple[str, str], ...],
) -> None:
    """Draw the lifecycle L (a shipped one's name, or a path), as Mermaid or SVG.

    Stages stand in order, coloured by owner; every arrow says what its transition says.
    """
    from worker.diagram import mermaid, svg

    definition = read_lifecycle(lifecycle, assignments)
    volumes = _volumes(definition, events) if events else None
    if form is None:
        form = "svg" if out is not None and out.suffix == ".svg" else "mermaid"
    text = svg(definition, volumes) if form == "svg" else mermaid(definition, volumes)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"Drawn to {out}.")


def _volumes(definition: Lifecycle, events: tuple[str, ...]) -> Volumes:
    """How many contacts went which way, by a replay of the events."""
    from worker.commands._screen import Bar
    from worker.commands.replay import inputs
    from worker.diagram.volumes import volumes
    from worker.replay import Job, Terms

    with tempfile.TemporaryDirectory(prefix="lifecycle-input-") as folder, Bar("replay") as bar:
        sources, _ = inputs(events, Path(folder), "murmur2", False)
        return volumes(Job(definition, tuple(sources), Terms(wall=now_ms())), bar.report)
