"""What a running worker holds of a contact, looked up from another thread.

The worker's own store is asked, for one key at a time. That is safe: the store lets one caller in at a time (its map
may grow only while nobody reads), hands out copies, and holds committed state only, so what is found is what some
committed transaction wrote. A queue that the loop answers between its batches would be no safer, would wait for the
slowest transaction, and would not answer at all while the loop is stuck, which is when people look. The folder can't be
opened a second time: LMDB takes it once a process.

Only partitions that this worker holds and has restored are asked: of others the store may have an old copy.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Final

from worker.explain import Explainer, Explanation
from worker.fold.engine import Engine
from worker.plan import Plan
from worker.runtime.clock import Clock
from worker.runtime.engine import CONTACT
from worker.runtime.metrics import Metrics
from worker.stores.base import KEY_BYTES_MAX, Store
from worker.stores.errors import StoreError

CONTACT_BYTES_MAX: Final = KEY_BYTES_MAX - len(CONTACT)


@dataclass(frozen=True, slots=True)
class Found:
    """`explanation` is None where it can't be told, and `why` then says what to do."""

    status: int  # as HTTP has them
    explanation: Explanation | None = None
    why: str = ""


class Lookup:
    """Explains contacts of the partitions that the worker folds. `rule` is its partitioner.

    `plan` is another copy of the engine's: that one may be watched, and is the loop's alone. What the engine learns of
    older definitions is known here too.
    """

    def __init__(
        self,
        engine: Engine,
        plan: Plan,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        rule: Callable[[bytes], int],
    ) -> None:
        engine = copy(engine)
        engine.plan, engine.refusals = plan, None
        self._engine = engine
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._rule = rule
        self._explainer = Explainer(engine)

    def find(self, contact: str, wanted: str | None = None) -> Found:
        """The contact as it stands now; `wanted` is a stage that is asked about."""
        stages = self._engine.plan.stages
        if wanted is not None and wanted not in stages:
            return Found(400, why=f"There is no such stage: {', '.join(stages)}.")
        raw = contact.encode(errors="replace")
        if not 0 < len(raw) <= CONTACT_BYTES_MAX:
            return Found(400, why=f"A contact's id has 1 to {CONTACT_BYTES_MAX} bytes.")
        partitions = self._metrics.partitions
        if not partitions:
            return Found(503, why="The worker has not reached its topics yet: ask again in a moment.")
        number = self._rule(raw) % partitions
        if number not in self._metrics.held:
            return Found(
                404,
                why=f"This contact's partition, {number} of {partitions}, belongs to another worker of the group: ask"
                " that one.",
            )
        if number not in self._metrics.live:
            left = self._metrics.restore_left.get(number)
            rest = f", {left:,} records are left" if left else ""
            return Found(503, why=f"This contact's partition is being restored{rest}: ask again in a moment.")
        try:
            state = self._store.get(number, self._engine.keys.contact(contact))
            if number not in self._metrics.live:  # taken away meanwhile
                return Found(503, why="The group is assigning its partitions anew: ask again in a moment.")
            explanation = self._explainer.state(contact, state, self._clock.wall_ms(), wanted=wanted)
        except StoreError:  # closed, as the worker ends
            return Found(503, why="The worker's store can't be read just now: ask again in a moment.")
        known = explanation.known or bool(explanation.notes)
        return Found(200 if known else 404, explanation)
