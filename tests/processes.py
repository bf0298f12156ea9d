"""Processes that tests start: none outlives its test, or who runs the tests, and no wait for one is without limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TypeVar

LIMIT_SECONDS = 60.0
GONE_SECONDS = 60.0  # for the kernel to end what it was told to kill

# The program is replaced, so the process keeps its number. Nothing runs between fork and exec in the parent's name:
# a parent with threads could be forked while one of them holds a lock, and would wait for ever.
_BOUND = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        raise SystemExit("who started this has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""

Text = TypeVar("Text", bytes, str)


def bound(command: Sequence[str]) -> list[str]:
    """The command, run so that the kernel (of Linux) kills it when the thread that starts it ends."""
    return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]


@contextmanager
def limited(process: subprocess.Popen[Text], seconds: float = LIMIT_SECONDS) -> Iterator[subprocess.Popen[Text]]:
    """The process, gone when the block ends; killed after `seconds`, so that who reads from it comes to its end."""
    alarm = threading.Timer(seconds, process.kill)
    alarm.daemon = True
    alarm.start()
    try:
        yield process
    finally:
        alarm.cancel()
        kill(process)
        pipes: tuple[IO[Text] | None, ...] = (process.stdin, process.stdout, process.stderr)
        for pipe in pipes:
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # what it was to read is of no use to it any more
                    continue


def kill(process: subprocess.Popen[Text]) -> None:
    """The process is gone, whatever it was doing, stopped or not."""
    process.kill()
    process.wait(GONE_SECONDS)


def suspend(process: subprocess.Popen[Text]) -> None:
    """The process stands still with all its threads, until it gets a SIGCONT.

    The signal alone is not enough: a thread of the process has to take it and stop the others, and on a busy machine
    they go on meanwhile.
    """
    process.send_signal(signal.SIGSTOP)
    deadline, pause = time.monotonic() + LIMIT_SECONDS, threading.Event()
    while not os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)[1]):
        assert time.monotonic() < deadline, "the process did not stop"
        pause.wait(0.001)
