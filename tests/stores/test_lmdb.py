"""The store on disk: what outlives a close, a kill, a machine crash, a full disk and a fork."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes import bound, limited
from tests.stores.conformance import StoreConformance
from worker.stores import LmdbStore, Store, StoreDamaged, StoreError, StoreFull, StoreInUse, Write, open_store
from worker.stores import folder as folder_module
from worker.stores.environment import COPY, FILE
from worker.stores.room import reservable

ROOT = Path(__file__).parents[2]
KIB = 1 << 10


class TestLmdbStore(StoreConformance):
    def open(self, folder: Path) -> Store:
        return open_store(folder)


class TestLmdbStoreThroughTheMap(StoreConformance):
    def open(self, folder: Path) -> Store:
        return LmdbStore(folder, through=True)


class TestLmdbStoreWithoutTheMap(StoreConformance):
    def open(self, folder: Path) -> Store:
        return LmdbStore(folder, through=False)


both_ways = pytest.mark.parametrize("through", [False, True], ids=["by-calls", "through-the-map"])
"""The map is written through only where that is safe; what holds must hold either way."""


def test_the_map_is_written_through_only_where_blocks_can_be_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(LmdbStore(tmp_path / "a")) as store:
        assert store._environment.through == reservable(tmp_path)
    monkeypatch.setattr("worker.stores.room.IN_PLACE", frozenset())
    with closing(LmdbStore(tmp_path / "b")) as store:
        assert not store._environment.through


@both_ways
def test_a_scrubbed_store_s_files_hold_no_byte_of_what_was_replaced(tmp_path: Path, through: bool) -> None:
    with closing(LmdbStore(tmp_path, through=through)) as store:
        store.apply(0, [Write(b"c:%d" % n, b"person-%d@example.com" % n * 20, None) for n in range(500)], 1)
        store.apply(0, [Write(b"c:%d" % n, b"erased" if n % 2 else None, None) for n in range(500)], 2)
        assert any(b"@example.com" in file.read_bytes() for file in tmp_path.iterdir())
        store.scrub(3)
        assert not any(b"@example.com" in file.read_bytes() for file in tmp_path.iterdir())
        assert store.count(0) == 250
    with closing(LmdbStore(tmp_path, through=through)) as store:
        assert (store.count(0), store.position(0), store.scrubbed()) == (250, 2, 3)


def test_a_rewriting_that_was_interrupted_leaves_the_old_file(tmp_path: Path) -> None:
    with closing(LmdbStore(tmp_path)) as store:
        store.apply(0, [Write(b"a", b"one", None)], 1)
    (tmp_path / COPY).write_bytes(b"half of it")
    with closing(LmdbStore(tmp_path)) as store:
        assert store.get(0, b"a") == b"one"
    assert not (tmp_path / COPY).exists()


def test_a_file_may_be_opened_either_way_again(tmp_path: Path) -> None:
    for turn, through in enumerate([True, False, True]):
        with closing(LmdbStore(tmp_path, through=through)) as store:
            assert store.count(0) == turn * 1_000
            store.apply(0, [Write(b"%d/%d" % (turn, n), bytes(1_000), n) for n in range(1_000)], turn)


def test_closed_store_is_whole_when_opened_again(tmp_path: Path) -> None:
    with closing(LmdbStore(tmp_path)) as store:
        store.apply(1, [Write(b"a", b"1", 100)], 5)
        store.apply(1, [Write(b"a", b"2", 300)], 6)
        store.mark(1, 42)

    with closing(LmdbStore(tmp_path)) as store:
        assert store.emptied is None
        assert (store.get(1, b"a"), store.position(1), store.stamp(1)) == (b"2", 6, 42)
        assert store.due(1, 299, 10) == []
        assert store.next_due(1) == 300


def test_states_are_their_owner_s_only(tmp_path: Path) -> None:
    with closing(LmdbStore(tmp_path / "state")):
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
        assert (tmp_path / "state" / FILE).stat().st_mode & 0o077 == 0


# The folder has one user


def test_folder_in_use_is_one_clear_error_naming_folder_and_process(tmp_path: Path) -> None:
    with closing(LmdbStore(tmp_path)), pytest.raises(StoreInUse) as refused:
        LmdbStore(tmp_path)

    assert str(tmp_path) in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)
    assert "--state-dir" in refused.value.remedy


def test_folder_used_by_another_process_is_refused_until_that_ends(tmp_path: Path) -> None:
    started = subprocess.Popen(
        bound([sys.executable, "-c", HOLD, str(tmp_path)]), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with limited(started) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUse, match=f"process {process.pid} "):
            LmdbStore(tmp_path)
    with closing(LmdbStore(tmp_path)) as store:
        assert store.get(0, b"a") == b"1"


HOLD = """
import sys
from worker.stores import LmdbStore, Write
store = LmdbStore(sys.argv[1])
store.apply(0, [Write(b"a", b"1", None)], 1)
print("open", flush=True)
sys.stdin.read()
"""


def test_file_in_place_of_the_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(StoreError, match="--state-dir"):
        LmdbStore(tmp_path / "state")


# Killed processes and crashed machines


@both_ways
def test_killed_in_the_middle_of_applies_has_whole_batches_only(tmp_path: Path, through: bool) -> None:
    for round_number in range(3):
        started = subprocess.Popen(
            bound([sys.executable, "-c", APPLY, str(tmp_path), str(int(through))]), cwd=ROOT, stdout=subprocess.PIPE
        )
        with limited(started) as process:
            assert process.stdout is not None
            for _ in range(5 + 3 * round_number):  # the kill falls somewhere in a later batch
                reported = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            reported = int(([b"%d" % reported, *process.stdout.read().splitlines()])[-1])

        with closing(LmdbStore(tmp_path)) as store:
            assert store.emptied is None, "the machine did not restart: nothing is to be thrown away"
            position = store.position(0)
            assert position is not None
            assert position >= reported, "a batch that was applied before the kill is there"
            states = {value for _, value in store.items(0)}
            assert states == {b"%d" % position * 100}
            assert store.count(0) == 2_000
            assert store.next_due(0) == position + 1_000
            assert len(store.due(0, position + 1_000, 5_000)) == 2_000


APPLY = """
import sys
from worker.stores import LmdbStore, Write
store = LmdbStore(sys.argv[1], through=bool(int(sys.argv[2])))
position = store.position(0) or 0
while True:
    position += 1
    store.apply(0, [Write(b"%d" % n, b"%d" % position * 100, position + 1_000) for n in range(2_000)], position)
    print(position, flush=True)
"""


def left_open(folder: Path, boot: str | None) -> None:
    """The folder as a process leaves it that ended out of order during the machine's boot `boot`."""
    store = LmdbStore(folder)
    store.apply(0, [Write(b"a", b"1", None)], 1)
    store.close()
    session = json.loads((folder / "session.json").read_text())
    (folder / "session.json").write_text(json.dumps({**session, "ended": False, "boot": boot}))


def test_store_of_a_crashed_machine_is_emptied_and_says_why(tmp_path: Path) -> None:
    left_open(tmp_path, boot="an earlier boot")

    with closing(LmdbStore(tmp_path)) as store:
        assert store.emptied is not None
        assert "restarted" in store.emptied
        assert store.position(0) is None
        assert store.get(0, b"a") is None


def test_store_of_a_killed_process_is_kept_within_one_boot(tmp_path: Path) -> None:
    left_open(tmp_path, boot=folder_module.boot_id())

    with closing(LmdbStore(tmp_path)) as store:
        assert store.position(0) == (1 if folder_module.boot_id() else None)


def test_where_the_system_names_no_boot_only_an_orderly_end_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "boot_id", lambda: None)
    left_open(tmp_path, boot=None)
    with closing(LmdbStore(tmp_path)) as store:
        assert store.emptied is not None
        store.apply(0, [], 8)
    with closing(LmdbStore(tmp_path)) as store:
        assert store.emptied is None
        assert store.position(0) == 8


@pytest.mark.parametrize("text", ["", "not JSON", "[]", '{"format": 999, "boot": null, "ended": true}'])
def test_store_with_an_unreadable_or_foreign_session_is_emptied(tmp_path: Path, text: str) -> None:
    left_open(tmp_path, boot=None)
    (tmp_path / "session.json").write_text(text)

    with closing(LmdbStore(tmp_path)) as store:
        assert store.emptied is not None
        assert store.position(0) is None


def test_new_folder_was_not_emptied(tmp_path: Path) -> None:
    with closing(LmdbStore(tmp_path / "deep" / "state")) as store:
        assert store.emptied is None


def test_overwritten_file_is_reported_as_damaged(tmp_path: Path) -> None:
    LmdbStore(tmp_path).close()
    (tmp_path / FILE).write_bytes(b"\x55" * 65_536)

    with pytest.raises(StoreDamaged, match="changelog"):
        LmdbStore(tmp_path)
    (tmp_path / FILE).unlink()
    LmdbStore(tmp_path).close()  # the failed attempt let go of the folder


# Room


@both_ways
def test_map_grows_with_what_is_written(tmp_path: Path, through: bool) -> None:
    with closing(LmdbStore(tmp_path, map_size=64 * KIB, through=through)) as store:
        for batch in range(20):
            store.apply(batch % 3, [Write(b"%d/%d" % (batch, n), bytes(1_000), n) for n in range(100)], batch)

        assert [store.count(partition) for partition in range(3)] == [700, 700, 600]
        assert store.get(1, b"19/99") == bytes(1_000)


@both_ways
def test_map_at_its_limit_is_a_clear_error_and_keeps_what_was_there(tmp_path: Path, through: bool) -> None:
    with closing(LmdbStore(tmp_path, map_size=64 * KIB, map_size_max=256 * KIB, through=through)) as store:
        store.apply(0, [Write(b"kept", b"1", 5)], 1)
        with pytest.raises(StoreFull, match="greatest size"):
            store.apply(0, [Write(b"%d" % n, bytes(1_000), n) for n in range(1_000)], 2)

        assert (store.position(0), store.count(0), store.next_due(0)) == (1, 1, 5)
        store.apply(0, [Write(b"kept", b"2", 6)], 3)
        assert store.get(0, b"kept") == b"2"


@both_ways
def test_full_disk_is_a_clear_error_and_keeps_what_was_there(tmp_path: Path, through: bool) -> None:
    """A limit on file size stands in for the full disk: the same failed write, without a disk to fill."""
    outcome = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), str(int(through))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.stdout == "full\n1 1\n", outcome.stderr
    with closing(LmdbStore(tmp_path)) as store:
        assert (store.position(0), store.count(0), store.get(0, b"kept")) == (1, 1, b"1")


FILL = """
import resource, sys
from worker.stores import LmdbStore, StoreFull, Write
store = LmdbStore(sys.argv[1], map_size=1 << 16, through=bool(int(sys.argv[2])))
store.apply(0, [Write(b"kept", b"1", 5)], 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    store.apply(0, [Write(b"%d" % n, bytes(1_000), n) for n in range(1_000)], 2)
except StoreFull as error:
    assert sys.argv[1] in str(error), error
    print("full")
print(store.position(0), store.count(0))
"""


def test_more_partitions_than_allowed_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.stores.environment.PARTITIONS_MAX", 3)
    with closing(LmdbStore(tmp_path)) as store:
        for partition in range(3):
            store.apply(partition, [], 1)
        with pytest.raises(StoreError, match="3 partitions"):
            store.apply(3, [], 1)


def test_states_do_not_sit_in_anonymous_memory(tmp_path: Path) -> None:
    """50,000 states of 500 bytes are 25 MB of map; what the process holds itself grows by a batch or so."""
    with closing(LmdbStore(tmp_path)) as store:
        anonymous = anonymous_kib()
        for batch in range(50):
            store.apply(0, [Write(b"%d" % (batch * 1_000 + n), os.urandom(500), n) for n in range(1_000)], batch)
        assert anonymous_kib() - anonymous < 12_000


def anonymous_kib() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        pytest.skip("this system has no /proc to tell anonymous memory from the map's")
    return int(status.partition("RssAnon:")[2].split()[0])


# Forks


def child_reads(store: LmdbStore, answers: multiprocessing.SimpleQueue[str]) -> None:
    try:
        store.get(0, b"a")
        answers.put("read")
    except StoreError as error:
        answers.put(str(error))
    store.close()


def test_forked_child_is_told_to_open_its_own_and_does_not_disturb_its_parent(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    with closing(LmdbStore(tmp_path)) as store:
        store.apply(0, [Write(b"a", b"1", None)], 1)
        # A daemon: one that hangs is killed at the end of the tests, not waited for.
        child = context.Process(target=child_reads, args=(store, answers), daemon=True)
        child.start()
        child.join(timeout=30)

        assert child.exitcode == 0
        assert "after the fork" in answers.get()
        with pytest.raises(StoreInUse):
            LmdbStore(tmp_path)
        store.apply(0, [Write(b"a", b"2", None)], 2)
        assert store.get(0, b"a") == b"2"
