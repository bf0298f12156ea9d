"""Tell the faults of a definition: of its form, its names, and what it would make of contacts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from worker.commands._options import json_option, shown

if TYPE_CHECKING:
    from worker.lint import Finding


@click.command(
    epilog="""\b
Examples:
  lifecycle lint
  lifecycle lint own.yaml --json
  lifecycle lint 10ex own.yaml --strict"""
)
@click.argument("files", nargs=-1, metavar="[FILES|NAMES]...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@json_option
@click.pass_context
def command(ctx: click.Context, files: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Tell what is wrong with the definitions in FILES, or with all shipped ones. Exit status 1 where there are errors.

    Errors are what can't be meant, warnings what should be looked at, notes what is left to decide; docs/lint.md
    explains each code. Where a finding says what can happen, events that show it follow. Nothing is printed of what is
    in order. Files of scenarios are read too, for faults of their form.
    """
    from worker.lint import lint
    from worker.shipped import lifecycle_names, lifecycle_path

    failed = False
    paths = [lifecycle_path(name) for name in files or lifecycle_names()]
    for path in paths:
        for finding in lint(shown(path)):
            failed |= finding.severity == "error" or (strict and finding.severity == "warning")
            _tell(finding, as_json)
    if failed:
        ctx.exit(1)


def _tell(finding: Finding, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(finding.as_json(), ensure_ascii=False))
        return
    click.echo(str(finding), err=True)
    if finding.witness is not None:
        click.echo(f"    {finding.witness}", err=True)
