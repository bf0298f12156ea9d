"""A part of the contacts under one definition, histories in brief; or under several that differ in little, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from worker.compare.alike import Parting, unheard
from worker.compare.brief import BriefContact, Entry, of_outputs
from worker.fold.engine import Engine
from worker.fold.outcome import Event, Outcome, Output, Refusal
from worker.fold.state import State
from worker.plan import Plan
from worker.replay import Terms
from worker.replay.families import Families
from worker.replay.part import History, Part, by_time

Found = tuple[int, list[Entry], bool]
"""A contact's first event's position, its history, and whether it is still there in the end (or was forgotten)."""

NOBODY: Final[Found] = (0, [], False)


class Shared:
    """What a block of lines holds, decoded for the first part that reads it, and kept for the others."""

    def __init__(self) -> None:
        self._lines: Sequence[bytes] = ()
        self._decoded: Sequence[Event | Refusal] = ()

    def of(self, lines: Sequence[bytes], decode: Callable[[Sequence[bytes]], Sequence[Event | Refusal]]) -> Any:
        if lines is not self._lines:
            self._lines, self._decoded = lines, decode(lines)
        return self._decoded


class BriefPart(Part):
    """A part whose contacts' histories are wanted in brief."""

    def __init__(
        self,
        engine: Engine,
        terms: Terms,
        families: Families,
        names: Sequence[str],
        shared: Shared,
        plan: Plan | None = None,
        parting: Parting | None = None,
    ) -> None:
        super().__init__(engine, terms, families)
        self.found: dict[str, Found] = {}
        self._names = names
        self._shared = shared
        self._renamed = dict(zip(engine.plan.stages, names, strict=True))
        self._plan = plan or unheard(engine.plan)
        self._parting = parting or Parting()

    def entries(self, clock: int) -> dict[str, Found]:
        """Each contact's history up to `clock`. Read nothing more afterwards."""
        for _ in self.fold(clock):
            pass
        return self.found

    def _decoded(self, lines: Sequence[bytes]) -> Sequence[Event | Refusal]:
        decoded: Sequence[Event | Refusal] = self._shared.of(lines, super()._decoded)
        return decoded

    def _alone(self, contact: str, arrivals: list[Any], clock: int) -> History:
        if self.terms.by_time:
            arrivals = by_time(arrivals)
        person = BriefContact(self.engine, contact, clock, Outcome(), self._names, self._plan, self._parting)
        if not self._arrive(person, arrivals):
            return self._together({contact: arrivals}, clock)[contact]
        entries = person.entries(clock)
        stands = person.record is not None and not person.over and person.record.state.stage >= 0
        self.found[contact] = arrivals[0], entries, stands
        return History(arrivals[0], b"", b"")

    def _tell(self, first: int, messages: list[Any]) -> None:
        """Companies are not compared."""

    def _history(self, first: int, contact: str, outputs: list[Output], state: State | None, clock: int) -> History:
        self.found[contact] = first, of_outputs(outputs, self._renamed), state is not None
        return History(first, b"", b"")


class LeadingPart(BriefPart):
    """A part that reads for others too, and folds each contact for all of them for which it comes to the same.

    `plan` asks the plans of the followers; each has its bit in `parting`.
    """

    def __init__(
        self,
        engine: Engine,
        terms: Terms,
        families: Families,
        names: Sequence[str],
        shared: Shared,
        plan: Plan,
        parting: Parting,
        followers: Sequence[tuple[int, BriefPart]],
    ) -> None:
        super().__init__(engine, terms, families, names, shared, plan, parting)
        self._followers = followers

    def entries(self, clock: int) -> dict[str, Found]:
        for _, follower in self._followers:  # what was refused while reading
            follower.totals.reasons = Counter(self.totals.reasons)
        return super().entries(clock)

    def _alone(self, contact: str, arrivals: list[Any], clock: int) -> History:
        self._parting.bits = 0
        refused = len(self.dead)
        history = super()._alone(contact, arrivals, clock)
        parted = self._parting.bits
        for bit, follower in self._followers:
            if contact in follower.found:
                continue  # folded with its family, all plans by themselves
            if parted & bit:
                follower._alone(contact, arrivals, clock)
                continue
            follower.found[contact] = self.found[contact]
            follower.totals.reasons.update(letter.refusal.reason for letter in self.dead[refused:])
        return history

    def _together(self, members: dict[str, list[Any]], clock: int) -> dict[str, History]:
        for _, follower in self._followers:
            follower._together(members, clock)
        return super()._together(members, clock)
