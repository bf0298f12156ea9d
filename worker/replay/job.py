"""What a replay is to do, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.definition.model import Lifecycle
from worker.fold.engine import Engine, TooLate
from worker.plan import compile_plan
from worker.replay.part import Terms, Totals
from worker.replay.records import Source


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
    """How many bytes of events are held at once: all in one go, or a part of them.

    In memory they are three to six times that, by how many of them the definition can use.
    """

    direct: int = 128 << 20
    part: int = 48 << 20
