"""The other clients of a simulated process: the transport itself, group member, reader and administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from worker.transports.base import GroupMetadata, Record, TopicPartition, TopicSpec
from worker.transports.errors import Fatal, Retriable
from worker.transports.groups import NOTHING, Membership
from worker.transports.positions import Positions
from worker.transports.simulator.faults import SimulatedCrash
from worker.transports.simulator.groups import SimulatedGroup
from worker.transports.simulator.process import Process
from worker.transports.simulator.producer import SimulatedProducer

if TYPE_CHECKING:
    from worker.transports.simulator.cluster import SimulatedCluster

REQUEST_MS = 30_000  # the limit of calls that have no argument for it


class SimulatedTransport:
    """A process and its clients. After `crash` whatever its code still calls raises `SimulatedCrash`, but for `close`.

    `crash_point` is for the runtime to call after each of its numbered steps; `plan`, where set, decides there.
    """

    def __init__(self, cluster: SimulatedCluster, process: Process) -> None:
        self.cluster = cluster
        self.process = process
        self.plan: Callable[[str], None] | None = None

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> SimulatedConsumer:
        self.process.running("consumer")
        consumer = SimulatedConsumer(self.cluster, self.process, group, topics, instance_id)
        self.process.consumers.append(consumer)
        return consumer

    def reader(self) -> SimulatedReader:
        self.process.running("reader")
        return SimulatedReader(self.cluster, self.process)

    def producer(self, transactional_id: str) -> SimulatedProducer:
        return SimulatedProducer(self.cluster, self.process, transactional_id)

    def admin(self) -> SimulatedAdmin:
        self.process.running("admin")
        return SimulatedAdmin(self.cluster, self.process)

    def close(self) -> None:
        """Its clients are closed one by one by who opened them."""

    def crash_point(self, step: str) -> None:
        """The runtime has done the step: the process may die here, as planned or by chance."""
        self.process.running(step)
        try:
            if self.plan is not None:
                self.plan(step)
            if self.cluster.dice.chance(self.cluster.dice.faults.crash_step):
                self.cluster.note(self.process, step, "crash_step")
                raise SimulatedCrash(f"{self.process.name} died after step {step}")
        except SimulatedCrash:
            self.process.crash()
            raise

    def crash(self) -> None:
        self.process.crash()

    def suspend(self) -> None:
        self.process.suspend()

    def resume(self) -> None:
        self.process.resume()


class _Reading:
    """Fetching, as a member of a group and a reader share it."""

    def __init__(self, cluster: SimulatedCluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process
        self._positions = Positions()
        self._closed = False

    def poll(self, timeout_ms: int, max_records: int) -> list[Record]:
        if self._closed:
            raise Fatal("poll: the consumer is closed", "ask for a new one")
        try:
            after = self._cluster.enter(self._process, "poll", timeout_ms)
        except Retriable:  # a client waits for a cluster that is away, and says nothing
            return []
        self._heartbeat()
        records = self._fetch(timeout_ms, max_records)
        if after == "lost_answer":
            return []
        self._cluster.leave(self._process, "poll", after)
        self._positions.move(records)
        return records

    def position(self, partition: TopicPartition) -> int:
        return self._positions.at(partition)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.resume(partitions)

    def _heartbeat(self) -> None:
        """Only a member of a group has one."""

    def _fetch(self, timeout_ms: int, max_records: int) -> list[Record]:
        """Records from the positions on, waiting for some; positions pass what no reader sees, records aside."""
        clock, dice = self._cluster.clock, self._cluster.dice
        if dice.chance(dice.faults.short_poll):
            max_records = dice.up_to(max_records)
        ends = clock.now_ms + timeout_ms
        while True:  # ends: time goes on with each round
            found = self._look(max_records)
            left = ends - clock.now_ms
            if found or left <= 0:
                return found
            soon = clock.next_ms()
            clock.advance(left if soon is None else min(left, max(1, soon)))

    def _look(self, max_records: int) -> list[Record]:
        found: list[Record] = []
        for partition, position in self._positions.readable():
            if len(found) >= max_records:
                break
            some, passed = self._cluster.partition(partition).read(position, max_records - len(found))
            if not some:
                self._positions.seek(partition, passed)
            found += some
        return found


class SimulatedConsumer(_Reading):
    def __init__(
        self, cluster: SimulatedCluster, process: Process, group: str, topics: Sequence[str], instance: str | None
    ) -> None:
        super().__init__(cluster, process)
        self._group = cluster.group(group)
        self._member = Membership(process.name, instance, topics)
        cluster.subscribed.update(dict.fromkeys(topics))

    def membership(self) -> tuple[SimulatedGroup, str] | None:
        return None if self._member.id is None else (self._group, self._member.id)

    def assignment(self) -> frozenset[TopicPartition]:
        return self._positions.held

    def lost(self) -> bool:
        return self._member.lost()

    def group_metadata(self) -> GroupMetadata:
        return self._member.metadata(self._group.name)

    def committed(
        self, partitions: Sequence[TopicPartition], timeout_ms: int = REQUEST_MS
    ) -> dict[TopicPartition, int | None]:
        clock = self._cluster.clock
        after = self._cluster.enter(self._process, "committed", timeout_ms)
        ends = clock.now_ms + timeout_ms
        while any(self._group.unstable.get(partition) for partition in partitions):  # ends: time goes on
            soon = clock.next_ms()
            if soon is None or clock.now_ms + soon > ends:
                clock.advance(ends - clock.now_ms)
                raise Retriable(f"committed offsets of {self._group.name}: a transaction is still open")
            clock.advance(soon)
        self._cluster.leave(self._process, "committed", after)
        return {partition: self._group.offsets.get(partition) for partition in partitions}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions.seek(partition, self._cluster.resolve(partition, offset))

    def leave(self) -> None:
        if not self._closed and not self._process.dead and self._member.id is not None:
            self._group.remove(self._member.id)
            self._member.end()
        self.close()

    def close(self) -> None:
        if self._closed or self._process.dead:
            return
        self._closed = True
        member = self._member.id
        if member is not None and self._member.instance is None:
            self._group.remove(member)
        elif member is not None:
            self._process.expire(self._group, member, lambda: True)
        self._member.end()
        self._positions.keep(NOTHING)

    def _heartbeat(self) -> None:
        try:
            self._group.poll(self._member)
        finally:
            self._positions.keep(self._member.held)


class SimulatedReader(_Reading):
    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._process.running("assign")
        self._positions.assign(
            {partition: self._cluster.resolve(partition, offset) for partition, offset in positions.items()}
        )

    def close(self) -> None:
        self._closed = True


class SimulatedAdmin:
    def __init__(self, cluster: SimulatedCluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process

    def partitions(self, topic: str) -> int | None:
        self._ask("partitions")
        found = self._cluster.topics.get(topic)
        return None if found is None else len(found.partitions)

    def create(self, spec: TopicSpec) -> bool:
        after = self._cluster.enter(self._process, "create", REQUEST_MS)
        made = self._cluster.create(spec)
        self._cluster.leave(self._process, "create", after)
        return made

    def config(self, topic: str) -> dict[str, str]:
        self._ask("config")
        found = self._cluster.topics.get(topic)
        if found is None:
            raise Fatal(f"there is no topic {topic}", "make it, or name another one")
        return dict(found.config)

    def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self._ask("begin_offsets")
        return {partition: self._cluster.partition(partition).start for partition in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._ask("end_offsets")
        return {partition: self._cluster.partition(partition).end for partition in partitions}

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        after = self._cluster.enter(self._process, "delete_records", REQUEST_MS)
        for partition, offset in before.items():
            self._cluster.partition(partition).purge(offset)
        self._cluster.leave(self._process, "delete_records", after)

    def assigned(self, group: str) -> frozenset[TopicPartition] | None:
        self._ask("assigned")
        return self._cluster.group(group).given()

    def remove_member(self, group: str, instance_id: str) -> None:
        after = self._cluster.enter(self._process, "remove_member", REQUEST_MS)
        self._cluster.group(group).remove_instance(instance_id)
        self._cluster.leave(self._process, "remove_member", after)

    def close(self) -> None:
        """There is no connection to give up."""

    def _ask(self, question: str) -> None:
        """A request that changes nothing: a lost answer is no different from a lost request."""
        after = self._cluster.enter(self._process, question, REQUEST_MS)
        self._cluster.leave(self._process, question, after)
