"""The verbs by their modules, and what becomes of an error: one line that says what, where and what to do."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Final

import click

ORDER: Final = (
    "demo", "run", "send", "watch", "redrive", "replay", "explain", "diff", "report",
    "list", "copy", "lint", "test", "document", "diagram", "map", "receive",
)  # fmt: skip
HEAD_BYTES: Final = 300  # enough for the first line of a module


class Verbs(click.Group):
    """Finds its commands among the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {path.stem for path in Path(__file__).parent.glob("[!_]*.py")}
        return [name for name in ORDER if name in found] + sorted(found - set(ORDER))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        return _command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            from worker.definition.nearest import nearest, suggestion

            ctx.fail(f"there is no verb '{name}'{suggestion(nearest(name, self.list_commands(ctx)))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, _says(name)) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            from worker.commands._errors import explained

            told = explained(error)
            if told is None:
                raise
            raise told from None


def _command(name: str) -> click.Command:
    command = importlib.import_module(f"worker.commands.{name}").command
    assert isinstance(command, click.Command)
    return command


def _says(name: str) -> str:
    """The first line of the verb's docstring, without importing anything."""
    with (Path(__file__).parent / f"{name}.py").open("rb") as file:
        first = file.read(HEAD_BYTES).decode(errors="replace").lstrip().partition("\n")[0]
    return first.strip('"').strip()


EPILOG = """\b
Examples:
  lifecycle demo
  lifecycle replay events.jsonl --lifecycle 10ex --out results
  lifecycle run --lifecycle 10ex --broker kafka://localhost:9092

`lifecycle VERB --help` says more of each."""


@click.group(
    cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="lifecycle-worker", prog_name="lifecycle")
def group() -> None:
    """Customer lifecycles decided from engagement events, by a definition that people can read."""


def main() -> None:
    """The program. A reader that goes away (`| head`) ends it quietly."""
    try:
        group(prog_name="lifecycle")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
