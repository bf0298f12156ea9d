"""How many contacts went which way, counted by a replay."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from worker.diagram.arrows import Volumes
from worker.replay import Job, replay
from worker.replay.pool import Progress
from worker.replay.results import STAGE_CHANGES


class _Data(msgspec.Struct):
    from_: str | None = msgspec.field(name="from", default=None)
    to: str = ""
    says: str = ""


class _Body(msgspec.Struct):
    type: str
    data: msgspec.Raw


def volumes(job: Job, progress: Progress | None = None, processes: int = 1) -> Volumes:
    """The moves of all contacts of the job, and where they stand in the end. Raises ReplayError."""
    moves: Counter[tuple[str, str, str]] = Counter()
    entered: Counter[str] = Counter()
    read: Any = msgspec.json.Decoder(_Body).decode
    read_data: Any = msgspec.json.Decoder(_Data).decode
    with tempfile.TemporaryDirectory(prefix="lifecycle-volumes-") as folder:
        summary = replay(job, Path(folder), processes=processes, progress=progress)
        with (Path(folder) / STAGE_CHANGES).open("rb") as lines:
            for line in lines:
                if b"lifecycle.stage.changed.v1" not in line:
                    continue
                body = read(line)
                if body.type != "lifecycle.stage.changed.v1":
                    continue
                data = read_data(body.data)
                entered[data.to] += 1
                if data.from_ is not None:
                    moves[data.from_, data.to, data.says] += 1
    return Volumes(dict(moves), dict(summary.totals.stages), dict(entered))
