"""Events of too many contacts to be held at once, laid into parts by contact: one part's events are all of a contact's.

Within a part the order of arrival stays. Nothing is decoded here but the contact's id and the time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple
from zlib import crc32

import msgspec

from worker.events import decode
from worker.fold.accept import AHEAD_MS, accept_fields
from worker.fold.outcome import Event, Refusal
from worker.instants import parse_instant
from worker.plan import Plan
from worker.replay.families import Families
from worker.replay.lines import BLOCK_BYTES, Progress, read_lines
from worker.replay.records import Source, Span

HELD_MAX: Final = 2_000  # lines of one part that wait to be written
CANDIDATES_MAX: Final = 50  # newest lines looked at more closely, whether they are events at all


class _Glance(msgspec.Struct):
    subject: str
    time: str


_glance: Final = msgspec.json.Decoder(_Glance).decode


class Laid(NamedTuple):
    """What became of a span: how many lines it had, and the time of its newest event (0: it has none)."""

    lines: int
    newest: int


def spans(sources: list[Source], count: int) -> list[Span]:
    """The sources in spans that can be read side by side: about `count`, of like size, in the order of reading."""
    sizes = [source.path.stat().st_size for source in sources]
    each = max(BLOCK_BYTES, -(-sum(sizes) // count))
    found: list[Span] = []
    for number, (source, size) in enumerate(zip(sources, sizes, strict=True)):
        step = each if source.format == "plain" else max(size, 1)
        found += [Span(number, start, min(start + step, size)) for start in range(0, size, step)]
    return found


def lay(
    plan: Plan,
    source: Source,
    span: Span,
    parts: int,
    families: Families,
    wall: int,
    folder: Path,
    name: str,
    progress: Progress,
) -> Laid:
    """Lay the span's lines, with their numbers within it, into files `NAME-PART.lines` and `.numbers` of the folder."""
    lines: list[list[bytes]] = [[] for _ in range(parts)]
    numbers = [array("Q") for _ in range(parts)]
    ahead = wall + AHEAD_MS
    best, candidates = 0, [(0, b"")]
    number = 0
    opened: _Opened = {}
    try:
        for block in read_lines(source, span, progress):
            for line in block:
                number += 1
                try:
                    seen = _glance(line)
                    part = crc32((families.head(seen.subject) if families else seen.subject).encode()) % parts
                    at = parse_instant(seen.time)
                except (msgspec.DecodeError, ValueError, RecursionError):
                    if not line or line.isspace():
                        continue
                    part, at = 0, 0
                if best <= at <= ahead:
                    best = at
                    candidates.append((at, line))
                    if len(candidates) > CANDIDATES_MAX:
                        del candidates[0]
                held = lines[part]
                held.append(line)
                numbers[part].append(number)
                if len(held) >= HELD_MAX:
                    _write(opened, folder, name, part, held, numbers[part])
                    lines[part], numbers[part] = [], array("Q")
        for part, held in enumerate(lines):
            if held:
                _write(opened, folder, name, part, held, numbers[part])
    finally:
        for files in opened.values():
            for file in files:
                file.close()
    return Laid(number, _newest(plan, candidates))


_Opened = dict[int, tuple[IO[bytes], IO[bytes]]]


def _write(opened: _Opened, folder: Path, name: str, part: int, lines: list[bytes], numbers: array[int]) -> None:
    files = opened.get(part)
    if files is None:
        stem = f"{name}-{part}"
        files = opened[part] = (folder / f"{stem}.lines").open("wb"), (folder / f"{stem}.numbers").open("wb")
    lines.append(b"")
    files[0].write(b"\n".join(lines))
    files[1].write(numbers.tobytes())


def _newest(plan: Plan, candidates: list[tuple[int, bytes]]) -> int:
    """The time of the newest of them that is an event whole; what looked like one may be refused."""
    for at, line in reversed(candidates):
        event = decode(None, line)
        if isinstance(event, Event) and not isinstance(accept_fields(plan, event), Refusal):
            return at
    return 0


def laid(folder: Path, name: str, part: int) -> Iterator[tuple[list[bytes], array[int]]]:
    """What was laid into a part from one span, in blocks, and taken away from the folder."""
    path, beside = folder / f"{name}-{part}.lines", folder / f"{name}-{part}.numbers"
    if not path.exists():
        return
    with beside.open("rb") as file:
        numbers = array("Q", file.read())
    at = 0
    source = Source(path, name)
    for block in read_lines(source, Span(0, 0, path.stat().st_size)):
        yield block, numbers[at : at + len(block)]
        at += len(block)
    path.unlink()
    beside.unlink()
