"""What was published, as tables of DuckDB: corrections applied, the erased left out, merged ids under who they are now.

What stands is settled first (see `standing`), and the tables that the figures read are made from it (see `shape`).

Times are TIMESTAMP in UTC, durations DOUBLE seconds. The database is a file of its own in `folder`, so that what
doesn't fit in `MEMORY` goes to disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from worker.report import columns, shape, standing
from worker.report.errors import ReportError, extra

MEMORY: Final = "1GB"
THREADS: Final = 2
LINE_BYTES_MAX: Final = 16 << 20  # a correction may restate a long history
COMPRESSIONS: Final = {"plain": "none", "gzip": "gzip", "zstd": "zstd"}
PARQUET: Final = b"PAR1"
STEPS: Final = 75  # statements of a report, about: what progress is told in
PROGRESS_SECONDS: Final = 0.25

Progress = Callable[[int, int], None]
"""Told how many of how many hundredths are done."""


class Tables:
    """A DuckDB connection with the tables of one lifecycle. Load what there is, then `finish`."""

    def __init__(
        self,
        stages: Sequence[str],
        owners: Sequence[str],
        folder: Path,
        progress: Progress | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        duckdb = extra("duckdb")
        self._fault = duckdb.Error
        self.stages = list(stages)
        self.owners = list(owners)
        self.names = list(names) if names is not None else self.stages
        self.has_events = False
        self._progress = progress
        self._sources: list[str] = []
        self._lines = 0
        self._folders: list[Path] = []
        self._until = ""
        self._steps = 0
        self.db: Any = duckdb.connect(str(folder / "report.duckdb"))
        self.db.execute(f"SET memory_limit='{MEMORY}'")
        self.db.execute(f"SET temp_directory='{_quoted(folder / 'spill')}'")
        self.db.execute(f"SET threads={THREADS}")
        self.db.execute("SET TimeZone='UTC'")
        self.db.execute("SET enable_progress_bar=false")
        self.db.execute("CREATE TABLE stages (place TINYINT, stage VARCHAR, owner VARCHAR)")
        self.db.executemany(
            "INSERT INTO stages VALUES (?, ?, ?)",
            [(place, stage, owner) for place, (stage, owner) in enumerate(zip(stages, owners, strict=True))],
        )
        self.db.execute(standing.TAKEN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()

    def changes(self, path: Path, name: str, form: str = "plain") -> None:
        """Take in published events in the order of publishing: one a line, or a row of Parquet each.

        Raises: ReportError where the file can't be read.
        """
        if is_parquet(path):
            source = self._parquet(path, name)
        else:
            raw = f"raw_{len(self._sources)}"
            self._load(raw, columns.JSON, path, name, form)
            source = (
                f'SELECT rowid + {self._lines} AS position, id, type, subject, "time", {columns.columns("data")},'
                f" data.withdrawn AS withdrawn, data.restated AS restated FROM {raw}"
            )
        found, published = self.rows(
            f"SELECT count(*), coalesce(bool_or(type LIKE 'lifecycle.%' AND id IS NOT NULL), false) FROM ({source})"
        )[0]
        if not published:
            raise ReportError(f"{name}: holds no events that a worker published: give `replay --out`'s file")
        self._sources.append(source)
        self._lines += found

    def _parquet(self, path: Path, name: str) -> str:
        """What selects the lines of a Parquet file whose columns are those of the events."""
        scan = f"read_parquet('{_quoted(path)}', file_row_number=true)"
        try:
            found = self.db.sql(f"FROM {scan}")
            wanted = self.db.sql(f"SELECT NULL::{columns.DATA}").types[0]
        except self._fault as error:
            raise _unreadable(name, error) from None
        forms = dict(zip(found.columns, found.types, strict=True))
        missing = [column for column in ("id", "type", "subject", "time", "data") if column not in forms]
        if missing or forms["data"].id != "struct":
            fault = f"has no column {', '.join(missing)}" if missing else "has data that is no struct"
            raise ReportError(
                f"{name}: {fault}: give published events as they are (id, type, subject, time, and data with its"
                " fields), or a folder that `report --out` wrote"
            )
        return (
            f"SELECT file_row_number + {self._lines} AS position, id::VARCHAR AS id, type::VARCHAR AS type,"
            f' subject::VARCHAR AS subject, "time"::VARCHAR AS "time",'
            f" {columns.found('data', forms['data'], wanted)} FROM {scan}"
        )

    def events(self, path: Path, name: str, form: str) -> None:
        """Take in the events that the worker read: for spend, lists, deals and touches.

        Raises: ReportError where the file can't be read.
        """
        self.has_events = True
        self._load("raw", standing.EVENT_COLUMNS, path, name, form)
        self.db.execute(standing.TAKE_EVENTS)

    def _load(self, table: str, columns: str, path: Path, name: str, form: str) -> None:
        statement = (
            f"CREATE OR REPLACE TABLE {table} AS FROM read_json('{_quoted(path)}', format='newline_delimited',"
            f" ignore_errors=true, maximum_object_size={LINE_BYTES_MAX}, compression='{COMPRESSIONS[form]}',"
            f" columns={columns})"
        )
        try:
            self._run([statement])
        except self._fault as error:
            raise _unreadable(name, error) from None

    def folder(self, folder: Path) -> None:
        """Take in the Parquet tables that a report wrote into a folder; `changes` must be there.

        Raises: ReportError where it isn't, or can't be read.
        """
        if not (folder / "changes.parquet").is_file():
            raise ReportError(f"{folder}: holds no changes.parquet: give a folder that `report --out` wrote")
        self._folders.append(folder)
        events = folder / "events.parquet"
        try:
            if events.is_file():
                self.has_events |= self.rows(f"SELECT count(*) FROM read_parquet('{_quoted(events)}')") > [(0,)]
        except self._fault as error:
            raise _unreadable(str(events), error) from None

    def finish(self, as_of: int | None = None) -> None:
        """Make the tables that the figures read, as of a time (epoch ms); else of the newest that was published.

        Raises: ReportError where a folder's table can't be read, or the changes are another lifecycle's.
        """
        self._until = "" if as_of is None else f" WHERE happened <= make_timestamp({as_of * 1000})"
        told = {table: self._stored(table, query) for table, query in standing.TOLD.items()}
        try:
            self._run(
                [
                    standing.lines(self._sources),
                    *standing.SETTLE,
                    f"CREATE TABLE merges AS {self._stored('merges', standing.MERGES)}",
                    *standing.IDENTITIES,
                    # Of changes there are many, and each of their columns is read once: a view does.
                    f"CREATE VIEW told_changes AS {told.pop('changes')}",
                    *(f"CREATE TABLE told_{table} AS {query}" for table, query in told.items()),
                    *(
                        f"CREATE TABLE {table} AS {self._stored(table, standing.OTHERS[table])}"
                        for table in standing.OTHERS
                    ),
                    standing.NEWEST if as_of is None else standing.AS_OF.format(micros=as_of * 1000),
                ]
            )
            self._run(standing.NUMBERS)
            self._check_stages()
            self._run(shape.DERIVED)
        except self._fault as error:
            raise _unreadable(", ".join(map(str, self._folders)) or "the changes", error) from None

    def _check_stages(self) -> None:
        if self.rows("SELECT count(*) FROM changes WHERE place IS NULL") == [(0,)]:
            return
        unknown = self.rows(
            "SELECT DISTINCT to_stage FROM told_changes ANTI JOIN stages ON to_stage = stage ORDER BY 1"
        )
        names = ", ".join(str(name) for (name,) in unknown)
        raise ReportError(
            f"the changes name stages that this lifecycle has not: {names}: give the lifecycle that published them"
        )

    def _stored(self, table: str, query: str) -> str:
        """What stands, and what the folders hold of a table."""
        queries = [query]
        for folder in self._folders:
            path = folder / f"{table}.parquet"
            if path.is_file():
                contact = " EXCLUDE (contact)" if table in standing.TOLD else ""
                queries.append(f"SELECT *{contact} FROM read_parquet('{_quoted(path)}')")
        every = "\nUNION ALL BY NAME\n".join(f"({one})" for one in queries)
        return f"SELECT * FROM ({every}){self._until}"

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            with self._told():
                self.db.execute(statement)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Around one step; meanwhile another thread tells how far all is, as DuckDB guesses of this one."""
        progress, done = self._progress, self._steps
        self._steps += 1
        if progress is None:
            yield
            return
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(PROGRESS_SECONDS):
                part = min(max(self.db.query_progress(), 0.0), 100.0) / 100
                progress(min(round(100 * (done + part) / STEPS), 100), 100)

        watcher = threading.Thread(target=watch, name="report-progress")
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.db.execute(query, list(parameters)).fetchall()
        return found

    def dicts(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows by the names of their columns."""
        with self._told():
            cursor = self.db.execute(query, list(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def write(self, table: str, folder: Path) -> None:
        """The table as `TABLE.parquet` and `TABLE.csv`."""
        if table in standing.TOLD:
            query = standing.EXPORTED.format(table=table)
        else:
            query = shape.EXPORTED.get(table, f"FROM {table}")
        path = _quoted(folder / table)
        self.db.execute(f"COPY ({query}) TO '{path}.parquet' (FORMAT parquet)")
        self.db.execute(f"COPY (FROM read_parquet('{path}.parquet')) TO '{path}.csv' (FORMAT csv, HEADER)")


def is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET)) == PARQUET
    except OSError:
        return False


def _unreadable(name: str, error: Exception) -> ReportError:
    return ReportError(f"{name}: can't be read: {str(error).splitlines()[0]}")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
