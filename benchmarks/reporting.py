"""How long figures over a long history take: `lifecycle report` over a log of stage changes in Parquet.

python -m benchmarks.reporting [--changes N] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.processes import Peak, Void
from benchmarks.runs import in_turns, median
from benchmarks.systems import lifecycle_command
from benchmarks.tables import Table, number, verdict
from worker.instants import parse_instant

LIFECYCLE: Final = "mops"
STAGES: Final = (
    "anonymous_visitor", "known_lead", "marketing_engaged", "mql", "sal", "sql", "opportunity", "customer",
)  # fmt: skip
SALES: Final = STAGES.index("sal")
DEALS: Final = STAGES.index("opportunity")
SOURCES: Final = ("search", "social", "fair", "partner", "newsletter", "referral")
CAMPAIGNS: Final = 24
REASONS: Final = ("", "no_budget", "no_authority", "timing", "wrong_contact")
BEGIN_MS: Final = parse_instant("2024-01-01T00:00:00Z")
DAY_MS: Final = 86_400_000
DAYS: Final = 730
STEPS_MAX: Final = 24
CHANGES_PER_CONTACT: Final = 3  # fewer than there are on the whole: what is more than asked for is left out
GOES_ON: Final = 0.8
CHUNK: Final = 500_000
AGAIN: Final = 10**11  # numbers of what is said of a change besides
WRONG_SHARE: Final = 0.01  # said too early, then withdrawn and said as it was
BREACHED_SHARE: Final = 0.15  # of the promises that sales gave
LIMIT_SECONDS: Final = 1_800
BOUND_SECONDS: Final = 60.0
BOUND_BYTES: Final = 2_000_000_000

Columns = dict[str, Any]


def walk(count: int, seed: int) -> Columns:
    """The changes of about `count / CHANGES_PER_CONTACT` contacts in the order of their times, as columns of numbers.

    Each comes once, goes up or down a stage or over one, waits as long as people do (log-normal), and stops somewhere.
    The same arguments give the same changes.
    """
    rng = np.random.default_rng(seed)
    contacts = max(1, math.ceil(count / CHANGES_PER_CONTACT))
    who = np.arange(contacts, dtype=np.int64)
    came = BEGIN_MS + rng.integers(0, DAYS * DAY_MS, contacts)
    stage = np.zeros(contacts, dtype=np.int64)
    visits = np.zeros((contacts, len(STAGES)), dtype=np.int16)
    visits[:, 0] = 1
    parts = [(who, came, np.full(contacts, -1), stage, visits[:, 0], np.zeros(contacts, dtype=np.int64))]
    at = came
    for _ in range(STEPS_MAX):
        goes_on = rng.random(len(who)) < GOES_ON
        goes_on &= stage < len(STAGES) - 1
        who, at, stage, visits = who[goes_on], at[goes_on], stage[goes_on], visits[goes_on]
        chance = rng.random(len(who))
        up = stage + 1 + (chance > 0.93)
        down = np.where(stage >= SALES, 2, np.maximum(stage - 1, 0))
        to = np.where((chance < 0.12) & (stage > 1), down, np.minimum(up, len(STAGES) - 1))
        stayed = (rng.lognormal(1.0, 1.4, len(who)) * DAY_MS).astype(np.int64) + 1_000
        at = at + stayed
        visits[np.arange(len(who)), to] += 1
        parts.append((who, at, stage, to, visits[np.arange(len(who)), to], stayed))
        stage = to
    names = ("who", "at", "left", "to", "visit", "stayed")
    found = {name: np.concatenate(of) for name, *of in zip(names, *parts, strict=True)}
    order = np.argsort(found["at"], kind="stable")[:count]
    return {name: of[order] for name, of in found.items()}


def texts(words: Sequence[str], places: Any, known: Any = None) -> pa.Array:
    """Words by their places, null where not `known`."""
    codes = pa.array(places.astype(np.int32), mask=None if known is None else ~known)
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(words))).cast(pa.string())


def instants(ms: Any) -> pa.Array:
    return pc.strftime(pa.array(ms, pa.timestamp("ms", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")


def named(prefix: str, numbers: Any, width: int = 0) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def contact_ids(who: Any) -> pa.Array:
    """As long as a CRM's."""
    return named("0035g", who, 13)


def event_ids(said: Any) -> pa.Array:
    """As long as a digest, and as hard to pack."""
    return pc.binary_join_element_wise(named("", said * 2_654_435_761 % 2**61, 19), named("", said, 13), "")


def struct(fields: Columns, known: Any = None) -> pa.StructArray:
    mask = None if known is None else pa.array(~known)
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields), mask=mask)


def stage_changes(rows: Columns, said: Any, rng: Any) -> pa.Table:
    """The changes as a worker publishes them; `said` numbers them, and is their id."""
    size = len(said)
    who, left, to = rows["who"], rows["left"], rows["to"]
    source = (who * 7) % (len(SOURCES) + 2)
    attributed = source < len(SOURCES)
    first = struct({
        "source": texts(SOURCES, np.minimum(source, len(SOURCES) - 1)),
        "medium": texts(["cpc", "mail"], who % 2),
        "campaign": named("campaign-", (who * 13) % CAMPAIGNS),
    }, attributed)  # fmt: skip
    promised = to >= SALES
    promised &= to < len(STAGES) - 1
    back = (left >= 0) & (to < left)
    deal = (to == DEALS) | ((left == DEALS) & (to > DEALS))
    entries = struct({
        "amount": pa.array((who % 40 + 1) * 1_000.0),
        "currency": texts(["EUR", "USD"], (who % 10 == 0).astype(np.int32)),
    })  # fmt: skip
    ends = np.concatenate([[0], np.cumsum(deal)]).astype(np.int32)
    value = pa.MapArray.from_arrays(pa.array(ends), named("deal-", who[deal]), entries.filter(pa.array(deal)))
    data = struct({
        "lifecycle": texts([LIFECYCLE], np.zeros(size)),
        "contact": contact_ids(who),
        "from": texts(STAGES, np.maximum(left, 0), left >= 0),
        "to": texts(STAGES, to),
        "direction": texts(["initial", "forward", "backward"], np.where(left < 0, 0, np.where(back, 2, 1))),
        "says": texts([f"What makes a contact one of stage {stage}, in words." for stage in STAGES], to),
        "reason": texts(REASONS, np.where(back, 1 + who % (len(REASONS) - 1), 0)),
        "cause": struct({
            "kind": texts(["event", "timer", "person"], rng.choice(3, size, p=[0.9, 0.08, 0.02])),
            "type": texts(["form.submitted", "email.replied"], who % 2),
            "by": texts(["kim", "sam"], who % 2),
        }),
        "visit": pa.array(rows["visit"].astype(np.int32)),
        "seconds_in_previous": pa.array(rows["stayed"] / 1_000, mask=left < 0),
        "sla": struct(
            {"due_at": instants(rows["at"] + 2 * DAY_MS), "late": texts(["sales"], np.zeros(size))}, promised
        ),
        "qualified": pa.array(to >= 3),
        "score": struct({"total": pa.array((who + to) % 100 * 1.0)}),
        "icp_fit": pa.array(who % 3 == 0, mask=who % 5 == 0),
        "value": value,
        "company": named("o", who % 50_000),
        "attribution": struct({"first": first, "last": first}),
    })  # fmt: skip
    return pa.table({
        "id": event_ids(said),
        "type": texts(["lifecycle.stage.changed.v1"], np.zeros(size)),
        "subject": contact_ids(who),
        "time": instants(rows["at"]),
        "data": data,
    })  # fmt: skip


def corrections(rows: Columns, said: Any, stand: pa.Table, wrong: Any) -> pa.Table:
    """For the changes that were `wrong`: each is withdrawn, and one that stands is said instead."""
    size = len(wrong)
    every = pa.array(np.arange(size + 1, dtype=np.int32))
    restated = pa.StructArray.from_arrays(
        [stand.column(name).combine_chunks() for name in stand.column_names], names=stand.column_names
    )
    return pa.table({
        "id": event_ids(said[wrong] + 2 * AGAIN),
        "type": texts(["lifecycle.corrected.v1"], np.zeros(size)),
        "subject": contact_ids(rows["who"][wrong]),
        "time": instants(rows["at"][wrong]),
        "data": struct({
            "withdrawn": pa.ListArray.from_arrays(every, event_ids(said[wrong])),
            "restated": pa.ListArray.from_arrays(every, restated),
        }),
    })  # fmt: skip


def breaches(rows: Columns, said: Any, late: Any) -> pa.Table:
    due = instants(rows["at"][late] + 2 * DAY_MS)
    return pa.table({
        "id": event_ids(said[late] + 3 * AGAIN),
        "type": texts(["lifecycle.sla.breached.v1"], np.zeros(len(late))),
        "subject": contact_ids(rows["who"][late]),
        "time": due,
        "data": struct({
            "stage": texts(STAGES, rows["to"][late]), "visit": pa.array(rows["visit"][late].astype(np.int32)),
            "owner": texts(["sales"], np.zeros(len(late))), "due_at": due,
        }),
    })  # fmt: skip


def write(path: Path, count: int, seed: int = 1) -> None:
    """`count` stage changes, their breaches and corrections, as one file of Parquet in the order of publishing."""
    rows = walk(count, seed)
    rng = np.random.default_rng(seed + 1)
    writer: Any = None
    schema: Any = None
    for start in range(0, len(rows["who"]), CHUNK):
        part = {name: of[start : start + CHUNK] for name, of in rows.items()}
        said = np.arange(start, start + len(part["who"]))
        wrong = np.flatnonzero(rng.random(len(said)) < WRONG_SHARE)
        stand = stage_changes({name: of[wrong] for name, of in part.items()}, said[wrong] + AGAIN, rng)
        published = stage_changes(part, said, rng)
        promised = (part["to"] >= SALES) & (part["to"] < len(STAGES) - 1)
        late = np.flatnonzero(promised & (rng.random(len(said)) < BREACHED_SHARE))
        more = [corrections(part, said, stand, wrong), breaches(part, said, late)]
        schema = schema or pa.unify_schemas(
            [published.schema, *(table.schema for table in more)], promote_options="permissive"
        )
        with_all = [_widened(table, schema) for table in (published, *more)]
        if writer is None:
            writer = pq.ParquetWriter(path, schema, compression="zstd")
        for table in with_all:
            writer.write_table(table)
    writer.close()


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    data = table.column("data").combine_chunks()
    wanted = schema.field("data").type
    has = {field.name for field in data.type}
    fields = {
        field.name: data.field(field.name) if field.name in has else pa.nulls(len(data), field.type) for field in wanted
    }
    return table.set_column(table.column_names.index("data"), "data", struct(fields)).cast(schema)


@dataclass(frozen=True)
class Reported:
    """Start of the interpreter to its end; CPU and peak memory are those of the command, all threads."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    contacts: int


def reported(path: Path, *options: str) -> Reported:
    """One report of the changes at the path. Raises `Void` where it fails."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [lifecycle_command(), "report", "--lifecycle", LIFECYCLE, "--changes", str(path), "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    with Peak(process.pid) as peak:
        out = process.stdout.read()
        errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Void(f"report ended with status {process.returncode}: {errors[-1000:].decode()}")
    seconds = time.monotonic() - begun
    told = json.loads(out)
    return Reported(seconds, usage.ru_utime + usage.ru_stime, peak.bytes, told["contacts"])


def measure(count: int, rounds: int) -> Table:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log, tables = Path(folder, "changes.parquet"), Path(folder, "tables")
        write(log, count)
        size = log.stat().st_size
        reported(log, "--out", str(tables))
        ways: dict[str, tuple[Path, ...]] = {
            "a log of published events": (log,),
            "the same, drawn as a page": (log, Path("--out"), Path(folder, "report.html")),
            "tables that a report wrote": (tables,),
        }
        runs: dict[str, list[Reported]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (path, *options) in ways.items():
                runs[way].append(reported(path, *map(str, options)))
    first = runs["a log of published events"]
    return Table(
        "Figures of a long history",
        f"{count:,} stage changes of {first[0].contacts:,} contacts in Parquet ({size / 1e6:,.0f} MB), with breaches"
        f" and corrections, `{LIFECYCLE}`, {in_turns(rounds)}; from the command's start to its end.",
        ["way", "seconds", "CPU seconds", "peak memory, MB"],
        [
            [
                way,
                number(median(one.seconds for one in of)),
                number(median(one.cpu_seconds for one in of)),
                number(max(one.peak_bytes for one in of) / 1e6),
            ]
            for way, of in runs.items()
        ],
        [
            verdict("figures of the log", median(one.seconds for one in first), BOUND_SECONDS, " s", at_most=True),
            verdict("memory", max(one.peak_bytes for one in first) / 1e6, BOUND_BYTES / 1e6, " MB", at_most=True),
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reporting", description=__doc__.partition("\n")[0])
    parser.add_argument("--changes", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(measure(given.changes, given.rounds).markdown())


if __name__ == "__main__":
    main()
