"""The state folder: held by one process at a time, and trusted only where what it holds can be whole.

The store writes without waiting for the disk. While the machine runs that loses nothing: a killed process leaves its
writes with the kernel, in their order. After a crash of the machine some of them may have reached the disk and
earlier ones not. So a session file says which boot of the machine wrote last and whether it ended in order; its own
changes do wait for the disk. `open` tells what it found:

    ended in order                          everything was written out at the end: believed
    not ended, the same boot as now         the process was killed, the machine wasn't: believed
    not ended, another boot or an unknown   not believed: the caller throws the files away and fills them again

Not covered: a disk that loses writes while the machine runs on (pulled out, or given back from an older snapshot).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from pathlib import Path

from worker.stores.errors import StoreError, StoreFull, StoreInUse

LOCK_FILE = "lock"
SESSION_FILE = "session.json"
FORMAT = 1  # raise it with any change of what the store's keys and values mean: older files are then thrown away
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def boot_id() -> str | None:
    """What names this boot of the machine, None where the system doesn't say: then only an orderly end is believed."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


class StateFolder:
    """Holds the folder from construction to `close`; `distrust` says why its files can't be believed, or is None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # states are personal data
            self._lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failure(error) from error
        try:
            self._hold()
            self._boot = boot_id()
            self.distrust = self._judge()
        except BaseException:
            os.close(self._lock)
            raise

    def begin(self) -> None:
        """From here on files may change: an end without `end` is one out of order."""
        self._write({"format": FORMAT, "boot": self._boot, "ended": False, "process": os.getpid()})

    def end(self) -> None:
        """The caller has written everything out."""
        self._write({"format": FORMAT, "boot": self._boot, "ended": True, "process": os.getpid()})

    def close(self) -> None:
        """Another process may hold the folder; in a forked child its parent goes on holding it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 200, 0).decode("utf-8", "replace").strip()
            raise StoreInUse(str(self.path), holder or "a process that does not give its name") from None
        except OSError as error:  # a network file system without locks, say
            raise self._failure(error) from error
        os.ftruncate(self._lock, 0)
        with contextlib.suppress(OSError):  # only a courtesy to whoever finds it locked; a full disk shows later
            os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def _judge(self) -> str | None:
        try:
            text = (self.path / SESSION_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return "there is no session file"
        except OSError as error:
            raise self._failure(error) from error
        try:
            session = json.loads(text)
            form, boot, ended = session["format"], session["boot"], session["ended"]
        except (ValueError, KeyError, TypeError):
            return "its session file can't be read"
        if form != FORMAT:
            return f"it has format {form}, this version reads and writes format {FORMAT}"
        if ended is True:
            return None
        if boot is None or self._boot is None:
            return "its last user was killed, and the system doesn't tell whether the machine has restarted since"
        if boot != self._boot:
            return "the machine restarted without the last user ending in order"
        return None

    def _write(self, session: dict[str, object]) -> None:
        """The session file is the new one on disk, or the old one."""
        fresh = self.path / (SESSION_FILE + ".new")
        try:
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(session, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self.path / SESSION_FILE)
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> StoreError:
        if error.errno in NO_ROOM:
            return StoreFull(str(self.path), error.strerror or str(error))
        return StoreError(
            f"state folder {self.path}: {error.strerror or error}",
            "name a local folder that the worker may write to with --state-dir",
        )
