"""One membership in the group, from joining until it is left, lost or fenced: what a turn of the loop does.

Partitions are `waiting` (assigned, to be restored), restoring, or live. Only live ones are folded. Whatever casts
doubt on what is held (an error in a transaction, another generation) sends partitions back to waiting; there is no
other way of recovering.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from worker.runtime.assembly import Assembly
from worker.runtime.batch import Batch
from worker.runtime.changelog import Definition, definition_headers
from worker.runtime.clock import Deadline
from worker.runtime.crossing import committed, passed
from worker.runtime.errors import Halt
from worker.runtime.folding import Overflow
from worker.runtime.inbox import Inbox
from worker.runtime.partition import Held
from worker.runtime.parts import Parts
from worker.runtime.transaction import Work, commit
from worker.transports.base import GroupMetadata, Producer, Reader, Record, Send, TopicPartition
from worker.transports.errors import Fenced, RecordTooLarge, Retriable

STEPS: Final = ("polled", "membership", "folded")
"""The crash points of a turn before its transaction, in order; `transaction.STEPS` and `restore.STEPS` have theirs."""

RESTORE_WAIT_SECONDS: Final = 0.2  # doubled up to the next while another owner's transaction is open on the offsets
RESTORE_WAIT_SECONDS_MAX: Final = 3.0
FEEDS_SHARE: Final = 4  # the same for records of other topics, of what room is left while the internal topic is behind
NOTHING: Final[frozenset[TopicPartition]] = frozenset()
MESSAGES_SHARE: Final = 2  # of a batch, one in so many records may come from the internal topic while both have some


class Forsaken(Exception):
    """Partitions belong to nobody, and only another rebalance can change that: this member is to leave and return."""

    def __init__(self, partitions: frozenset[int]) -> None:
        super().__init__(f"partitions {sorted(partitions)} were given to nobody")
        self.partitions = partitions


class Displaced(Exception):
    """The group has given this member's place to another one of its name."""

    def __init__(self, error: Fenced) -> None:
        super().__init__(str(error))


class Session:
    """Joins the group when made. After an error of the log that `turn` raised, call `failed` or `close`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._clock = parts.clock
        self._log = parts.log
        self._metrics = parts.metrics
        self.held: dict[int, Held] = {}
        self.committed = 0  # transactions of this session
        self._waiting: list[Held] = []
        self._wait_until = 0.0
        self._waits = 0
        self._membership: tuple[int, str] | None = None
        self._producer: Producer | None = None
        self._inbox = Inbox()
        self._messages = Inbox()
        self._fed = Inbox()  # of the topics beside the input topic
        self._flows = False  # the last look at the internal topic, or at those, found something
        self._internal: frozenset[int] | None = None  # partitions that the reader reads, None: to be assigned anew
        self._size = 0  # records in the batch in hand
        self._in_transaction: Work | None = None
        self._timers_left = False
        definition = Definition(parts.engine.lifecycle, parts.engine.version, parts.engine.fingerprint)
        self._definition = definition_headers(definition)
        instance = parts.settings.instance_id
        self._consumer = parts.transport.consumer(parts.settings.group, [parts.topics.input], instance)
        self._reader: Reader | None = None
        self._feeder: Reader | None = None

    # ------------------------------------------------------------------------------------------------ a turn

    def turn(self) -> bool:
        """One turn of the loop; whether there was anything to do.

        1. Poll the input topic, the internal one, and the topics beside them.
        2. See what the group made of the assignment; from here on nothing is folded that isn't held.
        3. Restore what is not live.
        4. Fold a batch and commit it.
        5. Fire timers that are due, and commit them.
        6. Upkeep.
        """
        # Step 1.
        self._poll()
        self._parts.crash_point("polled")
        # Step 2. Assignments are as of the last poll, and so is the generation that the batch is committed under.
        group = self._consumer.group_metadata()
        self._follow_assignment(group)
        self._parts.crash_point("membership")
        self._metrics.member = group.generation >= 0
        if group.generation < 0:
            return False  # no member at the moment: offsets sent without a generation would not be fenced
        # Step 3.
        restoring = self._restore()
        live = [held for held in self.held.values() if held.live]
        # Step 4.
        worked = self._batch(group)
        # Step 5. After the reads: an event that comes before a timer's deadline is folded before it.
        self._move_clocks(live)
        worked |= self._timers(live, group)
        # Step 6.
        self._upkeep(live, group)
        return worked or restoring

    def _poll(self) -> None:
        limit = self._parts.limit.records
        ends = self._clock.monotonic() + self._settings.batch_wait_ms / 1000
        # Polled in any case, if for one record: it is how the group hears from this worker.
        timeout_ms = 0 if self._busy() else self._settings.poll_ms
        try:
            records = self._consumer.poll(timeout_ms, max(1, limit - len(self._inbox)))
        except Fenced as error:
            raise Displaced(error) from error
        self._inbox.add(records)
        while records and len(self._inbox) < limit:  # until a poll is empty or the time is over
            left_ms = int((ends - self._clock.monotonic()) * 1000)
            if left_ms <= 0:
                break
            records = self._consumer.poll(left_ms, limit - len(self._inbox))
            self._inbox.add(records)
        room = limit - len(self._messages)
        self._flows = False
        if self._reader is not None and self._internal and room > 0:
            self._messages.add(self._reader.poll(0, room))
            self._flows = bool(self._messages)
        room = limit - len(self._fed)
        if self._feeder is not None and self._internal and room > 0:
            self._fed.add(self._feeder.poll(0, room))
            self._flows |= bool(self._fed)

    def _busy(self) -> bool:
        """Whether there is something to do without a record of the input topic."""
        if self._inbox or self._messages or self._fed or self._timers_left or self._parts.restorer.busy():
            return True
        if self._flows:  # what they gave was taken; where it came from, there may be more
            return True
        return bool(self._waiting) and self._clock.monotonic() >= self._wait_until

    # ------------------------------------------------------------------------------------------------ membership

    def _follow_assignment(self, group: GroupMetadata) -> None:
        """`held` is what is assigned; what is new or in doubt waits for its restore, paused."""
        if self._consumer.lost():
            self._log.warning("partitions-lost", partitions=sorted(self.held))
            self._give_up(list(self.held.values()))
        assigned = {partition.partition for partition in self._consumer.assignment()}
        gone = [held for number, held in self.held.items() if number not in assigned]
        if gone:
            self._log.info("partitions-revoked", partitions=sorted(held.number for held in gone))
            self._give_up(gone)
        membership = (group.generation, group.member)
        if membership != self._membership:
            # Between two polls a partition may have gone to another member and come back: nothing here would show
            # it but the generation. To verify is to read the changelog from where the store is: nearly nothing.
            self._metrics.rebalances += self._membership is not None
            self._membership = membership
            self._suspend(list(self.held.values()))
        new = sorted(assigned - self.held.keys())
        if new:
            self._log.info("partitions-assigned", partitions=new, generation=group.generation)
            self._suspend([self._hold(number) for number in new])
            self._metrics.held = frozenset(self.held)

    def _hold(self, number: int) -> Held:
        topics = self._parts.topics
        if number >= topics.partitions:
            raise Halt(
                f"input topic {topics.input} has got a partition {number}: it had {topics.partitions}, and contacts "
                f"would move between them",
                "run under another --group, which folds the input topic from its start",
            )
        held = self.held[number] = Held(
            number,
            TopicPartition(topics.input, number),
            TopicPartition(topics.internal, number),
            TopicPartition(topics.changelog, number),
        )
        return held

    def _give_up(self, helds: list[Held]) -> None:
        """Nothing is kept of these but their stores."""
        self._suspend(helds)
        for held in helds:
            del self.held[held.number]
            self._waiting.remove(held)
            self._metrics.forget(held.number)
        self._metrics.held = frozenset(self.held)

    def _suspend(self, helds: Iterable[Held]) -> None:
        """These are not folded before they are restored; their polled records are forgotten and read again."""
        suspended = list(helds)
        if not suspended:
            return
        numbers = {held.number for held in suspended}
        self._metrics.live -= numbers  # before anything of it changes: who reads from outside asks there first
        self._inbox.drop(numbers)
        self._messages.drop(numbers)
        self._parts.restorer.drop(suspended)
        self._consumer.pause([held.input for held in suspended])
        self._internal = None  # they may be live again before the reader is looked at, and must be read again
        for held in suspended:
            held.live = False
            if held not in self._waiting:
                self._waiting.append(held)

    # ------------------------------------------------------------------------------------------------ restore

    def _restore(self) -> bool:
        """Bring partitions nearer to being live; whether any is not yet."""
        restorer = self._parts.restorer
        if self._waiting and self._clock.monotonic() >= self._wait_until:
            # Before the offsets are read: a new producer ends what an earlier one of this worker left open.
            if self._producer is None:
                self._producer = self._parts.transport.producer(self._settings.transactional_id)
            try:
                restorer.begin(self._waiting, self._consumer)
            except Retriable as error:
                seconds = min(RESTORE_WAIT_SECONDS_MAX, RESTORE_WAIT_SECONDS * 2**self._waits)
                self._waits += 1
                self._wait_until = self._clock.monotonic() + seconds
                numbers = [held.number for held in self._waiting]
                self._log.info("restore-waits", reason=str(error), partitions=numbers, seconds=seconds)
            else:
                self._waiting, self._waits = [], 0
        if restorer.busy():
            for held in restorer.step(alone=not any(held.live for held in self.held.values())):
                self._go_live(held)
        live = self._assign_internal()
        self._metrics.live = live
        return len(live) < len(self.held)

    def _go_live(self, held: Held) -> None:
        self._parts.deployments.take_over(held)
        try:
            self._consumer.seek(held.input, held.next)
        except LookupError:  # taken away since the last poll; the next one tells of it
            self._suspend([held])
            return
        self._consumer.resume([held.input])
        held.live = True
        if held.committed_at is None:
            held.committed_at = self._clock.monotonic()
        self._parts.upkeep.probe_soon()

    def _assign_internal(self) -> frozenset[int]:
        """The internal topic's partitions are read of those input partitions that are live, and of no others.

        Which those are.
        """
        live = frozenset(number for number, held in self.held.items() if held.live)
        if live == self._internal:
            return live
        self._internal = live
        self._messages.clear()  # read again from what is committed
        self._fed.clear()
        if self._reader is None:
            self._reader = self._parts.transport.reader()
        self._reader.assign({self.held[number].internal: self.held[number].internal_next for number in live})
        if self._parts.feeds:
            if self._feeder is None:
                self._feeder = self._parts.transport.reader()
            self._feeder.assign({place: at for number in live for place, at in self.held[number].feeds.items()})
        return live

    # ------------------------------------------------------------------------------------------------ a batch

    def _batch(self, group: GroupMetadata) -> bool:
        """Fold what was polled, within the limits, as one transaction."""
        limit = self._parts.limit
        messages = self._messages.take(max(1, limit.records // MESSAGES_SHARE), self._settings.batch_bytes)
        room = limit.records - len(messages)
        records = self._inbox.take(room, self._settings.batch_bytes) if room else []
        # Last, and little of it while the internal topic is behind: what is read here is folded from there.
        room = (room - len(records)) // (FEEDS_SHARE if self._messages else 1)
        fed = self._fed.take(room, self._settings.batch_bytes) if room > 0 else []
        self._size = len(records) + len(messages) + len(fed)
        if not self._size:
            return False
        begun = self._clock.monotonic()
        batch = Batch()
        sorter = self._parts.sorter
        sorter.input(batch, records, self.held)
        sorter.internal(batch, messages, self.held)
        self._parts.detector.look(records, batch)
        sorter.feeds(batch, fed, self.held)
        assembly = self._assembly()
        try:
            self._parts.folder.batch(batch, self.held, assembly, self._clock.wall_ms())
        except Overflow:
            limit.shrink(self._size)
            self._log.info("batch-split", reason="output", records=self._size, limit=limit.records)
            self._inbox.put_back(records)
            self._messages.put_back(messages)
            self._fed.put_back(fed)
            return True
        self._parts.crash_point("folded")
        folded = self._clock.monotonic()
        self._metrics.fold_seconds += folded - begun
        if batch.offsets:
            self._commit(assembly, batch.offsets, group)
        self._metrics.records += batch.records
        self._metrics.messages += batch.messages
        self._metrics.rekeyed += len(batch.rekeyed)
        self._metrics.dropped += batch.dropped
        self._flows |= bool(batch.rekeyed)
        if (self._clock.monotonic() - begun) * 1000 > self._settings.batch_time_ms:
            limit.shrink(self._size)
        else:
            limit.grow()
        return True

    def _timers(self, live: list[Held], group: GroupMetadata) -> bool:
        assembly = self._assembly()
        fired = self._parts.folder.timers(live, assembly, self._settings.timer_keys, self._clock.wall_ms())
        self._timers_left = fired.more
        if not fired.keys:
            return False
        # Offsets that didn't move are committed too: without them a transaction is not fenced, and a worker that
        # slept would fire timers of a partition that has another owner.
        self._commit(assembly, {held.input: held.next for held in fired.partitions}, group)
        self._metrics.timers += fired.keys
        return True

    def _assembly(self) -> Assembly:
        parts = self._parts
        return Assembly(parts.topics, parts.limits, parts.rule, self._definition, parts.worker_version)

    def _commit(self, assembly: Assembly, offsets: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """One transaction. `offsets` may lack those of a partition that didn't move; they are committed as well."""
        complete: dict[TopicPartition, int] = {}
        topics, home = self._parts.topics, self._parts.feeds.home
        touched = [
            self.held[number]
            for number in {
                source.partition if source.topic in (topics.input, topics.internal) else home(source)
                for source in offsets
            }
        ]
        for held in touched:
            complete[held.input] = offsets.get(held.input, held.next)
            complete[held.internal] = offsets.get(held.internal, held.internal_next)
            complete.update({place: offsets.get(place, at) for place, at in held.feeds.items()})
            if held.deployment is not None:
                assembly.deployment(held, held.deployment)
        work = Work(group, complete, assembly.states, assembly.others, assembly.writes)
        assert self._producer is not None, "a live partition has a producer"
        begun = self._clock.monotonic()
        self._in_transaction = work
        deadline = Deadline(self._clock, self._settings.transaction_timeout_ms)
        commit(self._producer, self._parts.store, work, deadline, self._parts.crash_point)
        self._in_transaction = None
        now = self._clock.monotonic()
        for held in touched:
            held.next, held.internal_next = complete[held.input], complete[held.internal]
            held.feeds = {place: complete[place] for place in held.feeds}
            held.unknown = NOTHING
            held.deployment = None
            held.committed_at = now
        self.committed += 1
        self._metrics.committed(now - begun)
        self._count(assembly)

    def _count(self, assembly: Assembly) -> None:
        metrics = self._metrics
        metrics.states_written += len(assembly.states)
        metrics.duplicates += assembly.duplicates
        metrics.late += assembly.late
        if metrics.detailed:
            metrics.published(assembly.published)
            metrics.refused.update(assembly.stayed)
        if not assembly.dead:
            return
        reasons = Counter(refusal.reason for _, refusal in assembly.dead)
        metrics.dead_letters.update(reasons)
        first, refusal = assembly.dead[0]
        # The message may quote the event, so it stays below: reasons are fixed words.
        self._log.warning("dead-letters", reasons=dict(reasons), first=_place(first))
        for record, refusal in assembly.dead:
            self._log.debug("dead-letter", at=_place(record), reason=refusal.reason, message=refusal.message)

    # ------------------------------------------------------------------------------------------------ clocks, upkeep

    def _move_clocks(self, live: list[Held]) -> None:
        """Each partition's clock is at the latest time whose ends have been folded."""
        waiting = [held for held in live if held.clock.waiting() is not None]
        if not waiting:
            return
        polled, messages = self._inbox.firsts(), self._messages.firsts()
        assert self._reader is not None
        for held in waiting:
            ends = held.clock.waiting()
            assert ends is not None
            # The client's position counts only where nothing of it is unfolded; it is past markers, `next` is not.
            at = polled.get(held.number)
            internal_at = messages.get(held.number)
            try:
                if at is None:
                    at = held.next if held.next >= ends[0] else self._consumer.position(held.input)
                if internal_at is None:
                    reached = held.internal_next >= ends[1]
                    internal_at = held.internal_next if reached else self._reader.position(held.internal)
            except LookupError:  # taken away since the last poll: its clock is of no use any more
                continue
            held.clock.advance(at, internal_at)

    def _upkeep(self, live: list[Held], group: GroupMetadata) -> None:
        upkeep = self._parts.upkeep
        if upkeep.probe(live, self._committed) and self._parts.crossing:
            unread = self._inbox.places() | self._fed.places()
            beyond = passed(live, unread, self._consumer, self._feeder)
            if beyond:
                self._commit(self._assembly(), beyond, group)
        upkeep.mark(live)
        upkeep.purge(live)
        forsaken = upkeep.forsaken(self._parts.topics, self.held)
        if forsaken:
            raise Forsaken(forsaken)
        stale = upkeep.stale(live)
        if stale:
            self._commit(self._assembly(), {held.input: held.next for held in stale}, group)
        if upkeep.grown():
            self.doubt()  # which partitions go with each of those held is asked again where they are restored

    def _committed(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int | None]:
        return committed(places, self.held.values(), self._consumer, self._log)

    # ------------------------------------------------------------------------------------------------ errors, the end

    def failed(self) -> bool:
        """After an error of the log: nothing is held that the log may not hold. Whether a transaction was open."""
        open_ = self._in_transaction is not None
        self._in_transaction = None
        if open_:
            self._metrics.transactions_failed += 1
            self._parts.limit.shrink(self._size)  # what was too much for one transaction, its half may pass
            self._discard_producer()
            self.doubt()
        else:
            self._suspend([held for held in self.held.values() if not held.live])
        return open_

    def doubt(self) -> None:
        """Nothing held is folded before the log was asked again what is committed."""
        self._suspend(list(self.held.values()))

    def too_large(self, error: RecordTooLarge) -> Send | None:
        """The record of the open transaction that the log refused, None where it can't be told which."""
        work = self._in_transaction
        if work is None:
            return None
        sends = [*work.states, *work.others]
        return sends[error.index] if 0 <= error.index < len(sends) else None

    def close(self, *, leave: bool = False) -> None:
        """The membership is over: `leave` gives a static place up as well. The stores are marked as of now."""
        now = self._clock.wall_ms()
        for held in self.held.values():
            if held.live and self._in_transaction is None:
                self._parts.store.mark(held.number, now)
        self._parts.restorer.drop(list(self.held.values()))
        self._metrics.left()
        self.held.clear()
        self._discard_producer()
        for reader in (self._reader, self._feeder):
            if reader is not None:
                reader.close()
        if leave:
            self._consumer.leave()
        else:
            self._consumer.close()

    def _discard_producer(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None


def _place(record: Record) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"
