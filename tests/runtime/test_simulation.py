"""Workers on a cluster that misbehaves as a seed says. `make simulate` runs thousands of seeds, CI a sample.

A failure prints its seed, and `make simulate ARGS="--first-seed N --seeds 1"` plays it again, to the last record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.simulation import Simulation
from worker.runtime import session
from worker.runtime.clock import CrashPoint, Deadline, no_crash
from worker.runtime.partition import PartitionClock
from worker.runtime.restore import Restorer
from worker.runtime.session import Session
from worker.runtime.transaction import Work, commit
from worker.stores.base import Store
from worker.transports.base import Producer, TopicPartition
from worker.transports.errors import CommitUnknown
from worker.transports.simulator.clients import SimulatedAdmin, SimulatedConsumer
from worker.transports.simulator.producer import SimulatedProducer

SAMPLE = 160
PARTS = 8  # so that processes of the test run can share them
UNTIL_FOUND = 150


@pytest.mark.parametrize("part", range(PARTS))
def test_readers_see_each_event_s_outcome_once_and_in_order_under_every_seed(part: int) -> None:
    for seed in range(part, SAMPLE, PARTS):
        Simulation(seed).run()


@pytest.mark.slow
def test_the_same_for_thousands_of_seeds(seed: int) -> None:
    Simulation(seed).run()


def test_the_same_seed_is_the_same_run() -> None:
    runs = [Simulation(7), Simulation(7)]
    for run in runs:
        run.run()
    first, second = (
        [run.cluster.records(topic) for topic in sorted(run.cluster.topics)] + [list(run.cluster.trace)] for run in runs
    )
    assert first == second


# ------------------------------------------------------------------------------------------------- it can fail


Patch = Callable[[pytest.MonkeyPatch], None]


def store_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Uncommitted state reaches the store."""

    def wrong(
        producer: Producer, store: Store, work: Work, deadline: Deadline, crash_point: CrashPoint = no_crash
    ) -> dict[int, int]:
        for partition, writes in work.writes.items():
            store.apply(partition, writes, store.position(partition) or 0)
        return commit(producer, store, work, deadline, crash_point)

    patch.setattr(session, "commit", wrong)


def timers_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Timers fire although events from before their deadline are unread."""

    def wrong(self: PartitionClock, _input: int, _internal: int) -> None:
        while self._probes:
            self.reached = max(self.reached or 0, self._probes.popleft()[0])

    patch.setattr(PartitionClock, "advance", wrong)


def messages_not_read_again(patch: pytest.MonkeyPatch) -> None:
    """After an error the internal topic is read on from where the reader was."""
    real = Session._suspend

    def wrong(self: Session, helds: Any) -> None:
        before = self._internal
        real(self, helds)
        self._internal = before

    patch.setattr(Session, "_suspend", wrong)


def timers_without_offsets(patch: pytest.MonkeyPatch) -> None:
    """A transaction of timers alone commits no offsets, so nothing fences it."""
    real = Session._timers

    def wrong(self: Session, live: Any, group: Any) -> bool:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(SimulatedProducer, "send_offsets", lambda *_: None)
            return real(self, live, group)

    patch.setattr(Session, "_timers", wrong)


def no_restore(patch: pytest.MonkeyPatch) -> None:
    """A partition is taken over without its state."""
    patch.setattr(Restorer, "_first", lambda self, held, begin, end: end)


def restore_to_the_last_stable_offset(patch: pytest.MonkeyPatch) -> None:
    """The end offset that a read_committed consumer would give stops short of open transactions."""

    def wrong(self: SimulatedAdmin, partitions: Any) -> dict[TopicPartition, int]:
        self._ask("end_offsets")
        return {partition: self._cluster.partition(partition).stable for partition in partitions}

    patch.setattr(SimulatedAdmin, "end_offsets", wrong)


def offsets_read_while_a_transaction_holds_them(patch: pytest.MonkeyPatch) -> None:
    """The committed offsets are asked for without waiting for what is still open on them."""

    def wrong(self: SimulatedConsumer, partitions: Any, timeout_ms: int = 0) -> dict[TopicPartition, int | None]:
        self._cluster.enter(self._process, "committed", timeout_ms)
        return {partition: self._group.offsets.get(partition) for partition in partitions}

    patch.setattr(SimulatedConsumer, "committed", wrong)


def unknown_commits_believed(patch: pytest.MonkeyPatch) -> None:
    """A commit without an answer counts as one."""
    real = SimulatedProducer.commit

    def wrong(self: SimulatedProducer, timeout_ms: int) -> None:
        try:
            real(self, timeout_ms)
        except CommitUnknown:
            self._turns.state = "ready"

    patch.setattr(SimulatedProducer, "commit", wrong)


def state_kept_after_an_error(patch: pytest.MonkeyPatch) -> None:
    """A new producer, but neither offsets nor store are looked at again."""
    real = Session.failed

    def wrong(self: Session) -> bool:
        if self._in_transaction is None:
            return real(self)
        self._in_transaction = None
        self._discard_producer()
        self._producer = self._parts.transport.producer(self._settings.transactional_id)
        return True

    patch.setattr(Session, "failed", wrong)


@pytest.mark.parametrize(
    "mistake",
    [
        store_before_commit,
        timers_by_the_wall_clock,
        messages_not_read_again,
        timers_without_offsets,
        no_restore,
        restore_to_the_last_stable_offset,
        offsets_read_while_a_transaction_holds_them,
        unknown_commits_believed,
        state_kept_after_an_error,
    ],
    ids=lambda mistake: mistake.__name__,
)
def test_the_simulation_finds_a_worker_that_is_wrong(mistake: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError, match=r"^seed \d+: "):
        for seed in range(UNTIL_FOUND):
            Simulation(seed).run()
