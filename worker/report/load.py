"""From what a report is asked for to finished tables: changes as published, or events folded here first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from worker.definition.model import Lifecycle
from worker.replay import Job, Source, Terms, replay
from worker.replay.lines import format_of
from worker.replay.results import STAGE_CHANGES
from worker.report.tables import Tables
from worker.transports.base import EARLIEST, TopicPartition, Transport

Progress = Callable[[int, int], None]

POLL_RECORDS: Final = 5_000
POLL_MS: Final = 500


def empty_tables(lifecycle: Lifecycle, folder: Path, progress: Progress | None = None) -> Tables:
    stages = lifecycle.stages
    return Tables(
        list(stages),
        [stage.owner.value for stage in stages.values()],
        folder,
        progress,
        [stage.name for stage in stages.values()],
    )


def load_changes(tables: Tables, path: Path) -> None:
    """Take in a file of published events, a replay's folder, or a folder of tables that a report wrote.

    Raises: ReportError, ReplayError where it can't be read.
    """
    if path.is_dir() and (path / STAGE_CHANGES).is_file():
        path = path / STAGE_CHANGES
    if path.is_dir():
        tables.folder(path)
    else:
        tables.changes(path, str(path), format_of(path))


def load_events(tables: Tables, sources: Sequence[Source]) -> None:
    for source in sources:
        tables.events(source.path, source.name, source.format)


def fold_events(tables: Tables, job: Job, folder: Path, progress: Progress | None) -> int:
    """Fold the job's events and take in what a worker would publish of them; the clock (epoch ms) it ended with."""
    summary = replay(job, folder, progress=progress)
    path = folder / STAGE_CHANGES
    if path.stat().st_size:
        tables.changes(path, path.name)
    return summary.clock


def job_of(lifecycle: Lifecycle, sources: Sequence[Source], wall: int, as_of: int | None, by_time: bool) -> Job:
    return Job(lifecycle, tuple(sources), Terms(wall=wall, as_of=as_of, by_time=by_time))


def copy_published(transport: Transport, topic: str, path: Path, progress: Progress | None = None) -> None:
    """What is committed on the topic up to its end as it is now, one event a line. What is no text is left out.

    Raises: what the log raises; TransportError where there is no such topic.
    """
    from worker.transports.errors import Fatal

    admin = transport.admin()
    try:
        partitions = admin.partitions(topic)
        if partitions is None:
            raise Fatal(f"there is no topic {topic}", "name the one that a worker publishes to")
        every = [TopicPartition(topic, number) for number in range(partitions)]
        ends, begins = admin.end_offsets(every), admin.begin_offsets(every)
    finally:
        admin.close()
    total = sum(ends[one] - begins[one] for one in every)
    left = {one for one in every if begins[one] < ends[one]}
    reader = transport.reader()
    try:
        reader.assign(dict.fromkeys(every, EARLIEST))
        with path.open("wb") as file:
            while left:
                for record in reader.poll(POLL_MS, POLL_RECORDS):
                    if record.value is not None and record.offset < ends[TopicPartition(topic, record.partition)]:
                        file.write(record.value.replace(b"\n", b" ") + b"\n")
                left = {one for one in left if reader.position(one) < ends[one]}
                if progress is not None and total:
                    progress(total - sum(ends[one] - reader.position(one) for one in left), total)
    finally:
        reader.close()
