"""What a worker does now and then: looks at the ends of its partitions, purges what was folded, sees to its store."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from worker.runtime.clock import Clock
from worker.runtime.feeds import NONE, Committed, Feeds, Passage
from worker.runtime.metrics import Metrics
from worker.runtime.partition import Held
from worker.runtime.settings import Settings
from worker.runtime.topics import Topics
from worker.stores.base import Store
from worker.transports.base import Admin, TopicPartition
from worker.transports.errors import Retriable, TransportError

NOTHING: Final[frozenset[int]] = frozenset()
PURGES_MAX: Final = 1_000  # partitions purged in one request
COUNT_SECONDS: Final = 10.0  # between two countings of what the store holds


class Upkeep:
    """Each duty has its interval; none of them changes what is folded."""

    def __init__(
        self,
        admin: Admin,
        store: Store,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        feeds: Feeds = NONE,
        crossing: Sequence[TopicPartition] = (),
    ) -> None:
        """`crossing` are partitions, besides those of feeds, whose records may belong to any other one."""
        self._feeds = feeds
        self._crossing = tuple(crossing)
        self._passage = Passage()
        self._admin = admin
        self._store = store
        self._settings = settings
        self._clock = clock
        self._log = log
        self._metrics = metrics
        now = clock.monotonic()
        self._probed: float | None = None
        self._purged = now
        self._marked = now
        self._looked = now
        self._unassigned = NOTHING
        self._grown = now
        self._may_purge = True
        self._counted: float | None = None
        self._places: dict[int, tuple[int | None, ...]] = {}  # how far each was at the last look

    def probe(self, live: Sequence[Held], committed: Committed) -> bool:
        """Ask where the partitions end, for their clocks and for the lag; whether it was time to.

        Raises what the log raises.
        """
        now = self._clock.monotonic()
        if not live or (self._probed is not None and now - self._probed < self._settings.clock_interval_ms / 1000):
            return False
        self._probed = now
        crossing = [*self._crossing, *self._feeds.all()]
        # What has crossed is looked at before the ends: whatever came of it lies below those of the internal topic.
        self._passage.advance(committed)
        # The clock first: every record written before this instant lies below the ends looked up after it.
        wall_ms = self._clock.wall_ms()
        places = [held.input for held in live] + [held.internal for held in live] + crossing
        ends = self._admin.end_offsets(list(dict.fromkeys(places)))
        if crossing:
            self._passage.probe(wall_ms, {place: ends[place] for place in crossing})
        for held in live:
            self._measure(held, wall_ms, ends, now)
            passed = self._passage.reached if crossing else wall_ms
            if passed is not None and not (crossing and passed == held.passed):
                held.clock.probe(passed, ends[held.input], ends[held.internal])
                held.passed = passed
        if self._metrics.detailed and (self._counted is None or now - self._counted >= COUNT_SECONDS):
            self._counted = now
            for held in live:
                self._metrics.keys[held.number] = self._store.count(held.number)
        return True

    def grown(self) -> bool:
        """Whether an input has got partitions that nobody reads yet: what goes with each of ours is seen anew then."""
        now = self._clock.monotonic()
        if not self._feeds or now - self._grown < self._settings.assignment_interval_ms / 1000:
            return False
        self._grown = now
        counts = {topic: self._admin.partitions(topic) or 0 for topic in self._feeds.counts}
        grown = self._feeds.grown(counts)
        if grown:
            self._log.info("input-has-more-partitions", partitions=dict(self._feeds.counts))
        return grown

    def _measure(self, held: Held, wall_ms: int, ends: Mapping[TopicPartition, int], now: float) -> None:
        """How far behind the partition is. Called before the clock learns of the ends just looked up."""
        metrics, number, clock = self._metrics, held.number, held.clock
        left = max(0, ends[held.input] - max(held.next, clock.passed))
        left += sum(max(0, ends[place] - at) for place, at in held.feeds.items())
        metrics.lag_records[number] = left
        # Not there yet: it is behind at least since the oldest look that it has not caught up with.
        metrics.read_until_ms[number] = clock.known_ms(wall_ms)
        if clock.reached is not None:
            metrics.caught_up.add(number)
            metrics.lag_seconds[number] = max(0, wall_ms - clock.reached) / 1000
        place = (held.next, held.internal_next, clock.reached, *held.feeds.values())
        if (not left and clock.waiting() is None) or self._places.get(number) != place:
            metrics.advanced[number] = now
        self._places[number] = place

    def probe_soon(self) -> None:
        """Ask at the next opportunity: partitions have become live whose clocks stand still until then."""
        self._probed = None

    def mark(self, live: Sequence[Held]) -> None:
        """The stores of these partitions are of now."""
        now = self._clock.monotonic()
        if now - self._marked >= self._settings.mark_interval_ms / 1000:
            self._marked = now
            self.scrub()
            wall_ms = self._clock.wall_ms()
            for held in live:
                self._store.mark(held.number, wall_ms)

    def scrub(self) -> None:
        """Leave no bytes of what was replaced in the store's files: after an erasure they are personal data.

        A store that is new is counted from now. An error of the store ends the worker, as any of its errors does.
        """
        wall_ms = self._clock.wall_ms()
        before = self._store.scrubbed()
        if before is None or wall_ms - before >= self._settings.scrub_interval_ms:
            started = self._clock.monotonic()
            self._store.scrub(wall_ms)
            if before is not None:
                self._log.info("store-scrubbed", seconds=round(self._clock.monotonic() - started, 3))

    def purge(self, live: Sequence[Held]) -> None:
        """Delete internal records below the committed offsets. A failure is no harm: they are deleted another time."""
        now = self._clock.monotonic()
        if not self._may_purge or now - self._purged < self._settings.purge_interval_ms / 1000:
            return
        self._purged = now
        due = [held for held in live if held.internal_next > held.purged and held.committed_at is not None]
        before: Mapping[TopicPartition, int] = {held.internal: held.internal_next for held in due[:PURGES_MAX]}
        if not before:
            return
        try:
            self._admin.delete_records(before)
        except Retriable as error:
            self._log.warning("purge-failed", error=str(error))
        except TransportError as error:
            self._may_purge = False
            self._log.warning("purge-given-up", error=str(error), remedy=error.remedy)
        else:
            for held in due[:PURGES_MAX]:
                self._metrics.purged += held.internal_next - held.purged
                held.purged = held.internal_next

    def forsaken(self, topics: Topics, held: Container[int]) -> frozenset[int]:
        """Partitions that the settled group has given to nobody, where it is on this worker to do something about it.

        In a cooperative rebalance what moves is given only once its former owner has joined once more. Where that one,
        a static member, died in between and came back, the group takes it for the same as before and waits for ever.
        Partitions seen so in two looks running are meant; it is on the owner of the first of the others.
        """
        now = self._clock.monotonic()
        if now - self._looked < self._settings.assignment_interval_ms / 1000:
            return NOTHING
        self._looked = now
        assigned = self._admin.assigned(self._settings.group)
        before, self._unassigned = self._unassigned, NOTHING
        if assigned is None:
            return NOTHING
        numbers = {place.partition for place in assigned if place.topic == topics.input}
        self._unassigned = frozenset(range(topics.partitions)) - numbers
        on_us = not numbers or min(numbers) in held
        return self._unassigned & before if on_us else NOTHING

    def stale(self, live: Sequence[Held]) -> list[Held]:
        """Partitions whose committed offsets have to be written again, or the broker forgets them.

        The group isn't subscribed to the internal topic, so a commit there expires by age even while it is in use.
        """
        limit = self._clock.monotonic() - self._settings.refresh_interval_ms / 1000
        return [held for held in live if held.committed_at is not None and held.committed_at <= limit]
