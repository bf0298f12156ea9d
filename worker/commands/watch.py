"""Show what comes out, a line a change, as it comes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from worker.commands._broker import broker_options, connected, reach
from worker.commands._options import json_option
from worker.commands._screen import console, note

if TYPE_CHECKING:
    from worker.transports.base import Record, TopicPartition, Transport

POLL_MS: Final = 500
POLL_RECORDS: Final = 500


@click.command(
    epilog="""\b
Examples:
  lifecycle watch --broker kafka://localhost:9092
  lifecycle watch --broker embedded:log.db --from-start --once
  lifecycle watch --broker kafka://localhost:9092 --contact c-42 --json"""
)
@broker_options
@click.option("--output-topic", help="Topic to watch. Default: lifecycle.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest change there is; else with the next one.")
@click.option("--once", is_flag=True, help="Stop at the end of what is there now.")
@click.option("--contact", multiple=True, help="Only of this contact or company; repeatable.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many.")
@json_option
def command(
    broker: str | None,
    client: str | None,
    config: Path | None,
    output_topic: str | None,
    from_start: bool,
    once: bool,
    contact: tuple[str, ...],
    count: int | None,
    as_json: bool,
) -> None:
    """Show what the worker publishes: stage and status changes, signals, broken promises, corrections.

    Only what was committed is shown. With --json every event is written out whole, one a line. Ctrl-C ends it.
    """
    settings = reach(config, broker=broker, client=client, output_topic=output_topic)
    wanted, left = set(contact), count
    screen = console()
    if from_start is False and once:
        from_start = True
    try:
        with connected(settings) as transport:
            for record in _records(transport, settings.output_topic, from_start, once):
                if record.value is None or (wanted and (record.key or b"").decode(errors="replace") not in wanted):
                    continue
                if as_json:
                    click.echo(record.value)
                else:
                    _show(screen, record)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return
    except KeyboardInterrupt:
        return


def _show(screen: Any, record: Record) -> None:
    from worker.commands._lines import describe

    try:
        lines = list(describe(json.loads(record.value or b"")))
    except (ValueError, KeyError, TypeError):
        note(f"{record.topic}[{record.partition}]@{record.offset} is no event of this worker")
        return
    for line in lines:
        screen.print(line, soft_wrap=not sys.stdout.isatty(), no_wrap=True, overflow="ellipsis")


def _records(transport: Transport, topic: str, from_start: bool, once: bool) -> Iterator[Record]:
    """Committed records as they come; with `once`, up to the end as it is now."""
    from worker.transports.base import EARLIEST, TopicPartition
    from worker.transports.errors import Fatal, Retriable

    admin = transport.admin()
    try:
        partitions = admin.partitions(topic)
        if partitions is None:
            raise Fatal(f"there is no topic {topic}", "name it with --output-topic; `lifecycle run` makes it")
        every = [TopicPartition(topic, number) for number in range(partitions)]
        ends, begins = admin.end_offsets(every), admin.begin_offsets(every)
    finally:
        admin.close()
    left: set[TopicPartition] = {one for one in every if begins[one] < ends[one]} if once else set(every)
    if not left:
        return
    reader = transport.reader()
    try:
        reader.assign(dict.fromkeys(every, EARLIEST) if from_start else ends)
        away = False
        while left:
            try:
                records = reader.poll(POLL_MS, POLL_RECORDS)
            except Retriable as error:
                if not away:
                    note(f"{error}; waiting for it")
                away = True
                continue
            away = False
            for record in records:
                if not once or record.offset < ends[TopicPartition(record.topic, record.partition)]:
                    yield record
            if once:
                left = {one for one in left if reader.position(one) < ends[one]}
    finally:
        reader.close()
