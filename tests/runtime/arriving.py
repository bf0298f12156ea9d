"""How traffic arrives at the workers: on the input topic, keyed by contact; or on several topics, whoever keys them.

What the topics took is read back with the mappings that the worker has, and held against what became of it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.runtime.traffic import NO_EVENT
from worker.events import decode
from worker.fold.outcome import Event, Refusal
from worker.instants import parse_instant
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Dropped, Refused
from worker.mapping.reader import read_mapping
from worker.mapping.router import SOURCE, Router
from worker.replay.mapped import map_records
from worker.runtime.dead_letters import MESSAGE, REASON, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC
from worker.runtime.inputs import Input
from worker.transports.base import Record, Send
from worker.transports.partitioner import partition_of

PARTITIONS = 4
ITEMS_MAX = 5
SYSTEM = "crm"  # the source that a receiver would name

OWN_KEYED = 0.6  # of our own events, those under their subject and in its partition

HOOKS = """\
mapping: hooks
source: traffic
each: batch || @
id: id
time: {milliseconds: at}
ids: {who: who}
subject: [who]
data: {"*": {from: data, except: [traits]}}
traits: {"*": data.traits}
rules:
  - type: {from: kind}
"""

CHANGES = """\
mapping: changes
source: traffic
takes: change
id: change.number
time: {iso: change.happened}
ids: {contact: change.object}
subject: [contact]
rules:
  - {when: change.verb == 'noise', skip: it means nothing}
  - type: {from: change.verb}
    data: {"*": {from: after, except: [traits]}}
    traits: {"*": after.traits}
"""

TEXTS = {"hooks": HOOKS, "changes": CHANGES}
MAPPINGS = {name: Mapping(read_mapping(text.encode())) for name, text in TEXTS.items()}

OWN = Router({None: None})

Keyed = tuple[bytes, bytes]
"""A record of the traffic: its contact as the key, and its event as the value, or `NO_EVENT`."""


class Plain:
    """All of it is on the input topic, under its contact's key and in its partition."""

    def __init__(self, input_topic: str) -> None:
        self.input = input_topic
        self.topics = {self.input: PARTITIONS}
        self.inputs: tuple[Input, ...] = ()  # beside the input topic, as a worker is given them
        self.routers: dict[str, Router] = {}
        self.rekey = False
        self.growing: str | None = None  # a topic that may get more partitions meanwhile

    def arguments(self, folder: Path) -> list[str]:
        """What `lifecycle run` is told of all this; mappings are written to the folder."""
        return []

    def sends(self, records: Iterable[Keyed]) -> list[Send]:
        return [Send(self.input, partition_of(key, PARTITIONS), key, value) for key, value in records]

    def events(self, taken: Iterable[Record]) -> list[Event]:
        """The events of these records."""
        return [each for record in taken for each in self._read(record) if isinstance(each, Event)]

    def lines(self, taken: Sequence[Record], folder: Path) -> list[bytes]:
        """The events of these records as `replay --mapping` has them, those of one partition in their order."""
        found: list[bytes] = []
        for number, topic in enumerate(self.topics):
            given = [(str(each.offset), each.value, each.headers, each.key) for each in taken if each.topic == topic]
            router = self.routers.get(topic, OWN)
            source, _, _ = map_records(router, given, topic, folder, number)
            found += [line for line in source.path.read_bytes().splitlines() if line]
        return found

    def check_dead(self, taken: Iterable[Record], dead: Iterable[Record]) -> list[str]:
        """What can't be read is a dead letter as it came, once for a reason. The messages of all other letters."""
        unread = {
            (record.topic, record.partition, record.offset, reason): record.value
            for record in taken
            for reason in self.unreadable(record)
        }
        letters: Counter[object] = Counter()
        others: list[str] = []
        for record in dead:
            said = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
            place = (said[SOURCE_TOPIC], int(said[SOURCE_PARTITION]), int(said[SOURCE_OFFSET]), said[REASON])
            if place in unread:
                letters[place] += 1
                assert record.value == unread[place], f"not as it came: {place}"
            else:
                letters[place, record.value] += 1
                others.append(said[MESSAGE])
        assert set(letters.values()) <= {1}, f"dead letters twice: {[each for each in letters if letters[each] > 1]}"
        missing = sorted(unread.keys() - letters.keys())
        assert not missing, f"no dead letters of {len(missing)} of {len(unread)}: {missing}"
        return others

    def unreadable(self, record: Record) -> set[str]:
        """The reasons for which some of the record is no event: a dead letter each."""
        found = self._read(record)
        refused = [each.refusal if isinstance(each, Refused) else each for each in found]
        return {each.reason for each in refused if isinstance(each, Refusal)}

    def _read(self, record: Record) -> Sequence[Event | Refused | Dropped | Refusal]:
        mapping = self.routers.get(record.topic, OWN).of(record.headers)
        if isinstance(mapping, Mapping):
            return mapping.apply(record.value, record.headers, record.key)
        return [mapping or decode(record.key, record.value, record.headers)]


class Mixed(Plain):
    """Our own events lie under wrong keys too, and most come from other systems, each on a topic of its own.

    `hooks` has batches, in which some items can't be read; `changes` came through a receiver, and has what means
    nothing; `loose` has events of our own under no key. A repeated event may come from another one of them. On the way
    `hooks` gets more partitions.
    """

    def __init__(self, input_topic: str, seed: int) -> None:
        super().__init__(input_topic)
        self.random = random.Random(f"arriving {seed}")
        self.made = 0
        self.hooks, self.changes, self.loose = (f"{input_topic}-{name}" for name in ("hooks", "changes", "loose"))
        self.topics |= {self.hooks: 3, self.changes: 6, self.loose: 1}
        self.inputs = (Input(self.hooks, None, "hooks"), Input(self.changes, SYSTEM, "changes"), Input(self.loose))
        self.routers = {
            self.hooks: Router({None: MAPPINGS["hooks"]}),
            self.changes: Router({SYSTEM: MAPPINGS["changes"]}),
            self.loose: OWN,
        }
        self.rekey = True
        self.growing = self.hooks

    def arguments(self, folder: Path) -> list[str]:
        told = ["--rekey", "--assignment-interval-ms", "5000"]
        for each in self.inputs:
            if each.mapping is not None:
                path = folder / f"{each.mapping}.yaml"
                path.write_text(TEXTS[each.mapping], encoding="utf-8")
                each = each._replace(mapping=str(path))
            told += ["--input", str(each)]
        return told

    def sends(self, records: Iterable[Keyed]) -> list[Send]:
        found: list[Send] = []
        batch: dict[str, dict[str, Any]] = {}
        for key, value in records:
            topic = self.random.choices((self.input, self.hooks, self.changes, self.loose), (3, 4, 2, 1))[0]
            if value == NO_EVENT:
                found.append(self._put(topic, value))
            elif topic == self.hooks:
                batch |= [self._item(json.loads(value))]
                if self.random.random() < 1 / 2 or len(batch) == ITEMS_MAX:
                    found.append(self._batch(batch))
            elif topic == self.changes:
                found.append(self._change(event := json.loads(value)))
                if self.random.random() < 0.1:
                    found.append(self._change({**event, "type": "noise"}))
            elif topic == self.input:
                found.append(self._own(key, value))
            else:
                found.append(self._put(topic, value))
        return [*found, self._batch(batch)] if batch else found

    def _put(self, topic: str, value: bytes, key: bytes | None = None) -> Send:
        headers = ((SOURCE, SYSTEM.encode()),) if topic == self.changes else ()
        return Send(topic, self.random.randrange(self.topics[topic]), key, value, headers)

    def _own(self, key: bytes, value: bytes) -> Send:
        if self.random.random() < OWN_KEYED:
            return Send(self.input, partition_of(key, PARTITIONS), key, value)
        session = f"session-{self.random.randrange(50)}".encode()
        return self._put(self.input, value, self.random.choice((None, session, key)))

    def _item(self, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        at = parse_instant(event["time"])
        item = {"id": event["id"], "kind": event["type"], "who": event["subject"], "at": at, "data": event["data"]}
        return event["id"], item

    def _batch(self, batch: dict[str, dict[str, Any]]) -> Send:
        """The items so far, of which none are left; with them, now and then, one that can't be read."""
        items = list(batch.values())
        batch.clear()
        self.made += 1
        if self.random.random() < 0.05:
            wrong = self.random.choice(({"at": "never"}, {"who": ""}))
            items.insert(self.random.randint(0, len(items)), {**items[0], "id": f"wrong-{self.made}", **wrong})
        body = {"batch": items} if len(items) > 1 else items[0]
        return self._put(self.hooks, json.dumps(body).encode(), self.random.choice((None, b"a key")))

    def _change(self, event: dict[str, Any]) -> Send:
        verb = event["type"]
        change = {"number": event["id"], "happened": event["time"], "object": event["subject"], "verb": verb}
        return self._put(self.changes, json.dumps({"change": change, "after": event["data"]}).encode())
