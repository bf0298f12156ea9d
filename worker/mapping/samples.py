"""Records to try a mapping on: files as people have them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import msgspec
import zstandard

from worker.definition.errors import DefinitionError, Finding
from worker.mapping.bodies import MAX_BYTES
from worker.mapping.scenario import read_scenarios

_encode: Final = msgspec.json.Encoder().encode


class Sample(NamedTuple):
    """A record as it came, and where it stands."""

    where: str
    record: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = None


def read_samples(name: str, stdin: IO[bytes]) -> Iterator[Sample]:
    """The records of a file: JSON, JSON Lines, CSV (a row is an object of texts), or the scenarios of a mapping.

    `-` is standard input; `.gz` and `.zst` are unpacked. Raises: DefinitionError where the file can't be read.
    """
    if name.endswith((".scenarios.yaml", ".scenarios.yml")):
        for scenario in read_scenarios(Path(name)):
            yield Sample(f"{name}:{scenario.line}", scenario.record, scenario.headers, scenario.key)
        return
    try:
        with _opened(name, stdin) as file:
            if name.removesuffix(".gz").removesuffix(".zst").endswith(".csv"):
                yield from _rows(name, file)
            else:
                yield from _documents(name, file)
    except (OSError, zstandard.ZstdError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DefinitionError([Finding(name, 1, 1, "unreadable", f"the file can't be read: {error}")]) from None


def _opened(name: str, stdin: IO[bytes]) -> IO[bytes]:
    if name == "-":
        return io.BytesIO(stdin.read())
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(name, "rb"))
    if name.endswith(".zst"):
        return io.BufferedReader(zstandard.open(name, "rb"))
    return open(name, "rb")  # whoever asked closes it


def _rows(name: str, file: IO[bytes]) -> Iterator[Sample]:
    for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline="")):
        plain = {key: value for key, value in row.items() if key is not None}
        yield Sample(f"{name}: row {json.dumps(next(iter(plain.values()), ''))}", _encode(plain))


def _documents(name: str, file: IO[bytes]) -> Iterator[Sample]:
    """A file that is one document, however it is laid out, is one record; else every line is one."""
    first = file.readline(MAX_BYTES + 1)
    if not _is_json(first):
        # the first line is no document of its own: the file is one, or something else, which the mapping will tell
        yield Sample(name, first + file.read(MAX_BYTES + 1 - len(first)))
        return
    yield Sample(f"{name}:1", first.rstrip(b"\r\n"))
    for number, line in enumerate(iter(lambda: file.readline(MAX_BYTES + 1), b""), start=2):
        if line.strip():
            yield Sample(f"{name}:{number}", line.rstrip(b"\r\n"))


def _is_json(text: bytes) -> bool:
    try:
        found: Any = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return isinstance(found, dict | list)
