"""What was published, as tables of DuckDB: corrections applied, the erased left out, merged ids under who they are now.

`said` holds every event out that stands. An id stands where the last that was said of it is not a withdrawal; within a
correction the withdrawn go before the restated. The tables that the figures read are made from it, see `shape`.

Times are TIMESTAMP in UTC, durations DOUBLE seconds. The database is a file of its own in `folder`, so that what
doesn't fit in memory goes to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from worker.report import shape
from worker.report.errors import ReportError, extra

MEMORY: Final = "1GB"
LINE_BYTES_MAX: Final = 16 << 20  # a correction may restate a long history
COMPRESSIONS: Final = {"plain": "none", "gzip": "gzip", "zstd": "zstd"}
STORED: Final = (
    "changes", "statuses", "breaches", "signals", "hygiene", "companies", "merges", "events", "spend",
)  # fmt: skip
"""Tables that a folder of Parquet may hold, and from which all others follow."""


class Tables:
    """A DuckDB connection with the tables of one lifecycle. Load what there is, then `finish`."""

    def __init__(self, stages: Sequence[str], owners: Sequence[str], folder: Path) -> None:
        duckdb = extra("duckdb")
        self._fault = duckdb.Error
        self.stages = list(stages)
        self.owners = list(owners)
        self.has_events = False
        self._stored: list[str] = []
        self.db: Any = duckdb.connect(str(folder / "report.duckdb"))
        self.db.execute(f"SET memory_limit='{MEMORY}'")
        self.db.execute(f"SET temp_directory='{_quoted(folder / 'spill')}'")
        self.db.execute("SET threads=2")
        self.db.execute("SET enable_progress_bar=false")
        self.db.execute("CREATE TABLE stages (place INTEGER, stage VARCHAR, owner VARCHAR)")
        self.db.executemany(
            "INSERT INTO stages VALUES (?, ?, ?)",
            [(place, stage, owner) for place, (stage, owner) in enumerate(zip(stages, owners, strict=True))],
        )
        self.db.execute(shape.OPS)
        self.db.execute(shape.TAKEN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()

    def changes(self, path: Path, name: str, form: str = "plain") -> None:
        """Take in published events, one a line, in the order of publishing.

        Raises: ReportError where the file can't be read.
        """
        self._load(shape.RAW, shape.RAW_COLUMNS, path, name, form)
        if self.rows("SELECT count(*) FROM raw WHERE id IS NOT NULL AND type LIKE 'lifecycle.%'") == [(0,)]:
            raise ReportError(f"{name}: holds no events that a worker published: give `replay --out`'s file")
        self.db.execute(shape.TAKE_RAW)

    def events(self, path: Path, name: str, form: str) -> None:
        """Take in the events that the worker read: for spend, lists, deals and touches.

        Raises: ReportError where the file can't be read.
        """
        self.has_events = True
        self._load(shape.RAW_EVENTS, shape.RAW_EVENTS_COLUMNS, path, name, form)
        self.db.execute(shape.TAKE_EVENTS)

    def _load(self, statement: str, columns: str, path: Path, name: str, form: str) -> None:
        source = (
            f"read_json('{_quoted(path)}', format='newline_delimited', ignore_errors=true,"
            f" maximum_object_size={LINE_BYTES_MAX}, compression='{COMPRESSIONS[form]}', columns={columns})"
        )
        try:
            self.db.execute(statement.replace("$SOURCE", source))
        except self._fault as error:
            raise ReportError(f"{name}: can't be read: {str(error).splitlines()[0]}") from None

    def folder(self, folder: Path) -> None:
        """Take in the Parquet tables that a report wrote into a folder; `changes` must be there.

        Raises: ReportError where it isn't, or can't be read.
        """
        if not (folder / "changes.parquet").is_file():
            raise ReportError(f"{folder}: holds no changes.parquet: give a folder that `report --out` wrote")
        for table in STORED:
            path = folder / f"{table}.parquet"
            try:
                if path.is_file():
                    self.db.execute(f"CREATE TABLE {table}_stored AS FROM read_parquet('{_quoted(path)}')")
                    self._stored.append(table)
                    self.has_events |= table == "events" and self.rows(f"SELECT count(*) FROM {table}_stored") > [(0,)]
            except self._fault as error:
                raise ReportError(f"{path}: can't be read: {str(error).splitlines()[0]}") from None

    def finish(self, as_of: int | None = None) -> None:
        """Make the tables that the figures read, as of a time (epoch ms); else of the newest that was published."""
        execute = self.db.execute
        for statement in shape.STANDING:
            execute(statement)
        for table in self._stored:
            execute(f"INSERT INTO {table} BY NAME SELECT * FROM {table}_stored")
            execute(f"DROP TABLE {table}_stored")
        if as_of is None:
            execute(shape.NEWEST)
        else:
            execute("CREATE TABLE meta AS SELECT make_timestamp(? * 1000) AS as_of", [as_of])
            for table in STORED:
                execute(f"DELETE FROM {table} WHERE happened > (SELECT as_of FROM meta)")
        for statement in shape.DERIVED:
            execute(statement)
        unknown = self.rows("SELECT DISTINCT to_stage FROM changes ANTI JOIN stages ON to_stage = stage ORDER BY 1")
        if unknown:
            names = ", ".join(str(name) for (name,) in unknown)
            raise ReportError(
                f"the changes name stages that this lifecycle has not: {names}: give the lifecycle that published them"
            )

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.db.execute(query, list(parameters)).fetchall()
        return found

    def dicts(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows by the names of their columns."""
        cursor = self.db.execute(query, list(parameters))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def write(self, table: str, folder: Path) -> None:
        """The table as `TABLE.parquet` and `TABLE.csv`."""
        path = _quoted(folder / table)
        self.db.execute(f"COPY (FROM {table}) TO '{path}.parquet' (FORMAT parquet)")
        self.db.execute(f"COPY (FROM {table}) TO '{path}.csv' (FORMAT csv, HEADER)")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
