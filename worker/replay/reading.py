"""Lines into events in the order of arrival, of which only those are kept that can be part of a history.

Most of any traffic is of no use to a definition (opens, views) and comes from contacts that are there already: such an
event is looked at once, where it was read, and neither held nor folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from worker.events import decode, decode_block
from worker.fold.accept import AHEAD_MS, accept_fields, refuse
from worker.fold.identity import IDENTITY_TYPES
from worker.fold.outcome import Event, Refusal
from worker.plan.plan import Plan
from worker.replay.families import Families, tie
from worker.replay.records import DeadLetter, position
from worker.replay.terms import Terms, Totals

WIDTH: Final = 2  # of an arrival in a list of them: position, event
NEVER: Final = 1 << 62

Arrivals = list[Any]
"""Positions and events in turns, in the order of arrival."""


class _Interest(NamedTuple):
    """What an event of one type may be: who a contact is, a place that somebody gives it, its beginning, or of use."""

    identifies: bool
    places: bool
    creates: bool
    useful: Callable[[dict[str, Any], str, str], bool]


class Known:
    """What was read of contacts so far: of what one reader kept, the next one, further on, need not keep more."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}  # from when on a contact is surely there: NEVER where that may change
        self.heard: dict[str, int] = {}  # the newest useful event, where silence makes a contact forgotten


class Reader:
    """Takes in blocks of lines, under one definition or under several at once.

    What is kept is to be taken with `take`. `families` are ties between contacts that are known beforehand; others are
    noticed while reading. `known` is of lines before these.
    """

    def __init__(self, plans: Sequence[Plan], terms: Terms, families: Families, known: Known | None = None) -> None:
        self.totals = Totals()
        self.dead: list[DeadLetter] = []
        self.newest = 0  # time of the newest event that was accepted under the first definition
        self._kept: Arrivals = []
        self._plan = plans[0]
        self._families = families
        self._wall = terms.wall
        self._last = terms.as_of if terms.as_of is not None else NEVER  # what is after it is left out, not refused
        self._latest = terms.wall + AHEAD_MS if terms.as_of is None else terms.as_of
        self._silence: int
        self._interests: dict[str, _Interest]
        self._other: _Interest
        self._silence, self._interests, self._other = _interests(plans)
        self._known = known or Known()

    def read(self, source: int, block: bytes, first: int) -> int:
        """Take in a block of lines, the first of which has that number in its source; how many they are."""
        decoded: Sequence[Event | Refusal | None] | None = decode_block(block)
        if decoded is None:
            decoded = [_decoded(line) for line in block.split(b"\n")]
        lines = len(decoded)
        interest_of, other, silence = self._interests.get, self._other, self._silence
        begun, heard, families, kept = self._known.begun, self._known.heard, self._families, self._kept
        latest, newest = self._latest, self.newest
        blank = left_out = 0
        for place, event in enumerate(decoded, position(source, first)):
            if not isinstance(event, Event):
                if event is None:
                    blank += 1
                else:
                    self._refuse(place, event)
                continue
            at, kind, _, sender, contact, data, traits = event
            if at > latest:
                if at > self._last:
                    left_out += 1
                else:
                    self._refuse(place, refuse.ahead(event, self._wall))
                continue
            interest: _Interest = interest_of(kind, other)
            identifies, places, creates, of_use = interest
            useful = True
            if identifies:
                # An erased contact begins anew with its next event, be that as dull as it may.
                for one in (tied := tie(kind, contact, data)):
                    begun[one] = NEVER
                families.join(*tied)
            elif places:
                if isinstance(accept_fields(self._plan, event), Refusal):
                    kept += (place, event)  # it is refused when it is folded, and no clock goes by it
                    continue
            else:
                since = begun.get(contact)
                if since is None:
                    if creates:
                        begun[contact] = NEVER if contact in families else at
                else:
                    useful = (
                        traits is not None
                        or of_use(data, kind, sender)
                        or "utm_source" in data  # `attributes`, without a call
                        or "utm_medium" in data
                        or "utm_campaign" in data
                    )
                    if not useful and at >= since and not (silence and at > heard.get(contact, 0) + silence):
                        # The definition can do nothing with it, and the contact is there already.
                        if at > newest:
                            newest = at
                        continue
            if at > newest:
                newest = at
            if silence and useful and at > heard.get(contact, 0):
                heard[contact] = at
            kept += (place, event)
        self.newest = newest
        self.totals.events += lines - blank - left_out
        self.totals.left_out += left_out
        return lines

    def take(self) -> Arrivals:
        """The arrivals so far, which are kept no more."""
        taken, self._kept = self._kept, []
        return taken

    def _refuse(self, at: int, refusal: Refusal) -> None:
        self.dead.append(DeadLetter(at, refusal))
        self.totals.reasons[refusal.reason] += 1


def by_contact(blocks: Iterable[Arrivals]) -> dict[str, Arrivals]:
    """The arrivals of each contact, in order; contacts in the order of their first."""
    found: dict[str, Arrivals] = {}
    for arrivals in blocks:
        for place, event in zip(arrivals[::WIDTH], arrivals[1::WIDTH], strict=True):
            mine = found.get(event.subject)
            if mine is None:
                found[event.subject] = [place, event]
            else:
                mine += (place, event)
    return found


def _decoded(line: bytes) -> Event | Refusal | None:
    return decode(None, line) if line and not line.isspace() else None


def _interests(plans: Sequence[Plan]) -> tuple[int, dict[str, _Interest], _Interest]:
    """After how much silence a contact may have been forgotten; and what any of the plans may do with a type's events.

    Which events several plans hear of decides for each of them by itself when it forgets: then all count as heard.
    """
    silences = [plan.forget[1] for plan in plans if plan.forget is not None]
    kinds = set(IDENTITY_TYPES) | {"stage.set"}
    kinds.update(*(plan.creating | plan.sets_status | plan.uses.keys() for plan in plans))

    def interest(kind: str) -> _Interest:
        uses = [plan.uses.get(kind) or plan.uses[""] for plan in plans]
        if len(plans) == 1:
            [useful] = uses
        elif silences:
            useful = _always
        else:
            useful = _any_of(uses)
        return _Interest(
            identifies=kind in IDENTITY_TYPES,
            places=kind == "stage.set" or any(kind in plan.sets_status for plan in plans),
            creates=all(kind in plan.creating for plan in plans),
            useful=useful,
        )

    return min(silences, default=0), {kind: interest(kind) for kind in kinds}, interest("")


def _always(data: dict[str, Any], kind: str, sender: str) -> bool:
    return True


def _any_of(uses: Sequence[Callable[[dict[str, Any], str, str], bool]]) -> Callable[[dict[str, Any], str, str], bool]:
    return lambda data, kind, sender: any(use(data, kind, sender) for use in uses)
