"""`--mapping`: the records that a verb is given are another system's, and a mapping makes events of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from worker.replay import DeadLetter, Source

F = TypeVar("F", bound=Callable[..., Any])


def mapping_option(function: F) -> F:
    return click.option(
        "--mapping", "-m", "mapping", metavar="M",
        help="Records are another system's (JSON, JSON Lines, CSV, Parquet): a shipped mapping's name (`lifecycle map --list`),"
        " or the path of one.",
    )(function)  # fmt: skip


def mapped(name: str, given: tuple[str, ...], folder: Path) -> tuple[list[Source], list[DeadLetter], int]:
    """What the mapping makes of the records in files and topics, in their order: events, refusals, and how many were
    dropped because they mean nothing. Raises what `worker.commands._errors` explains."""
    from worker.commands._broker import topic_address
    from worker.mapping.mapping import Mapping
    from worker.replay.mapped import map_records, of_files, of_topic
    from worker.transports import open_transport

    mapping = Mapping.load(name)
    sources: list[Source] = []
    refused: list[DeadLetter] = []
    dropped = 0
    for number, each in enumerate(given):
        if each.startswith(("kafka://", "embedded:")):
            url, topic = topic_address(each)
            transport = open_transport(url)
            try:
                made = map_records(mapping, of_topic(transport, topic), topic, folder, number)
            finally:
                transport.close()
        else:
            shown = "standard input" if each == "-" else each
            made = map_records(mapping, of_files([each], sys.stdin.buffer), shown, folder, number)
        sources.append(made[0])
        refused += made[1]
        dropped += made[2]
    return sources, refused, dropped
