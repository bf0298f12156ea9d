"""Events that don't fit in memory, or that several processes share: laid into parts by contact, folded part by part."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from worker.fold.engine import Engine
from worker.replay.families import Families, families_kept, keep_families, ties
from worker.replay.job import Job
from worker.replay.lines import read_lines
from worker.replay.part import History, Part, Told, Totals
from worker.replay.pool import Pool, Report
from worker.replay.records import Span
from worker.replay.results import Shelf, dead_row, encode_line, merged
from worker.replay.spread import Laid, laid, lay, spans


@dataclass(frozen=True)
class Bench:
    """What a process works with. `families` are read from the folder, where `Parts` has put them, once."""

    job: Job
    engine: Engine
    folder: Path

    @cached_property
    def families(self) -> Families:
        return families_kept(self.folder)


class Folded(NamedTuple):
    """What a part came to; its histories and dead letters lie on their shelves."""

    totals: Totals
    told: list[Told]


class Parts:
    """The job's events, folded in so many parts by so many processes; `folder` is for what lies in between."""

    def __init__(self, job: Job, parts: int, processes: int, folder: Path, report: Report | None) -> None:
        self.totals = Totals()
        self.told: list[Told] = []
        self._folder = folder
        self._parts = parts
        self._telling = job.terms.telling
        cut = spans(list(job.sources), processes)
        with Pool(processes, report, _bench, job, folder) as pool:
            self.engine = pool.setting.engine
            keep_families(folder, pool.run(_ties, [(span,) for span in cut]))
            laid_out = pool.run(_lay, [(number, span, parts) for number, span in enumerate(cut)])
            newest = max((one.newest for one in laid_out), default=0)
            self.clock = newest if job.terms.as_of is None else job.terms.as_of
            firsts = _first_numbers(cut, laid_out)
            for folded in pool.run(_fold, [(part, cut, firsts, self.clock) for part in range(parts)]):
                self.totals.add(folded.totals)
                self.told += folded.told

    def histories(self) -> Iterator[History]:
        """Nothing where nothing is told: the totals say all."""
        return merged(Shelf(self._folder, f"part-{part}") for part in range(self._parts) if self._telling)

    def dead_rows(self) -> Iterator[tuple[int, bytes]]:
        shelves = (Shelf(self._folder, f"dead-{part}") for part in range(self._parts))
        return ((row.position, row.changes) for row in merged(shelves))


def _bench(job: Job, folder: Path) -> Bench:
    return Bench(job, job.engine(), folder)


def _ties(bench: Bench, report: Report, span: Span) -> set[tuple[str, str]]:
    return set(ties(read_lines(bench.job.sources[span.source], span, report)))


def _lay(bench: Bench, report: Report, number: int, span: Span, parts: int) -> Laid:
    job = bench.job
    source, wall = job.sources[span.source], job.terms.wall
    return lay(bench.engine.plan, source, span, parts, bench.families, wall, bench.folder, str(number), report)


def _first_numbers(cut: list[Span], laid_out: list[Laid]) -> list[int]:
    """How many lines of its source come before each span."""
    before: list[int] = []
    counted: dict[int, int] = {}
    for span, one in zip(cut, laid_out, strict=True):
        before.append(counted.get(span.source, 0))
        counted[span.source] = before[-1] + one.lines
    return before


def _fold(bench: Bench, report: Report, number: int, cut: list[Span], before: list[int], clock: int) -> Folded:
    """One part: read from what was laid of each span, folded, and put on its shelves."""
    part = Part(bench.engine, bench.job.terms, bench.families)
    for name, span in enumerate(cut):
        for lines, numbers in laid(bench.folder, str(name), number):
            if before[name]:
                numbers = array("Q", [before[name] + at for at in numbers])
            part.read(span.source, lines, numbers)
            report(sum(map(len, lines)) + len(lines))
    histories = part.fold(clock)
    if bench.job.terms.telling:
        Shelf(bench.folder, f"part-{number}").put(histories)
    else:
        deque(histories, maxlen=0)
    dead = sorted(part.dead, key=lambda letter: letter.position)
    rows = (History(letter.position, encode_line(dead_row(bench.job.sources, letter)), b"") for letter in dead)
    Shelf(bench.folder, f"dead-{number}").put(rows)
    return Folded(part.totals, part.told)
