"""One contact's events out of files of anyone's: with those of the ids that it is, was or claims, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from worker.events import decode
from worker.fold.accept import AHEAD_MS, accept_fields
from worker.fold.outcome import Event, Refusal
from worker.instants import parse_instant
from worker.plan import Plan
from worker.replay.families import Families, ties
from worker.replay.lines import Progress, read_blocks
from worker.replay.records import Source, Span

CANDIDATES_MAX: Final = 50  # newest lines looked at more closely, whether they are events at all


class Gathered(NamedTuple):
    """The events in the order of reading, where the clock stands (epoch ms), and what could not be read."""

    events: list[Event]
    clock: int
    refused: list[Refusal]


class _Glance(msgspec.Struct):
    subject: str
    time: str


_glance: Final = msgspec.json.Decoder(_Glance).decode


def gather(
    plan: Plan, sources: Sequence[Source], contact: str, wall: int, as_of: int | None, progress: Progress | None = None
) -> Gathered:
    """All of the contact's events, and when the newest event of anyone was, which is where a replay's clock stands.

    `wall` is the wall clock: what lies ahead of it does not count. With `as_of` the clock stands there; what lies after
    it is given all the same, since it decides what of the rest was accepted.

    Raises: ReplayError where a source can't be read.
    """
    families = Families(tie for source in sources for tie in ties(_blocks(source, progress)))
    head = families.head(contact)
    events: list[Event] = []
    refused: list[Refusal] = []
    latest = wall + AHEAD_MS
    last = latest if as_of is None else as_of
    best, candidates = 0, [(0, b"")]
    for source in sources:
        for block in _blocks(source, progress):
            for line in block.split(b"\n"):
                try:
                    seen = _glance(line)
                    at = parse_instant(seen.time)
                except (msgspec.DecodeError, ValueError, RecursionError):
                    continue
                if best <= at <= last:
                    best = at
                    candidates.append((at, line))
                    if len(candidates) > CANDIDATES_MAX:
                        del candidates[0]
                if at <= latest and (seen.subject == contact or families.head(seen.subject) == head):
                    event = decode(None, line)
                    if isinstance(event, Refusal):
                        refused.append(event)
                    else:
                        events.append(event)
    return Gathered(events, _newest(plan, candidates) if as_of is None else as_of, refused)


def _blocks(source: Source, progress: Progress | None) -> Iterator[bytes]:
    return read_blocks(source, Span(0, 0, source.path.stat().st_size), progress)


def _newest(plan: Plan, candidates: list[tuple[int, bytes]]) -> int:
    """The time of the newest of them that is an event whole; what looked like one may be refused."""
    for at, line in reversed(candidates):
        event = decode(None, line)
        if isinstance(event, Event) and not isinstance(accept_fields(plan, event), Refusal):
            return at
    return 0
