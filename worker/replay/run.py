"""A replay from files to files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from worker.replay.companies import fold_companies
from worker.replay.job import Job, Sizes, Summary
from worker.replay.parts import Parts
from worker.replay.pool import Progress, summed
from worker.replay.records import DeadLetter
from worker.replay.results import Results, dead_row, encode_line

PASSES: Final = 3  # how often a byte counts: as who belongs together is looked for, as events are read, and folded

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
    with ExitStack() as stack:
        results = stack.enter_context(Results(out)) if out is not None else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-replay-")))
        folded = Parts(job, processes, sizes, folder, summed(progress, bytes_ * PASSES))
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
            dead = ((one.position, encode_line(dead_row(job.sources, one))) for one in folded.dead())
            results.dead(before, dead)
        return Summary(totals, folded.clock, len(rows))
