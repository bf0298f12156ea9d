"""Files of JSON Lines read in blocks: plain ones from any byte on, compressed ones from their start."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import zstandard

from worker.events import MAX_VALUE_BYTES
from worker.replay.records import Format, NoInputError, ReplayError, Source, Span

BLOCK_BYTES: Final = 1 << 17  # what comes of them is still in the processor's nearer caches when it is looked at again
PACKED_BYTES: Final = 1 << 16  # of a compressed file at a time: what comes of them is bounded, too
LINE_BYTES_MAX: Final = 64 * MAX_VALUE_BYTES  # what is longer is cut: its size refuses it anyway
MARK: Final = b"\xef\xbb\xbf"  # a byte order mark, which some editors put first

Progress = Callable[[int], None]
"""Told how many more bytes of the file have been read."""


def format_of(path: Path) -> Format:
    """By the file's first bytes, whatever its name says."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError as error:
        raise NoInputError(f"{path}: can't be read: {error.strerror}") from None
    except OSError as error:
        raise ReplayError(f"{path}: can't be read: {error.strerror}") from None
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head == b"\x28\xb5\x2f\xfd":
        return "zstd"
    return "plain"


def read_lines(source: Source, span: Span, progress: Progress | None = None) -> Iterator[list[bytes]]:
    """The span's lines, in blocks, in order; blank lines are among them, so that numbers stay right.

    Raises: ReplayError where the file can't be read or is damaged.
    """
    for block in read_blocks(source, span, progress):
        yield block.split(b"\n")


def read_blocks(source: Source, span: Span, progress: Progress | None = None) -> Iterator[bytes]:
    """The span's lines, end to end: whole lines with their ends between them, none after the last of a block.

    Raises: ReplayError where the file can't be read or is damaged.
    """
    try:
        with source.path.open("rb") as file:
            if source.format == "plain":
                read = _span(file, span, progress)
            else:
                read = _gunzipped(file, progress) if source.format == "gzip" else _unpacked(file, progress)
            yield from _blocks(read, begins=source.format != "plain" or span.start == 0)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ReplayError(f"{source.name}: can't be read to its end: {said}") from None


def _blocks(read: Iterable[bytes], begins: bool) -> Iterator[bytes]:
    """What was read, cut after whole lines; what is left of the last one counts as a line."""
    begun: list[bytes] = []  # pieces of the line whose end is still to come
    size = 0
    for some in read:
        if begins:
            some, begins = some.removeprefix(MARK), False
        end = some.rfind(b"\n")
        if end >= 0:
            yield b"".join([*begun, some[:end]])
            begun, size = [], 0
        rest = some[end + 1 :]
        if rest and size < LINE_BYTES_MAX:
            begun.append(rest)
            size += len(rest)
    if begun:
        yield b"".join(begun)


def _span(file: IO[bytes], span: Span, progress: Progress | None) -> Iterator[bytes]:
    if span.start:
        # The line that was begun before the span belongs to the one before it.
        file.seek(span.start - 1)
        _rest_of_line(file)
    left = span.end - file.tell()
    while left > 0:
        block = file.read(min(BLOCK_BYTES, left))
        if not block:
            break
        left -= len(block)
        if progress is not None:
            progress(len(block))
        if left <= 0 and not block.endswith(b"\n"):
            block += _rest_of_line(file)
        yield block


def _rest_of_line(file: IO[bytes]) -> bytes:
    """Up to and with the next end of line; of a line that is too long anyway only the beginning is kept."""
    kept = b""
    while True:
        more = file.readline(BLOCK_BYTES)
        ended = more.endswith(b"\n")
        if len(kept) < LINE_BYTES_MAX:
            kept += more
        if ended or not more:
            return kept if kept.endswith(b"\n") or not ended else kept + b"\n"


def _gunzipped(file: IO[bytes], progress: Progress | None) -> Iterator[bytes]:
    before = 0
    with gzip.GzipFile(fileobj=file) as opened:
        while block := opened.read(BLOCK_BYTES):
            if progress is not None:
                before, done = file.tell(), file.tell() - before
                progress(done)
            yield block


def _unpacked(file: IO[bytes], progress: Progress | None) -> Iterator[bytes]:
    """Frame after frame. The library's own reader takes a file that was cut off for one that ends there."""
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    while packed := file.read(PACKED_BYTES):
        if progress is not None:
            progress(len(packed))
        while packed:
            if unpacker.eof:
                unpacker, begun = zstandard.ZstdDecompressor().decompressobj(), False
            block = unpacker.decompress(packed)
            begun = True
            packed = unpacker.unused_data if unpacker.eof else b""
            if block:
                yield block
    if begun and not unpacker.eof:
        raise EOFError("the file was cut off")
