"""The job's events read, laid into parts by contact, and folded part by part, by one process or several side by side.

However it is cut, the histories come out the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from worker.fold.engine import Engine
from worker.fold.outcome import Refusal
from worker.replay.families import Families, families_kept, keep_families, ties
from worker.replay.job import Job, Sizes
from worker.replay.lines import read_blocks
from worker.replay.part import History, Part, Told
from worker.replay.pool import Pool, Report
from worker.replay.reading import Arrivals, Known, Reader, by_contact
from worker.replay.records import DeadLetter, Span
from worker.replay.results import Shelf, merged, recalled
from worker.replay.spread import Spread, bytes_of, gathered, lay, part_count, spans
from worker.replay.terms import Totals

_encode: Final = msgspec.msgpack.Encoder().encode
_letter: Final = msgspec.msgpack.Decoder(tuple[Refusal, bytes | None]).decode


@dataclass(frozen=True)
class Bench:
    """What a process works with. `families` are read from the folder, where they have been put, once."""

    job: Job
    engine: Engine
    folder: Path
    parts: int
    at_hand: int
    known: Known = field(default_factory=Known)  # of the spans that this process has read: it is given them in order

    @cached_property
    def families(self) -> Families:
        return families_kept(self.folder)


class Laid(NamedTuple):
    """What came of reading spans: how many lines, the newest event's time (0: none); and what is not in the folder."""

    lines: int
    newest: int
    totals: Totals
    spread: Spread | None


class Folded(NamedTuple):
    """What a part came to; its histories and dead letters lie on their shelves."""

    totals: Totals
    told: list[Told]


class Parts:
    """The job's events, folded by so many processes; `folder` is for what lies in between."""

    def __init__(self, job: Job, processes: int, sizes: Sizes, folder: Path, report: Report) -> None:
        self.totals = Totals()
        self.told: list[Told] = []
        self._job = job
        self._folder = folder
        share = sum(source.path.stat().st_size for source in job.sources)
        self._parts = part_count(bytes_of(job.sources), sizes.part, processes)
        cut = spans(job.sources, processes)
        # One process has it all at hand as long as it can; of several, each folds what others have read.
        readings = [("0", cut)] if processes == 1 else [(str(name), [span]) for name, span in enumerate(cut)]
        at_hand = sizes.at_hand // processes
        with Pool(processes, report, _bench, job, folder, self._parts, at_hand) as pool:
            self.engine = pool.setting.engine
            # What comes later in a file may have happened before, or be another process's.
            if processes > 1 or job.terms.by_time:
                keep_families(folder, pool.run(_ties, [(span,) for span in cut]))
            laid_out = pool.run(_lay, [(name, some, processes == 1) for name, some in readings])
            newest = max((one.newest for one in laid_out), default=0)
            self.clock = newest if job.terms.as_of is None else job.terms.as_of
            self._before = [0] if processes == 1 else lines_before(cut, [one.lines for one in laid_out])
            for one in laid_out:
                self.totals.add(one.totals)
            spread = laid_out[0].spread if processes == 1 else None
            calls = [(part, self._before, self.clock, share // self._parts, spread) for part in range(self._parts)]
            for folded in pool.run(_fold, calls):
                self.totals.add(folded.totals)
                self.told += folded.told

    def histories(self) -> Iterator[History]:
        """In the order of the contacts' first events; nothing where nothing is told: the totals say all."""
        return merged(Shelf(self._folder, f"part-{part}") for part in range(self._parts) if self._job.terms.telling)

    def dead(self) -> Iterator[DeadLetter]:
        """What was refused, with the records, in the order of arrival."""
        read = (_taken(Shelf(self._folder, f"dead-{name}"), more) for name, more in enumerate(self._before))
        folded = (_taken(Shelf(self._folder, f"dead-part-{part}"), 0) for part in range(self._parts))
        return recalled(self._job.sources, merge(*read, *folded, key=attrgetter("position")))


def _bench(job: Job, folder: Path, parts: int, at_hand: int) -> Bench:
    return Bench(job, job.engine(), folder, parts, at_hand)


def _ties(bench: Bench, report: Report, span: Span) -> set[tuple[str, str]]:
    return set(ties(read_blocks(bench.job.sources[span.source], span, report)))


def _lay(bench: Bench, report: Report, name: str, cut: list[Span], stays: bool) -> Laid:
    """Spans are read, and what they hold lies in the parts: all in files, unless it `stays` with this process."""
    job = bench.job
    noticed = stays and not job.terms.by_time
    families = Families() if noticed else bench.families
    reader = Reader([bench.engine.plan], job.terms, families, bench.known)
    spread = Spread(bench.folder, name, bench.parts, families, bench.at_hand)
    lines = lay(reader, job.sources, cut, spread, report)
    if noticed:
        keep_families(bench.folder, [families.pairs()])
        spread = spread.joined("joined", families) if families else spread
    if not stays:
        spread.write()
    _put(Shelf(bench.folder, f"dead-{name}"), reader.dead)
    return Laid(lines, reader.newest, reader.totals, spread if stays else None)


def lines_before(cut: list[Span], lines: list[int]) -> list[int]:
    """How many lines of its source come before each span."""
    before: list[int] = []
    counted: dict[int, int] = {}
    for span, count in zip(cut, lines, strict=True):
        before.append(counted.get(span.source, 0))
        counted[span.source] = before[-1] + count
    return before


def _fold(
    bench: Bench, report: Report, number: int, before: list[int], clock: int, share: int, spread: Spread | None
) -> Folded:
    """One part, gathered from what was laid of each span, folded, and put on its shelves."""
    arrived = by_contact(gathered(bench.folder, number, before) if spread is None else spread.gather(number))
    if spread is not None and bench.families:
        arrived = dict(sorted(arrived.items(), key=_first))
    part = Part(bench.engine, bench.job.terms, bench.families, arrived)
    histories = part.fold(clock)
    if bench.job.terms.telling:
        Shelf(bench.folder, f"part-{number}").put(histories)
    else:
        deque(histories, maxlen=0)
    _put(Shelf(bench.folder, f"dead-part-{number}"), sorted(part.dead, key=attrgetter("position")))
    report(share)
    return Folded(part.totals, part.told)


def _first(arrived: tuple[str, Arrivals]) -> int:
    place: int = arrived[1][0]
    return place


def _put(shelf: Shelf, dead: Iterable[DeadLetter]) -> None:
    shelf.put(History(letter.position, _encode((letter.refusal, letter.record)), b"") for letter in dead)


def _taken(shelf: Shelf, more: int) -> Iterator[DeadLetter]:
    return (DeadLetter(position + more, *_letter(written)) for position, written, _ in shelf.take())
