"""Whatever events are given as, as files of JSON Lines: files, folders of them, Parquet, standard input."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from worker.instants import format_instant
from worker.replay.lines import format_of
from worker.replay.records import NoInputError, ReplayError, Source

STANDARD_INPUT: Final = "-"
ENDINGS: Final = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".jsonl.zst", ".ndjson.gz", ".ndjson.zst", ".parquet")
ENVELOPE: Final = ("specversion", "id", "source", "type", "subject", "time", "data")
ATTRIBUTES: Final = frozenset({*ENVELOPE, "datacontenttype", "dataschema"})  # of CloudEvents
PARQUET: Final = b"PAR1"
PARQUET_ROWS: Final = 10_000  # turned into lines at a time

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode  # an `amount` is mostly a decimal in a table


@dataclass(frozen=True)
class Row:
    """Says where a line came from that was a row of a table."""

    name: str

    def __call__(self, number: int) -> str:
        return f"{self.name}: row {number}"


def open_inputs(names: Sequence[str], folder: Path, standard_input: IO[bytes], first: int = 0) -> list[Source]:
    """The sources that the names stand for, in their order; what is no file of lines is copied into `folder` as one.

    `first` is the number of the first of them.

    Raises: ReplayError for what isn't there or can't be read.
    """
    sources: list[Source] = []
    for name in names:
        if name == STANDARD_INPUT:
            sources.append(_copied(standard_input, folder / f"input-{first + len(sources)}"))
            continue
        for path in _files(Path(name)):
            if _is_parquet(path):
                sources.append(_rows(path, folder / f"input-{first + len(sources)}"))
            else:
                sources.append(Source(path, str(path), format_of(path)))
    return sources


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(inner for inner in path.iterdir() if inner.is_file() and inner.name.endswith(ENDINGS))
    if not found:
        raise ReplayError(f"{path}: no events in this folder: no file ends in {', '.join(ENDINGS)}")
    return found


def _copied(file: IO[bytes], path: Path) -> Source:
    try:
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    except OSError as error:
        raise ReplayError(f"standard input can't be kept for reading: {error.strerror}") from None
    return Source(path, "standard input", format_of(path))


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == PARQUET
    except FileNotFoundError as error:
        raise NoInputError(f"{path}: can't be read: {error.strerror}") from None
    except OSError as error:
        raise ReplayError(f"{path}: can't be read: {error.strerror}") from None


def _rows(path: Path, lines: Path) -> Source:
    """A Parquet file's rows as lines. Columns are named as CloudEvents' attributes; `data` is JSON text or a struct.

    Where there is no column `data`, all other columns are its fields.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ReplayError(f"{path}: Parquet needs pyarrow: pip install 'lifecycle-worker[parquet]'") from None
    try:
        with parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            columns = [name for name in ENVELOPE if name in names]
            fields = [] if "data" in names else [name for name in names if name not in ATTRIBUTES]
            missing = [name for name in ("id", "source", "type", "subject", "time") if name not in columns]
            if missing:
                raise ReplayError(
                    f"{path}: no column {', '.join(missing)}: columns are named as CloudEvents' attributes"
                )
            with lines.open("wb") as out:
                for batch in table.iter_batches(PARQUET_ROWS, columns=[*columns, *fields]):
                    out.writelines(_lines(batch, len(columns)))
    except (OSError, pyarrow.ArrowException) as error:
        raise ReplayError(f"{path}: can't be read as Parquet: {error}") from None
    return Source(lines, str(path), origin=Row(str(path)))


def _lines(batch: Any, attributes: int) -> Iterator[bytes]:
    """The rows as events: the first columns are attributes, those after them fields of `data`."""
    columns = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    names = list(columns)
    for row in zip(*columns.values(), strict=True):
        event = {"specversion": "1.0", **_given(names[:attributes], row[:attributes])}
        if len(names) > attributes:
            event["data"] = _given(names[attributes:], row[attributes:])
        data = event.get("data")
        if isinstance(data, bytes):
            data = data.decode(errors="replace")
        if isinstance(data, str):
            event["data"] = msgspec.Raw(data.replace("\n", " ").encode() or b"null")
        yield _encode(event) + b"\n"


def _values(column: Any) -> list[Any]:
    """A column's values, times as events write them."""
    import pyarrow

    if not pyarrow.types.is_timestamp(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types
    instants = column.cast(pyarrow.timestamp("ms", tz=column.type.tz), safe=False).cast(pyarrow.int64())
    return [None if at is None else format_instant(at) for at in instants.to_pylist()]


def _given(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}
