"""The cluster: topics, groups, transactional ids, virtual time, and the one place where faults are drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec
from worker.transports.errors import Fatal, Retriable
from worker.transports.simulator.clients import SimulatedTransport
from worker.transports.simulator.clock import SimulatedClock
from worker.transports.simulator.faults import Dice, Faults, SimulatedCrash
from worker.transports.simulator.groups import SimulatedGroup
from worker.transports.simulator.process import Process
from worker.transports.simulator.topics import Partition, Topic
from worker.transports.simulator.transactions import Identity

TRACE_MAX = 500  # the last faults that a failing run can be explained with
CALL_MS = 1  # virtual time that every call takes


class SimulatedCluster:
    """All that outlives its clients. Tests feed it with `append`, look into it with `records` and `committed`.

    `meanwhile`, where set, is called with a process's name again and again while that stands still in the middle of
    a call (`Faults.stall`): there a test lets the other processes take their steps.
    """

    def __init__(
        self,
        seed: int = 0,
        faults: Faults | None = None,
        *,
        session_timeout_ms: int = 10_000,
        transaction_timeout_ms: int = 10_000,
        poll_interval_ms_max: int = 300_000,
    ) -> None:
        self.seed = seed
        self.clock = SimulatedClock()
        self.dice = Dice(seed, faults or Faults())
        self.points = 0  # calls of clients so far
        self.trace: deque[str] = deque(maxlen=TRACE_MAX)
        self.meanwhile: Callable[[str], None] | None = None
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, SimulatedGroup] = {}
        self.identities: dict[str, Identity] = {}
        self.subscribed: dict[str, None] = {}
        self.session_timeout_ms = session_timeout_ms
        self._transaction_timeout_ms = transaction_timeout_ms
        self._poll_interval_ms_max = poll_interval_ms_max
        self._away_until_ms = 0
        self._counts: dict[str, int] = {}
        self._foreign = 0
        self._stalled = False

    # For tests

    def connect(self, name: str) -> SimulatedTransport:
        """A new process called `name`. One that died before under this name stays dead."""
        return SimulatedTransport(self, Process(self.clock, name, self.session_timeout_ms, self.away_ms))

    def calm(self) -> None:
        """Nothing goes wrong from here on; what went wrong before still takes its course."""
        self.dice = Dice(self.seed, Faults())
        self._away_until_ms = 0

    def append(self, sends: Iterable[Send], timestamp: int | None = None) -> list[int]:
        """The records are in the log, as by a producer without transactions; their offsets."""
        now = self.clock.wall_ms() if timestamp is None else timestamp
        return [self.partition(TopicPartition(send.topic, send.partition)).append(send, now) for send in sends]

    def records(self, topic: str) -> list[Record]:
        """All that a `read_committed` reader of the whole topic would see now, by partition, then offset."""
        found = []
        for partition in self.topics[topic].partitions:
            found += [record for record in partition.slots[: partition.stable] if record is not None]
        return found

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """The group's committed offsets."""
        return dict(self.groups[group].offsets) if group in self.groups else {}

    def settled(self) -> bool:
        """No transaction is open anywhere."""
        return not any(partition.open for topic in self.topics.values() for partition in topic.partitions)

    def compact(self, topic: str) -> None:
        for partition in self.topics[topic].partitions:
            partition.compact(self.clock.wall_ms())

    def create(self, spec: TopicSpec) -> bool:
        if spec.name in self.topics:
            return False
        if spec.partitions < 1:
            raise Fatal(f"topic {spec.name}: {spec.partitions} partitions", "a topic has at least one")
        self.topics[spec.name] = Topic(spec.name, spec.partitions, spec.config)
        self._counts[spec.name] = spec.partitions
        return True

    # For clients

    def partition(self, wanted: TopicPartition) -> Partition:
        topic = self.topics.get(wanted.topic)
        if topic is None or not 0 <= wanted.partition < len(topic.partitions):
            raise Fatal(f"there is no {wanted}", "make the topic, or name another one")
        return topic.partitions[wanted.partition]

    def resolve(self, wanted: TopicPartition, offset: int) -> int:
        """The offset that a position names; out of range is found out when it is read."""
        partition = self.partition(wanted)
        return partition.start if offset == EARLIEST else offset

    def group(self, name: str) -> SimulatedGroup:
        if name not in self.groups:
            self.groups[name] = SimulatedGroup(name, self.clock, self._counts, self._poll_interval_ms_max)
        return self.groups[name]

    def identity(self, name: str) -> Identity:
        if name not in self.identities:
            self.identities[name] = Identity(name, self.clock, self._transaction_timeout_ms)
        return self.identities[name]

    def away_ms(self) -> int:
        """How long the cluster will still be away."""
        return max(0, self._away_until_ms - self.clock.now_ms)

    def enter(self, process: Process, operation: str, timeout_ms: int) -> str | None:
        """A client's call arrives, unless it is this one's turn to fail; what is to happen after its effect, or None.

        Raises `Retriable` for a call without effect, `SimulatedCrash` for one by a dead process.
        """
        process.running(operation)
        self.points += 1
        self.clock.advance(CALL_MS)
        if self._away_until_ms:
            away = self.away_ms()
            self.clock.advance(min(away, timeout_ms))
            if away > timeout_ms:
                raise Retriable(f"{operation}: the cluster is away")
            self._away_until_ms = 0
        fault = self.dice.draw()
        return None if fault is None else self._happens(fault, process, operation, timeout_ms)

    def leave(self, process: Process, operation: str, after: str | None) -> None:
        """The call has had its effect; raises where the caller is not to hear of it."""
        if after == "crash":
            process.crash()
            raise SimulatedCrash(f"{process.name} died after {operation}")
        if after == "lost_answer":
            raise Retriable(f"{operation}: no answer")

    def note(self, process: Process, operation: str, fault: str) -> None:
        self.trace.append(f"point {self.points} at {self.clock.now_ms} ms: {process.name} {operation}: {fault}")

    def _happens(self, fault: str, process: Process, operation: str, timeout_ms: int) -> str | None:
        self.note(process, operation, fault)
        if fault == "refused":
            self.clock.advance(self.dice.up_to(timeout_ms) if timeout_ms < 1_000 else self.dice.up_to(1_000))
            raise Retriable(f"{operation}: the connection was lost")
        if fault == "outage":
            self._away_until_ms = self.clock.now_ms + 1 + self.dice.up_to(self.dice.faults.outage_ms_max)
            raise Retriable(f"{operation}: the cluster went away")
        if fault == "crash" and self.dice.chance(0.5):
            process.crash()
            raise SimulatedCrash(f"{process.name} died before {operation}")
        if fault in ("crash", "lost_answer"):
            return fault
        if fault == "evict":
            for group, member in process.members():
                group.remove(member)
        elif fault == "stall":
            self._stall(process)
        elif fault == "foreign":
            self._open_foreign([name for name in self.subscribed if name in self.topics])
        elif fault == "compaction":
            compacted = [name for name, topic in self.topics.items() if topic.compacted]
            if compacted:
                self.compact(self.dice.random.choice(compacted))
        return None

    def _stall(self, process: Process) -> None:
        """The process stands still here while the others go on; none of them stalls as well."""
        if self._stalled:
            return
        self._stalled = True
        process.suspend()
        try:
            for _ in range(self.dice.up_to(self.dice.faults.stall_turns_max)):
                self.clock.advance(self.dice.up_to(self.dice.faults.stall_turn_ms_max))
                if self.meanwhile is not None:
                    self.meanwhile(process.name)
        finally:
            self._stalled = False
            process.resume()

    def _open_foreign(self, topics: Sequence[str]) -> None:
        """Somebody else writes to one of the topics and thinks better of it a while later."""
        if not topics:
            return
        self._foreign += 1
        identity = self.identity(f"somebody-else-{self._foreign}")
        partition = self.dice.random.choice(self.topics[self.dice.random.choice(topics)].partitions)
        send = Send(partition.topic.name, partition.number, b"somebody-else", b"never committed")
        identity.transaction().append(partition, send, self.clock.wall_ms())
        self.clock.after(self.dice.up_to(self.dice.faults.foreign_ms_max), lambda: identity.finish(False))
