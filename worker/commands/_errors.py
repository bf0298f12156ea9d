"""Errors of the rooms within as people read them. What isn't listed here is a fault of ours and keeps its traceback."""

from __future__ import annotations

from typing import IO, Any

import click


class Told(click.ClickException):
    """One line; the exit status says that it could not be done."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"Error: {self.message}", file=file, err=file is None)


class Misused(Told):
    """What was asked for can't be meant."""

    exit_code = 2


class Findings(Misused):
    """Faults of a definition, each on its own line as compilers write them."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


def explained(error: Exception) -> Told | None:
    """What to tell of an error; None where it is none that people can do anything about."""
    # Not before there is one: some of these rooms take long to load, and most runs end without.
    from worker.charts import ChartError
    from worker.definition.errors import DefinitionError, ParameterError
    from worker.replay.records import NoInputError, ReplayError
    from worker.runtime.errors import SettingsError, WorkerError
    from worker.shipped import UnknownLifecycle
    from worker.stores.errors import StoreError
    from worker.transports.errors import TransportError

    match error:
        case DefinitionError():
            return Findings("\n".join(map(str, error.findings)))
        case UnknownLifecycle() | ParameterError() | SettingsError() | NoInputError():
            return Misused(str(error))
        case TransportError():
            return Told(f"{error}: {error.remedy}" if error.remedy else str(error))
        case ChartError() | ReplayError() | WorkerError() | StoreError():
            return Told(str(error))
    return None
