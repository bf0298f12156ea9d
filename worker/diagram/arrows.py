"""What is drawn: one arrow for each transition and direction, from all the stages that it leaves to the one entered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.definition.model import Lifecycle


@dataclass(frozen=True)
class Arrow:
    """A transition as drawn. `origins` and `target` are places of stages; `counts` are contacts' moves, by origin."""

    origins: tuple[int, ...]
    target: int
    says: str
    assumed: bool
    counts: tuple[int, ...] = ()

    @property
    def backward(self) -> bool:
        return self.target < self.origins[0]

    @property
    def onward(self) -> bool:
        """From a stage to the one right after it, and from no other."""
        return self.origins == (self.target - 1,)

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass
class Volumes:
    """How often contacts moved, by stage left, stage entered and what the transition says; and how many stand where."""

    moves: dict[tuple[str, str, str], int] = field(default_factory=dict)
    standing: Mapping[str, int] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)


def arrows(lifecycle: Lifecycle, volumes: Volumes | None = None) -> list[Arrow]:
    """The lifecycle's arrows, in the order of its transitions; those that say the same of the same move are one."""
    order = list(lifecycle.stages)
    found: dict[tuple[int, str, bool], dict[int, bool]] = {}
    for transition in lifecycle.transitions:
        target = order.index(transition.to)
        for stage in lifecycle.origins(transition):
            origin = order.index(stage)
            if origin != target:
                key = target, transition.says, origin > target
                found.setdefault(key, {}).setdefault(origin, transition.assumed)
    drawn: list[Arrow] = []
    for (target, says, _), origins in found.items():
        places = tuple(sorted(origins))
        counts = (
            tuple(volumes.moves.get((order[origin], order[target], says), 0) for origin in places) if volumes else ()
        )
        drawn.append(Arrow(places, target, says, any(origins.values()), counts))
    return drawn
