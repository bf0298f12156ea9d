"""Records of other systems as a file of events: what a mapping makes of files, folders of them, or a topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import IO, Final

from worker.events import decode, encode
from worker.fold.outcome import Event, Refusal
from worker.mapping.mapping import Headers, Mapping
from worker.mapping.outcome import Refused, Result
from worker.mapping.router import Router
from worker.mapping.samples import read_samples
from worker.replay.records import DeadLetter, NoInputError, Source, kept, position
from worker.replay.topic import partitions_of, records
from worker.transports.base import Transport

_offset: Final = Struct("<Q")
PLACE_BYTES_MAX: Final = 4_096

Given = tuple[str, bytes | None, Headers, bytes | None]
"""Where a record stands, its value, its headers and its key."""


@dataclass(frozen=True)
class Places:
    """Says of which record a line was made: `texts` holds the places, `index` where each line's begins."""

    texts: Path
    index: Path

    def __call__(self, number: int) -> str:
        with self.index.open("rb") as index, self.texts.open("rb") as texts:
            index.seek((number - 1) * _offset.size)
            (at,) = _offset.unpack(index.read(_offset.size))
            texts.seek(at)
            return texts.readline(PLACE_BYTES_MAX).decode(errors="replace").rstrip("\n")


def of_files(names: Sequence[str], standard_input: IO[bytes]) -> Iterator[Given]:
    """The records of files (JSON, JSON Lines, CSV, each plain, .gz, .zst; Parquet), folders of them, and `-`.

    Raises: NoInputError where there is no such file; DefinitionError where one can't be read.
    """
    for name in names:
        path = Path(name)
        if name != "-" and not path.exists():
            raise NoInputError(f"{name}: there is no such file")
        files = [name]
        if path.is_dir():
            files = sorted(str(each) for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        for file in files:
            for sample in read_samples(file, standard_input):
                yield sample.where, sample.record, sample.headers, sample.key


def of_topic(transport: Transport, topic: str) -> Iterator[Given]:
    """The records of a topic up to its end as of now. Raises: ReplayError where there is none; what the log raises."""
    for record in records(transport, topic, partitions_of(transport, topic)):
        yield f"{topic}[{record.partition}]@{record.offset}", record.value, record.headers, record.key


def _results(router: Router, value: bytes | None, headers: Headers, key: bytes | None) -> list[Result]:
    """What a record comes to by the mapping that is for it; one without a mapping is an event of our own."""
    mapping = router.of(headers)
    if isinstance(mapping, Mapping):
        return mapping.apply(value, headers, key)
    found = mapping if mapping is not None else decode(key, value, tuple(headers))
    return [Refused(found, "$", value or b"") if isinstance(found, Refusal) else found]


def map_records(
    router: Router, given: Iterable[Given], name: str, folder: Path, number: int
) -> tuple[Source, list[DeadLetter], int]:
    """The events of the records as source `number`, kept in `folder`; what was refused; and how many were dropped.

    What is refused has a line of its own, left blank, so that it has its place among the events.
    """
    lines, texts, index = (folder / f"input-{number}{ending}" for ending in ("", ".places", ".index"))
    dead: list[DeadLetter] = []
    line = dropped = at = 0
    with lines.open("wb") as out, texts.open("wb") as places, index.open("wb") as beside:
        for where, value, headers, key in given:
            text = where.replace("\n", " ").encode() + b"\n"
            places.write(text)
            for result in _results(router, value, headers, key):
                if isinstance(result, Event):
                    made = encode(result)
                elif isinstance(result, Refused):
                    dead.append(DeadLetter(position(number, line + 1), result.refusal, kept(result.raw)))
                    made = b""
                else:
                    dropped += 1
                    continue
                line += 1
                out.write(made + b"\n")
                beside.write(_offset.pack(at))
            at += len(text)
    return Source(lines, name, origin=Places(texts, index)), dead, dropped
