"""What goes wrong, and how often. All chances are per call of a client, unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import accumulate
from random import Random


class SimulatedCrash(BaseException):
    """The process died here. No `except Exception` holds it; whatever its code still calls has no effect."""


@dataclass(frozen=True)
class Faults:
    """Chances from 0 to 1; their sum is at most 1. Without any, the cluster does as it is told."""

    refused: float = 0.0  # the request never arrives: `Retriable`, no effect
    lost_answer: float = 0.0  # it has its effect, the answer is lost: `Retriable`, for a commit `CommitUnknown`
    late_commit: float = 0.0  # commits: the answer is lost, the request arrives later, or after the producer is fenced
    partial: float = 0.0  # flushes: some partitions take their records, then `Retriable`
    outage: float = 0.0  # the cluster is away for up to `outage_ms_max`
    evict: float = 0.0  # the caller's members are put out of their groups and do not know it yet
    stall: float = 0.0  # the process stands still in the middle of its work, and the others go on (`meanwhile`)
    foreign: float = 0.0  # somebody else opens a transaction on a topic that is subscribed, for up to `foreign_ms_max`
    compaction: float = 0.0  # a compacted topic is compacted
    slow_markers: float = 0.0  # commits and aborts: markers come one by one, each up to `marker_ms_max` later
    short_poll: float = 0.0  # a poll gives fewer records than it could, or none
    crash: float = 0.0  # the process dies, half of the time before the call's effect, half of the time after it
    crash_step: float = 0.0  # per numbered step of the runtime: the process dies after it
    outage_ms_max: int = 20_000
    stall_turns_max: int = 40  # how often `meanwhile` is called; before each time up to `stall_turn_ms_max` pass
    stall_turn_ms_max: int = 1_000
    foreign_ms_max: int = 5_000
    marker_ms_max: int = 2_000

    @classmethod
    def some(cls, rate: float = 0.01) -> Faults:
        """Everything that can go wrong, each at about this rate."""
        return cls(
            refused=rate,
            lost_answer=rate,
            late_commit=rate * 4,  # these concern one call in many
            partial=rate * 4,
            outage=rate / 10,
            evict=rate / 2,
            stall=rate / 2,
            foreign=rate,
            compaction=rate,
            slow_markers=rate * 10,
            short_poll=rate * 10,
            crash=rate / 2,
            crash_step=rate,
        )


_DRAWN = ("refused", "lost_answer", "outage", "evict", "stall", "foreign", "compaction", "crash")


class Dice:
    """Draws from one random source, and the same draws for the same seed and calls."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.random = Random(seed)
        self.faults = faults
        for field in fields(Faults):
            if isinstance(field.default, float) and not 0 <= getattr(faults, field.name) <= 1:
                raise ValueError(f"{field.name}: a chance is from 0 to 1")
        self._limits = list(accumulate(getattr(faults, name) for name in _DRAWN))
        if self._limits[-1] > 1:
            raise ValueError("the chances of one call add up to more than 1")

    def draw(self) -> str | None:
        """The fault of this call, by its name; mostly none."""
        if not self._limits[-1]:
            return None
        place = self.random.random()
        if place >= self._limits[-1]:
            return None
        return next(name for name, limit in zip(_DRAWN, self._limits, strict=True) if place < limit)

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def up_to(self, limit: int) -> int:
        return self.random.randint(0, limit)


class CrashAt:
    """A plan: die after the `nth` time that a numbered step was reached. `reached` tells which steps there were."""

    def __init__(self, step: str, nth: int = 1) -> None:
        self.step = step
        self.nth = nth
        self.reached: list[str] = []

    def __call__(self, step: str) -> None:
        self.reached.append(step)
        if step == self.step and self.reached.count(step) == self.nth:
            raise SimulatedCrash(f"planned at step {step}, time {self.nth}")
