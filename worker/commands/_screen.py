"""What people see: results on stdout, progress on stderr and only on a terminal. Colours follow NO_COLOR."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

QUIET_SECONDS: Final = 2.0
"""What takes no longer shows no progress."""

WIDTH_PIPED: Final = 100


def console(stderr: bool = False) -> Console:
    """A console for people; piped, plain text of a fixed width."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else WIDTH_PIPED, highlight=False, soft_wrap=False, emoji=False
    )


def plural(count: int, what: str, many: str | None = None) -> str:
    """`1 contact`, `2,000 contacts`."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"


class Bar:
    """A progress bar for whatever takes longer than two seconds; `report(done, total)` moves it."""

    def __init__(self, what: str, unit: str = "bytes") -> None:
        self._what = what
        self._unit = unit
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def report(self, done: int, total: int) -> None:
        if self._progress is None:
            if not sys.stderr.isatty() or time.monotonic() - self._started < QUIET_SECONDS:
                return
            self._progress = self._start(total)
        self._progress.update(self._task, completed=done, total=total, refresh=self._due())

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._started < 0.1:
            return False
        self._started = now
        return True

    def _start(self, total: int) -> Progress:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()]
        columns += [DownloadColumn(), TransferSpeedColumn()] if self._unit == "bytes" else [MofNCompleteColumn()]
        progress = Progress(
            *columns, TimeRemainingColumn(), console=console(stderr=True), auto_refresh=False, transient=True
        )
        progress.start()
        self._task = progress.add_task(self._what, total=total)
        return progress


def note(text: str) -> None:
    """A line for people beside the result."""
    click.echo(text, err=True)
