"""Make a lifecycle of your own from one that is there, with its scenarios beside it."""

from __future__ import annotations

import re
from pathlib import Path

import click

from worker.commands._options import shown


@click.command(
    epilog="""\b
Examples:
  lifecycle copy 10ex own.yaml
  lifecycle copy mops lifecycles/ours.yaml --force"""
)
@click.argument("lifecycle", metavar="L")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(lifecycle: str, file: Path, force: bool) -> None:
    """Copy the lifecycle L (a shipped one's name, or a path) to FILE, and its scenarios beside it.

    The copy is named after FILE, and not signed by anyone.
    """
    from worker.commands._errors import Misused
    from worker.definition.reader import read
    from worker.shipped import lifecycle_path, scenarios_path

    origin = lifecycle_path(lifecycle)
    if file.suffix not in (".yaml", ".yml"):
        raise Misused(f"{file}: a definition is a YAML file: name it {file}.yaml")
    name = re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_")
    if not name:
        raise Misused(f"{file}: its name becomes the lifecycle's: it needs a letter or digit")
    targets = [(origin, file), (scenarios_path(origin), file.with_name(f"{file.stem}.scenarios.yaml"))]
    targets = [(path, target) for path, target in targets if path.is_file()]
    for _, target in targets:
        if target.exists() and not force:
            raise Misused(f"{target} is there already: choose another name, or overwrite it with --force")
    known = read(origin)
    file.parent.mkdir(parents=True, exist_ok=True)
    for path, target in targets:
        text = path.read_text(encoding="utf-8")
        if target == file:
            text = re.sub(r"(?m)^lifecycle:.*$", f"lifecycle: {name}", text, count=1)
            text = re.sub(r"(?m)^version:.*$", "version: 1", text, count=1)
            text = _unsigned(text)
        else:
            text = re.sub(
                rf"(?m)^(\s+)lifecycle: {re.escape(known.lifecycle)}\s*$", rf"\g<1>lifecycle: {file.name}", text
            )
        target.write_text(text, encoding="utf-8")
    read(file)
    scenarios = "" if len(targets) == 1 else f", and its scenarios to {shown(targets[1][1])}"
    click.echo(f"Copied {known.lifecycle} to {shown(file)} as {name}{scenarios}.")
    if scenarios:
        click.echo(f"Next: change it, then `lifecycle test {shown(targets[1][1])}`.")


def _unsigned(text: str) -> str:
    """Without the names of those who signed another lifecycle."""
    head, mark, tail = text.partition("\nsign_off:")
    tail = re.sub(r",\s*(name|date|fingerprint):\s*[^,}\n]+", "", tail)
    tail = re.sub(r"(?m)^\s+(name|date|fingerprint):.*\n", "", tail)
    return head + mark + tail
