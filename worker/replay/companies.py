"""Companies, folded once all contacts are: from what each contact last told its company, as it stands in the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from worker.company.rollup import Company, decode_company
from worker.fold.engine import Engine
from worker.fold.outcome import Message
from worker.replay.part import Told
from worker.replay.rows import company_row
from worker.replay.world import World


def fold_companies(
    engine: Engine, told: Iterable[Told], clock: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The companies' changes, as events out, and their rows; in the order in which their contacts last moved."""
    world = World(engine, clock)
    for said in sorted(told, key=lambda said: (said.at, said.position)):
        world.put(Message(said.key, said.body))
    world.deliver()
    companies: list[Company] = [decode_company(state) for key, state in world.states.items() if key.startswith(b"o:")]
    rows = [company_row(engine.plan, company) for company in companies if company.stages]
    return [output.body for output in world.outputs], rows
