"""A replay from files to files: in one go where the events fit in memory, else laid into parts and folded part by part.

However it is cut, the files come out the same: contacts in the order of their first events, each with its history.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

from worker.replay.companies import fold_companies
from worker.replay.families import Families, ties
from worker.replay.job import Job, Sizes, Summary
from worker.replay.lines import read_lines
from worker.replay.part import History, Part, Told, Totals
from worker.replay.parts import Parts
from worker.replay.pool import Report
from worker.replay.records import DeadLetter, Span
from worker.replay.results import Results, dead_row, encode_line
from worker.replay.spread import part_count

PARTS_MAX: Final = 200  # each has two open files while it is laid
COMPRESSED: Final = 8  # how much larger a compressed file is, about, when it is read
PASSES: Final = 3  # how often a file is read in parts: for its ties, to be laid, to be folded

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done; a byte counts for every time it is read."""

_SIZES: Final = Sizes()


def replay(
    job: Job,
    out: Path | None = None,
    *,
    processes: int = 1,
    sizes: Sizes = _SIZES,
    refused: Iterable[DeadLetter] = (),
    progress: Progress | None = None,
) -> Summary:
    """Fold all events of the sources; the files are in `out` afterwards, if there is one.

    `refused` are records that were no events before they came here.

    Raises: ReplayError where an input can't be read or the files can't be written.
    """
    bytes_ = sum(source.path.stat().st_size for source in job.sources)
    read = sum(source.path.stat().st_size * (1 if source.format == "plain" else COMPRESSED) for source in job.sources)
    with ExitStack() as stack:
        results = stack.enter_context(Results(out)) if out is not None else None
        folded: Directly | Parts
        if processes == 1 and read <= sizes.direct:
            folded = Directly(job, _progress(progress, bytes_))
        else:
            parts = part_count(read, sizes.part, processes, PARTS_MAX)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-replay-")))
            folded = Parts(job, parts, processes, folder, _progress(progress, bytes_ * PASSES))
        for history in folded.histories():
            if results is not None:
                results.contact(history)
        changes, rows = fold_companies(folded.engine, folded.told, folded.clock)
        totals = folded.totals
        totals.outputs += len(changes)
        before = []
        for letter in refused:
            before.append((letter.position, encode_line(dead_row(job.sources, letter))))
            totals.reasons[letter.refusal.reason] += 1
        totals.events += len(before)
        if results is not None:
            results.companies(changes, rows)
            results.dead(before, folded.dead_rows())
        return Summary(totals, folded.clock, len(rows))


def _progress(progress: Progress | None, total: int) -> Report | None:
    if progress is None:
        return None
    done = 0

    def report(more: int) -> None:
        nonlocal done
        done += more
        progress(min(done, total), total)

    return report


class Directly:
    """The job's events, read whole and folded in this process."""

    def __init__(self, job: Job, report: Report | None) -> None:
        families = None
        spans = [(source, Span(0, 0, source.path.stat().st_size)) for source in job.sources]
        if job.terms.by_time:  # what comes later in the file may have happened before
            families = Families(tie for source, span in spans for tie in ties(read_lines(source, span)))
        self.engine = job.engine()
        self._part = Part(self.engine, job.terms, families)
        self._sources = job.sources
        for place, (source, span) in enumerate(spans):
            numbers = count(1)
            for lines in read_lines(source, span, report):
                self._part.read(place, lines, numbers)
        self.clock = self._part.newest if job.terms.as_of is None else job.terms.as_of

    @property
    def totals(self) -> Totals:
        return self._part.totals

    @property
    def told(self) -> list[Told]:
        return self._part.told

    def histories(self) -> Iterator[History]:
        return self._part.fold(self.clock)

    def dead_rows(self) -> Iterator[tuple[int, bytes]]:
        letters = sorted(self._part.dead, key=lambda letter: letter.position)
        return ((letter.position, encode_line(dead_row(self._sources, letter))) for letter in letters)
