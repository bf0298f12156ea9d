"""A running worker's states, looked up without disturbing it: its store opened for reading, one key at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import lmdb

from worker.fold.engine import Engine
from worker.runtime.changelog import DEPLOYMENT_KEY, decode_deployment
from worker.stores.environment import FILE, PARTITIONS_MAX
from worker.stores.errors import StoreError

DUES_BYTES: Final = 16  # before each state: when its timer is due, twice


class StoredStates:
    """The states in a worker's folder, as they were when each was asked for. Another process may be writing them.

    LMDB lets a process open a folder once: inside the worker itself ask its own store instead.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / FILE).is_file():
            raise StoreError(f"{folder} holds no worker's state", "name the folder that `run --state-dir` was given")
        try:
            self._lmdb = lmdb.open(
                str(folder / FILE), subdir=False, readonly=True, create=False, max_dbs=2 * PARTITIONS_MAX + 1
            )
            self._states = list(self._partitions())
        except lmdb.Error as error:
            raise StoreError(f"state folder {folder}: {error}", "see whether its worker runs") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lmdb.close()

    def get(self, key: bytes) -> bytes | None:
        """The state under a key, whichever partition it belongs to."""
        with self._lmdb.begin() as transaction:
            for database in self._states:
                value = transaction.get(key, None, database)
                if value is not None:
                    return bytes(value[DUES_BYTES:])
        return None

    def teach(self, engine: Engine) -> None:
        """The engine can read states that were folded under the definitions that this deployment knows of.

        Raises: StoreError where another version of the worker wrote them in another form.
        """
        with self._lmdb.begin() as transaction:
            for database in self._states:
                value = transaction.get(DEPLOYMENT_KEY, None, database)
                if value is not None:
                    found = decode_deployment(bytes(value[DUES_BYTES:]))
                    if found.format != engine.format:
                        raise StoreError(
                            f"the states were written by worker {found.worker_version}, in another form than this one",
                            "look them up with the version that wrote them",
                        )
                    for fingerprint, layout in found.layouts.items():
                        if layout and fingerprint != engine.fingerprint:
                            engine.learn(fingerprint, layout.encode())

    def _partitions(self) -> list[lmdb._Database]:
        found: list[lmdb._Database] = []
        with self._lmdb.begin() as transaction:
            names = [bytes(name) for name, _ in transaction.cursor()]
        for name in names:
            if name.startswith(b"state/"):
                found.append(self._lmdb.open_db(name, create=False))
        return found
