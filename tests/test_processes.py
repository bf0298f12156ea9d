"""What tests start ends, and whoever waits for it goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.processes import bound, limited, suspend

SILENT = [sys.executable, "-c", "import time; time.sleep(600)"]
LIMIT_SECONDS = 60.0


def test_who_reads_from_a_process_that_says_nothing_reads_its_end() -> None:
    begun = time.monotonic()
    started = subprocess.Popen(bound(SILENT), stdout=subprocess.PIPE)
    with limited(started, 0.5) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b""
    assert process.returncode is not None
    assert time.monotonic() - begun < LIMIT_SECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child whose parent was killed")
def test_a_process_ends_with_who_started_it() -> None:
    parent = f"""
import subprocess, sys
from tests.processes import bound
child = subprocess.Popen(bound({SILENT!r}))
print(child.pid, flush=True)
sys.stdin.read()
"""
    started = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with limited(started, LIMIT_SECONDS) as process:
        assert process.stdout is not None
        child = Path("/proc", process.stdout.readline().decode().strip())
        deadline, pause = time.monotonic() + LIMIT_SECONDS, threading.Event()
        while b"time.sleep" not in (child / "cmdline").read_bytes() or b"prctl" in (child / "cmdline").read_bytes():
            assert time.monotonic() < deadline, "the program was not run"
            pause.wait(0.02)
    while runs(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        pause.wait(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the state of each thread")
def test_a_suspended_process_does_nothing_from_then_on() -> None:
    busy = """
import hashlib, threading
def work():
    while True:
        hashlib.sha256(bytes(100_000))  # lets go of the lock, so that threads run on several processors
for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
print("busy", flush=True)
threading.Event().wait()
"""
    started = subprocess.Popen(bound([sys.executable, "-c", busy]), stdout=subprocess.PIPE)
    with limited(started, LIMIT_SECONDS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        for _ in range(50):
            suspend(process)
            assert {state(task) for task in Path("/proc", str(process.pid), "task").iterdir()} == {"T"}
            process.send_signal(signal.SIGCONT)


def state(process: Path) -> str:
    """The letter by which Linux tells what the process or thread of this folder does."""
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


def runs(process: Path) -> bool:
    """Whether the process of this folder is there, and no zombie that nobody has asked after."""
    try:
        return state(process) != "Z"
    except OSError:
        return False
