"""Run the worker: engagement events in, stage changes out, each exactly once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import click

from worker.commands._options import input_option
from worker.runtime.settings import Settings, load

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from worker.definition.model import Lifecycle

FIRST: Final = (
    "lifecycle", "broker", "input_topic", "input", "output_topic", "dead_letter_topic", "contacts_topic", "group",
    "state_dir", "client", "instance_id", "publish_from", "partitioner", "rekey", "too_late", "on_new_definition",
    "require_signed", "leave", "http",
)  # fmt: skip
"""In the order of the help; all other settings follow."""

NO_FLAG: Final = frozenset({"kafka", "log_key"})
"""A table, and a secret: they come from the TOML file or the environment."""

SAYS: Final = {
    "client": "client for Kafka",
    "input_topic": "events in",
    "output_topic": "events out",
    "dead_letter_topic": "what could not be accepted",
    "contacts_topic": "compacted: where each contact stands",
    "too_late": "what becomes of events older than a contact's horizon",
    "on_new_definition": "whether contacts folded under an older definition are taken over",
    "output_retention_ms": "how long a topic of events out that has to be made keeps them; -1: for ever",
    "dead_letter_retention_ms": "the same, of a topic of dead letters",
    "batch_records": "records read in one transaction",
    "batch_bytes": "bytes read of one topic in one transaction",
    "batch_output_bytes": "bytes written in one transaction, about",
    "backoff_ms": "before the first try again; each next one waits longer",
    "backoff_ms_max": "the longest wait before a try",
    "log_level": "the least that is logged",
    "log_format": "auto: for people on a terminal, else JSON",
}
HARD_STOP: Final = 1  # exit status where the batch in hand took longer than stop_timeout_ms

F = TypeVar("F", bound=Callable[..., Any])


def _setting_options(function: F) -> F:
    """A flag for every setting, under its name."""
    names = [*FIRST, *(name for name in Settings.model_fields if name not in FIRST and name not in NO_FLAG)]
    for name in reversed(names):
        field = Settings.model_fields[name]
        says = field.description or SAYS[name]
        default = field.default
        if default not in (None, "", (), Path()) and not isinstance(default, bool) and not field.is_required():
            says += f" [{default}]"
        flag = f"--{name.replace('_', '-')}"
        kind = _kind(field.annotation)
        if name == "input":
            option = input_option(says)
        elif kind is bool:
            option = click.option(flag, name, is_flag=True, default=None, help=says)
        else:
            short = ("-l",) if name == "lifecycle" else ()
            option = click.option(*short, flag, name, type=kind, default=None, help=says)
        function = option(function)
    return function


def _kind(annotation: Any) -> Any:
    """What click makes of a setting's type."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    if annotation is Path:
        return click.Path(path_type=Path)
    return annotation if annotation in (bool, int) else str


@click.command(
    epilog="""\b
Examples:
  lifecycle run --lifecycle 10ex --broker kafka://localhost:9092
  lifecycle run --lifecycle 10ex --broker embedded:log.db --contacts-topic contacts
  lifecycle run --lifecycle 10ex --broker kafka://localhost:9092 --http 127.0.0.1:9464
  lifecycle run --lifecycle 10ex --broker kafka://localhost:9092 --input crm=salesforce --input webhooks/pay=stripe
  LIFECYCLE_BROKER=kafka://broker:9092 lifecycle run --config worker.toml"""
)
@_setting_options
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file of settings")
def command(config: Path | None, **flags: Any) -> None:
    """Run the worker until it is told to stop (SIGTERM, Ctrl-C): the batch in hand is finished first.

    Every setting is a flag, an environment variable (--input-topic, LIFECYCLE_INPUT_TOPIC) or a name in the TOML file
    (input_topic), in this order. The file's [kafka] table goes to the client: TLS, SASL, any option of its own.
    Missing topics are made, and named in the log.

    --input reads another topic: its records become events by a mapping (`lifecycle map --list`), or are events already,
    keyed as they may be. Of a topic that `lifecycle receive` fills, TOPIC/SOURCE names the records of one source.
    """
    from worker.commands._live import beside, listen
    from worker.commands._options import read_lifecycle
    from worker.commands._serve import worker_of
    from worker.runtime.clock import SystemClock
    from worker.runtime.logs import open_logger

    settings = load(flags, config)
    logger = open_logger(settings)
    lifecycle = read_lifecycle(settings.lifecycle)  # once: what is checked is what runs
    _check_signed(settings, lifecycle, logger)
    clock = SystemClock()
    with ExitStack() as stack:
        bound = listen(settings, logger)  # first of all: where that fails, the worker has not joined its group
        stop = _stop_on_signals(settings, logger)
        made = None
        if bound is not None:
            stack.enter_context(bound)
            made = beside(bound, settings, clock, stop, logger)
        stack.enter_context(worker_of(settings, clock, logger, lifecycle=lifecycle, beside=made)).run(stop)


def _check_signed(settings: Settings, lifecycle: Lifecycle, logger: FilteringBoundLogger) -> None:
    """Warns of a definition that not everyone has signed as it is; where that is required, refuses it."""
    from worker.commands._errors import Told
    from worker.definition.signatures import signed
    from worker.shipped import lifecycle_names

    given = settings.lifecycle
    standing = signed(lifecycle)
    if standing.whole:
        return
    if settings.require_signed:
        copied = f"`lifecycle copy {given} own.yaml`, then " if given in lifecycle_names() else ""
        own = "own.yaml" if copied else given
        raise Told(
            f"{given} is {standing.says} (--require-signed): {copied}`lifecycle document {own} --sign NAME --role ROLE`"
        )
    logger.warning("unsigned-definition", lifecycle=settings.lifecycle, standing=standing.says)


def _stop_on_signals(settings: Settings, logger: FilteringBoundLogger) -> threading.Event:
    """Set by the first SIGTERM or SIGINT; then, or at a second one, the process ends at the latest after the limit."""
    stop = threading.Event()

    def end() -> None:
        # Nothing is lost: what was not committed is read again by whoever comes next.
        logger.error("stopped-hard", after_ms=settings.stop_timeout_ms)
        os._exit(HARD_STOP)

    def told(number: int, _frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            os._exit(128 + number)
        if not stop.is_set():
            stop.set()
            limit = threading.Timer(settings.stop_timeout_ms / 1000, end)
            limit.daemon = True
            limit.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop
