"""What is left when a worker dies after a step, or the log fails it in one: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.support import GROUP, INPUT, Bench, header, partition_of, stored
from worker.runtime import restore, session, transaction
from worker.runtime.errors import Halt
from worker.stores.errors import StoreFull
from worker.stores.memory import MemoryStore
from worker.transports.base import Send, TopicPartition
from worker.transports.errors import CommitUnknown, Fatal, Fenced, OffsetOutOfRange, RecordTooLarge, Retriable
from worker.transports.simulator import CrashAt, SimulatedCrash
from worker.transports.simulator.clients import SimulatedConsumer
from worker.transports.simulator.producer import SimulatedProducer

STEPS = (*session.STEPS, *transaction.STEPS)


class Traffic:
    """Some events of everything, sent in portions, and what must have come of all of them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.sent = 0

    def send(self) -> None:
        for _ in range(4):
            self.sent += 1
            name = f"n{self.sent}"
            self.bench.send("seen", "ann", f"a-{name}")
            self.bench.send("seen", "ben", f"b-{name}")
            self.bench.send("poke", "ann", f"p-{name}", target="ben")
            self.bench.send("refuse", "cem", f"r-{name}")
            self.bench.send("wake", "dee", f"w-{name}", after=10)

    def check(self) -> None:
        bench = self.bench
        names = [f"n{number}" for number in range(1, self.sent + 1)]
        expected = [f"ann seen {kind}-{name} {2 * at + offset}" for at, name in enumerate(names)
                    for offset, kind in ((1, "a"), (2, "p"))]  # fmt: skip
        published = bench.published()
        assert [line for line in published if line.startswith("ann")] == expected
        assert [line for line in published if "ben seen" in line] == [
            f"ben seen b-{name} {at}" for at, name in enumerate(names, 1)
        ]
        assert [line for line in published if "poked" in line] == [
            f"ben poked p-{name} {at}" for at, name in enumerate(names, 1)
        ]
        woken = [line for line in published if "woken" in line]
        assert [int(line.rsplit(" ", 1)[1]) for line in woken] == list(range(1, self.sent + 1))
        assert {line.split()[2] for line in woken} == {f"w-{name}" for name in names}
        assert len(published) == 6 * self.sent
        assert len({header(record, "lifecycle-source-offset") for record in bench.dead()}) == self.sent
        assert len(bench.dead()) == self.sent
        assert stored(bench.store, range(bench.partitions)) == bench.states()

    def finish(self) -> None:
        bench = self.bench
        bench.settle()
        bench.cluster.clock.advance(2_000)
        bench.until(lambda: all(not contact.timers for contact in bench.states().values()), "timers")
        bench.settle()
        bench.turn(200)
        self.check()


@pytest.mark.parametrize("wiped", [False, True], ids=["with its store", "on an empty machine"])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_after_any_step_loses_nothing_and_publishes_nothing_twice(step: str, nth: int, wiped: bool) -> None:
    bench = Bench(clock_interval_ms=1)
    traffic = Traffic(bench)
    plan = CrashAt(step, nth)
    bench.transport.plan = plan
    traffic.send()
    with pytest.raises(SimulatedCrash):
        for _ in range(200):
            bench.turn()
            if bench.worker.metrics.transactions:
                traffic.send()
    if wiped:
        bench.store = MemoryStore()
    bench.start()
    traffic.send()
    traffic.finish()


@pytest.mark.parametrize("step", restore.STEPS)
def test_a_crash_in_any_step_of_a_restore_is_made_good_by_the_next(step: str) -> None:
    bench = Bench(clock_interval_ms=1, restore_records=1)
    traffic = Traffic(bench)
    traffic.send()
    bench.settle()
    bench.worker.close()
    bench.store = MemoryStore()
    for _ in range(3):
        bench.start()
        bench.transport.plan = CrashAt(step)
        traffic.send()
        with pytest.raises(SimulatedCrash):
            bench.until(lambda: False)
    bench.start()
    traffic.finish()


def test_the_numbered_steps_come_in_their_order() -> None:
    bench = Bench(partitions=1)
    plan = CrashAt("never")
    bench.transport.plan = plan
    bench.send("seen", "ann")
    bench.settle()
    order = list(dict.fromkeys(plan.reached))
    steps = ["polled", "membership", *restore.STEPS, "folded", *transaction.STEPS]
    assert order == [step for step in steps if step in order]
    assert set(steps) - set(order) == {"records-applied"}  # an empty changelog has none


Fail = Callable[..., Any]
CALLS = ("begin", "send", "flush", "send_offsets", "commit")


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Make one call of a producer raise once, before or after its effect."""

    def arrange(call: str, error: BaseException, after: bool) -> None:
        done: list[bool] = []
        real = getattr(SimulatedProducer, call)

        def once(self: SimulatedProducer, *arguments: Any) -> Any:
            if done:
                return real(self, *arguments)
            done.append(True)
            if after:
                real(self, *arguments)
            raise error

        monkeypatch.setattr(SimulatedProducer, call, once)

    return arrange


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after it"])
@pytest.mark.parametrize(
    "error",
    [Retriable("the answer was lost"), Fenced("a newer one"), OffsetOutOfRange("gone")],
    ids=["retriable", "fenced", "out of range"],
)
@pytest.mark.parametrize("call", CALLS)
def test_an_error_in_any_step_loses_nothing_and_publishes_nothing_twice(
    call: str, error: Exception, after: bool, fail: Fail
) -> None:
    if call == "commit" and isinstance(error, Retriable):
        error = CommitUnknown("the answer to the commit was lost")
    bench = Bench(clock_interval_ms=1)
    traffic = Traffic(bench)
    fail(call, error, after)
    for _ in range(3):
        traffic.send()
        bench.turn(5)
    traffic.finish()
    assert bench.worker.metrics.waits == 1


def test_after_an_error_the_producer_is_discarded_and_the_batch_s_state_with_it(fail: Fail) -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann", "a1")
    bench.settle()
    session = bench.worker._session
    assert session is not None
    first = session._producer
    fail("flush", Retriable("a record expired"), False)
    bench.send("seen", "ann", "a2")
    bench.until(lambda: bench.worker.metrics.waits == 1)
    assert session._producer is None
    assert session.held[0].live is False
    assert bench.store.get(0, b"c:ann") is not None
    bench.settle()
    assert session._producer is not first
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2"]


def test_a_commit_that_happened_without_an_answer_is_rolled_forward_from_the_changelog(fail: Fail) -> None:
    bench = Bench(partitions=1)
    bench.turn(5)
    fail("commit", CommitUnknown("no answer"), True)
    bench.send("seen", "ann", "a1")
    bench.until(lambda: bench.worker.metrics.waits == 1)
    assert bench.store.get(0, b"c:ann") is None, "uncommitted state never reaches the store, nor what may be so"
    bench.settle()
    bench.until(lambda: bench.worker.live() == {0})
    assert bench.engine.applied == 1, "it was not folded again"
    assert stored(bench.store, [0]) == bench.states()
    assert bench.published() == ["ann seen a1 1"]


def test_a_batch_that_fails_is_tried_again_in_halves(fail: Fail) -> None:
    bench = Bench(partitions=1)
    bench.turn(5)
    fail("flush", Retriable("the transaction took too long"), False)
    for number in range(64):
        bench.send("seen", f"contact-{number}")
    bench.settle()
    assert bench.worker.metrics.transactions == 2
    assert len(bench.published()) == 64


def test_messages_between_contacts_are_read_again_after_an_error(fail: Fail) -> None:
    bench = Bench(partitions=1)
    bench.send("poke", "ann", "p1", target="ben")
    bench.until(lambda: len(bench.published()) == 1)
    fail("flush", Retriable("again"), False)
    bench.settle()
    assert bench.published() == ["ann seen p1 1", "ben poked p1 1"]


# ---------------------------------------------------------------------------------------------------- waiting


def test_a_broker_that_goes_away_is_waited_for_with_a_line_that_says_so(fail: Fail) -> None:
    bench = Bench(partitions=1)
    bench.turn(5)
    for call in ("begin", "flush", "commit"):
        fail(call, Retriable("the broker is away"), False)
    bench.send("seen", "ann")
    bench.settle()
    bench.turn(5)
    waits = bench.listener.of("waiting")
    assert [line["attempt"] for line in waits] == [1, 2, 3]
    assert all(line["on"] == "embedded:simulated" and "away" in line["error"] for line in waits)
    assert waits[0]["seconds"] <= 0.01 < waits[2]["seconds"] <= 0.04
    assert bench.listener.of("resumed") == [{"after_attempts": 3, "group": "group", "instance": "one"}]


def test_the_wait_grows_to_its_limit_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(partitions=1)
    bench.turn(5)

    def away(*_: Any) -> None:
        raise Retriable("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedProducer, "begin", away)
        bench.send("seen", "ann")
        bench.until(lambda: len(bench.listener.of("waiting")) == 12, each_ms=50)
    seconds = [line["seconds"] for line in bench.listener.of("waiting")]
    assert all(wait <= 1.0 for wait in seconds)
    assert all(wait >= 0.5 for wait in seconds[-3:])
    bench.settle()
    assert bench.published()


def test_a_broker_that_never_answered_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(startup_timeout_ms=5_000)

    def away() -> None:
        raise Retriable("connection refused")

    monkeypatch.setattr(bench.transport, "admin", away)
    with pytest.raises(Halt, match=r"no answer from embedded:simulated within 5 s \(connection refused\)"):
        bench.until(lambda: False, each_ms=50)
    assert bench.cluster.clock.monotonic() >= 5


def test_what_waiting_would_not_mend_ends_the_worker(fail: Fail) -> None:
    bench = Bench()
    fail("flush", Fatal("not authorised to write to topic lifecycle", "grant it"), False)
    bench.send("seen", "ann")
    with pytest.raises(Fatal, match="not authorised"):
        bench.until(lambda: False)


def test_fencing_again_and_again_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(partitions=1, fenced_max=4)
    bench.turn(5)

    def fenced(*_: Any) -> None:
        raise Fenced("a newer producer")

    monkeypatch.setattr(SimulatedProducer, "commit", fenced)
    bench.send("seen", "ann")
    with pytest.raises(Halt, match="another worker run with --instance-id one"):
        bench.until(lambda: False)
    assert len(bench.listener.of("fenced")) == 3


def test_a_refused_record_that_can_t_be_named_ends_the_worker(fail: Fail) -> None:
    bench = Bench()
    fail("flush", RecordTooLarge("too large", -1), False)
    bench.send("seen", "ann")
    with pytest.raises(Halt, match="but not which"):
        bench.until(lambda: False)


# ---------------------------------------------------------------------------------------------------- other members


def test_a_second_worker_takes_over_half_and_nothing_is_folded_twice() -> None:
    bench = Bench(partitions=4)
    traffic = Traffic(bench)
    traffic.send()
    bench.turn(20)
    first = bench.worker
    bench.store = MemoryStore()
    second = bench.start(instance_id="two")
    traffic.send()
    for _ in range(50):
        first.step()
        bench.turn()
    assert len(first.live()) == len(second.live()) == 2
    assert not first.live() & second.live()
    traffic.send()
    for _ in range(300):
        first.step()
        bench.turn()
    assert len(bench.dead()) == traffic.sent
    assert len([line for line in bench.published() if "seen" in line]) == 4 * traffic.sent


def test_records_of_a_partition_that_is_not_restored_are_not_folded() -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann", "a1")
    bench.settle()
    bench.worker.close(leave=True)
    bench.store = MemoryStore()
    # The changelog can't be read to its end while somebody's transaction on it is open.
    zombie = bench.cluster.connect("zombie").producer("zombie")
    zombie.begin()
    zombie.send([Send("group-changelog", 0, b"c:ann", None)])
    zombie.flush(1_000)
    bench.start()
    bench.send("seen", "ann", "a2")
    for _ in range(30):
        bench.turn()
        if bench.cluster.clock.monotonic() > 8:
            break
        assert bench.published() == ["ann seen a1 1"]
        assert bench.worker.live() == set()
    bench.cluster.clock.advance(10_000)  # the coordinator ends it
    bench.settle()
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2"]


def test_a_worker_that_slept_publishes_nothing_of_its_old_partitions() -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann", "a1")
    bench.settle()
    asleep, sleeper = bench.worker, bench.transport
    bench.send("seen", "ann", "a2")
    sleeper.suspend()
    bench.cluster.clock.advance(20_000)
    bench.store = MemoryStore()
    bench.start(instance_id="two")
    bench.settle()
    sleeper.resume()
    for _ in range(30):
        asleep.step()
        bench.turn()
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2"]
    assert partition_of(b"ann", 1) == 0


def test_a_partition_taken_away_between_two_polls_is_let_go_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may carry a rebalance out on a thread of its own; what it then refuses is no fault of the worker."""
    bench = Bench(partitions=1)
    for call in ("seek", "position"):
        refuse_once(monkeypatch, call)
    for number in range(3):
        bench.send("wake", "ann", f"w{number}", after=10)
        bench.settle()
        bench.cluster.clock.advance(2_000)
        bench.turn(50)
    bench.until(lambda: bench.worker.metrics.timers == 3)
    assert bench.worker.live() == {0}
    assert bench.worker.metrics.waits == 0


def refuse_once(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    real = getattr(SimulatedConsumer, call)
    refused: list[bool] = []

    def refuse(self: SimulatedConsumer, *arguments: Any) -> Any:
        if refused:
            return real(self, *arguments)
        refused.append(True)
        raise LookupError("not assigned")

    monkeypatch.setattr(SimulatedConsumer, call, refuse)


def test_partitions_that_the_group_has_given_to_nobody_are_asked_for_by_one_worker() -> None:
    bench = Bench(partitions=4, assignment_interval_ms=1_000)
    first = bench.worker
    bench.store = MemoryStore()
    second = bench.start(instance_id="two")
    for _ in range(30):
        first.step()
        bench.turn()
    # The former owner died after it was told to give partitions up, and before it had done so.
    group = bench.cluster.groups[GROUP]._group
    gone = {TopicPartition(INPUT, 2), TopicPartition(INPUT, 3)}
    for member in group.members.values():
        member.assigned -= gone
    for joined in (first._session, second._session):
        assert joined is not None
        consumer = joined._consumer
        assert isinstance(consumer, SimulatedConsumer)
        consumer._member.held -= gone
    for _ in range(30):
        first.step()
        bench.turn()
    assert first.live() | second.live() == {0, 1}
    for _ in range(60):
        first.step()
        bench.turn(each_ms=100)
    assert first.live() | second.live() == {0, 1, 2, 3}
    assert len(bench.listener.of("partitions-forsaken")) == 1


def test_a_full_disk_ends_the_worker_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(partitions=1)
    bench.send("seen", "ann", "a1")
    bench.settle()
    with monkeypatch.context() as patch:

        def full(*_: Any) -> None:
            raise StoreFull("lifecycle-state", "no space left on device")

        patch.setattr(MemoryStore, "apply", full)
        bench.send("seen", "ann", "a2")
        with pytest.raises(StoreFull, match="make room there"):
            bench.until(lambda: False)
        bench.worker.close()
    bench.start()
    bench.send("seen", "ann", "a3")
    bench.settle()
    assert bench.published() == ["ann seen a1 1", "ann seen a2 2", "ann seen a3 3"]
    assert stored(bench.store, [0]) == bench.states()


def test_an_input_topic_that_gets_partitions_while_running_is_refused() -> None:
    bench = Bench(partitions=2)
    bench.turn(10)
    session = bench.worker._session
    assert session is not None
    consumer = session._consumer
    assigned = consumer.assignment() | {TopicPartition("engagement", 2)}
    consumer.assignment = lambda: assigned  # type: ignore[method-assign]
    with pytest.raises(Halt, match="has got a partition 2"):
        bench.turn()
