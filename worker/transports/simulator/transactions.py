"""The transaction coordinator: one identity per `transactional.id`, at most one open transaction each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from worker.transports.base import Send, TopicPartition
from worker.transports.errors import Fenced
from worker.transports.simulator.clock import SimulatedClock
from worker.transports.simulator.topics import Partition

if TYPE_CHECKING:
    from worker.transports.simulator.groups import SimulatedGroup


class Transaction:
    """What one transaction wrote so far. Identity is the object's."""

    __slots__ = ("offsets", "owner", "partitions")

    def __init__(self, owner: Identity) -> None:
        self.owner = owner
        self.partitions: dict[Partition, None] = {}  # in the order of first use
        self.offsets: dict[SimulatedGroup, dict[TopicPartition, int]] = {}

    def append(self, partition: Partition, send: Send, timestamp: int) -> int:
        self.partitions[partition] = None
        return partition.append(send, timestamp, self)

    def hold(self, group: SimulatedGroup, offsets: Mapping[TopicPartition, int]) -> None:
        """The offsets are the group's once the transaction is committed; until its end nobody is told any."""
        self.offsets.setdefault(group, {}).update(offsets)
        for partition in offsets:
            group.unstable.setdefault(partition, set()).add(self)


class Identity:
    """The coordinator's view of one `transactional.id`."""

    def __init__(self, name: str, clock: SimulatedClock, timeout_ms: int) -> None:
        self.name = name
        self.epoch = 0
        self.open: Transaction | None = None
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._finishing = 0  # markers still to be written

    def check(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise Fenced(f"producer {self.name} with epoch {epoch} is fenced by epoch {self.epoch}")

    def renew(self) -> int:
        """A newer producer's epoch: what an earlier one left open is aborted, what it decided is finished."""
        self.epoch += 1
        self.settle()
        if self.open is not None:
            self.finish(False)
        return self.epoch

    def transaction(self) -> Transaction:
        """The open transaction; a new one, whose time starts now, where there is none."""
        self.settle()
        if self.open is None:
            opened = self.open = Transaction(self)
            self._clock.after(self._timeout_ms, lambda: self._expire(opened))
        return self.open

    def finish(self, committed: bool, delays: Callable[[], int] = lambda: 0) -> None:
        """The decision is made; each partition's marker, and that of the offsets, follows after its delay."""
        transaction, self.open = self.open, None
        if transaction is None:
            return
        markers = [_marker(transaction, partition, committed) for partition in transaction.partitions]
        markers += [_offsets_marker(transaction, group, committed) for group in transaction.offsets]
        for marker in markers:
            delay = delays()
            if delay:
                self._finishing += 1
                self._clock.after(delay, lambda marker=marker: self._late(marker))  # type: ignore[misc]
            else:
                marker()

    def settle(self) -> None:
        """Wait until the last transaction's markers are written: until then no other may begin."""
        while self._finishing:  # ends: each of them is scheduled
            self._clock.advance(self._clock.next_ms() or 0)

    def _late(self, marker: Callable[[], None]) -> None:
        self._finishing -= 1
        marker()

    def _expire(self, transaction: Transaction) -> None:
        if self.open is transaction:
            self.epoch += 1
            self.finish(False)


def _marker(transaction: Transaction, partition: Partition, committed: bool) -> Callable[[], None]:
    return lambda: partition.finish(transaction, committed)


def _offsets_marker(transaction: Transaction, group: SimulatedGroup, committed: bool) -> Callable[[], None]:
    def write() -> None:
        for partition, offset in transaction.offsets[group].items():
            group.unstable[partition].discard(transaction)
            if committed:
                group.offsets[partition] = offset

    return write
