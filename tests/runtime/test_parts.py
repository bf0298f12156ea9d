"""The loop's parts by themselves: inbox, sorting, clocks, one transaction, changelog records, dead letters, logs."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.standin import StandIn
from tests.runtime.support import GROUP, Bench, event, partition_of, settings
from worker.events import check_key, decode_records
from worker.fold.outcome import Output, Refusal
from worker.runtime.batch import Batch, Sorter
from worker.runtime.changelog import Definition, definition_headers, definition_of, encode_state, to_write
from worker.runtime.clock import Deadline, SystemClock
from worker.runtime.dead_letters import OWN, dead_letter, size
from worker.runtime.inbox import Inbox
from worker.runtime.logs import Clients, Shadow, hear_clients, open_logger
from worker.runtime.metrics import NAMES_MAX, Metrics
from worker.runtime.partition import PROBES_MAX, Held, PartitionClock
from worker.runtime.transaction import STEPS, Work, commit
from worker.stores.base import Write
from worker.stores.memory import MemoryStore
from worker.transports.base import GroupMetadata, Headers, Record, Send, TopicPartition
from worker.transports.errors import Retriable
from worker.transports.partitioner import crc32
from worker.transports.simulator import SimulatedClock
from worker.transports.simulator.clients import SimulatedAdmin, SimulatedConsumer

NOW = 1_767_225_600_000


def record(partition: int, offset: int, key: bytes | None = b"k", value: bytes | None = b"v") -> Record:
    return Record("engagement", partition, offset, NOW, key, value)


# ---------------------------------------------------------------------------------------------------- inbox


@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=40),
    records_max=st.integers(1, 10),
    bytes_max=st.integers(1, 120),
)
def test_an_inbox_gives_everything_in_order_within_the_limits(
    sizes: list[tuple[int, int]], records_max: int, bytes_max: int
) -> None:
    inbox = Inbox()
    sent = [record(number, offset, None, b"x" * bytes_) for offset, (number, bytes_) in enumerate(sizes)]
    inbox.add(sent)
    taken: list[Record] = []
    while len(inbox):
        portion = inbox.take(records_max, bytes_max)
        assert 1 <= len(portion) <= records_max
        assert len(portion) == 1 or sum(len(one.value or b"") for one in portion) <= bytes_max
        taken += portion
    assert taken == sent


@pytest.mark.parametrize(
    ("runs", "taken"),
    [
        ([6, 6], [6, 6]),
        ([6, 4], [6, 4]),  # full: the log may have more of the second
        ([2, 10], [10, 2]),  # half of the batch would be left out: too much
        ([3, 3, 3, 3], [9, 3]),
        ([4, 6, 1], [10, 1]),  # nothing is parted
        ([6, 3], [9]),  # it is all that there is
    ],
)
def test_a_batch_parts_no_run_of_a_partition_where_half_of_it_lies_before(runs: list[int], taken: list[int]) -> None:
    inbox = Inbox()
    inbox.add([record(number, offset) for number, count in enumerate(runs) for offset in range(count)])
    assert [len(inbox.take(10, 1_000)) for _ in taken] == taken
    assert not len(inbox)


def test_an_inbox_puts_back_in_front_and_drops_by_partition() -> None:
    inbox = Inbox()
    inbox.add([record(0, 1), record(1, 7), record(0, 2)])
    inbox.put_back(inbox.take(2, 1_000))
    assert inbox.firsts() == {0: 1, 1: 7}
    inbox.drop({0})
    assert inbox.take(10, 1_000) == [record(1, 7)]
    assert inbox.firsts() == {}


# ---------------------------------------------------------------------------------------------------- sorting


def held(number: int, *, live: bool = True) -> Held:
    input_, internal, changelog = (
        TopicPartition(topic, number) for topic in ("engagement", "group-internal", "group-changelog")
    )
    return Held(number, input_, internal, changelog, live=live)


def sorter(**changed: Any) -> Sorter:
    return Sorter(StandIn(), decode_records, check_key, crc32, 2, **{"rekey": False, **changed})


def test_records_of_partitions_that_are_not_live_are_left_out_with_their_offsets() -> None:
    batch = Batch()
    there = partition_of(b"ann", 2)
    value = event("seen", "ann", NOW, "a")
    mixed = [record(there, 5, b"ann", value), record(1 - there, 9, b"x", b"no event"), record(there, 6, b"ann", value)]
    sorter().input(batch, mixed, {there: held(there), 1 - there: held(1 - there, live=False)})
    assert batch.offsets == {TopicPartition("engagement", there): 7}
    assert batch.refused == []
    assert [len(group.arrivals) for group in batch.groups[there].values()] == [2]


def test_an_offset_moves_past_refused_records_too() -> None:
    batch = Batch()
    sorter().input(batch, [record(0, 5, b"k", None), record(1, 3, b"k", None)], {0: held(0), 1: held(1)})
    assert batch.offsets == {TopicPartition("engagement", 0): 6, TopicPartition("engagement", 1): 4}


def test_every_record_s_key_is_held_to_its_own_subject() -> None:
    batch = Batch()
    there = partition_of(b"ann", 2)
    value = event("seen", "ann", NOW, "a")
    sorter().input(batch, [record(there, 1, b"ann", value), record(there, 2, b"ben", value)], {there: held(there)})
    assert [refusal.reason for _, _, refusal in batch.refused] == ["key-is-not-subject"]


# ---------------------------------------------------------------------------------------------------- clocks


@given(
    probes=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20), st.integers(0, 20)), max_size=20),
    steps=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=20),
)
def test_a_partition_s_clock_is_at_a_time_whose_ends_are_read_and_never_goes_back(
    probes: list[tuple[int, int, int]], steps: list[tuple[int, int]]
) -> None:
    clock = PartitionClock()
    inputs, internals = sorted(p[1] for p in probes), sorted(p[2] for p in probes)  # ends only grow
    known = [(wall, end, other) for (wall, _, _), end, other in zip(probes, inputs, internals, strict=True)]
    for probe in known:
        clock.probe(*probe)
    before = None
    at, internal_at = 0, 0
    for by, internal_by in steps:
        at, internal_at = at + by, internal_at + internal_by
        clock.advance(at, internal_at)
        reached = [wall for wall, end, internal_end in known if end <= at and internal_end <= internal_at]
        assert clock.reached == (max(reached) if reached else None)
        assert before is None or (clock.reached is not None and clock.reached >= before)
        before = clock.reached


def test_probes_are_bounded() -> None:
    clock = PartitionClock()
    for wall in range(10 * PROBES_MAX):
        clock.probe(wall, 1_000, 0)
    assert len(clock._probes) == PROBES_MAX
    clock.advance(1_000, 0)
    assert clock.reached == PROBES_MAX - 1
    assert clock.waiting() is None


def test_a_deadline_is_shared_and_never_grants_nothing() -> None:
    clock = SimulatedClock()
    deadline = Deadline(clock, 1_000)
    assert (deadline.left_ms(), deadline.over()) == (1_000, False)
    clock.advance(400)
    assert deadline.left_ms() == 600
    clock.advance(10_000)
    assert (deadline.left_ms(), deadline.over()) == (1, True)


def test_the_machine_s_clock_tells_milliseconds_since_the_epoch() -> None:
    clock = SystemClock()
    assert clock.wall_ms() > 1_700_000_000_000
    assert clock.monotonic() <= clock.monotonic()


# ---------------------------------------------------------------------------------------------------- a transaction


class Script:
    """A producer that writes down what it is asked, and fails where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[str] = []
        self.limits: list[int] = []
        self.fails = fails
        self.sent = 0

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails:
            raise Retriable(f"{name} failed")

    def begin(self) -> None:
        self._call("begin")

    def send(self, sends: Any) -> None:
        self.sent += len(sends)
        self._call("send")

    def flush(self, timeout_ms: int) -> list[int]:
        self.limits.append(timeout_ms)
        self._call("flush")
        return list(range(10, 10 + self.sent))

    def send_offsets(self, offsets: Any, group: GroupMetadata, timeout_ms: int) -> None:
        assert offsets
        assert group.generation == 3
        self.limits.append(timeout_ms)
        self._call("send_offsets")

    def commit(self, timeout_ms: int) -> None:
        self.limits.append(timeout_ms)
        self._call("commit")

    def abort(self, timeout_ms: int) -> None:
        self._call("abort")

    def close(self) -> None:
        self._call("close")


def work() -> Work:
    states = [Send("changelog", number, b"c:ann", b"12345678s") for number in (0, 1, 0)]
    writes = {0: [Write(b"c:ann", b"s", None)], 1: [Write(b"c:ann", b"s", None)]}
    group = GroupMetadata(GROUP, 3, "one")
    return Work(group, {TopicPartition("engagement", 0): 7}, states, [Send("lifecycle", 0, b"ann", b"{}")], writes)


def test_a_transaction_s_steps_come_in_order_and_the_store_last() -> None:
    producer, store, reached = Script(), MemoryStore(), []

    def at(step: str) -> None:
        reached.append(step)
        assert store.get(0, b"c:ann") is None or step == "stored"

    positions = commit(producer, store, work(), Deadline(SimulatedClock(), 10_000), at)
    assert producer.calls == ["begin", "send", "send", "flush", "send_offsets", "commit"]
    assert tuple(reached) == STEPS
    assert positions == {0: 13, 1: 12}  # states were sent first: their offsets are the first that flush told
    assert {number: store.position(number) for number in (0, 1)} == positions


@pytest.mark.parametrize("fails", ["begin", "send", "flush", "send_offsets", "commit"])
def test_nothing_follows_a_step_that_failed(fails: str) -> None:
    producer, store = Script(fails), MemoryStore()
    with pytest.raises(Retriable):
        commit(producer, store, work(), Deadline(SimulatedClock(), 10_000))
    assert producer.calls[-1] == fails
    assert store.position(0) is None


def test_the_steps_share_one_time_limit() -> None:
    clock = SimulatedClock()
    producer = Script()
    real = producer._call

    def slow(name: str) -> None:
        clock.advance(3_000)
        real(name)

    producer._call = slow  # type: ignore[method-assign]
    commit(producer, MemoryStore(), work(), Deadline(clock, 10_000))
    assert producer.limits == [1_000, 1, 1]


def test_a_transaction_without_offsets_is_a_fault() -> None:
    with pytest.raises(AssertionError, match="not fenced"):
        commit(Script(), MemoryStore(), Work(GroupMetadata(GROUP, 3, "one"), {}), Deadline(SimulatedClock(), 1_000))


def test_a_batch_is_committed_under_the_membership_it_was_polled_with(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(partitions=1)
    bench.turn(5)
    asked: list[str] = []
    for client, name in ((SimulatedConsumer, "poll"), (SimulatedConsumer, "group_metadata")):
        monkeypatch.setattr(client, name, noted(asked, name, getattr(client, name)))
    bench.send("seen", "ann")
    bench.until(lambda: len(bench.published()) == 1)
    assert asked == ["poll", "group_metadata"] * (len(asked) // 2)


def test_ends_are_looked_up_after_the_committed_offsets_and_begins_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fenced owner writes to the changelog after our stable offsets were read can't be committed any more;
    what it wrote before lies below an end that is looked up afterwards."""
    asked: list[str] = []
    monkeypatch.setattr(SimulatedConsumer, "committed", noted(asked, "committed", SimulatedConsumer.committed))
    for name in ("begin_offsets", "end_offsets"):
        monkeypatch.setattr(SimulatedAdmin, name, noted(asked, name, getattr(SimulatedAdmin, name)))
    bench = Bench(partitions=1)
    bench.until(lambda: bench.worker.live() == {0})
    assert asked[:3] == ["begin_offsets", "committed", "end_offsets"]


def noted(asked: list[str], name: str, real: Any) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        asked.append(name)
        return real(*arguments, **named)

    return call


# ---------------------------------------------------------------------------------------------------- records


@given(state=st.none() | st.binary(max_size=40), due=st.none() | st.integers(0, (1 << 63) - 2))
def test_a_changelog_record_gives_back_what_was_written(state: bytes | None, due: int | None) -> None:
    value = encode_state(state, due)
    found = to_write(Record("changelog", 0, 0, NOW, b"c:ann", value))
    assert found == Write(b"c:ann", state, None if state is None else due)


@pytest.mark.parametrize(("key", "value"), [(None, b"12345678"), (b"c:ann", b"short")])
def test_a_record_that_no_worker_wrote_is_told(key: bytes | None, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"changelog\[0\]@7 is no changelog record"):
        to_write(Record("changelog", 0, 7, NOW, key, value))


def test_the_definition_is_read_back_from_the_headers() -> None:
    definition = Definition("10ex", 3, "abc")
    assert definition_of((("other", b"x"), *definition_headers(definition))) == definition
    assert definition_of((("other", b"x"),)) is None


@given(
    key=st.none() | st.binary(max_size=2_000),
    value=st.none() | st.binary(max_size=4_000),
    headers=st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=200)), max_size=4).map(tuple),
    message=st.text(max_size=3_000),
)
def test_a_dead_letter_fits_its_topic_or_carries_a_digest(
    key: bytes | None, value: bytes | None, headers: Headers, message: str
) -> None:
    limit = 6_000
    original = Record("engagement", 1, 7, NOW, key, value, headers)
    send = dead_letter(original, Refusal("reason", message), "dead", 0, "1", limit)
    assert size(send.key, send.value, send.headers) <= limit
    names = [name for name, _ in send.headers]
    if "lifecycle-digest" in names[len(headers) :] or "lifecycle-digest" in names[:8]:
        assert send.value is None
    else:
        assert (send.key, send.value, send.headers[: len(headers)]) == (key, value, headers)
        assert set(names[len(headers) :]) <= OWN


# ---------------------------------------------------------------------------------------------------- logs, metrics


def test_logs_are_json_off_a_terminal() -> None:
    out = io.StringIO()
    open_logger(settings(), out).bind(partition=3).info("restored", seconds=1.5)
    line = json.loads(out.getvalue())
    assert (line["event"], line["partition"], line["seconds"], line["level"]) == ("restored", 3, 1.5, "info")
    assert line["timestamp"].endswith("Z")


def test_logs_are_lines_to_read_where_that_is_wanted() -> None:
    out = io.StringIO()
    log = open_logger(settings(log_format="console", log_level="warning"), out)
    log.info("unheard")
    log.warning("waiting", on="kafka://localhost:9092")
    assert out.getvalue().count("\n") == 1
    assert "waiting" in out.getvalue()
    assert "{" not in out.getvalue()


def test_what_the_clients_log_is_lines_of_the_log_and_each_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in Clients.NAMES:
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    out = io.StringIO()
    hear_clients(open_logger(settings(log_format="json"), out))
    theirs = logging.getLogger("kafka.net.manager")

    def said_at(at: float, level: int, text: str, *arguments: object) -> None:
        record = {"name": theirs.name, "levelno": level, "created": at, "msg": text, "args": arguments}
        theirs.handle(logging.makeLogRecord(record))

    for at in (1e9, 1e9 + 60):
        for wait in (0.5, 1.25, 2):
            said_at(at, logging.ERROR, "Connection to %s failed (backoff %s secs)", "broker-1", wait)
            said_at(at + wait, logging.WARNING, "Connection to %s failed", "broker-2")
    theirs.info("not of interest")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    said = [(line["event"], line["logger"], line["says"], line["level"]) for line in lines]
    assert (
        said
        == [
            ("client", "kafka.net.manager", "Connection to broker-1 failed (backoff 0.5 secs)", "error"),
            ("client", "kafka.net.manager", "Connection to broker-2 failed", "warning"),
        ]
        * 2
    )


def test_a_contact_s_shadow_is_the_same_under_one_key_and_another_under_another() -> None:
    one, two = (Shadow(settings(log_key=key)) for key in ("k1", "k2"))
    assert one("ann") == one(b"ann") == Shadow(settings(log_key="k1"))("ann")
    assert len({one("ann"), two("ann"), one("ben"), Shadow(settings())("ann"), Shadow(settings())("ann")}) == 5
    assert "ann" not in one("ann")


def test_metrics_count_moves_and_corrections_by_stage_and_keep_few_names() -> None:
    metrics = Metrics()
    moved = {"type": "lifecycle.stage.changed.v1", "data": {"direction": "forward", "from": "lead", "to": "mql"}}
    corrected = {"type": "lifecycle.corrected.v1", "data": {"withdrawn": [], "current": {"stage": "lead"}}}
    metrics.published([Output("ann", moved), Output("ann", moved), Output("ann", corrected), Output("ann", {})])
    assert metrics.moves == {("lead", "mql"): 2}
    assert metrics.corrections == {"lead": 1}
    assert metrics.outputs == {"lifecycle.stage.changed.v1": 2, "lifecycle.corrected.v1": 1, "other": 1}
    metrics.published(Output("ann", {"type": f"type-{number}"}) for number in range(2 * NAMES_MAX))
    assert len(metrics.outputs) <= NAMES_MAX + 1
