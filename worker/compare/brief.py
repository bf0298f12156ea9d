"""A contact's history in brief: what moved when and because of what, without making the events out.

The fold is the same; only who is told differs, which saves most of what telling costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from worker.compare.alike import ENDLESS, Parting
from worker.fold import step
from worker.fold.contact import Contact
from worker.fold.engine import Engine
from worker.fold.outcome import Outcome, Output
from worker.fold.state import Kept, Record, State
from worker.instants import parse_instant
from worker.plan.plan import TAIL_EVENTS, Move, Plan
from worker.replay.world import in_order

TIMER = "time"


class Entry(NamedTuple):
    """One thing that became true: a move (`stage`), a change of status (`status`) or a broken promise (`sla`).

    `time` is epoch ms; `from_` is empty where a contact begins, and for a promise the stage; `why` is the event's type,
    or `time`, `event` its id.
    """

    time: int
    kind: str
    from_: str
    to: str
    why: str
    event: str

    @property
    def said(self) -> tuple[int, str, str, str]:
        """What counts when two histories are compared: not the reason, only what came of it."""
        return self[:4]


class Told:
    """Told what became true of one contact, as `worker.fold.tell.Told`. `names` are the stages' to be compared by."""

    tells_guards = False

    def __init__(self, plan: Plan, names: Sequence[str]) -> None:
        self.plan = plan
        self.names = names
        self.outputs: list[Any] = []  # entries, where the fold's own has events out

    def moved(self, state: State, at: int, left: int, passed: int, move: Move | None, why: Any) -> None:
        names = self.names
        self._tell(at, "stage", names[left] if left >= 0 else "", names[state.stage], why)

    def status(self, state: State, at: int, before: int, why: Any) -> None:
        statuses = self.plan.statuses
        self._tell(at, "status", statuses[before], statuses[state.status], why)

    def breached(self, state: State, at: int) -> None:
        self._tell(at, "sla", self.names[state.stage], "", None)

    def merged(self, state: State, at: int, other: Any, why: Any) -> None: ...

    def warned(self, state: State, at: int) -> None: ...

    def signalled(self, state: State, at: int, signal: int, why: Any) -> None: ...

    def marked(self, state: State, at: int, flag: int, holds: bool, why: Any) -> None: ...

    def _tell(self, at: int, kind: str, from_: str, to: str, why: Any) -> None:
        event = why if why is None or isinstance(why, Kept) else why.event
        if event is None:
            self.outputs.append(Entry(at, kind, from_, to, TIMER, ""))
        else:
            self.outputs.append(Entry(at, kind, from_, to, event.type, event.id))


class BriefContact(Contact):
    """A contact whose events are all at hand, and whose history is wanted in brief.

    `plan` is the engine's, or one that comes to the same and asks others besides; they are told by `parting` from
    when on something counts that falls due.
    """

    def __init__(
        self, engine: Engine, name: str, now: int, outcome: Outcome, names: Sequence[str], plan: Plan, parting: Parting
    ) -> None:
        super().__init__(engine, name, None, now, outcome)
        self.plan = plan
        self.names = names
        self.parting = parting
        self.marks = set()
        self._listen()

    def entries(self, clock: int) -> list[Entry]:
        """The history up to `clock`, in place of `conclude`; companies are not told."""
        record = self.record
        if record is None:
            return []
        if self.late:
            self._listen()
            state = step.begin(self.plan)
            self.parting.until = ENDLESS
            step.run(self.plan, state, self.opened(), record.fired, self.told)
            record.state = state
        self.parting.until = clock + 1
        self.advance(clock)
        return [*self.carried, *self.told.outputs]  # type: ignore[list-item]  # see `_listen`

    def leave_company(self) -> None:
        """Nobody asks."""

    def _accept(self, event: Kept) -> None:
        """As a contact's own, but without what only a record needs that others will go on from."""
        record, plan = self.record, self.plan
        assert record is not None and self.marks is not None
        if self.late or plan.forget is not None or record.identity is not None or event.time < record.newest:
            self.parting.until = ENDLESS
            super()._accept(event)
            return
        self.parting.until = event.time
        step.elapse(plan, record.state, event.time, self.told)
        step.take(plan, record.state, event, self.told)
        self.fresh.append(event)
        self.marks.add((event.id, event.source))
        self.outcome.changed = True
        record.newest = event.time
        record.horizon = max(record.horizon, event.time - plan.horizon)
        if len(self.fresh) > TAIL_EVENTS:
            self._limit()

    def _listen(self) -> None:
        self.told = Told(self.plan, self.names)  # type: ignore[assignment]  # told the same, it keeps entries

    def _begin_anew(self, at: int) -> Record:
        record = super()._begin_anew(at)
        self.marks = set()
        self._listen()
        return record

    def _catch_up(self, record: Record) -> None:
        before = len(self.carried)
        super()._catch_up(record)
        self.carried[before:] = of_outputs(self.carried[before:], {})  # type: ignore[assignment]  # see `_listen`
        self._listen()


def of_outputs(outputs: Sequence[Output], names: Mapping[str, str]) -> list[Entry]:
    """One contact's events out in brief, corrections carried out. `names` are of stages that are called otherwise."""
    found: list[Entry] = []
    for held in in_order(outputs).values():
        for output in held:
            body, data = output.body, output.body["data"]
            cause = data.get("cause") or {}
            why, event = cause.get("type") or TIMER, cause.get("id") or ""
            at = parse_instant(body["time"])
            match body["type"]:
                case "lifecycle.stage.changed.v1":
                    from_, to = data["from"] or "", data["to"]
                    found.append(Entry(at, "stage", names.get(from_, from_), names.get(to, to), why, event))
                case "lifecycle.status.changed.v1":
                    found.append(Entry(at, "status", data["from"], data["to"], why, event))
                case "lifecycle.sla.breached.v1":
                    stage = data["stage"]
                    found.append(Entry(at, "sla", names.get(stage, stage), "", TIMER, ""))
    return found
