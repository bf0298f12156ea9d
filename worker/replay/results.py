"""What a replay writes: four files of JSON Lines, each there whole or not at all."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec

from worker.replay.lines import read_lines
from worker.replay.part import History
from worker.replay.records import NUMBER_BITS, DeadLetter, Digest, ReplayError, Source, Span, kept, place_of, position

STAGE_CHANGES: Final = "stage-changes.jsonl"
CONTACTS: Final = "contacts.jsonl"
COMPANIES: Final = "companies.jsonl"
DEAD_LETTERS: Final = "dead-letters.jsonl"
FILES: Final = (STAGE_CHANGES, CONTACTS, COMPANIES, DEAD_LETTERS)

BUFFER_BYTES: Final = 1 << 20
TAKEN_BYTES: Final = 1 << 16  # of each part, of which there may be many

_encode: Final = msgspec.json.Encoder().encode


class Results:
    """The four files in a folder, which is made. Under their names stand only whole ones: an error leaves none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                path = self._partial(name)
                self._files[name] = self._stack.enter_context(path.open("wb", buffering=BUFFER_BYTES))
        except OSError as error:
            self._stack.close()
            raise ReplayError(f"{self.folder}: can't be written to: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        for name in FILES:
            if error is None:
                self._partial(name).replace(self.folder / name)
            else:
                self._partial(name).unlink(missing_ok=True)

    def _partial(self, name: str) -> Path:
        return self.folder / f".{name}.partial"

    def contact(self, history: History) -> None:
        """One contact's lines, in the order in which contacts are written."""
        self._files[STAGE_CHANGES].write(history.changes)
        self._files[CONTACTS].write(history.row)

    def companies(self, changes: Iterable[dict[str, Any]], rows: Iterable[dict[str, Any]]) -> None:
        self._files[STAGE_CHANGES].writelines(map(encode_line, changes))
        self._files[COMPANIES].writelines(map(encode_line, rows))

    def dead(self, *rows: Iterable[tuple[int, bytes]]) -> None:
        """Lines of dead letters, each with its position; every one of `rows` is in order."""
        self._files[DEAD_LETTERS].writelines(row for _, row in merge(*rows, key=itemgetter(0)))


def encode_line(row: Any) -> bytes:
    """JSON and the end of the line."""
    return _encode(row) + b"\n"


def dead_row(sources: Sequence[Source], letter: DeadLetter) -> dict[str, Any]:
    """A refused record: why, from where, and itself as text; in base64 where it is none, a digest where it is large."""
    row: dict[str, Any] = {
        "reason": letter.refusal.reason,
        "message": letter.refusal.message,
        "source": place_of(sources, letter.position),
    }
    record = letter.record or b""
    if isinstance(record, Digest):
        return {**row, "record": None, "digest": record.sha256, "size": record.size}
    try:
        return {**row, "record": record.decode() or None}
    except UnicodeDecodeError:
        return {**row, "record": None, "record_base64": base64.b64encode(record).decode()}


def recalled(sources: Sequence[Source], letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
    """The letters, which are in order, each with its record: what stands in a source is read from there once more."""
    for number, group in groupby(letters, key=lambda letter: letter.position >> NUMBER_BITS):
        source = sources[number]
        blocks = read_lines(source, Span(number, 0, source.path.stat().st_size))
        block: list[bytes] = []
        first = position(number, 1)
        for letter in group:
            if letter.record is None:
                while letter.position - first >= len(block):
                    first += len(block)
                    block = next(blocks)
                letter = letter._replace(record=kept(block[letter.position - first]))
            yield letter


class Shelf:
    """Histories of one part on disk, until those of all parts are merged: bytes end to end, and how many each has."""

    def __init__(self, folder: Path, name: str) -> None:
        self._paths = [folder / f"{name}.{what}" for what in ("changes", "rows", "index")]

    def put(self, histories: Iterable[History]) -> None:
        index = array("Q")
        changes, rows, entries = (path.open("wb", buffering=BUFFER_BYTES) for path in self._paths)
        with changes, rows, entries:
            for position, said, row in histories:
                changes.write(said)
                rows.write(row)
                index.extend((position, len(said), len(row)))
            entries.write(index.tobytes())

    def take(self) -> Iterator[History]:
        """The histories again, in order; then the files are gone."""
        changes, rows, entries = (path.open("rb", buffering=TAKEN_BYTES) for path in self._paths)
        with changes, rows, entries:
            while read := entries.read(3 * 8 * 4_096):
                block = array("Q", read)
                for at in range(0, len(block), 3):
                    yield History(block[at], changes.read(block[at + 1]), rows.read(block[at + 2]))
        for path in self._paths:
            path.unlink()


def merged(shelves: Iterable[Shelf]) -> Iterator[History]:
    """The histories of all parts in the order of the contacts' first events, as one part would give them."""
    return merge(*(shelf.take() for shelf in shelves), key=attrgetter("position"))
