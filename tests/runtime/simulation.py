"""Workers on a cluster that misbehaves as a seed says, and what a read_committed reader may see of it.

    Simulation(seed).run()          raises AssertionError with the seed and what went wrong last

Two or three places in the group, each a process that is crashed (also after each numbered step), suspended and
continued, stopped and started, with its store or without it; now and then a second process runs under the same
instance id. Meanwhile events arrive, some twice, some bad, some in runs on one contact. At the end everything is
calm, whatever is left is folded, and `check` compares what came out with the same events folded without a worker.

Here the engine is a small one that counts: it shows in a number whatever is lost or doubled, and folds so quickly that
thousands of seeds are little. `tests.runtime.lifecycle_simulation` has the real one.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.runtime.standin import Contact, StandIn, read
from tests.runtime.support import (
    CONTACTS,
    DEAD,
    INPUT,
    OUTPUT,
    event,
    header,
    partition_of,
    settings,
    settled,
    states,
    stored,
    worker,
)
from worker.events import decode
from worker.fold.outcome import Refusal
from worker.mapping.router import Router
from worker.runtime.engine import Engine
from worker.runtime.errors import Halt
from worker.runtime.loop import Worker
from worker.runtime.settings import Settings
from worker.stores.memory import MemoryStore
from worker.transports.base import Record, Send, TopicSpec
from worker.transports.errors import TransportError
from worker.transports.simulator import CrashAt, Faults, SimulatedCluster, SimulatedCrash, SimulatedTransport

TURNS = 400  # of workers while things go wrong
CRASHES = 4  # of processes, at one step that is asked for
CRASH_NTH_MAX = 6  # time that it is reached
TURNS_MAX = 20_000  # until everything is folded afterwards
CONTACTS_OF = ("ann", "ben", "cem", "dee", "eve", "fay", "gus")
PARTITIONS = 4


@dataclass(eq=False)
class Process:
    """One process of a place in the group."""

    transport: SimulatedTransport
    worker: Worker
    suspended: bool = False


@dataclass(eq=False)
class Place:
    """An instance id of the group, its store, and the process that runs there; None while none does."""

    name: str
    settings: Settings
    store: MemoryStore = field(default_factory=MemoryStore)
    process: Process | None = None


class Simulation:
    def __init__(
        self, seed: int, faults: Faults | None = None, turns: int = TURNS, crash_at: str | None = None
    ) -> None:
        """`crash_at` names a numbered step of the runtime: the first processes die there, besides all else."""
        self.seed = seed
        self.turns = turns
        self.crash_at = crash_at
        self.crashes: list[CrashAt] = []
        self.random = random.Random(f"simulation {seed}")
        rate = self.random.choice((0.0, 0.002, 0.01, 0.03))
        self.cluster = SimulatedCluster(seed, faults or Faults.some(rate), transaction_timeout_ms=10_000)
        self.cluster.create(TopicSpec(INPUT, PARTITIONS))
        self.cluster.meanwhile = self._meanwhile
        self.events = 0
        self.places = [self._place(number) for number in range(self.random.randint(2, 3))]
        self.ghosts: list[Process] = []  # processes whose instance id runs elsewhere too
        self.halts: list[str] = []
        self.arrived: dict[
            tuple[str, str], int
        ] = {}  # by event: the latest that the wall clock had ever shown when it came
        self.latest = 0

    def _place(self, number: int) -> Place:
        choice = self.random.choice
        name = f"place-{number}"
        return Place(
            name,
            settings(
                instance_id=name,
                batch_records=choice((1, 3, 10, 100)),
                batch_bytes=choice((1_024, 100_000)),
                batch_output_bytes=choice((2_000, 1_000_000)),
                batch_wait_ms=choice((0, 5)),
                timer_keys=choice((1, 3, 100)),
                restore_records=choice((1, 7, 1_000)),
                clock_interval_ms=choice((10, 200, 1_000)),
                purge_interval_ms=choice((50, 1_000)),
                mark_interval_ms=500,
                refresh_interval_ms=choice((100, 3_600_000)),
                startup_timeout_ms=10_000_000,
                fenced_max=1_000_000,
            ),
        )

    def _engine(self) -> Engine:
        return StandIn()

    def _routers(self) -> dict[str, Router]:
        """What reads the topics beside the input topic."""
        return {}

    # ------------------------------------------------------------------------------------------------ what happens

    def run(self) -> None:
        """Let things go wrong for a while, then finish in peace and check."""
        try:
            for _ in range(self.turns):
                self._something()
            self._finish()
            self.check()
        except Exception as error:
            trace = "\n  ".join(list(self.cluster.trace)[-30:])
            message = f"seed {self.seed}: {type(error).__name__}: {error}\n  {trace}"
            raise AssertionError(message) from error

    def _something(self) -> None:
        """One thing of many: an event, a turn of some worker, trouble."""
        self.latest = max(self.latest, self.cluster.clock.wall_ms())
        roll = self.random.random()
        place = self.random.choice(self.places)
        if roll < 0.25:
            self._arrive()
        elif roll < 0.27:
            self._trouble(place)
        elif self.ghosts and roll < 0.35:
            self._turn_ghost(self.random.choice(self.ghosts))
        else:
            self._turn(place)

    def _meanwhile(self, name: str) -> None:
        """The process `name` stands still in the middle of a call; others go on."""
        self.latest = max(self.latest, self.cluster.clock.wall_ms())
        if self.random.random() < 0.2:
            self._arrive()
        for place in self.places:
            if place.name != name and self.random.random() < 0.7:
                self._turn(place)

    def _arrive(self) -> None:
        """A few records on the input topic."""
        now = self.cluster.clock.wall_ms()
        for _ in range(self.random.choice((1, 1, 1, 2, 5, 20))):
            contact = self.random.choice(CONTACTS_OF if self.random.random() < 0.6 else CONTACTS_OF[:1])
            self.events += 1
            name, key = f"e{self.events}", contact.encode()
            kind = self.random.choices(
                ("seen", "poke", "wake", "refuse", "pass", "again", "bad", "misplaced"),
                (40, 12, 10, 3, 5, 10, 3, 2),
            )[0]
            partition = partition_of(key, PARTITIONS)
            if kind == "again":
                name, kind = f"e{self.random.randint(max(1, self.events - 20), self.events)}", "seen"
            data: dict[str, Any] = {}
            if kind == "poke":
                data["target"] = self.random.choice(CONTACTS_OF)
            elif kind == "wake":
                data["after"] = self.random.choice((0, 50, 2_000, 20_000))
            value: bytes | None = event(kind, contact, now, name, **data)
            if kind == "bad":
                value = self.random.choice((None, b"", b"{", b"\xff", b"[]", b"{}"))
            elif kind == "misplaced":
                partition = (partition + 1) % PARTITIONS
            elif kind in ("seen", "poke", "wake"):
                self.arrived.setdefault((contact, name), self.latest)
            self.cluster.append([Send(INPUT, partition, key, value)])

    def _trouble(self, place: Place) -> None:
        """Something is done to a process from outside."""
        process = place.process
        trouble = self.random.choice(("kill", "suspend", "stop", "leave", "ghost", "clock", "wipe"))
        if trouble == "clock":
            self.cluster.clock.jump(self.random.choice((-3_000, -10, 10, 2_000)))
        elif process is None:
            return
        elif trouble in ("kill", "wipe"):
            process.transport.crash()
            place.process = None
            if trouble == "wipe":
                place.store = MemoryStore()
        elif trouble == "suspend":
            process.suspended = not process.suspended
            (process.transport.suspend if process.suspended else process.transport.resume)()
        elif trouble in ("stop", "leave") and not process.suspended:
            self._stop(place, leave=trouble == "leave")
        elif trouble == "ghost" and len(self.ghosts) < 2:
            # Its place is started elsewhere, on an empty machine; this one goes on, or stands still for now.
            self.ghosts.append(process)
            place.process, place.store = None, MemoryStore()
            if self.random.random() < 0.5 and not process.suspended:
                process.suspended = True
                process.transport.suspend()

    def _turn(self, place: Place) -> None:
        process = place.process
        if process is None:
            try:
                place.process = self._start(place)
            except SimulatedCrash:
                return
        elif not process.suspended and not self._step(process):
            place.process = None
            if self.random.random() < 0.3:
                place.store = MemoryStore()

    def _turn_ghost(self, ghost: Process) -> None:
        if ghost.suspended:
            ghost.suspended = False
            ghost.transport.resume()
        alive = self._step(ghost)
        if alive and self.random.random() < 0.05:
            ghost.transport.crash()
            alive = False
        if not alive:
            self.ghosts.remove(ghost)

    def _start(self, place: Place) -> Process:
        transport = self.cluster.connect(place.name)
        own = random.Random(self.random.random())
        if self.crash_at is not None and len(self.crashes) < CRASHES:
            transport.plan = CrashAt(self.crash_at, self.random.randint(1, CRASH_NTH_MAX))
            self.crashes.append(transport.plan)
        started = worker(
            transport,
            store=place.store,
            engine=self._engine(),
            with_settings=place.settings,
            routers=self._routers(),
            crash_point=transport.crash_point,
        )
        started._rng = own
        return Process(transport, started)

    def _step(self, process: Process) -> bool:
        """One turn of its worker; whether it lives."""
        try:
            process.worker.step()
        except SimulatedCrash:
            return False
        except Halt as halt:
            if "runs elsewhere" not in str(halt):  # the one error that a ghost has to end with
                raise
            process.transport.crash()
            return False
        return True

    def _stop(self, place: Place, *, leave: bool) -> None:
        assert place.process is not None
        try:
            place.process.worker.close(leave=leave)
        except SimulatedCrash:
            pass
        except TransportError as error:
            self.halts.append(str(error))
        place.process.transport.crash()
        place.process = None

    def _finish(self) -> None:
        """Nothing goes wrong any more; whatever is left to do is done."""
        for ghost in self.ghosts:
            ghost.transport.crash()
        self.ghosts.clear()
        self.cluster.calm()
        for place in self.places:
            if place.process is not None and place.process.suspended:
                place.process.suspended = False
                place.process.transport.resume()
        for turn in range(TURNS_MAX):
            for place in self.places:
                self._turn(place)
            self.cluster.clock.advance(self.random.choice((1, 20)))
            if turn % 20 == 0 and self._done():
                return
        raise AssertionError(f"not everything was folded within {TURNS_MAX} turns")

    def _done(self) -> bool:
        if not settled(self.cluster, PARTITIONS):
            return False
        if self._timers_left():
            return False
        live = [place.process.worker.live() for place in self.places if place.process is not None]
        return sum(map(len, live)) == PARTITIONS and len(live) == len(self.places)

    def _timers_left(self) -> bool:
        return any(contact.timers for contact in states(self.cluster).values())

    # ------------------------------------------------------------------------------------------------ what came of it

    def check(self) -> None:
        """Nothing lost, nothing twice, nothing out of order, nothing torn; the end as folded without a worker."""
        expected, poked, refused = self._offline()
        self._check_outputs(expected, poked)
        found = states(self.cluster)
        assert found.keys() == {b"c:" + name.encode() for name in expected if expected[name].events or poked[name]}
        for key, contact in found.items():
            name = key[2:].decode()
            assert contact.events == expected[name].events, f"{name}: state has other events"
            assert Counter(contact.pokes) == poked[name], f"{name}: state has other pokes"
            assert Counter(contact.woken) == Counter(by for _, by in expected[name].timers), f"{name}: timers"
        self._check_contacts(found)
        self._check_stores(found)
        assert Counter(self._dead()) == Counter(refused), "dead letters"

    def _offline(self) -> tuple[dict[str, Contact], dict[str, Counter[str]], list[str]]:
        """The same records folded in order: contacts, who poked whom, places of what is refused."""
        engine, refused = StandIn(), []
        folded: dict[str, bytes | None] = dict.fromkeys(CONTACTS_OF)
        poked: dict[str, Counter[str]] = defaultdict(Counter)
        for record in self.cluster.records(INPUT):
            found = decode(record.key, record.value, record.headers)
            place = f"{record.partition}@{record.offset}"
            if isinstance(found, Refusal) or partition_of(record.key or b"", PARTITIONS) != record.partition:
                refused.append(place)
                continue
            outcome = engine.apply(b"c:" + found.subject.encode(), folded[found.subject], [found], 0)
            if outcome.changed:
                folded[found.subject] = outcome.state
            for message in outcome.messages:
                poked[message.key[2:].decode()][message.body.decode()] += 1
            refused += [place] * len(outcome.refused)
        return {name: read(state) for name, state in folded.items()}, poked, refused

    def _check_outputs(self, expected: dict[str, Contact], poked: dict[str, Counter[str]]) -> None:
        by_contact: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.cluster.records(OUTPUT):
            body = msgspec.json.decode(record.value or b"")
            by_contact[body["subject"]].append(body)
        for name, contact in expected.items():
            of_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for body in by_contact[name]:
                of_kind[body["type"]].append(body["data"])
            assert [data["by"] for data in of_kind["seen"]] == contact.events, f"{name}: lost, twice or out of order"
            for kind in ("seen", "poked", "woken"):
                numbers = [data["number"] for data in of_kind[kind]]
                assert numbers == list(range(1, len(numbers) + 1)), f"{name}: {kind} numbered {numbers}"
            assert Counter(data["by"] for data in of_kind["poked"]) == poked[name], f"{name}: pokes"
            woken = Counter(data["by"] for data in of_kind["woken"])
            assert woken == Counter(by for _, by in contact.timers), f"{name}: timers lost or fired twice"
            self._check_timers(name, by_contact[name])

    def _check_timers(self, name: str, bodies: list[dict[str, Any]]) -> None:
        """No event that was in the log before a timer's deadline comes out after the timer."""
        latest = 0
        for body in bodies:
            if body["type"] == "woken":
                latest = max(latest, body["data"]["due"])
            elif body["type"] == "seen":
                at = self.arrived[name, body["data"]["by"]]
                assert at >= latest, f"{name}: a timer due at {latest} fired before an event that came at {at}"

    def _check_contacts(self, found: dict[bytes, Contact]) -> None:
        latest: dict[bytes | None, Record] = {}
        for record in self.cluster.records(CONTACTS):
            latest[record.key] = record
        assert {key: msgspec.json.decode(record.value or b"") for key, record in latest.items()} == {
            key[2:]: contact.current() for key, contact in found.items()
        }

    def _check_stores(self, found: dict[bytes, Contact]) -> None:
        held: dict[bytes, Contact] = {}
        for place in self.places:
            assert place.process is not None
            live = place.process.worker.live()
            own = stored(place.store, live)
            assert not own.keys() & held.keys(), "two workers hold one contact"
            held |= own
        assert held == found, "the stores of the owners equal the changelog"

    def _dead(self) -> list[str]:
        return [
            f"{header(record, 'lifecycle-source-partition')}@{header(record, 'lifecycle-source-offset')}"
            for record in self.cluster.records(DEAD)
        ]
