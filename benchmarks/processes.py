"""A system under measurement: a child process, what it says and when, its CPU seconds and its memory (Linux)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.processes import bound

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
LINES_KEPT: Final = 200
STOP_SECONDS: Final = 30.0
WATCH_SECONDS: Final = 0.05


class Void(Exception):
    """A run that doesn't count: the system failed, or did another job than the one it was given."""


@dataclass(frozen=True)
class Moment:
    """When (monotonic seconds), and the CPU seconds that the process had spent by then."""

    at: float
    cpu: float


class Peak:
    """While it is entered, `bytes` is the most memory that a process has held since it became what it is now.

    What the system tells of an ended process counts its parent's memory too, which it shared before it became the
    command. Linux.
    """

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            try:
                told = self._status.read_text().partition("VmHWM:")[2].split(maxsplit=1)
            except OSError:
                return
            if told:  # a process that has ended and was not waited for yet has none
                self.bytes = max(self.bytes, int(told[0]) * 1024)


class Child:
    """Runs a command, and notes the moment of the first line that contains `marker`.

    The line is seen as it is written, by a thread that does nothing else. A context manager: ended on exit.
    """

    def __init__(self, command: Sequence[str], marker: str, environment: Mapping[str, str] | None = None) -> None:
        self.started = time.monotonic()
        self.marked: Moment | None = None
        self.peak_anonymous_bytes = 0
        self._marker = marker
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._seen = threading.Condition()
        self._process = subprocess.Popen(
            bound(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def moment(self) -> Moment:
        """Now. Raises `Void` where the process is gone."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            raise Void(f"the process ended: {self.tail()}") from None
        user, system = text.rpartition(")")[2].split()[11:13]
        return Moment(time.monotonic(), (int(user) + int(system)) / TICKS_PER_SECOND)

    def begun(self, timeout_seconds: float = 120) -> Moment:
        """Wait for the marker. Raises `Void` where it doesn't come."""
        with self._seen:
            if not self._seen.wait_for(lambda: self.marked is not None or not self._reader.is_alive(), timeout_seconds):
                raise Void(f"no {self._marker!r} within {timeout_seconds:g} s: {self.tail()}")
        if self.marked is None:
            raise Void(f"ended before {self._marker!r}: {self.tail()}")
        return self.marked

    def lines(self) -> list[str]:
        """The latest that it wrote."""
        return list(self._lines)

    def check(self) -> None:
        """Raises `Void` where the process has ended; notes its memory."""
        if self._process.poll() is not None:
            raise Void(f"the process ended with status {self._process.returncode}: {self.tail()}")
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return
        kilobytes = status.partition("RssAnon:")[2].split(maxsplit=1)[0]
        self.peak_anonymous_bytes = max(self.peak_anonymous_bytes, int(kilobytes) * 1024)

    def tail(self) -> str:
        return "\n".join(self.lines()[-20:])

    def stop(self) -> None:
        """An orderly end (SIGTERM), a hard one where it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(STOP_SECONDS)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            if self.marked is None and self._marker in line:
                with self._seen:
                    try:
                        self.marked = self.moment()
                    except Void:
                        return
                    self._seen.notify_all()
        with self._seen:
            self._seen.notify_all()
