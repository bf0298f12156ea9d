"""Events that could have moved a contact and did not: what a transition waits for happened, and its guards refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from worker.explain.reasons import Reasons
from worker.fold.state import State
from worker.plan.plan import Plan

Chosen = Callable[..., int]


@dataclass
class _Awaited:
    """What the transitions out of a stage wait for."""

    types: set[str] = field(default_factory=set)
    signals: int = 0  # bits
    guarded: list[tuple[str, int, Callable[..., Any]]] = field(default_factory=list)  # type or signals, and the guard


class Refusals:
    """Watches the decisions of `plan`. `stage` is where the last event was refused, -1 where it was not.

    The plan decides as it did. An event of a kind that the stage's transitions wait for costs a set look-up more, and
    the guard of its pattern where that has one; the guards of transitions are not evaluated a second time.
    """

    def __init__(self, plan: Plan) -> None:
        reasons = Reasons(plan)
        self.stage = -1
        self._awaited = [_awaited(reasons, stage) for stage in plan.stages]
        self.plan = replace(plan, moves_for={kind: self._watched(decide) for kind, decide in plan.moves_for.items()})

    def _watched(self, decide: Chosen) -> Chosen:
        awaited = self._awaited

        def decided(state: State, data: dict[str, Any], at: int, signals: int, kind: str, source: str) -> int:
            number = decide(state, data, at, signals, kind, source)
            if number < 0:
                waits = awaited[state.stage]
                if kind in waits.types or signals & waits.signals:
                    self.stage = state.stage
                elif waits.guarded:
                    for name, bits, guard in waits.guarded:
                        if (name == kind or bits & signals) and guard(state, data, at, signals, kind, source):
                            self.stage = state.stage
                            break
            return number

        return decided


def _awaited(reasons: Reasons, stage: str) -> _Awaited:
    found, meaning = _Awaited(), reasons.meaning
    for edge in reasons.ways_out(stage):
        for pattern in meaning.patterns(reasons.lifecycle.transitions[edge.transition].event or ()):
            if pattern.kind not in ("type", "signal"):
                continue
            by_type = pattern.kind == "type"
            name, bits = (pattern.name, 0) if by_type else ("", 1 << meaning.place[pattern.name])
            if pattern.guard is not None:
                found.guarded.append((name, bits, reasons.evaluator(pattern.guard)))
            elif by_type:
                found.types.add(name)
            else:
                found.signals |= bits
    return found
