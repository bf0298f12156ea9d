"""The embedded log: the suite of all transports, and what is its own: processes, a file, the clock."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.processes import bound, kill, limited
from tests.transports.conformance import WAIT_MS, Connect, TransportConformance, publish, sends, values
from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec
from worker.transports.embedded import EmbeddedTransport, cleaning
from worker.transports.embedded import log as log_module
from worker.transports.embedded.cleaning import clean
from worker.transports.embedded.file import LogFile
from worker.transports.errors import CommitUnknown, Fatal, Fenced, Retriable, TransportError

ROOT = Path(__file__).parents[2]
IN = TopicPartition("in", 0)
OUT = TopicPartition("out", 0)


class TestEmbedded(TransportConformance):
    limit_seconds = 20.0

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return lambda: EmbeddedTransport(tmp_path / "log")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def opened(
    path: Path, partitions: int = 1, session_ms: int = 10_000, transaction_ms: int = 10_000
) -> EmbeddedTransport:
    transport = EmbeddedTransport(path, session_ms=session_ms, transaction_ms=transaction_ms)
    for name in ("in", "out"):
        transport.admin().create(TopicSpec(name, partitions))
    return transport


def until(step: Callable[[], object], condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    """Take steps, which wait a little by themselves, until the condition holds; fail after the limit."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        step()


def read_all(transport: EmbeddedTransport, topic: str, partitions: int = 1) -> list[Record]:
    reader = transport.reader()
    everything = [TopicPartition(topic, number) for number in range(partitions)]
    reader.assign(dict.fromkeys(everything, EARLIEST))
    ends = transport.admin().end_offsets(everything)
    found: list[Record] = []

    until(
        lambda: found.extend(reader.poll(100, 10_000)),
        lambda: all(reader.position(partition) >= end for partition, end in ends.items()),
        f"the end of {topic}",
    )
    return found


@contextmanager
def process(script: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of the script; killed at the end, if it still runs."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with limited(subprocess.Popen(bound(command), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as started:
        yield started


def line(started: subprocess.Popen[bytes]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().decode().strip()


# ------------------------------------------------------------------------------------------------- the file


def test_what_was_committed_is_there_when_the_file_is_opened_again(path: Path) -> None:
    with closing(opened(path)) as first:
        publish(first.producer("t"), sends("in", 3))
    with closing(opened(path)) as second:
        assert values(read_all(second, "in")) == [b"value-0", b"value-1", b"value-2"]
        assert publish(second.producer("t"), sends("in", 1)) == [3]


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be taken for one" * 40, b""])
def test_a_file_that_is_no_log_is_refused_or_made_one(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    if content:
        with pytest.raises(Fatal, match="log") as refused:
            opened(path)
        assert refused.value.remedy
    else:
        opened(path).close()


def test_somebody_else_s_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id)")
    with pytest.raises(Fatal, match="no log of this worker"):
        opened(path)
    with closing(sqlite3.connect(path)) as other:
        assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["theirs"]


def test_a_log_of_another_format_is_refused(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(Fatal, match="format 99"):
        opened(path)


def test_a_folder_in_place_of_the_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Fatal) as refused:
        opened(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert refused.value.remedy


def test_a_closed_log_says_so(path: Path) -> None:
    transport = opened(path)
    transport.close()
    transport.close()
    with pytest.raises(Fatal, match="closed"):
        transport.producer("t")


def test_processes_that_make_the_file_at_once_make_one_log(path: Path) -> None:
    script = """
import sys
from worker.transports.base import TopicSpec
from worker.transports.embedded import EmbeddedTransport
sys.stdin.readline()
print(EmbeddedTransport(sys.argv[1]).admin().create(TopicSpec("in", 3)), flush=True)
"""
    with process(script, path) as a, process(script, path) as b, process(script, path) as c:
        for started in (a, b, c):
            assert started.stdin is not None
            started.stdin.write(b"\n")
            started.stdin.flush()
        assert sorted(line(started) for started in (a, b, c)) == ["False", "False", "True"]


def test_a_full_disk_is_a_clear_error_and_nothing_committed_is_lost(path: Path) -> None:
    """A limit on file size stands in for the full disk: the same failed write, without a disk to fill."""
    script = """
import resource, sys
from tests.transports.conformance import publish, sends
from tests.transports.test_embedded import opened
from worker.transports.base import Send
from worker.transports.errors import Fatal
transport = opened(sys.argv[1])
publish(transport.producer("t"), sends("in", 3))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    publish(transport.producer("t"), [Send("in", 0, b"k", bytes(100_000)) for _ in range(50)])
except Fatal as error:
    print("fatal", bool(error.remedy), flush=True)
"""
    with process(script, path) as started:
        assert line(started) == "fatal True"
        started.wait(timeout=30)
    with closing(opened(path)) as transport:
        transport.producer("t")
        assert values(read_all(transport, "in")) == [b"value-0", b"value-1", b"value-2"]


def test_a_busy_file_is_waited_for_up_to_the_limit_and_a_commit_is_then_unknown(path: Path) -> None:
    with closing(opened(path)) as transport, closing(sqlite3.connect(path, isolation_level=None)) as other:
        flushing, committing = transport.producer("a"), transport.producer("b")
        flushing.begin()
        flushing.send(sends("in", 1))
        committing.begin()
        committing.send(sends("in", 1))
        committing.flush(WAIT_MS)
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(Retriable):
            flushing.flush(200)
        with pytest.raises(CommitUnknown):
            committing.commit(200)
        assert time.monotonic() - started < 5
        other.execute("ROLLBACK")


def test_a_forked_child_is_told_to_open_its_own(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child(transport: EmbeddedTransport) -> None:
        try:
            transport.admin().partitions("never asked before")
        except TransportError as error:
            answers.put(str(error))

    with closing(opened(path)) as transport:
        # A daemon: one that hangs is killed at the end of the tests, not waited for.
        started = context.Process(target=child, args=(transport,), daemon=True)
        started.start()
        started.join(timeout=30)
        assert started.exitcode == 0
        assert "fork" in answers.get()
        publish(transport.producer("t"), sends("in", 1))


def test_a_second_connection_leaves_the_locks_of_the_first_alone(path: Path) -> None:
    """Without them another process that closes takes itself for the last one and ends the log that this one writes."""
    script = """
import sys
from tests.transports.conformance import publish, sends
from tests.transports.test_embedded import opened
transport = opened(sys.argv[1])
publish(transport.producer("other"), sends("in", 1))
transport.close()
print("closed", flush=True)
"""
    with closing(opened(path)) as first, closing(opened(path)) as second:
        for _ in range(2):
            publish(first.producer("t"), sends("in", 1))
            with process(script, path) as other:
                assert line(other) == "closed"
            assert path.with_name(f"{path.name}-wal").exists(), "two connections to it are still open"
        assert len(read_all(second, "in")) == len(read_all(first, "in")) == 4
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# ------------------------------------------------------------------------------------------------- reading


def test_a_waiting_poll_sees_what_another_connection_writes(path: Path) -> None:
    script = """
import sys
from tests.transports.conformance import publish, sends
from tests.transports.test_embedded import opened
transport = opened(sys.argv[1])
producer = transport.producer("t")
print("ready", flush=True)
sys.stdin.readline()
publish(producer, sends("in", 1))
"""
    with closing(opened(path)) as transport, process(script, path) as other:
        reader = transport.reader()
        reader.assign({IN: EARLIEST})
        assert line(other) == "ready"
        assert other.stdin is not None
        other.stdin.write(b"\n")
        other.stdin.flush()
        started = time.monotonic()
        assert values(reader.poll(20_000, 10)) == [b"value-0"]
        assert time.monotonic() - started < 10


def test_an_idle_poll_looks_at_the_file_now_and_then_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    version = LogFile.version

    def counted(file: LogFile) -> tuple[int, int]:
        looks.append(1)
        return version(file)

    monkeypatch.setattr(LogFile, "version", counted)
    with closing(opened(path)) as transport:
        reader = transport.reader()
        reader.assign({IN: EARLIEST})
        assert reader.poll(500, 10) == []
    assert len(looks) < 60


def test_a_poll_is_bounded_in_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "FETCH_BYTES_MAX", 10_000)
    with closing(opened(path, partitions=2)) as transport:
        big = [Send("in", number % 2, b"k", bytes(4_000)) for number in range(10)]
        publish(transport.producer("t"), big)
        reader = transport.reader()
        reader.assign({TopicPartition("in", 0): 0, TopicPartition("in", 1): 0})
        polls: list[int] = []
        until(lambda: polls.append(len(reader.poll(0, 1_000))), lambda: sum(polls) == 10, "all ten")
        assert max(polls) <= 3


# ------------------------------------------------------------------------------------------------- time


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(path: Path) -> None:
    with closing(opened(path)) as transport, closing(opened(path, transaction_ms=50)) as impatient:
        slow = impatient.producer("slow")
        slow.begin()
        slow.send(sends("in", 2))
        slow.flush(WAIT_MS)
        publish(transport.producer("quick"), sends("in", 1, start=10))
        reader = transport.reader()
        reader.assign({IN: EARLIEST})
        found: list[Record] = []
        until(lambda: found.extend(reader.poll(50, 10)), lambda: bool(found), "what comes after it")

        assert values(found) == [b"value-10"]
        with pytest.raises(Fenced):
            slow.commit(WAIT_MS)


def test_committed_offsets_are_free_once_a_dead_worker_s_transaction_has_expired(path: Path) -> None:
    with closing(opened(path, transaction_ms=100)) as transport:
        consumer = transport.consumer("group", ["in"], None)
        until(lambda: consumer.poll(50, 1), lambda: bool(consumer.assignment()), "an assignment")
        dead = transport.producer("dead")
        dead.begin()
        dead.send_offsets({IN: 5}, consumer.group_metadata(), WAIT_MS)

        assert consumer.committed([IN], timeout_ms=10_000) == {IN: None}
        consumer.close()


def test_a_killed_member_s_partitions_go_to_the_others_after_its_session(path: Path) -> None:
    script = """
import sys
from tests.transports.test_embedded import opened
consumer = opened(sys.argv[1], 4, session_ms=400).consumer("group", ["in"], "one")
while True:
    consumer.poll(20, 10)
    print(len(consumer.assignment()), flush=True)
"""
    with closing(opened(path, 4, session_ms=400)) as transport, process(script, path) as other:
        consumer = transport.consumer("group", ["in"], "two")
        until(lambda: consumer.poll(20, 10), lambda: len(consumer.assignment()) == 2, "two of four")
        until(lambda: None, lambda: line(other) == "2", "two of four for the other one")
        other.kill()
        until(lambda: consumer.poll(20, 10), lambda: len(consumer.assignment()) == 4, "all four")
        consumer.leave()


def test_a_busy_member_that_does_not_poll_keeps_its_place(path: Path) -> None:
    """Its thread says that it is alive, while it restores or folds a large batch for longer than a session."""
    with closing(opened(path, 2, session_ms=1_000)) as one, closing(opened(path, 2, session_ms=1_000)) as two:
        busy, other = one.consumer("group", ["in"], None), two.consumer("group", ["in"], None)
        both = [busy, other]
        until(
            lambda: [consumer.poll(10, 1) for consumer in both],
            lambda: all(len(consumer.assignment()) == 1 for consumer in both),
            "one each",
        )
        ends = time.monotonic() + 2.5
        until(lambda: other.poll(20, 1), lambda: time.monotonic() > ends, "two sessions and a half")

        assert len(other.assignment()) == 1
        busy.poll(10, 1)
        assert not busy.lost()
        for consumer in both:
            consumer.close()


def test_a_stopped_process_that_goes_on_is_a_zombie_and_refused(path: Path) -> None:
    script = """
import sys
from tests.transports.conformance import WAIT_MS
from tests.transports.test_embedded import opened
from worker.transports.errors import Fenced
transport = opened(sys.argv[1], session_ms=400)
consumer = transport.consumer("group", ["in"], None)
while not consumer.assignment():
    consumer.poll(20, 10)
producer = transport.producer("zombie")
metadata = consumer.group_metadata()
print("holds", flush=True)
sys.stdin.readline()
producer.begin()
try:
    producer.send_offsets(dict.fromkeys(consumer.assignment(), 99), metadata, WAIT_MS)
except Fenced:
    print("refused", flush=True)
consumer.poll(20, 10)
print(consumer.lost(), flush=True)
"""
    with closing(opened(path, session_ms=400)) as transport, process(script, path) as zombie:
        assert line(zombie) == "holds"
        zombie.send_signal(signal.SIGSTOP)
        consumer = transport.consumer("group", ["in"], None)
        until(lambda: consumer.poll(20, 10), lambda: bool(consumer.assignment()), "the stopped one's partition")
        zombie.send_signal(signal.SIGCONT)
        assert zombie.stdin is not None
        zombie.stdin.write(b"\n")
        zombie.stdin.flush()
        assert line(zombie) == "refused"
        assert line(zombie) == "True"
        assert consumer.committed([IN]) == {IN: None}
        consumer.close()


# ------------------------------------------------------------------------------------------------- processes


COPIER = """
import sys
from tests.transports.test_embedded import opened
from worker.transports.base import Send, TopicPartition
from worker.transports.errors import Fenced, Retriable
path, name, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
transport = opened(path, partitions, session_ms=1_000, transaction_ms=1_000)
consumer = transport.consumer("group", ["in"], name)
producer, ready = None, set()
while True:
    try:
        records = consumer.poll(20, 50)
        metadata = consumer.group_metadata()
        if consumer.lost():
            ready = set()
            continue
        producer = producer or transport.producer("group-" + name)
        held = consumer.assignment()
        ready &= held
        if held - ready:
            for partition, offset in consumer.committed(sorted(held - ready), 5_000).items():
                consumer.seek(partition, offset or 0)
            ready = set(held)
            continue
        if records:
            producer.begin()
            producer.send([Send("out", r.partition, r.key, r.value) for r in records])
            producer.flush(5_000)
            ends = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
            producer.send_offsets(ends, metadata, 5_000)
            producer.commit(5_000)
    except (Retriable, Fenced):
        producer, ready = None, set()
"""


def test_processes_killed_at_any_moment_copy_exactly_once(path: Path) -> None:
    partitions, count, choose = 3, 6_000, random.Random(7)
    with closing(opened(path, partitions)) as transport:
        producer = transport.producer("load")
        everything = [TopicPartition("in", number) for number in range(partitions)]
        watching = transport.reader()
        watching.assign({TopicPartition("out", number): EARLIEST for number in range(partitions)})
        seen: list[Record] = []

        def watch(wanted: int) -> None:
            until(lambda: seen.extend(watching.poll(20, 10_000)), lambda: len(seen) >= wanted, f"{wanted} copies")

        running = [start_copier(path, name, partitions) for name in ("one", "two")]
        try:
            for start in range(0, count, 300):
                publish(producer, sends("in", 300, partitions=partitions, start=start))
                watch(len(seen) + 1)
                if choose.random() < 0.4:
                    place = choose.randrange(2)
                    kill(running[place])
                    running[place] = start_copier(path, ("one", "two")[place], partitions)
            watch(count)
        finally:
            for started in running:
                kill(started)
        assert watching.poll(100, 10) == []
        for partition in everything:
            copied = [record.value for record in seen if record.partition == partition.partition]
            assert copied == [b"value-%d" % n for n in range(partition.partition, count, partitions)]


def start_copier(path: Path, name: str, partitions: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(bound([sys.executable, "-c", COPIER, str(path), name, str(partitions)]), cwd=ROOT)


# ------------------------------------------------------------------------------------------------- forgetting


def test_compaction_keeps_each_key_s_last_record_and_offsets_stay(path: Path) -> None:
    with closing(opened(path)) as transport:
        transport.admin().create(TopicSpec("changelog", 1, config={"cleanup.policy": "compact"}))
        producer = transport.producer("t")
        for batch in range(5):
            publish(producer, [Send("changelog", 0, b"%d" % key, b"%d" % batch) for key in range(10)])
        publish(producer, [Send("changelog", 0, b"3", None)])
        open_one = transport.producer("open")
        open_one.begin()
        open_one.send([Send("changelog", 0, b"4", b"not committed")])
        open_one.flush(WAIT_MS)
        clean(transport._log, added_min=1)
        open_one.abort(WAIT_MS)

        found = read_all(transport, "changelog")
        assert [(record.offset, record.value) for record in found[:-1]] == [(n, b"4") for n in range(40, 50) if n != 43]
        assert (found[-1].key, found[-1].value) == (b"3", None)
        assert transport.admin().begin_offsets([TopicPartition("changelog", 0)]) == {TopicPartition("changelog", 0): 0}


def test_compaction_forgets_old_removals_and_waits_until_it_is_worth_it(path: Path) -> None:
    config = {"cleanup.policy": "compact", "delete.retention.ms": "0"}
    with closing(opened(path)) as transport:
        transport.admin().create(TopicSpec("changelog", 1, config=config))
        producer = transport.producer("t")
        publish(producer, [Send("changelog", 0, b"a", b"1"), Send("changelog", 0, b"a", None)])
        clean(transport._log, added_min=3)
        assert len(read_all(transport, "changelog")) == 2
        ends = time.time_ns() // 1_000_000 + 1
        until(lambda: None, lambda: time.time_ns() // 1_000_000 > ends, "the removal to be older than nothing")
        clean(transport._log, added_min=2)
        assert read_all(transport, "changelog") == []


def test_compaction_is_bounded_and_goes_on_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "DELETED_MAX", 15)
    monkeypatch.setattr(cleaning, "DELETED_AT_ONCE", 4)
    with closing(opened(path)) as transport:
        transport.admin().create(TopicSpec("changelog", 1, config={"cleanup.policy": "compact"}))
        publish(transport.producer("t"), [Send("changelog", 0, b"a", b"%d" % n) for n in range(30)])
        clean(transport._log, added_min=1)
        assert values(read_all(transport, "changelog")) == [b"%d" % n for n in range(15, 30)]


def test_records_older_than_the_topic_s_retention_go_when_a_member_joins(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(path)) as transport:
        transport.admin().create(TopicSpec("short", 1, config={"retention.ms": "3600000"}))
        producer = transport.producer("t")
        publish(producer, [*sends("short", 3), *sends("in", 3)])
        real = time.time_ns() // 1_000_000
        for module in ("file", "producer", "cleaning"):
            monkeypatch.setattr(f"worker.transports.embedded.{module}.now_ms", lambda: real + 3_700_000, raising=True)
        publish(producer, sends("short", 2, start=3))
        transport.consumer("group", ["in"], None).close()

        assert values(read_all(transport, "short")) == [b"value-3", b"value-4"]
        assert transport.admin().begin_offsets([TopicPartition("short", 0)]) == {TopicPartition("short", 0): 3}
        assert len(read_all(transport, "in")) == 3, "other topics are kept for ever"


def test_events_are_their_owner_s_only(path: Path) -> None:
    with closing(opened(path)) as transport:
        publish(transport.producer("t"), sends("in", 1))
        assert {file.stat().st_mode & 0o077 for file in path.parent.glob("log*")} == {0}


def test_a_member_of_a_closed_transport_runs_out(path: Path) -> None:
    with closing(opened(path, session_ms=300)) as transport:
        gone = opened(path, session_ms=300)
        member = gone.consumer("group", ["in"], None)
        until(lambda: member.poll(10, 1), lambda: bool(member.assignment()), "an assignment")
        gone.close()
        member.close()
        consumer = transport.consumer("group", ["in"], None)
        until(lambda: consumer.poll(20, 10), lambda: bool(consumer.assignment()), "the partition")
        consumer.close()


def test_a_thread_of_a_closed_member_is_gone(path: Path) -> None:
    before = threading.active_count()
    with closing(opened(path)) as transport:
        consumer = transport.consumer("group", ["in"], None)
        consumer.poll(0, 1)
        assert threading.active_count() == before + 1
        consumer.close()
        assert threading.active_count() == before
