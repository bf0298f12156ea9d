"""How traffic arrives at the workers: on the input topic, keyed by contact; or on several topics, whoever keys them.

What a topic took is read back by `lines` and `unreadable`, with what `replay --mapping` reads records by.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.runtime.traffic import NO_EVENT
from worker.events import decode
from worker.fold.outcome import Refusal
from worker.instants import parse_instant
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Refused
from worker.mapping.router import SOURCE, Router
from worker.replay.mapped import map_records
from worker.transports.base import Record, Send
from worker.transports.partitioner import partition_of

PARTITIONS = 4
ITEMS_MAX = 5
SYSTEM = b"crm"  # the source that a receiver would name

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

Keyed = tuple[bytes, bytes]
"""A record of the traffic: its contact as the key, and its event as the value, or `NO_EVENT`."""


class Plain:
    """All of it is on the input topic, under its contact's key and in its partition."""

    def __init__(self, unique: str) -> None:
        self.input = f"{unique}-in"
        self.topics = {self.input: PARTITIONS}
        self.arguments: list[str] = []
        self.growing: str | None = None  # a topic that may get more partitions meanwhile
        self.routers: dict[str, Router] = {self.input: Router({None: None})}

    def sends(self, records: Iterable[Keyed]) -> list[Send]:
        return [Send(self.input, partition_of(key, PARTITIONS), key, value) for key, value in records]

    def lines(self, taken: Sequence[Record], folder: Path) -> list[bytes]:
        """The events of what the topics took, those of one partition in their order."""
        found: list[bytes] = []
        for number, (topic, router) in enumerate(self.routers.items()):
            given = [(str(each.offset), each.value, each.headers, each.key) for each in taken if each.topic == topic]
            source, _, _ = map_records(router, given, topic, folder, number)
            found += [line for line in source.path.read_bytes().splitlines() if line]
        return found

    def unreadable(self, record: Record) -> set[str]:
        """The reasons for which some of the record is no event: a dead letter each."""
        mapping = self.routers[record.topic].of(record.headers)
        if isinstance(mapping, Mapping):
            results = mapping.apply(record.value, record.headers, record.key)
            return {each.refusal.reason for each in results if isinstance(each, Refused)}
        found = mapping or decode(record.key, record.value, record.headers)
        return {found.reason} if isinstance(found, Refusal) else set()


class Mixed(Plain):
    """Our own events lie under wrong keys too, and most come from other systems, each on a topic of its own.

    `hooks` has batches, in which some items can't be read; `changes` came through a receiver, and has what means
    nothing; `loose` has events of our own under no key. A repeated event may come from another one of them. On the way
    `hooks` gets more partitions.
    """

    def __init__(self, unique: str, folder: Path, seed: int) -> None:
        super().__init__(unique)
        self.random = random.Random(f"arriving {seed}")
        self.made = 0
        self.hooks, self.changes, self.loose = (f"{unique}-{name}" for name in ("hooks", "changes", "loose"))
        self.topics |= {self.hooks: 3, self.changes: 6, self.loose: 1}
        files = {name: folder / f"{name}.yaml" for name in ("hooks", "changes")}
        for path, text in zip(files.values(), (HOOKS, CHANGES), strict=True):
            path.write_text(text, encoding="utf-8")
        self.routers |= {
            self.hooks: Router({None: Mapping.load(files["hooks"])}),
            self.changes: Router({SYSTEM.decode(): Mapping.load(files["changes"])}),
            self.loose: Router({None: None}),
        }
        self.growing = self.hooks
        self.arguments = [
            "--rekey", "--assignment-interval-ms", "5000",
            "--input", f"{self.hooks}={files['hooks']}",
            "--input", f"{self.changes}/{SYSTEM.decode()}={files['changes']}",
            "--input", self.loose,
        ]  # fmt: skip

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
        headers = ((SOURCE, SYSTEM),) if topic == self.changes else ()
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
