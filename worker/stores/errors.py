"""What can go wrong with a store, by what a person must do about it. None of it loses data: the changelog has it all.

StoreError           used after its end, in a forked child, or beyond a limit of this implementation
├── StoreInUse       another process (or another store of this one) holds the folder
├── StoreFull        the disk, a quota or the map's limit is reached; nothing of the write was kept
└── StoreDamaged     the files can't be believed: delete them, the worker rebuilds them from the changelog
"""

from __future__ import annotations


class StoreError(Exception):
    """Anything a store did; `remedy` says in a sentence what a person can do about it, where there is something."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.remedy = remedy


class StoreInUse(StoreError):
    """The folder `path` is held by a process; `holder` names it as far as it is known."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(
            f"state folder {path} is in use by {holder}",
            "stop that worker, or give this one a folder of its own with --state-dir",
        )
        self.path = path
        self.holder = holder


class StoreFull(StoreError):
    """No room for a write to the store at `path`; what it held before, it still holds."""

    def __init__(self, path: str, reason: str, remedy: str = "make room there, then start the worker again") -> None:
        super().__init__(f"state folder {path} is full ({reason})", remedy)
        self.path = path


class StoreDamaged(StoreError):
    """The files at `path` contradict themselves, as after a disk fault."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"state folder {path} is damaged ({reason})",
            "stop the worker and delete the folder; it is a cache that the worker fills again from the changelog",
        )
        self.path = path
