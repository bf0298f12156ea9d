"""What the group has committed of the partitions whose records may belong to any other one: clocks wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from worker.runtime.partition import Held
from worker.transports.base import Consumer, Reader, TopicPartition
from worker.transports.errors import Retriable

COMMITTED_MS: Final = 500  # for other workers' offsets; a clock that waits a second longer does no harm


def committed(
    places: Sequence[TopicPartition], held: Iterable[Held], consumer: Consumer, log: FilteringBoundLogger
) -> dict[TopicPartition, int | None]:
    """How far the group has come in these partitions, as far as that is known at the moment."""
    known: dict[TopicPartition, int | None] = {}
    for own in held:
        if own.live:
            known.update(own.feeds)
            known[own.input] = own.next
    others = [place for place in places if place not in known]
    if others:
        try:
            known.update(consumer.committed(others, COMMITTED_MS))
        except Retriable as error:  # a transaction is open on them: at the next look it is over
            log.debug("offsets-unknown", reason=str(error))
    return known


def passed(
    live: Iterable[Held], unread: set[TopicPartition], consumer: Consumer, feeder: Reader | None
) -> dict[TopicPartition, int]:
    """Next offsets that lie past what is committed although no record was read there; `unread` has some polled.

    Other workers' clocks wait for what is committed, so these are committed too: the markers behind a partition's
    last record, and the begin of one that had no offset of the group's yet.
    """
    found: dict[TopicPartition, int] = {}
    for held in live:
        for place, at in ((held.input, held.next), *held.feeds.items()):
            reader = consumer if place == held.input else feeder
            if place in unread or reader is None:
                continue
            try:
                position = reader.position(place)
            except LookupError:  # taken away since the last poll
                continue
            if position > at or (place in held.unknown and at > 0):
                found[place] = position
    return found
