"""A part of the contacts under one definition, histories in brief; or under several that differ in little, at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from worker.compare.alike import Parting, unheard
from worker.compare.brief import BriefContact, Entry, of_outputs
from worker.fold.engine import Engine
from worker.fold.outcome import Outcome, Output
from worker.fold.state import State
from worker.plan import Plan
from worker.replay import Terms
from worker.replay.families import Families
from worker.replay.part import History, Part, by_time
from worker.replay.reading import Arrivals

Found = tuple[int, list[Entry], bool]
"""A contact's first event's position, its history, and whether it is still there in the end (or was forgotten)."""

NOBODY: Final[Found] = (0, [], False)


class BriefPart(Part):
    """A part whose contacts' histories are wanted in brief."""

    def __init__(
        self,
        engine: Engine,
        terms: Terms,
        families: Families,
        arrived: dict[str, Arrivals],
        names: Sequence[str],
        plan: Plan | None = None,
        parting: Parting | None = None,
    ) -> None:
        super().__init__(engine, terms, families, arrived)
        self.found: dict[str, Found] = {}
        self._names = names
        self._renamed = dict(zip(engine.plan.stages, names, strict=True))
        self._plan = plan or unheard(engine.plan)
        self._parting = parting or Parting()

    def entries(self, clock: int) -> dict[str, Found]:
        """Each contact's history up to `clock`."""
        for _ in self.fold(clock):
            pass
        return self.found

    def _alone(self, contact: str, arrivals: Arrivals, clock: int) -> History:
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
    """A part that folds each contact for others too, for all of them for which it comes to the same.

    `plan` asks the plans of the followers; each has its bit in `parting`.
    """

    def __init__(
        self,
        engine: Engine,
        terms: Terms,
        families: Families,
        arrived: dict[str, Arrivals],
        names: Sequence[str],
        plan: Plan,
        parting: Parting,
        followers: Sequence[tuple[int, BriefPart]],
    ) -> None:
        super().__init__(engine, terms, families, arrived, names, plan, parting)
        self._followers = followers

    def _alone(self, contact: str, arrivals: Arrivals, clock: int) -> History:
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

    def _together(self, members: dict[str, Arrivals], clock: int) -> dict[str, History]:
        for _, follower in self._followers:
            follower._together(members, clock)
        return super()._together(members, clock)
