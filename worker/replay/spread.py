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
SPANS_EACH: Final = 4  # of a process: one that was kept waiting leaves spans to the others
PARTS_EACH: Final = 3  # likewise; never one process with a part more than the others where all are alike
INSTANT: Final = len("2026-01-05T09:00:00.000Z")


class _Glance(msgspec.Struct, gc=False):
    subject: str
    time: str


_glance: Final = msgspec.json.Decoder(_Glance).decode
_NOTHING: Final = _Glance("", "")


class Laid(NamedTuple):
    """What became of a span: how many lines it had, and the time of its newest event (0: it has none)."""

    lines: int
    newest: int


def spans(sources: list[Source], processes: int) -> list[Span]:
    """The sources in spans of like size that can be read side by side, in the order of reading."""
    sizes = [source.path.stat().st_size for source in sources]
    count = 1 if processes == 1 else processes * SPANS_EACH
    each = max(BLOCK_BYTES, -(-sum(sizes) // count))
    found: list[Span] = []
    for number, (source, size) in enumerate(zip(sources, sizes, strict=True)):
        step = each if source.format == "plain" else max(size, 1)
        found += [Span(number, start, min(start + step, size)) for start in range(0, size, step)]
    return found


def part_count(read: int, part: int, processes: int, most: int) -> int:
    """In how many parts of at most `part` bytes to lay what is read, so that all processes have as many."""
    least = 1 if processes == 1 else processes * PARTS_EACH
    count = max(least, -(-read // part))
    return min(most, -(-count // processes) * processes)


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
    newest, ahead = 0, wall + AHEAD_MS
    number = 0
    opened: _Opened = {}
    try:
        for block in read_lines(source, span, progress):
            subjects, times = _seen(block)
            if families:
                subjects = [families.head(subject) for subject in subjects]
            newest = _newest(plan, block, times, newest, ahead)
            for line, subject in zip(block, subjects, strict=True):
                number += 1
                if not subject and (not line or line.isspace()):
                    continue
                part = crc32(subject.encode()) % parts
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
    return Laid(number, newest)


def _seen(block: list[bytes]) -> tuple[list[str], list[str]]:
    """Each line's contact and time, as they are written; empty where it has none: it is no event then."""
    subjects: list[str] = []
    times: list[str] = []
    for line in block:
        try:
            seen = _glance(line)
            seen.subject.encode()
        except (msgspec.DecodeError, ValueError, RecursionError):
            seen = _NOTHING
        subjects.append(seen.subject)
        times.append(seen.time)
    return subjects, times


def _newest(plan: Plan, block: list[bytes], times: list[str], newest: int, ahead: int) -> int:
    """The time of the newest event so far (epoch ms): one that is accepted whole and lies before `ahead`.

    What looks like one may be refused, so each that would be the newest is looked at, the likeliest first.
    """
    if _is_uniform(times):
        last = max(times)  # as text they are in the order of time
        at = _instant(last)
        if at <= newest or (at <= ahead and _is_event(plan, block[times.index(last)])):
            return max(at, newest)
    for at, line in sorted(zip(map(_instant, times), block, strict=True), reverse=True):
        if at <= newest:
            break
        if at <= ahead and _is_event(plan, line):
            return at
    return newest


def _is_uniform(times: list[str]) -> bool:
    """Whether all are written as `2026-01-05T09:00:00.000Z` is."""
    text, count = "".join(times), len(times)
    if not times or set(map(len, times)) != {INSTANT}:
        return False
    return text[10::INSTANT] == "T" * count and text[19::INSTANT] == "." * count and text[23::INSTANT] == "Z" * count


def _instant(text: str) -> int:
    """Epoch ms; 0 where it is no time."""
    try:
        return parse_instant(text)
    except ValueError:
        return 0


def _is_event(plan: Plan, line: bytes) -> bool:
    event = decode(None, line)
    return isinstance(event, Event) and not isinstance(accept_fields(plan, event), Refusal)


_Opened = dict[int, tuple[IO[bytes], IO[bytes]]]


def _write(opened: _Opened, folder: Path, name: str, part: int, lines: list[bytes], numbers: array[int]) -> None:
    files = opened.get(part)
    if files is None:
        stem = f"{name}-{part}"
        files = opened[part] = (folder / f"{stem}.lines").open("wb"), (folder / f"{stem}.numbers").open("wb")
    lines.append(b"")
    files[0].write(b"\n".join(lines))
    files[1].write(numbers.tobytes())


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
