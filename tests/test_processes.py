"""What tests start ends, and whoever waits for it goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.processes import bound, limited

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


def runs(process: Path) -> bool:
    """Whether the process of this folder is there, and no zombie that nobody has asked after."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
