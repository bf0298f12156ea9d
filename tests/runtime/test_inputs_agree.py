"""What the worker makes of other topics, and of keys that are no subjects, is what `replay` makes of the same records.

The whole engine on the simulated cluster, in made time: records come late, twice, in batches, some can't be read.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping as Readonly
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.replay.support import Replayed, job, lifecycle
from tests.runtime.reading import difference, standing
from tests.runtime.support import DEAD, GROUP, INPUT, INTERNAL, OUTPUT, header, quiet
from tests.runtime.support import settings as worker_settings
from tests.runtime.traffic import KINDS
from worker.fold.engine import Engine
from worker.instants import format_instant
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Refused
from worker.mapping.reader import read_mapping
from worker.mapping.router import Router
from worker.plan import compile_plan
from worker.replay import replay
from worker.replay.mapped import map_records
from worker.replay.topic import copy_topic
from worker.runtime.inputs import Input
from worker.runtime.loop import Worker
from worker.stores.memory import MemoryStore
from worker.transports.base import Send, TopicPartition, TopicSpec
from worker.transports.simulator import SimulatedCluster

HOOKS = "hooks"
DAY_MS = 86_400_000
SPAN_MS = 3 * DAY_MS  # of event time, within the horizon
TURNS_MAX = 2_000
EXAMPLES = 10

MAPPING = Mapping(
    read_mapping(b"""\
mapping: hooks
source: /hooks
each: batch || @
id: id
time: {milliseconds: at}
ids: {who: who}
subject: [who]
data: {"*": {from: data, except: [traits]}}
traits: {"*": data.traits}
rules:
  - {when: kind == 'page.viewed' && data.high_intent == `false`, skip: no page that matters}
  - type: {from: kind}
""")
)


def items(seed: int, count: int, begin: int) -> list[dict[str, Any]]:
    """What happened, each at a time of its own, in an order of arrival that is up to hours off."""
    draw = random.Random(seed)
    made: list[tuple[float, dict[str, Any]]] = []
    for number in range(count):
        _, kind, fields = draw.choices(KINDS, [weight for weight, _, _ in KINDS])[0]
        at = begin + number * SPAN_MS // count
        item = {"id": f"e{number}", "kind": kind, "who": f"c{draw.randrange(6)}", "at": at, "data": fields(draw)}
        made.append((at + draw.random() * 8 * 3_600_000, item))
        if draw.random() < 0.1:  # delivered twice
            made.append((at + draw.random() * 20 * 3_600_000, item))
    return [item for _, item in sorted(made, key=lambda each: each[0])]


def batched(found: list[dict[str, Any]], draw: random.Random) -> list[bytes]:
    """Records of one to five items; some items can't be read, some records neither."""
    records: list[bytes] = []
    while found:
        taken, found = found[: (size := draw.choice((1, 1, 2, 5)))], found[size:]
        for place in range(len(taken)):
            if draw.random() < 0.05:
                taken[place] = {**taken[place], **draw.choice(({"at": "never"}, {"who": ""}))}
        records.append(json.dumps({"batch": taken} if len(taken) > 1 else taken[0]).encode())
        if draw.random() < 0.03:
            records.append(b'{"batch": [{"cut')
    return records


def refused(body: bytes) -> int:
    """How many dead letters the record makes: one for a reason."""
    return len({each.refusal.reason for each in MAPPING.apply(body) if isinstance(each, Refused)})


class World:
    """A worker of the lifecycle `10ex` on a simulated cluster."""

    def __init__(self, routers: Readonly[str, Router], **changed: Any) -> None:
        self.cluster = SimulatedCluster()
        self.cluster.create(TopicSpec(INPUT, 2))
        self.begin = self.cluster.clock.wall_ms() - 400 * DAY_MS  # every timer is due by now
        self.transport = self.cluster.connect("one")
        self.worker = Worker(
            self.transport,
            MemoryStore(),
            Engine(compile_plan(lifecycle()), grace=True),
            worker_settings(clock_interval_ms=10, partitioner="murmur2", contacts_topic=None, **changed),
            self.cluster.clock,
            quiet(),
            routers=routers,
        )

    def fold(self) -> None:
        """All that is there is folded, and nothing is left that time will bring."""
        quiet_turns = 0
        for _ in range(TURNS_MAX):
            written = sum(len(self.cluster.records(topic)) for topic in self.cluster.topics)
            self.worker.step()
            self.cluster.clock.advance(10)
            same = written == sum(len(self.cluster.records(topic)) for topic in self.cluster.topics)
            quiet_turns = quiet_turns + 1 if same and self._read() else 0
            if quiet_turns > 30:
                return
        raise AssertionError(f"not folded within {TURNS_MAX} turns")

    def _read(self) -> bool:
        committed = self.cluster.committed(GROUP)
        return all(
            committed.get(TopicPartition(topic, record.partition), 0) > record.offset
            for topic in (INPUT, INTERNAL, HOOKS)
            if topic in self.cluster.topics
            for record in self.cluster.records(topic)
        )

    def published(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.cluster.records(OUTPUT):
            body = json.loads(record.value or b"")
            if "contact" in body["data"]:
                found[body["subject"]].append(body)
        return found

    def check(self, expected: Replayed) -> None:
        wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for body in expected.changes:
            if "contact" in body["data"]:
                wanted[body["subject"]].append(body)
        found = self.published()
        assert found.keys() == wanted.keys()
        for contact, bodies in found.items():
            revisions = [body["data"]["current"]["revision"] for body in bodies]
            assert revisions == list(range(1, len(revisions) + 1)), contact
            stands = standing(bodies)
            assert [body["id"] for body in stands] == [body["id"] for body in wanted[contact]], difference(
                contact, stands, wanted[contact]
            )
            assert bodies[-1]["data"]["current"]["stage"] == expected.contacts[contact]["stage"]


def terms(world: World) -> dict[str, Any]:
    wall = world.cluster.clock.wall_ms()
    return {"wall": wall, "as_of": wall - 3_600_000}


@given(seed=st.integers(0, 10_000), count=st.integers(1, 120), partitions=st.integers(1, 5))
@settings(max_examples=EXAMPLES, deadline=None)
def test_mapped_inputs_live_are_the_replay_of_the_same_records(seed: int, count: int, partitions: int) -> None:
    draw = random.Random(f"inputs {seed}")
    world = World({HOOKS: Router({None: MAPPING})}, input=(Input(HOOKS, None, "hooks"),))
    world.cluster.create(TopicSpec(HOOKS, partitions))
    records = batched(items(seed, count, world.begin), draw)
    sent = 0
    while sent < len(records):
        portion = records[sent : sent + draw.choice((1, 5, 40))]
        sent += len(portion)
        world.cluster.append([Send(HOOKS, draw.randrange(partitions), None, body) for body in portion])
        for _ in range(draw.choice((0, 1, 10))):
            world.worker.step()
            world.cluster.clock.advance(draw.choice((1, 50)))
    world.fold()
    with tempfile.TemporaryDirectory() as folder:
        given_ = [(str(place), body, (), None) for place, body in enumerate(records)]
        source, dead, _ = map_records(Router({None: MAPPING}), given_, HOOKS, Path(folder), 0)
        summary = replay(job([source], **terms(world)), Path(folder, "out"), refused=dead)
        world.check(Replayed(Path(folder, "out"), summary))
    letters = world.cluster.records(DEAD) if DEAD in world.cluster.topics else []
    assert len(letters) == sum(refused(body) for body in records)
    assert all(letter.value in records for letter in letters), "the bytes as they came"
    places = Counter(
        tuple(header(letter, f"lifecycle-{name}") for name in ("source-partition", "source-offset", "reason"))
        for letter in letters
    )
    assert set(places.values()) <= {1}


@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
@settings(max_examples=EXAMPLES, deadline=None)
def test_rekeyed_events_live_are_the_replay_of_the_same_topic(seed: int, count: int) -> None:
    """Some keyed by their contact, some by something else or nothing, some in another partition than the key's."""
    draw = random.Random(f"rekey {seed}")
    world = World({}, rekey=True)
    sends = []
    for item in items(seed, count, world.begin):
        event = {
            "specversion": "1.0", "id": item["id"], "source": "/own", "type": item["kind"], "subject": item["who"],
            "time": format_instant(item["at"]), "data": item["data"],
        }  # fmt: skip
        key = draw.choice((item["who"].encode(), b"session-7", None))
        sends.append(Send(INPUT, draw.randrange(2), key, json.dumps(event).encode()))
    for place in range(0, len(sends), 7):
        world.cluster.append(sends[place : place + 7])
        world.cluster.clock.advance(1)
        if draw.random() < 0.5:
            world.worker.step()
    world.fold()
    assert not (world.cluster.records(DEAD) if DEAD in world.cluster.topics else [])
    with tempfile.TemporaryDirectory() as folder:
        reading = world.cluster.connect("replay")
        source, dead = copy_topic(reading, INPUT, Path(folder), 0, partitioner="murmur2", rekey=True)
        summary = replay(job([source], **terms(world)), Path(folder, "out"), refused=dead)
        world.check(Replayed(Path(folder, "out"), summary))
    assert world.worker.metrics.rekeyed > 0 or count < 20
