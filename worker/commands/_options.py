"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from worker.definition.model import Lifecycle

    _InstantType = click.ParamType[int]
    _AssignmentType = click.ParamType[tuple[str, str]]
else:
    _InstantType = _AssignmentType = click.ParamType  # not generic in older releases of click

F = TypeVar("F", bound=Callable[..., Any])


class Instant(_InstantType):
    """A time: RFC 3339, or a day, which is its first moment in UTC. Epoch milliseconds within."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from worker.instants import parse_instant

        if isinstance(value, int):
            return value
        try:
            return parse_instant(f"{value}T00:00:00Z" if len(value) == 10 else value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}, nor a day such as 2026-01-05", param, ctx)


class Assignment(_AssignmentType):
    """NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, given = value.partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=VALUE, such as mql_score=60", param, ctx)
        return name.strip(), given.strip()


INSTANT = Instant()
ASSIGNMENT = Assignment()


def lifecycle_option(function: F) -> F:
    function = click.option(
        "--set", "assignments", multiple=True, type=ASSIGNMENT, help="Turn a parameter of the lifecycle; repeatable."
    )(function)
    return click.option(
        "--lifecycle", "-l", "lifecycle", required=True, envvar="LIFECYCLE_LIFECYCLE", metavar="L",
        help="A shipped lifecycle's name (see `lifecycle list`), or the path of a definition.",
    )(function)  # fmt: skip


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")(function)


def read_lifecycle(name_or_path: str, assignments: tuple[tuple[str, str], ...] = ()) -> Lifecycle:
    """The definition, checked, with its parameters turned. Raises what `worker.commands._errors` explains."""
    from worker.definition.reader import read
    from worker.shipped import lifecycle_path

    return read(shown(lifecycle_path(name_or_path)), turned=dict(assignments))


def shown(path: Path) -> Path:
    """The path as findings name it: short where it lies below the working folder."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def now_ms() -> int:
    """The wall clock, epoch ms: the one place of the commands that reads it."""
    return int(dt.datetime.now(dt.UTC).timestamp() * 1000)


def input_option(says: str) -> Callable[[F], F]:
    """`--input`, once for each topic that is read besides the input topic."""
    return click.option(
        "--input", "input", multiple=True, metavar="TOPIC[/SOURCE][=MAPPING]", help=f"{says}; repeatable."
    )
