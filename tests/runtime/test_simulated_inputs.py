"""Workers that read other topics too, on a cluster that misbehaves as a seed says: nothing lost, twice, or early.

Some contacts are known from one partition of another topic alone, so their events have an order to be held to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.runtime.simulation import Place, Simulation
from tests.runtime.standin import Contact, StandIn, read
from tests.runtime.support import GROUP, event
from tests.runtime.test_inputs import HOOKS, MAPPING, OTHER, routers
from worker.events import decode
from worker.fold.outcome import Event, Refusal
from worker.mapping.outcome import Refused
from worker.mapping.router import Router
from worker.runtime.feeds import Passage
from worker.runtime.inputs import Input
from worker.transports.base import Send, TopicPartition, TopicSpec
from worker.transports.simulator import Faults

SAMPLE = 60
PARTS = 4
UNTIL_FOUND = 100
OF_HOOKS = {"hal": 0, "ivy": 1, "jan": 2}  # and the partition that their records are in
OF_OTHER = "kim"


class FedSimulation(Simulation):
    """As `Simulation`, with `hooks` (mapped, three partitions) and `other` (events under no key, one partition)."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        super().__init__(seed, faults)
        self.cluster.create(TopicSpec(HOOKS, len(OF_HOOKS)))
        self.cluster.create(TopicSpec(OTHER, 1))

    def _place(self, number: int) -> Place:
        place = super()._place(number)
        inputs = (Input(HOOKS, None, "hooks"), Input(OTHER))
        return replace(place, settings=place.settings.model_copy(update={"input": inputs}))

    def _routers(self) -> dict[str, Router]:
        return routers()

    def _arrive(self) -> None:
        if self.random.random() < 0.4:
            super()._arrive()
            return
        now = self.cluster.clock.wall_ms()
        items: list[dict[str, object]] = []
        who = self.random.choice([*OF_HOOKS, OF_OTHER])
        for _ in range(self.random.choice((1, 1, 2, 7))):
            self.events += 1
            name = f"e{self.events}"
            kind = self.random.choices(("seen", "wake", "refuse", "again", "bad", "noise"), (40, 10, 4, 10, 4, 4))[0]
            if kind == "again":
                name, kind = f"e{self.random.randint(max(1, self.events - 20), self.events)}", "seen"
            if kind == "noise" and who == OF_OTHER:
                kind = "seen"  # no mapping there says that it means nothing
            after = self.random.choice((0, 50, 2_000))
            at: object = "never" if kind == "bad" else now
            items.append({"who": who, "what": kind, "at": at, "id": name, "after": after})
            if kind in ("seen", "wake"):
                self.arrived.setdefault((who, name), self.latest)
        if who in OF_HOOKS:
            body = json.dumps({"batch": items} if len(items) > 1 else items[0]).encode()
            self.cluster.append([Send(HOOKS, OF_HOOKS[who], self.random.choice((None, b"key")), body)])
        else:
            for item in items:
                kind = str(item["what"])
                value = b"{" if kind == "bad" else event(kind, who, now, str(item["id"]), after=item["after"])
                self.cluster.append([Send(OTHER, 0, None, value)])

    def _done(self) -> bool:
        committed = self.cluster.committed(GROUP)
        for topic in (HOOKS, OTHER):
            for record in self.cluster.records(topic):
                if committed.get(TopicPartition(topic, record.partition), 0) <= record.offset:
                    return False
        return super()._done()

    def _offline(self) -> tuple[dict[str, Contact], dict[str, Counter[str]], list[str]]:
        expected, poked, refused = super()._offline()
        engine = StandIn()
        states: dict[str, bytes | None] = dict.fromkeys((*OF_HOOKS, OF_OTHER))
        for record in [*self.cluster.records(HOOKS), *self.cluster.records(OTHER)]:
            place = f"{record.partition}@{record.offset}"
            found: Sequence[object]
            if record.topic == HOOKS:
                found = MAPPING.apply(record.value)
            else:
                found = [decode(record.key, record.value)]
            # One dead letter for a record and a reason; one for each event that the fold refuses.
            refused += [place] * (any(isinstance(each, Refused | Refusal) for each in found))
            for each in found:
                if isinstance(each, Event):
                    outcome = engine.apply(b"c:" + each.subject.encode(), states[each.subject], [each], 0)
                    states[each.subject] = outcome.state if outcome.changed else states[each.subject]
                    refused += [place] * len(outcome.refused)
        expected |= {name: read(state) for name, state in states.items()}
        return expected, poked, refused


@pytest.mark.parametrize("part", range(PARTS))
def test_readers_see_each_event_of_other_topics_once_and_in_order_under_every_seed(part: int) -> None:
    for seed in range(part, SAMPLE, PARTS):
        FedSimulation(seed).run()


@pytest.mark.slow
def test_the_same_for_thousands_of_seeds(seed: int) -> None:
    FedSimulation(seed).run()


def _found(seeds: int = UNTIL_FOUND) -> bool:
    for seed in range(seeds):
        try:
            FedSimulation(seed).run()
        except AssertionError:
            return True
    return False


def test_a_clock_that_does_not_wait_for_other_topics_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: Passage, committed: object) -> None:
        while self._probes:
            self.reached = max(self.reached or 0, self._probes.popleft()[0])

    monkeypatch.setattr(Passage, "advance", at_once)
    assert _found()


def test_offsets_of_other_topics_that_are_not_committed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again they would be, and refused once more."""
    from worker.runtime import session
    from worker.runtime.transaction import commit

    def wrong(producer, store, work, *more):  # type: ignore[no-untyped-def]  # as `commit`
        work.offsets = {place: at for place, at in work.offsets.items() if place.topic not in (HOOKS, OTHER)}
        return commit(producer, store, work, *more)

    monkeypatch.setattr(session, "commit", wrong)
    assert _found()
