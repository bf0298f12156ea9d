"""What a record comes to besides events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from worker.fold.outcome import Event, Refusal


class Dropped(NamedTuple):
    """The record, or one item of it, means no event, and the mapping says why: nobody has to look at it again."""

    reason: str
    path: str


class Refused(NamedTuple):
    """The record, or one item of it, can't be read by the mapping: it belongs on the dead-letter topic.

    `path` says where in the record (`$.events[3].occurredAt`), `item` which item of it (`$.events[3]`; `$` is the
    record itself), `raw` is the record's bytes, or of one item among several the item's own.
    """

    refusal: Refusal
    path: str
    raw: bytes
    item: str = "$"

    def __str__(self) -> str:
        return self.refusal.message


Result = Event | Dropped | Refused


class BodyError(Exception):
    """The bytes hold no document; `refusal` says why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(reason, message)


class Bad(Exception):
    """Ends the reading of one item from within; `Mapping.apply` turns it into `Refused`.

    `scope` is what `path` starts from: the item, the record that it came from, or the headers.
    """

    def __init__(self, reason: str, scope: str, path: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.scope = scope
        self.path = path
        self.message = message


def kind(value: Any) -> str:
    """What a value is, in words; never the value itself, which may be personal."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case str():
            return "text" if value.strip() else "an empty text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {value.__class__.__name__}"


def wrong(scope: str, path: str, expected: str, value: Any) -> Bad:
    return Bad("wrong-type", scope, path, f"expected {expected}, got {kind(value)}")
