"""Topics beside the input topic (`--input`): other systems' records, or events keyed by something else.

What they hold belongs to contacts anywhere, so nothing of it is folded where it is read: every event goes through the
internal topic, keyed by its subject, in the transaction that commits the record's offset. Their partition counts are
free. Partition f of such a topic is read by the owner of one partition of the input topic, which is always the same:
the group stays subscribed to the input topic alone, and the membership that fences its offsets fences these.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from worker.mapping.router import Router
from worker.transports.base import TopicPartition

PROBES_MAX: Final = 64  # as of a partition's clock

Committed = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int | None]]
"""Next offsets that the group has committed; what is missing isn't known at the moment."""


class Feeds:
    """Which feeds there are, what reads their records, and whose partition each of theirs goes with."""

    def __init__(self, routers: Mapping[str, Router], counts: Mapping[str, int], partitions: int) -> None:
        """`counts` are the topics' partitions, `partitions` is the input topic's."""
        self.routers = routers
        self.counts = dict(counts)
        self._partitions = partitions
        self._first = {topic: zlib.crc32(topic.encode()) for topic in counts}  # so that not all go with partition 0

    def __bool__(self) -> bool:
        return bool(self.counts)

    def home(self, place: TopicPartition) -> int:
        """The number of the input partition that it goes with."""
        return (self._first[place.topic] + place.partition) % self._partitions

    def of(self, number: int) -> list[TopicPartition]:
        """What goes with this partition of the input topic."""
        return [place for place in self.all() if self.home(place) == number]

    def all(self) -> list[TopicPartition]:
        return [TopicPartition(topic, each) for topic, count in self.counts.items() for each in range(count)]

    def grown(self, counts: Mapping[str, int]) -> bool:
        """Take note of partitions that were added; whether there are any."""
        more = {topic: count for topic, count in counts.items() if count > self.counts[topic]}
        self.counts.update(more)
        return bool(more)


NONE: Final = Feeds({}, {}, 1)


class Passage:
    """The latest wall time up to which everything that crosses partitions has crossed.

    Timers of a partition must not fire before events that were in a feed by then: they reach it through the internal
    topic, from partitions that other workers may read. So a wall time has passed once the group has committed the
    ends, looked up at that time, of all that crosses. Whatever came of it lies below the internal topic's ends then.
    """

    __slots__ = ("_probes", "reached")

    def __init__(self) -> None:
        self.reached: int | None = None
        self._probes: deque[tuple[int, dict[TopicPartition, int]]] = deque()

    def probe(self, wall_ms: int, ends: Mapping[TopicPartition, int]) -> None:
        """Remember the ends, looked up after the clock said `wall_ms`."""
        if len(self._probes) < PROBES_MAX:
            self._probes.append((wall_ms, dict(ends)))

    def advance(self, committed: Committed) -> None:
        """Move on to the newest time whose ends are committed; asks only for what isn't known to be."""
        known: dict[TopicPartition, int] = {}
        while self._probes:
            wall_ms, ends = self._probes[0]
            ask = [place for place, end in ends.items() if end > 0 and known.get(place, 0) < end]
            if ask:
                known.update({place: at for place, at in committed(ask).items() if at is not None})
            left = {place: end for place, end in ends.items() if end > 0 and known.get(place, 0) < end}
            if left:
                self._probes[0] = (wall_ms, left)
                return
            self._probes.popleft()
            self.reached = wall_ms if self.reached is None else max(self.reached, wall_ms)
