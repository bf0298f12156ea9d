"""Logs: fixed event names with values beside them; lines for people on a terminal, JSON elsewhere.

A contact's id may be an e-mail address. Above debug level only a keyed hash of it is written (`shadow`): enough to
see that two lines are about the same contact, not to find out which. The key is `log_key`, else a new one each run.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import sys
from typing import Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from worker.runtime.settings import Settings

AGAIN_SECONDS: Final = 60.0  # between two lines of a client that say the same
KINDS_MAX: Final = 200
_SECONDS: Final = re.compile(r"\d+(\.\d+)? (?=secs?\b)")

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def open_logger(settings: Settings, stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger that writes to `stream`; by default to stderr, where logs belong (stdout is for results).

    By default it is also where the clients of Kafka log to.
    """
    out = sys.stderr if stream is None else stream
    readable = settings.log_format == "console" or (settings.log_format == "auto" and out.isatty())
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if readable:
        processors.append(structlog.dev.ConsoleRenderer(colors=out.isatty()))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    logger = cast(
        FilteringBoundLogger,
        structlog.wrap_logger(
            structlog.WriteLogger(out),
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.log_level]),
            cache_logger_on_first_use=True,
        ),
    )
    if stream is None:
        hear_clients(logger)
    return logger


class Clients(logging.Handler):
    """What the clients of Kafka log of themselves, as lines of this log: warnings and errors, no details."""

    NAMES: Final = ("kafka", "worker.transports")

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._to = logger
        self._told: dict[str, float] = {}  # when each was last told, without its figures of time

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        try:
            says = record.getMessage()
        except (TypeError, ValueError):  # a line of theirs that can't be formatted is not worth ours
            self.handleError(record)
            return
        # They say the same few things of each try, of which there are hundreds a minute.
        kind = f"{record.name}: {_SECONDS.sub('', says)}"
        if record.created - self._told.get(kind, 0.0) < AGAIN_SECONDS:
            return
        if len(self._told) >= KINDS_MAX:
            self._told.clear()
        self._told[kind] = record.created
        self._to.log(level, "client", logger=record.name, says=says)


def hear_clients(logger: FilteringBoundLogger) -> None:
    """From now on what the clients log comes out of `logger`, and nowhere else: not as bare lines on stderr."""
    for name in Clients.NAMES:
        theirs = logging.getLogger(name)
        for handler in list(theirs.handlers):
            if isinstance(handler, Clients):
                theirs.removeHandler(handler)
        theirs.addHandler(Clients(logger))


class Shadow:
    """Contact ids as they may stand in a log."""

    def __init__(self, settings: Settings) -> None:
        key = settings.log_key.get_secret_value().encode() if settings.log_key is not None else secrets.token_bytes(32)
        self._key = hashlib.sha256(key).digest()

    def __call__(self, contact: bytes | str) -> str:
        """Twelve hex digits that are the same for the same contact and tell nothing else."""
        plain = contact.encode() if isinstance(contact, str) else contact
        return hashlib.blake2b(plain, key=self._key, digest_size=6).hexdigest()
