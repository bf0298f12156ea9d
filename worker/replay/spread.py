"""Arrivals laid into parts by contact: one part's are all of a contact's, in the order of arrival.

What is kept of them are bytes, side by side: a part is made objects when it is folded, of which the processor's caches
hold more than of a million that are spread over all memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from worker.fold.outcome import Event
from worker.replay.families import Families
from worker.replay.lines import BLOCK_BYTES, Progress, read_blocks
from worker.replay.reading import WIDTH, Arrivals, Reader
from worker.replay.records import Source, Span

SPANS_EACH: Final = 4  # of a process: one that was kept waiting leaves spans to the others
PARTS_EACH: Final = 3  # likewise; never one process with a part more than the others where all are alike
PARTS_MAX: Final = 200  # each may have an open file while histories are merged
COMPRESSED: Final = 8  # how much larger a compressed file is, about, when it is read

_size: Final = Struct("<Q")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[list[int], list[Event]]).decode


def spans(sources: Sequence[Source], processes: int) -> list[Span]:
    """The sources in spans of like size that can be read side by side, in the order of reading."""
    sizes = [source.path.stat().st_size for source in sources]
    count = 1 if processes == 1 else processes * SPANS_EACH
    each = max(BLOCK_BYTES, -(-sum(sizes) // count))
    found: list[Span] = []
    for number, (source, size) in enumerate(zip(sources, sizes, strict=True)):
        step = each if source.format == "plain" else max(size, 1)
        found += [Span(number, start, min(start + step, size)) for start in range(0, size, step)]
    return found


def bytes_of(sources: Sequence[Source]) -> int:
    """How many bytes the lines of the sources have, about."""
    return sum(one.path.stat().st_size * (1 if one.format == "plain" else COMPRESSED) for one in sources)


def part_count(read: int, part: int, processes: int, most: int = PARTS_MAX) -> int:
    """In how many parts of at most `part` bytes to lay what is read, so that all processes have as many."""
    least = 1 if processes == 1 else processes * PARTS_EACH
    count = max(least, -(-read // part))
    return min(most, -(-count // processes) * processes)


class Spread:
    """Arrivals by part, as bytes: at hand up to a limit, past it in files `NAME-PART` of the folder."""

    def __init__(self, folder: Path, name: str, parts: int, families: Families, at_hand: int) -> None:
        self._folder = folder
        self._name = name
        self._families = families
        self._at_hand = at_hand
        self._bytes = 0
        self._blocks: list[list[bytes]] = [[] for _ in range(parts)]

    def put(self, arrivals: Arrivals) -> None:
        """The arrivals stand after those before them, each in its contact's part."""
        parts = len(self._blocks)
        places: list[list[int]] = [[] for _ in range(parts)]
        events: list[list[Event]] = [[] for _ in range(parts)]
        families = self._families
        for place, event in zip(arrivals[::WIDTH], arrivals[1::WIDTH], strict=True):
            contact = families.head(event.subject) if families else event.subject
            part = crc32(contact.encode()) % parts
            places[part].append(place)
            events[part].append(event)
        for part in range(parts):
            if places[part]:
                block = _encode((places[part], events[part]))
                self._bytes += len(block)
                self._blocks[part].append(block)
        if self._bytes > self._at_hand:
            self.write()

    def write(self) -> None:
        """All that is at hand is in the files."""
        for part, blocks in enumerate(self._blocks):
            if blocks:
                with _path(self._folder, self._name, part).open("ab") as file:
                    for block in blocks:
                        file.write(_size.pack(len(block)) + block)
                self._blocks[part] = []
        self._bytes = 0

    def joined(self, name: str, families: Families) -> Spread:
        """The same arrivals, those of a family in one part, though not in the order of arrival there."""
        together = Spread(self._folder, name, len(self._blocks), families, self._at_hand)
        for part in range(len(self._blocks)):
            for arrivals in self.gather(part):
                together.put(arrivals)
        return together

    def gather(self, part: int) -> Iterator[Arrivals]:
        """What was put into a part, in blocks, and is kept no longer."""
        yield from _written(self._folder, self._name, part, 0)
        blocks, self._blocks[part] = self._blocks[part], []
        for block in blocks:
            yield _arrivals(block, 0)


def lay(reader: Reader, sources: Sequence[Source], cut: Sequence[Span], spread: Spread, progress: Progress) -> int:
    """The spans have been read, and what the reader kept of them was spread. How many lines they have."""
    lines = 0
    for span in cut:
        number = 1
        for block in read_blocks(sources[span.source], span, progress):
            number += reader.read(span.source, block, number)
            spread.put(reader.take())
        lines += number - 1
    return lines


def gathered(folder: Path, part: int, before: Sequence[int]) -> Iterator[Arrivals]:
    """What was written of a part from one span after the other, in blocks, and taken away from the folder.

    A span's number is the name of its files; what is `before` it is added to its positions.
    """
    for name, more in enumerate(before):
        yield from _written(folder, str(name), part, more)


def _written(folder: Path, name: str, part: int, before: int) -> Iterator[Arrivals]:
    path = _path(folder, name, part)
    if not path.exists():
        return
    with path.open("rb") as file:
        while size := file.read(_size.size):
            yield _arrivals(file.read(_size.unpack(size)[0]), before)
    path.unlink()


def _arrivals(block: bytes, before: int) -> Arrivals:
    places, events = _decode(block)
    arrivals: Arrivals = [None] * (WIDTH * len(places))
    arrivals[::WIDTH] = [before + place for place in places] if before else places
    arrivals[1::WIDTH] = events
    return arrivals


def _path(folder: Path, name: str, part: int) -> Path:
    return folder / f"{name}-{part}.arrivals"
