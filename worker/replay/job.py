"""What a replay is to do, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.definition.model import Lifecycle
from worker.fold.engine import Engine, TooLate
from worker.plan import compile_plan
from worker.replay.records import Source
from worker.replay.terms import Terms, Totals


@dataclass(frozen=True)
class Job:
    """The definition, the sources in the order in which they are read, and the terms."""

    lifecycle: Lifecycle
    sources: tuple[Source, ...]
    terms: Terms
    too_late: TooLate = "dead-letter"
    publish_from: int | None = None

    def engine(self) -> Engine:
        plan = compile_plan(self.lifecycle)
        return Engine(plan, grace=False, too_late=self.too_late, publish_from=self.publish_from)


@dataclass
class Summary:
    """What a replay came to. `clock` is where the clock stood in the end (epoch ms)."""

    totals: Totals = field(default_factory=Totals)
    clock: int = 0
    companies: int = 0


@dataclass(frozen=True)
class Sizes:
    """Limits in bytes: of what is kept of all events before it goes to files, and of a part's events as they are read.

    A part's events are folded at once: in memory they are up to six times that, where the definition can use them all.
    """

    at_hand: int = 256 << 20
    part: int = 48 << 20
