"""Where a replay's events come from, and what stands for one of them before it is read: a line and its number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from worker.fold.outcome import Refusal

Format = Literal["plain", "gzip", "zstd"]

SOURCES_MAX: Final = 4_000
NUMBER_BITS: Final = 52
RECORD_BYTES_MAX: Final = 65_536  # of a refused record that is kept whole


class ReplayError(Exception):
    """The replay can't be done: what, where, and what to do about it, in one line."""


class NoInputError(ReplayError):
    """What was asked for names a file that isn't there."""


@dataclass(frozen=True)
class Source:
    """A file of JSON Lines. `name` is what people call it; `origin` says where a line came from before it was here."""

    path: Path
    name: str
    format: Format = "plain"
    origin: Callable[[int], str] | None = None

    def place(self, number: int) -> str:
        """What to write of line `number`, counted from 1."""
        return self.origin(number) if self.origin is not None else f"{self.name}:{number}"


class Span(NamedTuple):
    """Bytes of a source, from the first line that begins at or after `start` up to the one that ends at or after `end`.

    Files that are compressed are read whole: `end` is their size, for the progress only.
    """

    source: int
    start: int
    end: int


class Digest(NamedTuple):
    """What stands for a record that is too large to be kept."""

    sha256: str
    size: int


def kept(record: bytes) -> bytes | Digest:
    """The record as it came, or what stands for it: refused ones are held until all is read."""
    if len(record) <= RECORD_BYTES_MAX:
        return record
    return Digest(hashlib.sha256(record).hexdigest(), len(record))


class DeadLetter(NamedTuple):
    """A record that was not accepted. `position` orders them as they were read, see `position`.

    `record` is None where it stands in its source as it was read.
    """

    position: int
    refusal: Refusal
    record: bytes | Digest | None = None


def position(source: int, number: int) -> int:
    """One number for a line's place among all lines of all sources, in the order of reading."""
    return source << NUMBER_BITS | number


def place_of(sources: Sequence[Source], at: int) -> str:
    """The place that `position` stands for, for people."""
    return sources[at >> NUMBER_BITS].place(at & (1 << NUMBER_BITS) - 1)
