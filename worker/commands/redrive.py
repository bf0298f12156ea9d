"""Put dead letters back on the input topic, each at most once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from worker.commands._broker import broker_options, connected, reach
from worker.commands._options import input_option, json_option, now_ms
from worker.commands._screen import note, plural

if TYPE_CHECKING:
    from worker.fold.outcome import Event
    from worker.runtime.settings import Settings
    from worker.transports.base import Consumer, Record, Send, TopicPartition, Transport

BATCH: Final = 1_000
POLL_MS: Final = 500
TIMEOUT_MS: Final = 30_000
JOIN_POLLS: Final = 120  # a group may take its time to give us the partitions: a minute
REASONS_MAX: Final = 200
STALLED_POLLS: Final = 120


@click.command(
    epilog="""\b
Examples:
  lifecycle redrive --broker kafka://localhost:9092 --dry-run
  lifecycle redrive --broker kafka://localhost:9092 --reason too-late --as-now
  lifecycle redrive --broker embedded:log.db --reason wrong-type --reason no-time"""
)
@broker_options
@click.option("--dead-letter-topic", help="Where they are. Default: lifecycle-dead-letters.")
@click.option("--input-topic", help="Where they go. Default: engagement.")
@input_option("Another topic that the worker reads: what was refused there goes back there")
@click.option("--reason", "reasons", multiple=True, help="Only those refused for this; repeatable.")
@click.option("--as-now", is_flag=True, help="Date events now; the true time is kept in `data.true_time`.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are, by reason.")
@json_option
def command(
    broker: str | None,
    client: str | None,
    config: Path | None,
    dead_letter_topic: str | None,
    input_topic: str | None,
    input: tuple[str, ...],
    reasons: tuple[str, ...],
    as_now: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put dead letters back on the input topic, with their own key, value and headers.

    How far each reason has been put back is kept in the log, in the same transactions: a second run goes on where the
    first one ended, even one that was killed. What is refused again becomes a new dead letter. What is too late comes
    back as too late, unless with --as-now.

    A record that its mapping could not read goes back to the topic of --input that it came from, and is read there in
    those places only that were refused. An event that a mapping made goes to the input topic, keyed by its contact.
    """
    settings = reach(
        config, broker=broker, client=client, dead_letter_topic=dead_letter_topic, input_topic=input_topic, input=input
    )
    with connected(settings) as transport:
        drive = _Redrive(transport, settings, now_ms() if as_now else None)
        wanted = list(reasons) or drive.reasons()
        moved: Counter[str] = Counter()
        for reason in wanted:
            moved[reason] = drive.pending(reason) if dry_run else drive.run(reason)
    if as_json:
        import json

        click.echo(json.dumps({"dry_run": dry_run, "put_back": dict(moved), "left": dict(drive.left)}))
        return
    verb = "to put back" if dry_run else "put back"
    for reason, count in moved.most_common():
        click.echo(f"{count:>9,}  {reason}")
    click.echo(f"{plural(moved.total(), 'dead letter')} {verb}.")
    for why, count in drive.left.items():
        note(f"{plural(count, 'dead letter')} left where they are: {why}")
    if moved["too-late"] and not as_now:
        note("Those that were too late will be so again: --as-now dates them now.")


class _Redrive:
    """One reason after the other: each has a consumer group of its own, which knows how far it has come."""

    def __init__(self, transport: Transport, settings: Settings, now: int | None) -> None:
        from worker.transports.base import TopicPartition
        from worker.transports.errors import Fatal

        self.left: Counter[str] = Counter()
        self._transport = transport
        self._settings = settings
        self._now = now
        admin = transport.admin()
        try:
            self._feeds = {name: admin.partitions(name) for name in settings.feed_topics}
            counts = {name: admin.partitions(name) for name in (settings.dead_letter_topic, settings.input_topic)}
            for name, count in counts.items():
                if count is None:
                    raise Fatal(f"there is no topic {name}", "name it with --dead-letter-topic or --input-topic")
            self._partitions = counts[settings.input_topic] or 0
            every = [
                TopicPartition(settings.dead_letter_topic, n) for n in range(counts[settings.dead_letter_topic] or 0)
            ]
            self._begins, self._ends = admin.begin_offsets(every), admin.end_offsets(every)
        finally:
            admin.close()

    def reasons(self) -> list[str]:
        """All reasons that there are in the topic."""
        found: dict[str, None] = {}
        for record in self._all():
            if len(found) < REASONS_MAX:
                found.setdefault(_reason(record))
        return list(found)

    def _all(self) -> Iterator[Record]:
        from worker.replay.topic import records

        return records(self._transport, self._settings.dead_letter_topic, len(self._ends))

    def pending(self, reason: str) -> int:
        """How many a run for this reason would put back."""
        return sum(self._batches(reason, lambda consumer, sends, offsets: None))

    def run(self, reason: str) -> int:
        """Put back what was refused for this reason and not put back before; how many."""
        producer = self._transport.producer(self._group(reason))

        def commit(consumer: Consumer, sends: list[Send], offsets: dict[TopicPartition, int]) -> None:
            producer.begin()
            producer.send(sends)
            producer.flush(TIMEOUT_MS)
            producer.send_offsets(offsets, consumer.group_metadata(), TIMEOUT_MS)
            producer.commit(TIMEOUT_MS)

        try:
            return sum(self._batches(reason, commit))
        finally:
            producer.close()

    def _group(self, reason: str) -> str:
        return f"{self._settings.dead_letter_topic}-redrive-{reason}"[:240]

    def _batches(
        self, reason: str, commit: Callable[[Consumer, list[Send], dict[TopicPartition, int]], None]
    ) -> Iterator[int]:
        """Batch by batch: the records of this reason from where the group stands, committed; how many in each."""
        consumer = self._transport.consumer(self._group(reason), [self._settings.dead_letter_topic], None)
        try:
            positions = self._join(consumer)
            idle = 0
            while any(positions[one] < end for one, end in self._ends.items()):
                polled = consumer.poll(POLL_MS, BATCH)
                idle = 0 if polled else idle + 1
                if idle > STALLED_POLLS:
                    raise _stalled(self._settings.dead_letter_topic)
                sends = []
                for record in polled:
                    if _reason(record) == reason and record.offset < self._ends[_partition(record)]:
                        send = self._back(record)
                        if send is not None:
                            sends.append(send)
                for one in positions:
                    positions[one] = consumer.position(one)
                if polled:
                    commit(consumer, sends, dict(positions))
                    yield len(sends)
        finally:
            consumer.leave()

    def _join(self, consumer: Consumer) -> dict[TopicPartition, int]:
        """All partitions are ours and stand where the group left off."""
        from worker.transports.errors import Fatal

        for _ in range(JOIN_POLLS):
            consumer.poll(POLL_MS, 1)
            if consumer.assignment() == frozenset(self._ends):
                break
        else:
            raise Fatal("another redrive of the same reason is at work", "wait for it to end")
        committed = consumer.committed(list(self._ends), TIMEOUT_MS)
        positions: dict[TopicPartition, int] = {}
        for one, begin in self._begins.items():
            positions[one] = max(begin, committed[one] or begin)
            consumer.seek(one, positions[one])
        return positions

    def _back(self, record: Record) -> Send | None:
        """The record as it goes back; None where it can't."""
        from worker.events import encode
        from worker.runtime.dead_letters import DIGEST, MAPPED, OWN, SOURCE_PARTITION, SOURCE_TOPIC
        from worker.transports.base import Send
        from worker.transports.partitioner import named

        headers = {name: value for name, value in record.headers if name in OWN}
        if DIGEST in headers:
            self.left["too large for the topic: only a digest was kept"] += 1
            return None
        came_from = (headers.get(SOURCE_TOPIC) or b"").decode(errors="replace")
        topic, rule = self._settings.input_topic, named(self._settings.partitioner)
        given = headers.get(SOURCE_PARTITION) or b"0"
        partition = int(given) if given.isdigit() else 0
        if came_from not in (topic, "") and came_from not in self._feeds:
            self.left[f"from topic {came_from}, which is not among the inputs"] += 1
            return None
        key, value = record.key, record.value
        others = tuple(header for header in record.headers if header[0] not in OWN)
        dated = None if self._now is None else _dated(record, self._now)
        if dated is not None:
            value, others = encode(dated), tuple(header for header in others if not _of_envelope(header[0]))
        if came_from in self._feeds and MAPPED not in headers:
            if dated is None:
                count = self._feeds[came_from]
                if not count:
                    self.left[f"topic {came_from} is no more"] += 1
                    return None
                return Send(came_from, partition % count, key, value, others)
            key = dated.subject.encode()  # it is whole, and no longer what lay there
        return Send(topic, (rule(key) if key else partition) % self._partitions, key, value, others)


def _of_envelope(header: str) -> bool:
    """Whether the header says something that the event, written whole, says itself."""
    return header.startswith("ce_") or header.lower() == "content-type"


def _dated(record: Record, now: int) -> Event | None:
    """The event as of now; None where the record is no event."""
    from worker.events import decode
    from worker.fold.outcome import Refusal
    from worker.instants import format_instant

    event = decode(record.key, record.value, record.headers)
    if isinstance(event, Refusal):
        return None
    data = {"true_time": format_instant(event.time), **event.data}
    return event._replace(time=now, data=data)


def _reason(record: Record) -> str:
    from worker.runtime.dead_letters import REASON

    return next(
        (value.decode(errors="replace") for name, value in record.headers if name == REASON and value), "unknown"
    )


def _partition(record: Record) -> TopicPartition:
    from worker.transports.base import TopicPartition

    return TopicPartition(record.topic, record.partition)


def _stalled(topic: str) -> Exception:
    from worker.transports.errors import Retriable

    return Retriable(f"topic {topic} gives no more records", "a transaction may be open there: try again in a minute")
