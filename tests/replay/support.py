"""Files of made traffic, replays of them, and what they left, as values to compare."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from worker.definition.model import Lifecycle
from worker.definition.reader import read
from worker.demo.traffic import make
from worker.events import encode
from worker.fold.outcome import Event
from worker.instants import parse_instant
from worker.replay import Job, Sizes, Source, Summary, Terms, replay
from worker.shipped import lifecycle_path

WALL = parse_instant("2026-06-01T00:00:00Z")
START = parse_instant("2026-01-05T09:00:00Z")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NAMES = ("10ex", "agency34", "aspiration", "clarity", "mops")


@cache
def lifecycle(name: str = "10ex") -> Lifecycle:
    return read(lifecycle_path(name))


def event(at: int, kind: str, contact: str = "c1", /, **data: Any) -> bytes:
    """An event `at` ms after START, as a line; its id tells what and when it is. `data` may hold `traits` and `id`."""
    identity = data.pop("id", f"{contact}-{kind}-{at}")
    traits = data.pop("traits", None)
    return encode(Event(START + at, kind, identity, "/test", contact, data, traits))


def made(seed: int, contacts: int, shuffled: bool = False) -> list[bytes]:
    """The demo's traffic as lines; `shuffled`, some of it far from its place, and some lines that are none."""
    lines = [arrival.value for arrival in make(seed, contacts).arrivals]
    if shuffled:
        draw = random.Random(seed)
        for _ in range(len(lines) // 8):
            lines.insert(draw.randrange(len(lines)), lines.pop(draw.randrange(len(lines))))
        for junk in (b"", b"  ", b"[]", b'{"specversion":"1.0"', b'{"subject":"c"}', b"\xff\xfe", b"{}{}"):
            lines.insert(draw.randrange(len(lines)), junk)
    return lines


def written(path: Path, lines: Sequence[bytes], end: bytes = b"\n") -> Source:
    path.write_bytes(end.join(lines) + (end if lines else b""))
    return Source(path, path.name)


def job(sources: list[Source], name: str = "10ex", **terms: Any) -> Job:
    options = {key: terms.pop(key) for key in ("too_late", "publish_from") if key in terms}
    return Job(lifecycle(name), tuple(sources), Terms(**{"wall": WALL, **terms}), **options)


class Replayed:
    """A replay's files, read."""

    def __init__(self, folder: Path, summary: Summary) -> None:
        self.summary = summary
        self.bytes = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self.changes = self._rows("stage-changes.jsonl")
        self.contacts = {row["contact"]: row for row in self._rows("contacts.jsonl")}
        self.companies = {row["company"]: row for row in self._rows("companies.jsonl")}
        self.dead = self._rows("dead-letters.jsonl")

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.bytes[name].splitlines()]

    def ids(self, subject: str) -> list[str]:
        return [body["id"] for body in self.changes if body["subject"] == subject]

    def visited(self, contact: str = "c1") -> list[str]:
        kind = "lifecycle.stage.changed.v1"
        return [body["data"]["to"] for body in self.changes if body["type"] == kind and body["subject"] == contact]


def replayed(
    folder: Path,
    lines: Sequence[bytes],
    name: str = "10ex",
    processes: int = 1,
    sizes: Sizes | None = None,
    **terms: Any,
) -> Replayed:
    """Replay the lines and read what came of it."""
    source = written(folder / "events.jsonl", lines)
    out = folder / "out"
    summary = replay(job([source], name, **terms), out, processes=processes, sizes=sizes or Sizes())
    return Replayed(out, summary)
