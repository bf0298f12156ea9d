"""What the runtime asks of a fold. It knows nothing of stages: keys, states and outputs pass through it unread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from worker.fold.outcome import Event, Outcome, Refusal
from worker.transports.base import Record

CONTACT = b"c:"
"""State keys of contacts begin so; the rest of the key is the contact id, and what the key is partitioned by."""

DecodeRecords = Callable[[Sequence[Record]], Sequence[Event | Refusal]]
"""For each of the records its event, or why it is none."""

CheckKey = Callable[[Event, bytes | None], Refusal | None]
"""Why an event can't be folded under the key it came with, None where it can."""


class Engine(Protocol):
    """A pure function of what it is given: the same arguments, the same outcome, on any machine."""

    @property
    def lifecycle(self) -> str:
        """The name of the definition."""

    @property
    def version(self) -> int:
        """The definition's own version number: a greater one is newer."""

    @property
    def fingerprint(self) -> str:
        """A digest of the definition."""

    @property
    def format(self) -> int:
        """A number for the form of its states and messages: an engine with another one can't read them."""

    @property
    def layout(self) -> bytes:
        """UTF-8 text by which the engine of a newer definition reads this one's states."""

    def learn(self, fingerprint: str, layout: bytes) -> list[str]:
        """States of an older definition are read from now on; the stages of it that have no place in this one."""

    def key_of(self, event: Event) -> bytes:
        """The state key that the event belongs to; it lies in the partition of the event's subject."""

    def apply(self, key: bytes, state: bytes | None, arrivals: Sequence[Event | bytes], now: int) -> Outcome:
        """A batch of arrivals for one key, in the order they came; `now` is the wall clock in epoch ms.

        An arrival is an event, or the body of a `Message` that another key sent to this one.
        """

    def advance(self, key: bytes, state: bytes, clock: int, now: int) -> Outcome:
        """Fire the key's timers that are due at `clock` (epoch ms) or before."""
