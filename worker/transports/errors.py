"""What can go wrong with a log, by what the worker must do about it.

TransportError
├── Retriable            the broker is away or slow: discard the producer, rewind, try again with backoff
│   └── CommitUnknown    the answer to a commit was lost: it may have happened; roll forward from the changelog
├── Fenced               another member owns what we hold: drop it all and join again
├── RecordTooLarge       this one record can't be taken; the transaction is over, the record must be left out
├── OffsetOutOfRange     what we were to read is gone: never reset silently
└── Fatal                nothing that trying again would mend: rights, a missing topic, a wrong setting
"""

from __future__ import annotations


class TransportError(Exception):
    """Anything a log did; `remedy` says in a sentence what a person can do about it, where there is something."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Retriable(TransportError):
    """The log is away or slow. Nothing of the open transaction may be believed; trying again is right."""


class CommitUnknown(Retriable):
    """A commit was sent and its answer never came. Only the log itself knows whether it happened."""


class Fenced(TransportError):
    """A newer producer or generation took over. Everything held for the lost partitions must be dropped."""


class RecordTooLarge(TransportError):
    """The log refuses a record for its size; `index` is its place among those sent since `begin`."""

    def __init__(self, message: str, index: int, limit: int | None = None) -> None:
        super().__init__(message, "raise max.message.bytes of the topic and max_request_size of the client")
        self.index = index
        self.limit = limit


class OffsetOutOfRange(TransportError):
    """The log no longer holds (or never held) the offset we were to read next."""


class Fatal(TransportError):
    """Trying again would not mend it."""
