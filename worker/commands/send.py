"""Put events from files onto the input topic."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from worker.commands._broker import broker_options, connected, once, reach
from worker.commands._mapped import mapped, mapping_option
from worker.commands._screen import Bar, note, plural

if TYPE_CHECKING:
    from worker.fold.outcome import Event
    from worker.replay import Source
    from worker.transports.base import Producer, Send

CHUNK: Final = 2_000  # records of one transaction
PARTITIONS: Final = 6  # of a topic that has to be made, as the worker would
TIMEOUT_MS: Final = 30_000
FAULTS_SHOWN: Final = 10


@click.command(
    epilog="""\b
Examples:
  lifecycle send events.jsonl --broker kafka://localhost:9092
  lifecycle demo --events - | lifecycle send - --broker embedded:log.db --rate 200
  lifecycle send january/ --broker kafka://localhost:9092 --input-topic engagement --now"""
)
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@broker_options
@mapping_option
@click.option("--input-topic", help="Topic to put them on. Default: engagement.")
@click.option(
    "--rate", type=click.FloatRange(min=0.1), help="Events per second. Default: as fast as the log takes them."
)
@click.option("--now", "dated_now", is_flag=True, help="Move all times so that the newest event is of now.")
@click.option("--as-it-is", is_flag=True, help="Send lines that are no events, too (they become dead letters).")
@click.pass_context
def command(
    ctx: click.Context,
    events: tuple[str, ...],
    broker: str | None,
    client: str | None,
    config: Path | None,
    mapping: tuple[str, ...],
    input_topic: str | None,
    rate: float | None,
    dated_now: bool,
    as_it_is: bool,
) -> None:
    """Put events on the input topic, keyed by contact, in the order of the files.

    With --mapping, events are made of another system's records first.

    EVENTS are as for `replay`: files of JSON Lines (plain, .gz, .zst) or Parquet, folders, or `-`. A line that is no
    event is told and not sent; the others are, and the exit status is 1.
    """
    from worker.replay.inputs import open_inputs
    from worker.replay.records import place_of
    from worker.transports.base import TopicSpec

    settings = reach(config, broker=broker, client=client, input_topic=input_topic)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-input-")))
        faults = 0
        if not mapping:
            sources = open_inputs(events, folder, sys.stdin.buffer)
        else:
            sources, refused, dropped = mapped(mapping, events, folder)
            faults = len(refused)
            for letter in refused[:FAULTS_SHOWN]:
                note(f"{place_of(sources, letter.position)}: {letter.refusal.reason}: {letter.refusal.message}")
            if dropped:
                note(f"{plural(dropped, 'record')} or parts of them mean no event to the mapping {', '.join(mapping)}")
        shift = _shift(sources) if dated_now else 0
        transport = stack.enter_context(connected(settings))
        admin = transport.admin()
        stack.callback(admin.close)
        topic = settings.input_topic
        partitions = admin.partitions(topic)
        if partitions is None:
            admin.create(TopicSpec(topic, PARTITIONS, settings.replication, {"cleanup.policy": "delete"}))
            partitions = admin.partitions(topic) or PARTITIONS
            note(f"made topic {topic} with {plural(partitions, 'partition')}")
        name = once("send")
        bar = stack.enter_context(Bar("send"))
        sender = _Sender(lambda: transport.producer(name), rate)
        stack.callback(sender.close)
        for fault, place, send in _sends(sources, topic, partitions, shift, as_it_is, bar):
            if fault:
                faults += 1
                if faults <= FAULTS_SHOWN:
                    note(f"{place}: {fault}")
            if send is not None:
                sender.add(place, send)
        sender.flush()
    click.echo(f"Sent {plural(sender.sent, 'event')} to {topic}.")
    if faults > FAULTS_SHOWN:
        note(f"… and {faults - FAULTS_SHOWN:,} more")
    left = sender.too_large + (faults if mapping or not as_it_is else 0)
    if left:
        note(f"{plural(left, 'record' if mapping else 'line')} not sent")
        ctx.exit(1)


class _Sender:
    """Sends in transactions, so that readers see each chunk whole, at a rate if there is one.

    What the topic doesn't take for its size is told and left out; everything else is sent.
    """

    def __init__(self, make: Callable[[], Producer], rate: float | None) -> None:
        self.sent = 0
        self.too_large = 0
        self._make = make
        self._producer = make()
        self._rate = rate
        self._chunk = CHUNK if rate is None else max(1, min(CHUNK, int(rate / 5)))
        self._waiting: list[Send] = []
        self._places: list[str] = []
        self._started = time.monotonic()

    def add(self, place: str, send: Send) -> None:
        self._waiting.append(send)
        self._places.append(place)
        if len(self._waiting) >= self._chunk:
            self.flush()

    def flush(self) -> None:
        from worker.transports.errors import RecordTooLarge

        while self._waiting:
            try:
                self._send()
            except RecordTooLarge as error:
                self.close()  # a producer that raised is of no more use
                self._producer = self._make()
                del self._waiting[error.index]
                note(f"{self._places.pop(error.index)}: not sent: {error}; {error.remedy}")
                self.too_large += 1

    def close(self) -> None:
        self._producer.close()

    def _send(self) -> None:
        producer = self._producer
        producer.begin()
        producer.send(self._waiting)
        producer.flush(TIMEOUT_MS)
        producer.commit(TIMEOUT_MS)
        self.sent += len(self._waiting)
        self._waiting, self._places = [], []
        if self._rate is not None:
            early = self._started + self.sent / self._rate - time.monotonic()
            if early > 0:
                time.sleep(early)


def _sends(
    sources: list[Source], topic: str, partitions: int, shift: int, as_it_is: bool, bar: Bar
) -> Iterator[tuple[str, str, Send | None]]:
    """Of every line that isn't blank: what is wrong with it, if anything, its place, and what to send, if anything."""
    from worker.events import decode, encode
    from worker.fold.outcome import Refusal
    from worker.transports.base import Send
    from worker.transports.partitioner import partition_of

    for at, line, place in _lines(sources, bar):
        event = decode(None, line)
        if isinstance(event, Refusal):
            send = Send(topic, at % partitions, None, line) if as_it_is else None
            yield f"{event.reason}: {event.message}", place, send
            continue
        key = event.subject.encode()
        value = line if not shift else encode(event._replace(time=event.time + shift))
        yield "", place, Send(topic, partition_of(key, partitions), key, value)


def _lines(sources: list[Source], bar: Bar) -> Iterator[tuple[int, bytes, str]]:
    from worker.replay.lines import read_lines
    from worker.replay.records import Span

    total = sum(source.path.stat().st_size for source in sources)
    done = 0

    def report(more: int) -> None:
        nonlocal done
        done += more
        bar.report(done, total)

    for source in sources:
        number = 0
        for lines in read_lines(source, Span(0, 0, source.path.stat().st_size), report):
            for line in lines:
                number += 1
                if line.strip():
                    yield number, line.strip(), source.place(number)


def _shift(sources: list[Source]) -> int:
    """How far to move all times (ms) for the newest event to be of now."""
    from worker.commands._options import now_ms
    from worker.events import decode
    from worker.fold.outcome import Refusal

    newest = 0
    with Bar("look for the newest event") as bar:
        for _, line, _ in _lines(sources, bar):
            event: Event | Refusal = decode(None, line)
            if not isinstance(event, Refusal):
                newest = max(newest, event.time)
    return now_ms() - newest if newest else 0
