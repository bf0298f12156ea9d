"""The same events folded under several definitions: read and decoded once, each contact's histories side by side.

Events are laid into parts by contact as a replay lays them, and parts are folded by several processes; each part is
decoded once for all definitions, and folded once for those that differ in guards and figures only.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from worker.compare.alike import Parting, alike, unheard, watched
from worker.compare.part import NOBODY, BriefPart, LeadingPart
from worker.compare.result import Changed, Figures
from worker.definition.model import Lifecycle
from worker.fold.engine import Engine
from worker.plan import Plan, compile_plan
from worker.replay import Source, Terms
from worker.replay.families import Families, families_kept, keep_families, ties
from worker.replay.lines import read_blocks
from worker.replay.part import History
from worker.replay.parts import lines_before
from worker.replay.pool import Pool, Progress, Report, summed
from worker.replay.reading import Arrivals, Known, Reader, by_contact
from worker.replay.records import Span
from worker.replay.results import Shelf, merged
from worker.replay.spread import Spread, bytes_of, gathered, lay, part_count, spans

PART_BYTES: Final = 32 << 20  # of events, held once and grouped once a definition
AT_HAND_BYTES: Final = 16 << 20  # of what a span holds, before it is written
PASSES: Final = 3  # how often a file is read: for ties, to be laid, to be folded

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Variant:
    """A definition to compare with others, and what it is called: `old`, `new`, or a parameter's value."""

    name: str
    lifecycle: Lifecycle


@dataclass
class Comparison:
    """What came of it. The first variant is what the others are compared with.

    `changed` counts, for each of the others, contacts whose history differs; `moved` contacts by where they stand
    under the first and under the second.
    """

    variants: tuple[Variant, ...]
    figures: list[Figures]
    changed: list[int]
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    contacts: int = 0
    clock: int = 0

    @property
    def stages(self) -> list[str]:
        """The stages of all variants, from the lowest; one that only a later variant has stands where it has it."""
        renamed = _renamed(self.variants)
        order: list[str] = []
        for variant in self.variants:
            names = [renamed.get(stage, stage) for stage in variant.lifecycle.stages]
            place = -1 if any(name in order for name in names) else len(order) - 1  # nothing in common: after the rest
            for name in names:
                if name not in order:
                    order.insert(place + 1, name)
                place = order.index(name)
        return order


@dataclass(frozen=True)
class _Job:
    variants: tuple[Variant, ...]
    sources: tuple[Source, ...]
    terms: Terms
    keep: bool  # whether contacts whose histories part are wanted one by one


@dataclass(frozen=True)
class _Bench:
    job: _Job
    engines: tuple[Engine, ...]
    names: tuple[tuple[str, ...], ...]
    alike: tuple[int, ...]  # variants that are folded as one with the first
    parting: Parting
    plan: Plan  # the first's, asking those
    folder: Path
    parts: int
    known: Known = field(default_factory=Known)  # of the spans that this process has read: it is given them in order

    @cached_property
    def families(self) -> Families:
        return families_kept(self.folder)

    def folded(self, arrived: dict[str, Arrivals]) -> list[BriefPart]:
        """A part for each variant, the first of which leads those that are like it."""
        terms, families = self.job.terms, self.families
        parts = [
            BriefPart(engine, terms, families, {} if place in self.alike else dict(arrived), names)
            for place, (engine, names) in enumerate(zip(self.engines, self.names, strict=True))
            if place
        ]
        followers = [(1 << place, parts[place - 1]) for place in self.alike]
        lead = LeadingPart(self.engines[0], terms, families, arrived, self.names[0], self.plan, self.parting, followers)
        return [lead, *parts]


class _Folded(NamedTuple):
    figures: list[Figures]
    changed: list[int]
    moved: Counter[tuple[str, str]]
    contacts: int


def compare(
    variants: Sequence[Variant],
    sources: Sequence[Source],
    terms: Terms,
    *,
    processes: int = 1,
    each: Callable[[bytes], None] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fold the sources under every variant. `each` gets the first and second's differing contacts, as lines of JSON.

    Raises: ReplayError where a source can't be read.
    """
    job = _Job(tuple(variants), tuple(sources), terms, each is not None)
    bytes_ = sum(source.path.stat().st_size for source in sources)
    parts = part_count(bytes_of(sources), PART_BYTES, processes)
    report = summed(progress, bytes_ * PASSES)
    cut = spans(list(sources), processes)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-compare-")))
        with Pool(processes, report, _bench, job, folder, parts) as pool:
            keep_families(folder, pool.run(_ties, [(span,) for span in cut]))
            laid_out = pool.run(_lay, list(enumerate(cut)))
            newest = max((one.newest for one in laid_out), default=0)
            clock = newest if terms.as_of is None else terms.as_of
            before = lines_before(cut, [one.lines for one in laid_out])
            folded = pool.run(_fold, [(part, before, clock, bytes_ // parts) for part in range(parts)])
        total = Comparison(job.variants, [Figures() for _ in variants], [0] * len(variants), clock=clock)
        for figures in total.figures:
            figures.dead_letters = sum(one.refused for one in laid_out)
        for one in folded:
            total.contacts += one.contacts
            total.moved += one.moved
            for place in range(len(variants)):
                total.figures[place].add(one.figures[place])
                total.changed[place] += one.changed[place]
        if each is not None:
            for history in merged(Shelf(folder, f"part-{part}") for part in range(parts)):
                each(history.changes)
        return total


def _bench(job: _Job, folder: Path, parts: int) -> _Bench:
    engines = tuple(Engine(compile_plan(variant.lifecycle), grace=False) for variant in job.variants)
    renamed = _renamed(job.variants)
    names = tuple(tuple(renamed.get(name, name) for name in variant.lifecycle.stages) for variant in job.variants)
    first, parting = engines[0].plan, Parting()
    like = tuple(
        place
        for place, engine in enumerate(engines)
        if place and names[place] == names[0] and alike(first, engine.plan)
    )
    plan = unheard(watched(first, [(1 << place, engines[place].plan) for place in like], parting))
    return _Bench(job, engines, names, like, parting, plan, folder, parts)


def _renamed(variants: Sequence[Variant]) -> dict[str, str]:
    """Stages that a later variant calls otherwise, by what its `was` says: they are compared under the newer name."""
    newest = variants[-1].lifecycle.stages
    return {was: name for name, stage in newest.items() for was in stage.was if was not in newest}


class _Laid(NamedTuple):
    """What came of reading a span: how many lines, the newest event's time (0: none), how many were refused."""

    lines: int
    newest: int
    refused: int


def _ties(bench: _Bench, report: Report, span: Span) -> set[tuple[str, str]]:
    return set(ties(read_blocks(bench.job.sources[span.source], span, report)))


def _lay(bench: _Bench, report: Report, number: int, span: Span) -> _Laid:
    reader = Reader([engine.plan for engine in bench.engines], bench.job.terms, bench.families, bench.known)
    spread = Spread(bench.folder, str(number), bench.parts, bench.families, AT_HAND_BYTES)
    lines = lay(reader, bench.job.sources, [span], spread, report)
    spread.write()
    return _Laid(lines, reader.newest, reader.totals.dead_letters)


def _fold(bench: _Bench, report: Report, number: int, before: list[int], clock: int, share: int) -> _Folded:
    """One part under every variant; contacts whose histories part are put on its shelf."""
    parts = bench.folded(by_contact(gathered(bench.folder, number, before)))
    folded = _Folded([Figures() for _ in parts], [0] * len(parts), Counter(), 0)
    order = [{name: place for place, name in enumerate(names)} for names in bench.names]
    found, contacts = _compared(parts, clock, folded, order)
    if bench.job.keep:
        found.sort(key=lambda pair: pair[0])
        Shelf(bench.folder, f"part-{number}").put(
            History(position, _encode(changed.as_json()) + b"\n", b"") for position, changed in found
        )
    for figures, part in zip(folded.figures, parts, strict=True):
        figures.dead_letters = part.totals.dead_letters
    report(share)
    return folded._replace(contacts=contacts)


def _compared(
    parts: Sequence[BriefPart], clock: int, folded: _Folded, order: Sequence[dict[str, int]]
) -> tuple[list[tuple[int, Changed]], int]:
    histories = [part.entries(clock) for part in parts]  # the first's before those that it leads
    found: list[tuple[int, Changed]] = []
    # A definition may see a contact that another passes over: whatever any of them knows is compared.
    contacts = {contact: one[0] for each in reversed(histories) for contact, one in each.items()}
    known = 0
    for contact, position in contacts.items():
        both = [each.get(contact, NOBODY) for each in histories]
        mine = [entries for _, entries, _ in both]
        ends = [
            folded.figures[place].count(entries, order[place], stands)
            for place, (_, entries, stands) in enumerate(both)
        ]
        known += any(map(len, mine))  # an id that was merged or erased has a history, and stands nowhere
        if len(ends) > 1:
            folded.moved[ends[0], ends[1]] += 1
        for place in range(1, len(mine)):
            old, new = mine[0], mine[place]
            if old is new or old == new or [entry.said for entry in old] == [entry.said for entry in new]:
                continue
            folded.changed[place] += 1
            if place == 1:
                found.append((position, Changed(contact, tuple(old), tuple(new))))
    return found, known
