"""A partition's store brought up to the changelog, before the partition is folded any further.

One path for four cases: a partition newly assigned to this worker, one kept over a change of the group's generation,
one whose transaction failed, and a restart. Each reads on from the changelog offset that the store reflects; a store
that can't be believed (too old, from another changelog) is dropped and filled from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from worker.runtime.changelog import DEPLOYMENT_KEY, to_write
from worker.runtime.clock import Clock, CrashPoint, no_crash
from worker.runtime.errors import Halt
from worker.runtime.feeds import NONE, Feeds
from worker.runtime.metrics import Metrics
from worker.runtime.partition import Held
from worker.runtime.settings import Settings
from worker.runtime.topics import Topics
from worker.stores.base import Store, Write
from worker.transports.base import EARLIEST, Admin, Consumer, Reader, Record, TopicPartition, Transport
from worker.transports.errors import OffsetOutOfRange, Retriable

STEPS: Final = ("offsets-read", "ends-read", "records-applied", "restored")
"""The crash points of a restore, in order."""

COMMITTED_MS: Final = 2_000  # a transaction that is open on the offsets delays the partition, not the others for long
BUDGET_MS: Final = 200  # of one step while other partitions are folded meanwhile
BUDGET_ALONE_MS: Final = 1_000  # of one step otherwise; the group must still hear from this worker
REPORT_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the restore of some partitions is, in changelog records (compacted ones count until passed)."""

    partitions: int
    done: int
    left: int
    seconds: float


@dataclass(slots=True, eq=False)
class _Target:
    held: Held
    consumer: Consumer
    end: int
    begun: int  # position at the start of this restore
    missing: tuple[TopicPartition, ...]  # sources without a committed offset


class Restorer:
    """Partitions on their way to being live. `check` sees every changelog record; it raises `Halt` for a wrong one."""

    def __init__(
        self,
        transport: Transport,
        admin: Admin,
        store: Store,
        topics: Topics,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        check: Callable[[Record], None],
        *,
        report: Callable[[Progress], None] | None = None,
        crash_point: CrashPoint = no_crash,
        feeds: Feeds = NONE,
    ) -> None:
        self._feeds = feeds
        self._transport = transport
        self._admin = admin
        self._store = store
        self._topics = topics
        self._settings = settings
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._check = check
        self._report = report
        self._crash_point = crash_point
        self._reader: Reader | None = None
        self._targets: dict[TopicPartition, _Target] = {}
        self._started = clock.monotonic()
        self._reported = self._started
        self._done = 0

    def busy(self) -> bool:
        return bool(self._targets)

    def begin(self, helds: Sequence[Held], consumer: Consumer) -> None:
        """These partitions' next offsets are known, and what must be read for their stores to equal the changelog.

        1. Look up where the logs begin, then read the committed offsets, stably: whatever transaction held them is
           over. In this order, since another owner, of whom this worker doesn't know yet, may purge meanwhile.
        2. Look up the ends: nothing that a fenced owner still writes to the changelog can be committed any more,
           so all that counts lies below them.
        3. Refuse offsets that are out of range.
        4. Decide where in the changelog to begin.

        Whether an offset may be missing is decided at the end, when it is known whether there is state: a changelog
        that isn't empty may hold nothing but an aborted transaction.

        Raises `Retriable` where a transaction stays open on the offsets, `Halt` for step 3.
        """
        # Step 1.
        feeds = {held.number: self._feeds.of(held.number) for held in helds}
        sources = [held.input for held in helds] + [held.internal for held in helds]
        sources += [place for places in feeds.values() for place in places]
        changelogs = [held.changelog for held in helds]
        begins = self._admin.begin_offsets(sources + changelogs)
        committed = consumer.committed(sources, COMMITTED_MS)
        self._crash_point("offsets-read")
        # Step 2. The read_uncommitted ends: the last stable offset may lie before what the owner had committed.
        ends = self._admin.end_offsets(sources + changelogs)
        self._crash_point("ends-read")
        if not self._targets:
            self._started = self._reported = self._clock.monotonic()
            self._done = 0
        for held in helds:
            # Step 3.
            held.next = _in_range(held.input, committed, begins, ends, self._settings)
            held.internal_next = _in_range(held.internal, committed, begins, ends, self._settings)
            held.purged = begins[held.internal]
            held.feeds = {
                place: _in_range(place, committed, begins, ends, self._settings) for place in feeds[held.number]
            }
            missing = tuple(place for place in (held.input, held.internal, *held.feeds) if committed.get(place) is None)
            held.unknown = frozenset(missing) - {held.internal}
            held.passed = None
            # Step 4.
            position = self._first(held, begins[held.changelog], ends[held.changelog])
            self._targets[held.changelog] = _Target(held, consumer, ends[held.changelog], position, missing)
            self._log.debug(
                "restore-from", partition=held.number, position=position, end=ends[held.changelog], next=held.next
            )
        self._log.info(
            "restore-begins",
            partitions=sorted(held.number for held in helds),
            records=sum(max(0, target.end - target.begun) for target in self._targets.values()),
        )
        self._assign()

    def drop(self, helds: Iterable[Held]) -> None:
        """Go on without these: they were revoked, or begin anew. What was applied so far stays, with its position."""
        changed = False
        for held in helds:
            self._metrics.restore_left.pop(held.number, None)
            changed |= self._targets.pop(held.changelog, None) is not None
        if changed:
            self._assign()

    def step(self, alone: bool) -> list[Held]:
        """Read for a while; the partitions whose stores equal the changelog now. `alone`: nothing else has to be done.

        Raises what the reader raises; the partitions must then `begin` again.
        """
        finished = self._finished()
        ends = self._clock.monotonic() + (BUDGET_ALONE_MS if alone else BUDGET_MS) / 1000
        while self._targets and not finished:
            records = self._poll()
            self._apply(records)
            finished = self._finished()
            self._tell()
            if not records or self._clock.monotonic() >= ends:
                break
        return finished

    def close(self) -> None:
        self._targets.clear()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _first(self, held: Held, begin: int, end: int) -> int:
        """Where to read on; the store is dropped where what it holds can't be believed."""
        store, number = self._store, held.number
        position, stamp = store.position(number), store.stamp(number)
        reason = None
        if position is None:
            pass
        elif stamp is None:
            reason = "its age is unknown"
        elif self._clock.wall_ms() - stamp > self._topics.store_age_ms_max:
            reason = "it is older than half of the changelog's delete.retention.ms, so it may have missed a removal"
        elif not begin <= position <= end:
            reason = f"it reflects offset {position} of a changelog that has {begin} to {end}"
        if position is not None and reason is None:
            return position
        if reason is not None:
            self._log.warning("store-rebuilt", partition=number, reason=reason)
        store.drop(number)
        # The age counts from here: a removal that happens while the rest is read is read with it.
        store.mark(number, self._clock.wall_ms())
        return begin

    def _assign(self) -> None:
        """The reader reads what is still to be restored, from where the stores are."""
        positions: dict[TopicPartition, int] = {}
        for changelog, target in self._targets.items():
            position = self._store.position(target.held.number)
            positions[changelog] = target.begun if position is None else position
        if self._reader is None:
            if not positions:
                return
            self._reader = self._transport.reader()
        self._reader.assign(positions)

    def _poll(self) -> list[Record]:
        assert self._reader is not None
        try:
            return self._reader.poll(self._settings.poll_ms, self._settings.restore_records)
        except OffsetOutOfRange:
            # Compaction removed what the store would have read next: the store is a cache, so fill it anew.
            for target in self._targets.values():
                self._log.warning("store-rebuilt", partition=target.held.number, reason="the changelog moved on")
                self._store.drop(target.held.number)
                self._store.mark(target.held.number, self._clock.wall_ms())
                target.begun = EARLIEST
            self._assign()
            return []

    def _apply(self, records: Sequence[Record]) -> None:
        """What was read is in the stores, with the position that it brings them to."""
        if not records:
            return
        check = self._check
        writes: dict[int, dict[bytes, Write]] = {}
        positions: dict[int, int] = {}
        for record in records:
            check(record)
            try:
                write = to_write(record)
            except ValueError as error:
                raise Halt(
                    str(error), f"has something else written to topic {record.topic}? it is the worker's"
                ) from None
            number = record.partition
            of_partition = writes.get(number)
            if of_partition is None:
                of_partition = writes[number] = {}
            of_partition[write.key] = write  # of several the last counts; the store need not see the others
            positions[number] = record.offset + 1
        for number, of_partition in writes.items():
            self._store.apply(number, of_partition.values(), positions[number])
        self._crash_point("records-applied")
        self._metrics.restored += len(records)
        self._done += len(records)

    def _finished(self) -> list[Held]:
        """The partitions that have reached their end; they are no longer read."""
        finished: list[Held] = []
        for changelog, target in list(self._targets.items()):
            # By position: a transaction's marker occupies an offset, and a changelog may end in one.
            position = target.end if target.begun == target.end else self._position(changelog)
            left = max(0, target.end - max(position, 0))
            self._metrics.restore_left[target.held.number] = left
            if left == 0:
                del self._targets[changelog]
                del self._metrics.restore_left[target.held.number]
                now = self._clock.wall_ms()
                # Past the markers too, so that a restart reads nothing; and the partition is filled, if with nothing.
                self._store.apply(target.held.number, (), position)
                self._store.mark(target.held.number, now)
                _agrees(target, self._store, self._settings)
                finished.append(target.held)
        if finished:
            self._crash_point("restored")
            self._assign()
            seconds = self._clock.monotonic() - self._started
            self._log.info("restored", partitions=sorted(held.number for held in finished), seconds=round(seconds, 3))
        return finished

    def _position(self, changelog: TopicPartition) -> int:
        assert self._reader is not None
        return self._reader.position(changelog)

    def _tell(self) -> None:
        now = self._clock.monotonic()
        left = sum(self._metrics.restore_left.values())
        progress = Progress(len(self._targets), self._done, left, now - self._started)
        if self._report is not None:
            self._report(progress)
        if now - self._reported >= REPORT_MS / 1000 and self._targets:
            self._reported = now
            self._log.info(
                "restoring",
                partitions=progress.partitions,
                records=progress.done,
                left=progress.left,
                records_per_second=round(progress.done / max(progress.seconds, 0.001)),
            )


def _in_range(
    source: TopicPartition,
    committed: dict[TopicPartition, int | None],
    begins: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
    settings: Settings,
) -> int:
    """The offset to go on from. Never a reset: events skipped or folded twice could not be told from real ones."""
    offset, begin, end = committed.get(source), begins[source], ends[source]
    if offset is None:
        return begin
    if not begin <= offset <= end:
        raise Halt(
            f"group {settings.group} has committed offset {offset} for {source}, which has {begin} to {end}: "
            f"{'the records between were deleted unread' if offset < begin else 'the topic was made anew'}",
            f"{_anew(settings)}; or accept the gap with kafka-consumer-groups --reset-offsets",
        )
    return offset


def _agrees(target: _Target, store: Store, settings: Settings) -> None:
    """State and offsets were left by the same transactions, or neither is there.

    A partition's first transaction writes the deployment record and commits both offsets, so each tells of the other.
    An input offset alone was set by hand: where a new group is to begin. Raises `Retriable` where first offsets came
    to be during the restore, of another topic's too, which has to begin anew then: this worker may have been stopped
    since it asked for them, and state that was read later tells of what it asked in vain.
    """
    held = target.held
    has_state = store.get(held.number, DEPLOYMENT_KEY) is not None
    if has_state and target.missing:
        again = target.consumer.committed(target.missing, COMMITTED_MS)
        for place in target.missing:
            if again.get(place) is not None:
                raise Retriable(f"somebody else committed the first offset of {place} while it was restored")
    lost = [place for place in (held.input, held.internal) if place in target.missing]
    if has_state and lost:
        raise Halt(
            f"group {settings.group} has state but no committed offset for {lost[0]}",
            f"set it to where the state was left (kafka-consumer-groups --reset-offsets), or {_anew(settings)}",
        )
    if not has_state and held.internal not in target.missing:
        raise Halt(
            f"group {settings.group} has committed offsets for {held.input}, but {held.changelog} holds no state",
            f"was the changelog deleted? {_anew(settings)}",
        )


def _anew(settings: Settings) -> str:
    return f"run under another --group, which folds {settings.input_topic} from its start"
