"""Records into arrivals by state key: what is one, what is refused, and how far each partition has been read.

A mapped record is read once: its events travel to their contacts as events, with the place where the record was read.

Every partition of a batch has its offsets committed, whether anything came of its records or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.events import encode
from worker.fold.outcome import Event, Refusal
from worker.mapping.outcome import Refused
from worker.mapping.router import ITEMS, ITEMS_MAX
from worker.runtime.dead_letters import MAPPED
from worker.runtime.engine import CONTACT, CheckKey, DecodeRecords, Engine
from worker.runtime.feeds import NONE, Feeds
from worker.runtime.partition import Held
from worker.stores.base import KEY_BYTES_MAX
from worker.transports.base import Headers, Record, TopicPartition

Rule = Callable[[bytes], int]
"""A partitioner: a key's number, whose remainder by the count is the partition."""

OFF_PARTITION: Final = "off-partition"
KEY_TOO_LONG: Final = "key-too-long"
WITH_REKEY: Final = frozenset({OFF_PARTITION, "no-key", "key-is-not-subject"})
"""Refusals that `--rekey` mends: the event is sound, it only lies in the wrong place."""

SHOWN_MAX: Final = 5  # faults of one record that its dead letter tells in words

REKEYED: Final = "lifecycle-rekeyed"
"""Header of an event in the internal topic: where it was read, as topic/partition/offset. Messages have none."""

KEYED: Final = "lifecycle-rekeyed-from"
"""Header beside it, where the record had another key there than its subject: `=` and that key, or nothing for none."""


@dataclass(slots=True, eq=False)
class Group:
    """One key's part of a batch: its arrivals, and beside each the record that it was."""

    arrivals: list[Event | bytes] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    raw: bytes | None = None  # the record key of the events, checked once


@dataclass(slots=True)
class Batch:
    """What one transaction consumes. `groups` is by partition and state key, in the order of first arrival.

    `refused` and `rekeyed` have the partition that the record was read under first: a record that passed through the
    internal topic names its place before that.
    """

    groups: dict[int, dict[bytes, Group]] = field(default_factory=dict)
    refused: list[tuple[int, Record, Refusal]] = field(default_factory=list)
    rekeyed: list[tuple[int, Record, Event]] = field(default_factory=list)
    dropped: int = 0  # records, or parts of them, that mean no event to their mapping
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    records: int = 0
    messages: int = 0


class Sorter:
    """Sorts records into batches."""

    def __init__(
        self,
        engine: Engine,
        decode: DecodeRecords,
        check_key: CheckKey,
        rule: Rule,
        partitions: int,
        *,
        rekey: bool,
        feeds: Feeds = NONE,
    ) -> None:
        self._feeds = feeds
        self._key_of = engine.key_of
        self._decode = decode
        self._check_key = check_key
        self._rule = rule
        self._partitions = partitions
        self._rekey = rekey

    def input(self, batch: Batch, records: Sequence[Record], held: Mapping[int, Held]) -> None:
        """Add records of the input topic; those of partitions that aren't held or live are left out."""
        key_of, refused = self._key_of, batch.refused
        rule, partitions = self._rule, self._partitions
        number, last = -1, 0
        groups: dict[bytes, Group] = {}
        known: dict[str, Group] = {}  # the same by subject: a contact's state key is worked out once
        of_partition: Held | None = None
        for record, event in zip(records, self._decode(records), strict=True):
            _, partition, offset, _, key, _, _ = record
            if partition != number:  # records of one partition come in runs
                if of_partition is not None:
                    batch.offsets[of_partition.input] = last
                of_partition, number = held.get(partition), partition
                if of_partition is not None and not of_partition.live:
                    of_partition = None
                if of_partition is not None:
                    groups = batch.groups.setdefault(partition, {})
                    known = {}
            if of_partition is None:
                continue
            last = offset + 1
            if isinstance(event, Refusal):
                refused.append((partition, record, event))
                continue
            subject = event.subject
            group = known.get(subject)
            if group is None or group.raw != key:
                # Nearly always the key is the subject and lies where it should: told without a call.
                at_home = subject.encode() == key and rule(key) % partitions == partition
                state_key = key_of(event)
                refusal = None if at_home else self._misplaced(event, key, state_key, partition)
                if refusal is not None:
                    if self._rekey and refusal.reason in WITH_REKEY:
                        batch.rekeyed.append((partition, record, event))
                    else:
                        refused.append((partition, record, refusal))
                    continue
                group = groups.get(state_key)
                if group is None:
                    group = groups[state_key] = Group()
                group.raw = key
                known[subject] = group
            group.arrivals.append(event)
            group.records.append(record)
        if of_partition is not None:
            batch.offsets[of_partition.input] = last
        batch.records += len(records)

    def feeds(self, batch: Batch, records: Iterable[Record], held: Mapping[int, Held]) -> None:
        """Add records of the other topics: what events they hold goes to their subjects' partitions."""
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            number = self._feeds.home(place)
            of_partition = held.get(number)
            if of_partition is None or not of_partition.live:
                continue
            batch.offsets[place] = record.offset + 1
            batch.records += 1
            router = self._feeds.routers[record.topic]
            mapping = router.of(record.headers)
            if isinstance(mapping, Refusal):
                batch.refused.append((number, record, mapping))
            elif mapping is None:
                [event] = self._decode([record])
                if isinstance(event, Refusal):
                    batch.refused.append((number, record, event))
                else:
                    batch.rekeyed.append((number, record, event))
            else:
                refused: dict[str, list[Refused]] = {}
                headers = ((MAPPED, mapping.name.encode()),)
                for result in router.apply(mapping, record.value, record.headers, record.key):
                    if isinstance(result, Event):
                        made = record._replace(key=result.subject.encode(), value=encode(result), headers=headers)
                        batch.rekeyed.append((number, made, result))
                    elif isinstance(result, Refused):
                        refused.setdefault(result.refusal.reason, []).append(result)
                    else:
                        batch.dropped += 1
                batch.refused += [(number, *_unread(record, items)) for items in refused.values()]

    def internal(self, batch: Batch, records: Iterable[Record], held: Mapping[int, Held]) -> None:
        """Add records of the internal topic: messages, and events that were read under a wrong key."""
        for record in records:
            of_partition = held.get(record.partition)
            if of_partition is None or not of_partition.live:
                continue
            batch.offsets[of_partition.internal] = record.offset + 1
            batch.messages += 1
            arrival: Event | bytes | Refusal
            origin = next((content for name, content in record.headers if name == REKEYED), None)
            if origin is None:
                key, arrival = record.key, record.value or b""
            else:
                record = _original(record, origin)
                [arrival] = self._decode([record])
                if isinstance(arrival, Refusal):  # another version's decoder let it pass
                    batch.refused.append((of_partition.number, record, arrival))
                    continue
                key = self._key_of(arrival)
            if not key:
                batch.refused.append((of_partition.number, record, Refusal("no-key", "a message without a key")))
                continue
            groups = batch.groups.setdefault(of_partition.number, {})
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group()
            group.arrivals.append(arrival)
            group.records.append(record)

    def _misplaced(self, event: Event, key: bytes | None, state_key: bytes, partition: int) -> Refusal | None:
        """Why this event can't be folded here: its contact's state has one writer, the owner of its partition."""
        refusal = self._check_key(event, key)
        if refusal is not None:
            return refusal
        if len(state_key) > KEY_BYTES_MAX:
            return Refusal(KEY_TOO_LONG, f"the subject has more than {KEY_BYTES_MAX - len(CONTACT)} bytes")
        home = partition if key is None else self._rule(key) % self._partitions
        if home != partition:
            return Refusal(
                OFF_PARTITION,
                f"the key belongs to partition {home} of {self._partitions}: produce it with the worker's partitioner, "
                f"or run with --rekey",
            )
        return None


def _unread(record: Record, refused: Sequence[Refused]) -> tuple[Record, Refusal]:
    """What its mapping could not read of a record, for one reason, as one dead letter: the record whole, and where.

    Its other items have passed; put back, it is looked at in these places only.
    """
    first = refused[0].refusal
    headers: Headers = tuple(header for header in record.headers if header[0] != ITEMS)
    items = list(dict.fromkeys(each.item for each in refused))
    if items != ["$"] and len(items) <= ITEMS_MAX:
        headers += tuple((ITEMS, item.encode()) for item in items)
    if len(refused) == 1:
        return record._replace(headers=headers), first
    shown = "; ".join(each.refusal.message for each in refused[:SHOWN_MAX])
    more = f"; and {len(refused) - SHOWN_MAX} more" if len(refused) > SHOWN_MAX else ""
    return record._replace(headers=headers), first._replace(message=f"{len(items)} items: {shown}{more}")


def _original(record: Record, origin: bytes) -> Record:
    """A rekeyed record as it was read first, so that a dead letter names that place."""
    topic, partition, offset = origin.decode().rsplit("/", 2)
    headers = tuple(header for header in record.headers if header[0] not in (REKEYED, KEYED))
    key = record.key
    for name, content in record.headers:
        if name == KEYED:
            key = content[1:] if content else None
    return record._replace(topic=topic, partition=int(partition), offset=int(offset), key=key, headers=headers)
