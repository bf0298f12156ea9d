"""A million contacts: the worker's memory, how long an empty machine takes to hold them, and a restart.

python -m benchmarks.state [--contacts N]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Final

from benchmarks.cluster import PARTITIONS, Cluster, cluster
from benchmarks.processes import Child, Void
from benchmarks.runs import wait_committed
from benchmarks.systems import Place, System, worker
from benchmarks.tables import Table, number, verdict
from benchmarks.traffic import round_robin

RESTORE_SECONDS: Final = 30.0
RESTART_SECONDS: Final = 2.0
ANONYMOUS_MB: Final = 500.0
LIVE_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.01


def measure(broker: Cluster, contacts: int, client: str = "kafka-python") -> Table:
    """Fold one event of each contact, stop, start again, wipe the state folder, start once more."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    topic = f"{name}-in"
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    place = Place(broker.address, name, topic, f"{name}-out", folder)
    system = worker(client)
    try:
        broker.load(topic, round_robin(contacts, contacts))
        with Child(system.command(place), system.begins) as child:
            child.begun()
            wait_committed(broker, child, name, topic, contacts)
            child.check()
            child.stop()
            folding = child.peak_anonymous_bytes
        restart, after_restart = _until_live(system, place)
        shutil.rmtree(folder / "state")
        restore, restoring = _until_live(system, place)
    finally:
        broker.delete(*broker.topics(name))
        shutil.rmtree(folder, ignore_errors=True)
    most = max(folding, after_restart, restoring) / 1e6
    return Table(
        f"{contacts:,} contacts",
        f"Worker over {client}. Times are from the start of the process to the last partition live; memory is the most "
        f"anonymous memory seen (the store's mapped pages apart).",
        ["what", "figure"],
        [
            ["restore onto an empty machine", f"{restore:.1f} s"],
            ["restart with its store", f"{restart:.2f} s"],
            ["anonymous memory while folding them", f"{number(folding / 1e6)} MB"],
            ["anonymous memory after a restart", f"{number(after_restart / 1e6)} MB"],
            ["anonymous memory while restoring", f"{number(restoring / 1e6)} MB"],
        ],
        [
            verdict("restore", restore, RESTORE_SECONDS, " s", at_most=True),
            verdict("restart", restart, RESTART_SECONDS, " s", at_most=True),
            verdict("anonymous memory", most, ANONYMOUS_MB, " MB", at_most=True),
        ],
    )


def _until_live(system: System, place: Place) -> tuple[float, int]:
    """Seconds from the start to every partition live, and the most anonymous memory until then (bytes)."""
    pause = threading.Event()
    with Child(system.command(place), system.begins) as child:
        deadline = child.started + LIVE_SECONDS
        while len(_live(child, system)) < PARTITIONS:
            child.check()
            if time.monotonic() > deadline:
                raise Void(f"not live within {LIVE_SECONDS:g} s: {child.tail()}")
            pause.wait(POLL_SECONDS)
        seconds = time.monotonic() - child.started
        child.check()
        child.stop()
        return seconds, child.peak_anonymous_bytes


def _live(child: Child, system: System) -> set[int]:
    """The partitions that the worker says to have brought up."""
    told = [json.loads(line) for line in child.lines() if system.begins in line]
    return {number for line in told for number in line["partitions"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.state", description=__doc__.partition("\n")[0])
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--client", choices=["kafka-python", "confluent-kafka"], default="kafka-python")
    given = parser.parse_args()
    with cluster() as broker:
        print(measure(broker, given.contacts, given.client).markdown())


if __name__ == "__main__":
    main()
