"""`--mapping`: the records that a verb is given are another system's, and a mapping makes events of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from worker.mapping.router import Router
    from worker.replay import DeadLetter, Source

SOURCE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # as `receive` has them

F = TypeVar("F", bound=Callable[..., Any])


def mapping_option(function: F) -> F:
    return click.option(
        "--mapping", "-m", "mapping", metavar="[SOURCE=]M", multiple=True,
        help="Records are another system's (JSON, JSON Lines, CSV, Parquet): a shipped mapping's name"
        " (`lifecycle map --list`), or the path of one. Of a topic that `receive` filled, SOURCE=M is for the records"
        " of one source; repeatable.",
    )(function)  # fmt: skip


def _router(names: tuple[str, ...]) -> Router:
    from worker.commands._errors import Misused
    from worker.mapping.mapping import Mapping
    from worker.mapping.router import Router

    found: dict[str | None, Mapping | None] = {}
    for name in names:
        source, equals, mapping = name.partition("=")
        named = bool(equals) and SOURCE_NAME.fullmatch(source) is not None
        place = source if named else None
        if place in found:
            raise Misused(f"--mapping: {source if named else name} is given twice: a record is read by one mapping")
        found[place] = Mapping.load(mapping if named else name)
    return Router(found)


def mapped(names: tuple[str, ...], given: tuple[str, ...], folder: Path) -> tuple[list[Source], list[DeadLetter], int]:
    """What the mappings make of the records in files and topics, in their order: events, refusals, and how many were
    dropped because they mean nothing. Raises what `worker.commands._errors` explains."""
    from worker.commands._broker import topic_address
    from worker.replay.mapped import map_records, of_files, of_topic
    from worker.transports import open_transport

    router = _router(names)
    sources: list[Source] = []
    refused: list[DeadLetter] = []
    dropped = 0
    for number, each in enumerate(given):
        if each.startswith(("kafka://", "embedded:")):
            url, topic = topic_address(each)
            transport = open_transport(url)
            try:
                made = map_records(router, of_topic(transport, topic), topic, folder, number)
            finally:
                transport.close()
        else:
            shown = "standard input" if each == "-" else each
            made = map_records(router, of_files([each], sys.stdin.buffer), shown, folder, number)
        sources.append(made[0])
        refused += made[1]
        dropped += made[2]
    return sources, refused, dropped
