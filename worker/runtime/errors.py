"""Why a worker stops. None of it loses anything: what was committed is in the log, the rest is read again.

    WorkerError
    ├── SettingsError    a setting is missing, unknown or can't be; names it
    ├── Halt             what was found (a topic, offsets, another version) forbids to go on; says what to do
    └── EngineFault      the fold failed on a record or timer: names it, so that it can be looked at

Errors of the log are `worker.transports.errors`, those of the store `worker.stores.errors`. The loop waits out
`Retriable` ones and joins the group again after `Fenced`; all others end the worker with their one line.
"""

from __future__ import annotations


class WorkerError(Exception):
    """The worker can't go on; `remedy` says in a sentence what a person can do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.remedy = remedy


class SettingsError(WorkerError):
    """A setting can't be used; `setting` is its name as in the TOML file."""

    def __init__(self, setting: str, message: str, remedy: str = "") -> None:
        super().__init__(f"setting {setting}: {message}", remedy)
        self.setting = setting


class Halt(WorkerError):
    """Going on would lose something, double it or mix what doesn't belong together."""


class EngineFault(WorkerError):
    """The fold raised, or went on without an end; `where` is the record or timer that it happened on."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(
            f"{where}: {message}", "this is a fault of the worker, not of the record: report it with the record's text"
        )
        self.where = where
