"""From what is known of a contact to its explanation: its events, whole, or the record that a worker keeps of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from worker.explain.reasons import Reasons
from worker.explain.values import Correction, Explanation, Step, Visit
from worker.explain.watch import Witness
from worker.explain.why_not import why_not
from worker.fold import step, tell
from worker.fold.contact import CORRECTED, Contact
from worker.fold.engine import Engine
from worker.fold.erasure import ERASED
from worker.fold.identity import IDENTITY_TYPES
from worker.fold.outcome import Event, Outcome, Output, Refusal
from worker.fold.state import Erased, Forward, Kept, Record, State, decode_state, decode_tail


class Explainer:
    """Explains contacts of one engine's lifecycle."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.plan = engine.plan
        self.reasons = Reasons(engine.plan)

    # From events.

    def events(self, contact: str, arrivals: Sequence[Event], clock: int, *, wanted: str | None = None) -> Explanation:
        """The contact from all its events, and those of the ids that it is or was, in the order of arrival.

        `clock` (epoch ms) is until when time has passed. `wanted`: a stage that it is asked about.
        """
        from worker.replay.world import World, in_order  # not at the top: from a worker's state all this isn't needed

        world = World(self.engine, clock, inside=lambda key: key.startswith(b"c:"))
        corrections: list[Correction] = []
        refusals: list[dict[str, Any]] = []
        published: dict[str, Mapping[str, Any]] = {}
        for event in arrivals:
            before = len(world.outputs)
            for _, refusal in world.arrive([event]):
                refusals.append(_refused(event, refusal))
            corrections += _corrections(world.outputs[before:], contact, _named(event), published)
        world.advance(clock)
        held = in_order(world.outputs).get(contact, [])
        state = world.states.get(self.engine.key_of(Event(0, "", "", "", contact, {})))
        alone = all(event.subject == contact and event.type not in IDENTITY_TYPES for event in arrivals)
        explained = self._alone(contact, arrivals, clock, wanted) if alone else None
        if explained is None:
            explained = self._of_many(contact, arrivals, clock, wanted, held, state)
        return replace(explained, corrections=corrections, refusals=refusals)

    def past(self, contact: str, arrivals: Sequence[Event], at: int, *, wanted: str | None = None) -> Explanation:
        """The contact as of a time, by what stands of its events today.

        What was refused for an event that happened later, or erased since, is so in its past too.
        """
        from worker.replay.world import World, in_order

        newest = max((event.time for event in arrivals), default=at)
        world = World(self.engine, newest, inside=lambda key: key.startswith(b"c:"))
        stands: list[Event] = []
        refusals: list[dict[str, Any]] = []
        for event in arrivals:
            refused = [_refused(event, refusal) for _, refusal in world.arrive([event])]
            if event.time <= at:
                refusals += refused
                if not refused:
                    stands.append(event)
        for output in in_order(world.outputs).get(contact, []):
            if output.body["type"] == ERASED and output.body["time"] > tell.iso(at):
                note = f"It was erased as of {output.body['time']}."
                return replace(self._unknown(contact, at), notes=[note])
        explained = self.events(contact, stands, at, wanted=wanted)
        return replace(explained, refusals=[*refusals, *explained.refusals])

    def _alone(self, contact: str, arrivals: Sequence[Event], clock: int, wanted: str | None) -> Explanation | None:
        """Every step in full; None where whether it was forgotten in between is only known batch by batch."""
        person = _Remembered(self.engine, contact, None, clock, Outcome())
        for event in arrivals:
            person.arrive(event)
        if self.plan.forget is not None and person.late:
            return None
        person.conclude(clock)
        record = person.record
        if record is None:
            return self._unknown(contact, clock)
        steps: list[Step] = []
        for life, ended in [*person.lives, (person.all_events(), 0)]:
            witness = Witness(self.plan, contact, self.reasons)
            state = step.begin(self.plan)
            step.run(witness.watched, state, life, ended or record.fired, witness)
            steps += witness.steps
        events = sum(len(life) for life, _ in person.lives) + len(person.all_events())
        notes = [f"It was forgotten {len(person.lives)} times, and began anew."] if person.lives else []
        return replace(self._stands(contact, record, clock, wanted), steps=steps, events=events, notes=notes)

    def _of_many(
        self, contact: str, arrivals: Sequence[Event], clock: int, wanted: str | None, held: list[Output],
        state: bytes | None,
    ) -> Explanation:  # fmt: skip
        """Ids that are one person. Where a horizon without an end gives the same history, every step is in full."""
        wide = Engine(replace(self.plan, horizon=1 << 60), grace=False, too_late=self.engine.too_late)
        from worker.replay.world import World, in_order

        world = World(wide, clock, inside=lambda key: key.startswith(b"c:"))
        for event in arrivals:
            world.arrive([event])
        world.advance(clock)
        same = [output.body["id"] for output in in_order(world.outputs).get(contact, [])]
        if state is not None and same == [output.body["id"] for output in held]:
            state = world.states.get(self.engine.key_of(Event(0, "", "", "", contact, {})), state)
        explained = self.state(contact, state, clock, wanted=wanted)
        full = {step_.event["id"] for step_ in explained.steps if step_.event is not None}
        older = [_published(output.body) for output in held if output.body["id"] not in full]
        if not older:
            return explained
        notes = [*(note for note in explained.notes if "visits" not in note)]
        if explained.known and explained.since is not None:
            notes.append(f"What was before {explained.since} is told as it was published, without the values it saw.")
        return replace(explained, steps=[*older, *explained.steps], visits=(), detail="published", notes=notes)

    # From a worker's record.

    def state(self, contact: str, state: bytes | None, clock: int, *, wanted: str | None = None) -> Explanation:
        """The contact from what a worker keeps under its key: the tail in full, and the visits before it."""
        if state is None:
            return self._unknown(contact, clock)
        entry = self.engine.entry(state)
        if isinstance(entry, Erased):
            return replace(self._unknown(contact, clock), notes=[f"It was erased as of {tell.iso(entry.time)}."])
        if isinstance(entry, Forward):
            owners = ", ".join(dict.fromkeys(str(claim[3]) for claim in entry.claims))
            return replace(self._unknown(contact, clock), notes=[f"This id is {owners} now: ask about that one."])
        assert isinstance(entry, Record)
        return self._record(contact, entry, clock, wanted)

    def _record(self, contact: str, entry: Record, clock: int, wanted: str | None) -> Explanation:
        record = entry
        events = [event for event in decode_tail(record.tail, record.count) if event.time <= clock]
        base = decode_state(record.base) if record.base else step.begin(self.plan)
        notes: list[str] = []
        if clock < base.at:
            notes.append(f"Before {tell.iso(base.at)} only the visits to each stage are kept.")
            then = tell.iso(clock)
            visits = [visit for visit in self._visits(base) if visit.entered <= then]
            if base.created > clock:
                return replace(self._unknown(contact, clock), detail="visits")
            early = replace(self._unknown(contact, clock), known=True, detail="visits", visits=visits, notes=notes)
            there = visits[-1] if visits else None
            if there is None or (there.left is not None and there.left <= then):
                return replace(
                    early, notes=[*notes, "Where it was then is not kept: of each stage the last 20 visits are."]
                )
            return replace(early, stage=there.stage, entered_at=there.entered)
        visits = self._visits(base) if record.base else []
        if record.base:
            notes.append(
                f"From {tell.iso(base.at)} on every step is told; before that, the visits to each stage as they are"
                " kept. Its event files tell the rest: --events."
            )
        witness = Witness(self.plan, contact, self.reasons)
        state = decode_state(record.base) if record.base else step.begin(self.plan)
        step.run(witness.watched, state, events, min(record.fired, clock), witness)
        record.state = state
        return replace(
            self._stands(contact, record, clock, wanted),
            steps=witness.steps, visits=visits, events=len(events), detail="visits" if record.base else "whole",
            since=tell.iso(base.at) if record.base else None, notes=notes,
        )  # fmt: skip

    # Where it stands.

    def _stands(self, contact: str, record: Record, clock: int, wanted: str | None) -> Explanation:
        plan, state = self.plan, record.state
        if state.stage < 0:
            return self._unknown(contact, clock)
        stage = plan.stages[state.stage]
        promise = state.promise
        return replace(
            self._unknown(contact, clock), known=True, stage=stage, stage_name=plan.lifecycle.stages[stage].name,
            owner=plan.owners[state.stage], entered_at=tell.iso(state.entered),
            status=plan.statuses[state.status] or None, qualified=tell.qualified(plan, state),
            score=tell.score(plan, state, clock),
            due_at=tell.iso(promise.due) if promise is not None and promise.due else None,
            late=promise is not None and promise.late, company=tell.company_of(plan, state),
            why_not=why_not(self.reasons, plan, state, clock, wanted) if wanted is not None else None,
        )  # fmt: skip

    def _unknown(self, contact: str, clock: int) -> Explanation:
        lifecycle = self.plan.lifecycle
        return Explanation(
            contact, lifecycle.lifecycle, lifecycle.version, self.plan.fingerprint, tell.iso(clock), known=False
        )

    def _visits(self, state: State) -> list[Visit]:
        """The visits that a state remembers, in order; of each stage the last twenty, and the present one."""
        found: list[Visit] = []
        for place, visit in enumerate(state.visits):
            if visit is not None:
                left = [Visit(self.plan.stages[place], tell.iso(since), tell.iso(until)) for since, until in visit[4]]
                found += left
        if state.stage >= 0:
            found.append(Visit(self.plan.stages[state.stage], tell.iso(state.entered), None))
        return sorted(found, key=lambda visit: (visit.entered, visit.left or "9"))


class _Remembered(Contact):
    """A contact of which nothing is let go: what the fold leaves behind of events, lives that ended, is kept aside."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.lives: list[tuple[list[Kept], int]] = []
        self._settled: list[Kept] = []

    def all_events(self) -> list[Kept]:
        return [*self._settled, *self.opened(), *self.fresh] if self.record is not None else []

    def _catch_up(self, record: Record) -> None:
        events = list(self.opened())
        super()._catch_up(record)
        self._settled += events[: len(events) - record.count]

    def _begin_anew(self, at: int) -> Record:
        self.lives.append((self.all_events(), self.ends() - 1))
        self._settled = []
        return super()._begin_anew(at)


def _named(event: Event) -> dict[str, Any]:
    return {"id": event.id, "source": event.source, "type": event.type, "time": tell.iso(event.time)}


def _refused(event: Event, refusal: Refusal) -> dict[str, Any]:
    return {**_named(event), "reason": refusal.reason, "message": refusal.message}


def _published(body: Mapping[str, Any]) -> Step:
    data = body["data"]
    kind = str(body["type"]).removeprefix("lifecycle.").removesuffix(".v1")
    stage = data.get("to") if kind == "stage.changed" else data.get("stage")
    return Step(body["time"], kind, str(stage or ""), body, data.get("cause"))


def _corrections(
    outputs: Sequence[Output], contact: str, cause: Mapping[str, Any], published: dict[str, Mapping[str, Any]]
) -> list[Correction]:
    """The corrections among what was just published; `published` comes to hold every event out by its id."""
    found: list[Correction] = []
    for output in outputs:
        body = output.body
        if body["type"] == CORRECTED:
            restated = tuple(body["data"]["restated"])
            if output.key == contact:
                withdrawn = tuple(published[one] for one in body["data"]["withdrawn"] if one in published)
                found.append(Correction(cause, withdrawn, restated))
            published.update((one["id"], one) for one in restated)
        else:
            published[body["id"]] = body
    return found
