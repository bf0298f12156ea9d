"""Keys that each lie in a partition of their own: what they tell one another waits there, and comes in any batches.

Between two keys what is told arrives in order, as in a log; nothing else is promised. Whoever reads late reads much at
once: its own events and what other keys told it meanwhile, in one batch.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

from tests.fold.world import FAR, World
from worker.fold.outcome import Event
from worker.plan import Plan

TURNS_MAX = 20_000


class Scattered(World):
    """A world whose keys are read as the seed says."""

    def __init__(self, plan: Plan, seed: int) -> None:
        super().__init__(plan)
        self._random = random.Random(seed)
        self._inputs: dict[bytes, deque[Event]] = {}
        self.logs: dict[bytes, deque[bytes]] = {}

    def live(self, events: Sequence[Event], clocks: Sequence[int] = (), turns: int = TURNS_MAX) -> Scattered:
        """The events in this order of arrival, key by key; clocks pass at keys. After so many turns all stands still:
        what is told then waits in `logs`, and events that nobody has read are none.
        """
        choice = self._random.choice
        for event in events:
            self._inputs.setdefault(self.engine.key_of(event), deque()).append(event)
        for _ in range(turns):
            self._sort_out()
            waiting = [key for key in {**self._inputs, **self.logs} if self._inputs.get(key) or self.logs.get(key)]
            if not waiting:
                return self
            if clocks and self._random.random() < 0.1 and (states := [key for key in self.states if key[:2] == b"c:"]):
                key = choice(states)
                self._do(key, self.engine.advance(key, self.states[key], choice(clocks), FAR))
                continue
            key = choice(waiting)
            batch = [*self._some(self._inputs.get(key, deque())), *self._some(self.logs.get(key, deque()))]
            if batch:
                self._do(key, self.engine.apply(key, self.states.get(key), batch, FAR))
        self._sort_out()
        assert turns < TURNS_MAX, "the messages never end"
        self._inputs.clear()
        return self

    def _some(self, queue: deque[Any]) -> list[Any]:
        return [queue.popleft() for _ in range(min(len(queue), self._random.choice((0, 1, 1, 2, 9))))]

    def _sort_out(self) -> None:
        while self.pending:
            key, body = self.pending.popleft()
            self.logs.setdefault(key, deque()).append(body)
