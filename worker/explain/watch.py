"""The fold looked over its shoulder: the same plan, telling at each decision which transitions it tried and why not.

Watching changes nothing of what is folded: the wrapped functions return what the plan's own do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from worker.explain.reasons import Now, Reasons
from worker.explain.values import Attempt, Step
from worker.fold import tell
from worker.fold.state import Kept, State
from worker.plan.plan import Move, Plan

Chosen = Callable[..., int]


class Witness(tell.Told):
    """Collects the steps of one contact. Fold with `plan`, tell this."""

    def __init__(self, plan: Plan, contact: str, reasons: Reasons) -> None:
        super().__init__(plan, contact)
        self.reasons = reasons
        self.steps: list[Step] = []
        self._told = 0  # of `outputs`, how many are steps
        self._decision: tuple[Attempt, tuple[Attempt, ...]] | None = None
        self._passed: tuple[Attempt, ...] = ()  # transitions by event that this event could not take
        self.watched = replace(
            plan,
            moves_for={kind: self._by_event(function) for kind, function in plan.moves_for.items()},
            onward=self._onward(plan.onward),
            meets={kind: self._meets(function) for kind, function in plan.meets.items()},
        )

    def _by_event(self, function: Chosen) -> Chosen:
        def chosen(state: State, data: dict[str, Any], at: int, signals: int, kind: str, source: str) -> int:
            number = function(state, data, at, signals, kind, source)
            now = Now(state, data, at, signals, kind, source)
            stage = self.plan.stages[state.stage]
            tried = self._tried(now, stage, number, by_event=True)
            self._passed = ()
            if number >= 0:
                self._decision = self.reasons.attempt(number, now), tried
            elif tried:
                self._passed = tried
                self._note(at, "refused", stage, {"type": kind}, tried)
            return number

        return chosen

    def _onward(self, function: Chosen) -> Chosen:
        def chosen(state: State, data: dict[str, Any], at: int, signals: int, kind: str, source: str) -> int:
            number = function(state, data, at, signals, kind, source)
            if number >= 0:
                now = Now(state, data, at, signals, kind, source)
                tried = self._tried(now, self.plan.stages[state.stage], number, by_event=False)
                self._decision = self.reasons.attempt(number, now), (*self._passed, *tried)
            self._passed = ()
            return number

        return chosen

    def _meets(self, function: Callable[..., bool]) -> Callable[..., bool]:
        def meets(state: State, data: dict[str, Any], at: int, signals: int, kind: str, source: str) -> bool:
            met = bool(function(state, data, at, signals, kind, source))
            if met and state.promise is not None and not state.promise.late:
                self._note(at, "sla.met", self.plan.stages[state.stage], {"type": kind}, ())
            return met

        return meets

    def _tried(self, now: Now, stage: str, taken: int, by_event: bool) -> tuple[Attempt, ...]:
        """The transitions before the one taken, that what happened could have set off."""
        found: list[Attempt] = []
        for edge in self.reasons.ways_out(stage):
            if (edge.events is not None) != by_event:
                continue
            if edge.transition == taken:
                break
            attempt = self.reasons.attempt(edge.transition, now)
            if attempt.happened:
                found.append(attempt)
        return tuple(found)

    def _note(self, at: int, kind: str, stage: str, cause: dict[str, Any], tried: tuple[Attempt, ...]) -> None:
        self.steps.append(Step(tell.iso(at), kind, stage, cause={"kind": "event", **cause}, refused=tried))

    # What is told, as `Told` tells it; each event out becomes a step.

    def moved(self, state: State, at: int, left: int, passed: int, move: Move | None, why: Any) -> None:
        super().moved(state, at, left, passed, move, why)
        self._seen()

    def status(self, state: State, at: int, before: int, why: Any) -> None:
        super().status(state, at, before, why)
        self._seen()

    def merged(self, state: State, at: int, other: Any, why: Kept) -> None:
        super().merged(state, at, other, why)
        self._seen()

    def breached(self, state: State, at: int) -> None:
        super().breached(state, at)
        self._seen()

    def warned(self, state: State, at: int) -> None:
        super().warned(state, at)
        self._seen()

    def signalled(self, state: State, at: int, signal: int, why: Any) -> None:
        super().signalled(state, at, signal, why)
        self._seen()

    def marked(self, state: State, at: int, flag: int, holds: bool, why: Any) -> None:
        super().marked(state, at, flag, holds, why)
        self._seen()

    def _seen(self) -> None:
        for output in self.outputs[self._told :]:
            self._step(output.body)
        self._told = len(self.outputs)

    def _step(self, body: Mapping[str, Any]) -> None:
        data = body["data"]
        kind = str(body["type"]).removeprefix("lifecycle.").removesuffix(".v1")
        taken, refused = None, tuple[Attempt, ...]()
        if kind == "stage.changed":
            if self._decision is not None:
                taken, refused = self._decision
            self._decision = None
            if self.steps and self.steps[-1].kind == "refused" and self.steps[-1].time == body["time"]:
                self.steps.pop()  # it moved after all, by a transition that needs no event; that one says so
        stage = data.get("to") if kind == "stage.changed" else data.get("stage", "")
        self.steps.append(Step(body["time"], kind, str(stage or ""), body, data.get("cause"), taken, refused))
