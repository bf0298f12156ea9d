"""The simulated group with the real engine: merges, crossing claims, companies, erasure, while everything goes wrong.

    LifecycleSimulation(seed).run()     raises AssertionError with the seed and what went wrong last

What a read_committed reader holds at the end equals one pass over the sorted events, with no worker and no log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from tests.fold.world import World, plan_of
from tests.runtime import reading
from tests.runtime.arriving import Mixed, Plain
from tests.runtime.reading import Body
from tests.runtime.simulation import Place, Simulation
from tests.runtime.support import CHANGELOG, CONTACTS, DEAD, GROUP, INPUT, OUTPUT
from tests.runtime.traffic import Cast, Traffic
from worker.fold.engine import Engine
from worker.mapping.router import Router
from worker.runtime.changelog import DEPLOYMENT_KEY, to_write
from worker.runtime.engine import Engine as AnyEngine
from worker.transports.base import Record, TopicPartition, TopicSpec
from worker.transports.simulator import Faults

LIFECYCLES = ("10ex", "aspiration", "agency34", "clarity", "mops")
CAST = Cast(contacts=17, quiet=2, pairs=1, chains=1, crossings=1, circles=1, anonymous=2, erased=1)
EVENTS = 160
TURNS = 250
DAY_MS = 86_400_000
BEFORE_MS = 390 * DAY_MS  # so that timers are due, but for the one after 400 days that forgets who is anonymous
SPAN_MS = 3 * DAY_MS
SLACK_MS = DAY_MS  # the wall clock is set back and forth by less


class LifecycleSimulation(Simulation):
    def __init__(
        self,
        seed: int,
        faults: Faults | None = None,
        turns: int = TURNS,
        crash_at: str | None = None,
        lifecycle: str = "10ex",
        mixed: bool = False,
    ) -> None:
        """`mixed`: most traffic comes from other topics, by mappings, and our own events lie under wrong keys too."""
        self.arriving = Mixed(INPUT, seed) if mixed else Plain(INPUT)
        super().__init__(seed, faults, turns, crash_at)
        for topic in self.arriving.topics.keys() - {INPUT}:
            self.cluster.create(TopicSpec(topic, self.arriving.topics[topic]))
        self.plan = plan_of(lifecycle)
        begin_ms = self.cluster.clock.wall_ms() - BEFORE_MS
        track = self.plan.lifecycle.statuses
        # One that has no statuses, or lets nobody set them, ignores what the CRM says.
        statuses = tuple(track.meanings) if track is not None else ("connected",)
        # From several topics an erasure may come before what it erases, and nothing tells that from what came after.
        cast = replace(CAST, erased=0) if mixed else CAST
        self.traffic = Traffic(seed, EVENTS, begin_ms, SPAN_MS, cast, statuses)

    def _place(self, number: int) -> Place:
        place = super()._place(number)
        told = {"input": self.arriving.inputs, "rekey": self.arriving.rekey, "partitioner": "murmur2"}
        return replace(place, settings=place.settings.model_copy(update=told))

    def _engine(self) -> AnyEngine:
        return Engine(self.plan, grace=True)

    def _routers(self) -> dict[str, Router]:
        return self.arriving.routers

    def _arrive(self) -> None:
        """A few records on the input topic."""
        count = min(self.random.choice((1, 1, 2, 5, 20)), self.traffic.events - self.traffic.made)
        self.cluster.append(self.arriving.sends([self.traffic.next() for _ in range(count)]))

    def _finish(self) -> None:
        while self.traffic.made < self.traffic.events:
            self._arrive()
        super()._finish()

    def _done(self) -> bool:
        committed = self.cluster.committed(GROUP)
        read = all(committed.get(TopicPartition(each.topic, each.partition), 0) > each.offset for each in self._taken())
        return read and super()._done()

    def _taken(self) -> list[Record]:
        return [record for topic in self.arriving.topics for record in self.cluster.records(topic)]

    def _timers_left(self) -> bool:
        clock = self.cluster.clock.wall_ms() - SLACK_MS
        return any(due is not None and due <= clock for _, due in self._states().values())

    # ------------------------------------------------------------------------------------------------ what came of it

    def check(self) -> None:
        """Nothing lost, nothing twice, nothing out of order, nothing torn; the end as in one sorted pass."""
        published = [msgspec.json.decode(record.value or b"") for record in self.cluster.records(OUTPUT)]
        found = reading.by_contact(published)
        reading.check_revisions(found)
        latest: dict[str, Body | None] = {}
        for record in self.cluster.records(CONTACTS):
            latest[(record.key or b"").decode()] = None if record.value is None else msgspec.json.decode(record.value)
        reading.check_present(found, latest)
        reference = self._sorted_pass(self._check_dead())
        reading.check_histories(found, reading.by_contact(reference.published))
        reading.check_stands(latest, reference.currents)
        assert reading.companies(published) == reading.companies(reference.published)
        assert not self.traffic.ended.keys() & reference.currents.keys(), "ids that are merged have ended"
        self._check_states()

    def _sorted_pass(self, refused: set[str]) -> World:
        """The events in the order of their time, each by itself, then every timer that is due.

        Which one of two crossing claims stands depends on what comes first: those that stood come first here.
        """
        events = self.arriving.events(self._taken())
        stood = {claim for pair in self.traffic.crossings for claim in pair} - refused
        now = self.cluster.clock.wall_ms()
        world = World(self.plan)
        for event in sorted(events, key=lambda each: (each.id not in stood, each.time)):
            world.send([event], now)
        assert reading.refused_events(refusal.message for refusal in world.refused) == refused
        return world.advance(now - SLACK_MS)

    def _check_dead(self) -> set[str]:
        """What can't be read is a dead letter, once; of the crossing claims one is. Those claims' ids."""
        messages = self.arriving.check_dead(self._taken(), self.cluster.records(DEAD))
        return reading.check_refused(messages, self.traffic.crossings)

    def _states(self) -> dict[bytes, tuple[bytes | None, int | None]]:
        """By key what the changelog says last: the state, and when its next timer is due."""
        found: dict[bytes, tuple[bytes | None, int | None]] = {}
        for record in self.cluster.records(CHANGELOG):
            write = to_write(record)
            if write.value is None:
                found.pop(write.key, None)
            elif write.key != DEPLOYMENT_KEY:
                found[write.key] = write.value, write.due
        return found

    def _check_states(self) -> None:
        """The stores of the owners equal the changelog."""
        held: dict[bytes, Any] = {}
        for place in self.places:
            assert place.process is not None
            for number in place.process.worker.live():
                for key, value in place.store.items(number):
                    assert key == DEPLOYMENT_KEY or key not in held, "two workers hold one contact"
                    held[key] = value
        held.pop(DEPLOYMENT_KEY, None)
        assert held == {key: state for key, (state, _) in self._states().items()}, "the stores of the owners"
