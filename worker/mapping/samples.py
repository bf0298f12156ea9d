"""Records to try a mapping on: files as people have them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import msgspec
import zstandard

from worker.definition.errors import DefinitionError, Finding
from worker.mapping.bodies import MAX_BYTES
from worker.mapping.scenario import read_scenarios

PARQUET: Final = b"PAR1"
PARQUET_ROWS: Final = 5_000  # held at a time

_encode: Final = msgspec.json.Encoder().encode


class Sample(NamedTuple):
    """A record as it came, and where it stands."""

    where: str
    record: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = None


def read_samples(name: str, stdin: IO[bytes]) -> Iterator[Sample]:
    """The records of a file: JSON, JSON Lines, CSV (a row is an object of texts), Parquet, or a mapping's scenarios.

    `-` is standard input; `.gz` and `.zst` are unpacked. Raises: DefinitionError where the file can't be read.
    """
    if name.endswith((".scenarios.yaml", ".scenarios.yml")):
        for scenario in read_scenarios(Path(name)):
            yield Sample(f"{name}:{scenario.line}", scenario.record, scenario.headers, scenario.key)
        return
    try:
        if name != "-" and _is_parquet(name):
            yield from _table(name)
            return
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


def _is_parquet(name: str) -> bool:
    with open(name, "rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def _table(name: str) -> Iterator[Sample]:
    """A row is an object of its columns: times as RFC 3339, decimals as texts, bytes as the text that they are."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        message = "Parquet needs pyarrow: pip install 'lifecycle-worker[parquet]'"
        raise DefinitionError([Finding(name, 1, 1, "unreadable", message)]) from None
    number = 0
    try:
        with parquet.ParquetFile(name) as table:
            for batch in table.iter_batches(PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Sample(f"{name}: row {number}", _encode(_plain(row)))
    except pyarrow.ArrowException as error:
        raise DefinitionError([Finding(name, 1, 1, "unreadable", f"the file can't be read: {error}")]) from None


def _plain(value: Any) -> Any:
    """A value of a column as JSON has it."""
    match value:
        case dict():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case bytes():
            return value.decode(errors="replace")
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case datetime() if value.tzinfo is None:
            return value.isoformat()
        case None | bool() | int() | float() | str() | datetime() | date() | Decimal():
            return value
        case _:
            return str(value)


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
