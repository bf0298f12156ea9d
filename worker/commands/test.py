"""Run the scenarios of a lifecycle: what was expected, what came out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.commands._options import json_option, shown
from worker.commands._screen import console, plural

if TYPE_CHECKING:
    from worker.definition.errors import UnknownNames
    from worker.definition.scenario import Scenario
    from worker.scenarios import Result, Runner


@click.command(
    epilog="""\b
Examples:
  lifecycle test
  lifecycle test own.scenarios.yaml --coverage
  lifecycle test statemachine/10ex.scenarios.yaml --json"""
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILES]...")
@click.option("--coverage", is_flag=True, help="Say what of the lifecycles no scenario reaches.")
@json_option
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], coverage: bool, as_json: bool) -> None:
    """Run the scenarios in FILES, or those of all shipped lifecycles. Exit status 1 where one fails.

    A scenario says what happens to a contact and what is expected in the end; it is folded as the worker folds. One
    that names what its lifecycle doesn't have fails as well.
    """
    from worker.definition.errors import UnknownNames
    from worker.definition.scenario import read_scenarios
    from worker.scenarios import Runner

    started = time.perf_counter()
    runner = Runner(coverage=coverage)
    paths = [shown(path) for path in files or _shipped()]
    suites = [(path, read_scenarios(path)) for path in paths]  # all faults of form before the first result
    ran = failed = 0
    for path, scenarios in suites:
        failures = 0
        for scenario in scenarios:
            try:
                result = runner.run(scenario)
            except UnknownNames as error:  # a slip in one scenario keeps nobody from the results of the others
                failures += 1
                _show_faults(scenario, error, as_json)
                continue
            failures += not result.passed
            if as_json:
                click.echo(_as_json(scenario, result))
            elif not result.passed:
                _show_failure(result)
        ran, failed = ran + len(scenarios), failed + failures
        if not as_json:
            click.echo(
                f"{path}: {plural(len(scenarios), 'scenario')}, {f'{failures} failed' if failures else 'all pass'}"
            )
    if coverage:
        _show_coverage(runner, as_json)
    if not as_json and len(suites) > 1:
        click.echo(f"{plural(ran, 'scenario')}, {failed} failed, {time.perf_counter() - started:.1f} s")
    if failed:
        ctx.exit(1)


def _shipped() -> list[Path]:
    from worker.shipped import lifecycle_names, lifecycle_path, scenarios_path

    found = [scenarios_path(lifecycle_path(name)) for name in lifecycle_names()]
    return [path for path in found if path.is_file()]


def _as_json(scenario: Scenario, result: Result | None, faults: Sequence[str] = ()) -> str:
    """One scenario's object; one with faults, which could not be run, has no `result`."""
    return json.dumps(
        {
            "file": scenario.source,
            "line": scenario.line,
            "name": scenario.name,
            "lifecycle": scenario.lifecycle,
            "passed": result is not None and result.passed,
            "differences": [difference._asdict() for difference in result.differences] if result else [],
            "faults": list(faults),
        },
        ensure_ascii=False,
    )


def _show_faults(scenario: Scenario, error: UnknownNames, as_json: bool) -> None:
    faults = list(map(str, error.findings))
    if as_json:
        click.echo(_as_json(scenario, None, faults))
    else:
        click.echo("\n".join(faults), err=True)


def _show_failure(result: Result) -> None:
    """What was expected, what came out, and how it came to that."""
    from rich.text import Text

    from worker.commands._lines import describe

    screen, scenario = console(), result.scenario
    screen.print(
        Text.assemble(("FAILED ", "bold red"), f"{scenario.source}:{scenario.line}: {scenario.name}"), soft_wrap=True
    )
    width = max(len(difference.what) for difference in result.differences)
    for what, expected, actual in result.differences:
        screen.print(
            Text.assemble(
                f"  {what:<{width}}  expected ", (_plain(expected), "green"), ", came out ", (_plain(actual), "red")
            )
        )
    screen.print(Text("  history:", "dim"))
    for outputs in result.histories.values():
        for output in outputs:
            for line in describe(output.body, 8):
                screen.print(Text("    ") + line, no_wrap=True, overflow="ellipsis")
    for refusal in result.refused:
        screen.print(Text(f"    dead letter: {refusal.reason}: {refusal.message}"))
    screen.print()


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _show_coverage(runner: Runner, as_json: bool) -> None:
    for path, coverage in runner.coverage.items():
        taken, moves = coverage.count()
        missing = list(coverage.missing())
        name = str(shown(Path(path)))
        if as_json:
            click.echo(
                json.dumps({"file": name, "moves": moves, "taken": taken, "missing": missing}, ensure_ascii=False)
            )
            continue
        click.echo(f"{name}: {taken} of {plural(moves, 'move')} taken")
        for sentence in missing:
            click.echo(f"  {sentence}")
