"""Show the lifecycles that come with the worker: their stages, scenarios and parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from worker.commands._options import json_option, read_lifecycle
from worker.commands._screen import console

if TYPE_CHECKING:
    from worker.definition.model import Lifecycle


@click.command(
    epilog="""\b
Examples:
  lifecycle list
  lifecycle list 10ex
  lifecycle list --json"""
)
@click.argument("lifecycle", required=False, metavar="[L]")
@json_option
def command(lifecycle: str | None, as_json: bool) -> None:
    """Show the shipped lifecycles; of one, L, its stages, what moves a contact, and every figure that may be turned.

    L is a name or the path of a definition.
    """
    from worker.shipped import glance, lifecycle_names

    if lifecycle is not None:
        found = read_lifecycle(lifecycle)
        if as_json:
            click.echo(json.dumps(_row(found, whole=True), ensure_ascii=False))
        else:
            _show_one(found)
        return
    for name in lifecycle_names():
        if as_json:
            click.echo(json.dumps(_row(read_lifecycle(name), whole=False), ensure_ascii=False))
            continue
        seen = glance(name)
        if seen is None:
            row = _row(read_lifecycle(name), whole=False)
            seen = row["title"], row["stages"]
        title, stages = seen
        screen = console()
        screen.print(f"[bold]{name}[/bold]  {title}")
        screen.print(f"  {' → '.join(stages)}\n", style="dim")
    if not as_json:
        click.echo("`lifecycle list L` says more of one; `lifecycle copy L FILE` gives you your own.")


def _row(lifecycle: Lifecycle, whole: bool) -> dict[str, Any]:
    from worker.definition.parameters import fingerprint

    row: dict[str, Any] = {
        "lifecycle": lifecycle.lifecycle,
        "version": lifecycle.version,
        "title": lifecycle.title,
        "stages": [stage.name for stage in lifecycle.stages.values()],
        "fingerprint": fingerprint(lifecycle),
    }
    if whole:
        row["stages"] = {name: stage.name for name, stage in lifecycle.stages.items()}
        row["parameters"] = {
            name: {"value": known.value, "means": known.means, "assumed": known.assumed}
            for name, known in lifecycle.parameters.items()
        }
    return row


def _show_one(lifecycle: Lifecycle) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    screen.print(Text.assemble((lifecycle.title, "bold"), f"  {lifecycle.lifecycle}, version {lifecycle.version}\n"))
    stages = Table("Stage", "Means", "Owner", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for stage in lifecycle.stages.values():
        stages.add_row(Text(stage.name, "cyan"), stage.means.value, _words(stage.owner.value))
    screen.print(stages)
    moves = Table("From", "To", "When the contact…", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for transition in lifecycle.transitions:
        origin = transition.from_ if isinstance(transition.from_, str) else ", ".join(transition.from_)
        moves.add_row(_words(origin), Text(_words(transition.to), "cyan"), transition.says)
    screen.print()
    screen.print(moves)
    if lifecycle.parameters:
        figures = Table("Parameter", "Value", "Means", box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name, known in lifecycle.parameters.items():
            value = str(known.value).lower() if isinstance(known.value, bool) else str(known.value)
            figures.add_row(Text(name, "cyan"), value, known.means + (" (assumed)" if known.assumed else ""))
        screen.print()
        screen.print(figures)


def _words(name: str) -> str:
    return name.replace("_", " ")
