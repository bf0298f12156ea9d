"""What goes into the fold and what comes out of it: values, no behaviour.

The runtime, the replay, the comparison and the scenario tests all hand `Arrival`s to `Engine.apply` and carry out
the `Outcome`. Nothing here knows of Kafka, a store or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Event(NamedTuple):
    """An engagement event after decoding: envelope checked, known fields of their declared types.

    `time` is epoch milliseconds (UTC). `data` holds the fields of CloudEvents `data` but for `traits`.
    """

    time: int
    type: str
    id: str
    source: str
    subject: str
    data: dict[str, Any]
    traits: dict[str, Any] | None = None


class Refusal(NamedTuple):
    """Why an arrival was not accepted: `reason` is a fixed code for machines, `message` a sentence for people."""

    reason: str
    message: str


class Message(NamedTuple):
    """What one key tells another (a merge claim, a company membership): opaque to the runtime.

    The runtime writes it to the internal topic under `key`, in the same transaction, and hands it back as an
    arrival to whoever owns that key's partition. `body` is msgpack. The partition is chosen by `route`, or where
    that is empty by the key after its prefix.
    """

    key: bytes
    body: bytes
    route: bytes = b""


class Output(NamedTuple):
    """One event for subscribers: `key` is the contact or company, `body` a CloudEvent as a JSON-able mapping.

    `elsewhere`: the event is of another key than the one that was folded, and goes to that key's partition.
    """

    key: str
    body: dict[str, Any]
    elsewhere: bool = False


@dataclass(slots=True)
class Outcome:
    """What applying a batch of arrivals to one key came to.

    `state` is the key's new state, None where it ends; it counts only where `changed` is true. `due` is the
    key's next timer (epoch ms, grace included: the clock at which `advance` has something to do).
    `refused` pairs the place of an arrival with why; those arrivals changed nothing.
    """

    changed: bool = False
    state: bytes | None = None
    due: int | None = None
    outputs: list[Output] = field(default_factory=list)
    current: dict[str, Any] | None = None  # for the contacts topic, where it changed
    ended: str | None = None  # the contact that is no more: its entry in the contacts topic goes
    messages: list[Message] = field(default_factory=list)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)
    duplicates: int = 0
    late: int = 0
    stayed: list[int] = field(default_factory=list)  # stages, one for each event whose move out of it was refused
