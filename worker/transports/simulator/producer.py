"""The transactional producer of a simulated process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from worker.transports.base import GroupMetadata, Send, TopicPartition
from worker.transports.errors import CommitUnknown, Retriable
from worker.transports.limits import check_size
from worker.transports.simulator.process import Process
from worker.transports.turns import Turns

if TYPE_CHECKING:
    from worker.transports.simulator.cluster import SimulatedCluster

INIT_MS = 30_000


class SimulatedProducer:
    """Strict about its contract: used after an error, or out of turn, it raises `Fatal`."""

    def __init__(self, cluster: SimulatedCluster, process: Process, transactional_id: str) -> None:
        self._cluster = cluster
        self._process = process
        self._turns = Turns()
        self._waiting: list[Send] = []
        self._offsets: list[int] = []
        after = cluster.enter(process, "init", INIT_MS)
        self._identity = cluster.identity(transactional_id)
        self._epoch = self._identity.renew()
        cluster.leave(process, "init", after)

    def begin(self) -> None:
        self._process.running("begin")
        with self._turns.call("begin", "ready", "open"):
            self._waiting, self._offsets = [], []

    def send(self, sends: Sequence[Send]) -> None:
        self._process.running("send")
        with self._turns.call("send", "open", "open"):
            for send in sends:
                topic = self._cluster.partition(TopicPartition(send.topic, send.partition)).topic
                check_size(send, topic.size_max, len(self._offsets) + len(self._waiting))
                self._waiting.append(send)

    def flush(self, timeout_ms: int) -> list[int]:
        self._process.running("flush")
        with self._turns.call("flush", "open", "open"):
            if self._waiting:
                self._flush(timeout_ms)
        return list(self._offsets)

    def send_offsets(self, offsets: Mapping[TopicPartition, int], group: GroupMetadata, timeout_ms: int) -> None:
        self._process.running("send_offsets")
        with self._turns.call("send_offsets", "open", "open"):
            after = self._cluster.enter(self._process, "send_offsets", timeout_ms)
            self._identity.check(self._epoch)
            of_group = self._cluster.group(group.group)
            of_group.check(group)
            self._identity.transaction().hold(of_group, offsets)
            self._cluster.leave(self._process, "send_offsets", after)

    def commit(self, timeout_ms: int) -> None:
        if self._waiting:
            self.flush(timeout_ms)
        self._process.running("commit")
        dice = self._cluster.dice
        with self._turns.call("commit", "open", "ready"):
            try:
                after = self._cluster.enter(self._process, "commit", timeout_ms)
                if dice.chance(dice.faults.late_commit):
                    self._commit_later()
                    raise Retriable("commit: no answer")
                self._identity.check(self._epoch)
                self._identity.finish(True, self._marker_delay)
                self._cluster.leave(self._process, "commit", after)
            except Retriable as error:
                raise CommitUnknown(str(error)) from error

    def abort(self, timeout_ms: int) -> None:
        self._process.running("abort")
        with self._turns.call("abort", "open", "ready"):
            self._waiting = []
            after = self._cluster.enter(self._process, "abort", timeout_ms)
            self._identity.check(self._epoch)
            self._identity.finish(False, self._marker_delay)
            self._cluster.leave(self._process, "abort", after)

    def close(self) -> None:
        """What is open is left to the coordinator, as by a process that ends."""
        self._turns.state = "closed"

    def _flush(self, timeout_ms: int) -> None:
        after = self._cluster.enter(self._process, "flush", timeout_ms)
        self._identity.check(self._epoch)
        dice = self._cluster.dice
        if dice.chance(dice.faults.partial):
            self._cluster.note(self._process, "flush", "partial")
            taken = {(send.topic, send.partition) for send in self._waiting if dice.chance(0.5)}
            self._waiting = [send for send in self._waiting if (send.topic, send.partition) in taken]
            self._write()
            raise Retriable("flush: some partitions did not answer")
        self._write()
        self._cluster.leave(self._process, "flush", after)

    def _write(self) -> None:
        now = self._cluster.clock.wall_ms()
        for send in self._waiting:
            partition = self._cluster.partition(TopicPartition(send.topic, send.partition))
            self._offsets.append(self._identity.transaction().append(partition, send, now))
        self._waiting = []

    def _commit_later(self) -> None:
        """The request is on its way, and counts unless the producer is fenced before it arrives."""
        self._cluster.note(self._process, "commit", "late_commit")
        identity, epoch, transaction = self._identity, self._epoch, self._identity.open

        def arrive() -> None:
            if identity.epoch == epoch and identity.open is transaction:
                identity.finish(True)

        self._cluster.clock.after(self._cluster.dice.up_to(3_000), arrive)

    def _marker_delay(self) -> int:
        dice = self._cluster.dice
        return dice.up_to(dice.faults.marker_ms_max) if dice.chance(dice.faults.slow_markers) else 0
