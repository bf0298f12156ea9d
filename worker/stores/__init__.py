"""Stores: the local cache of the changelog. `open_store` picks one."""

from __future__ import annotations

import os

from worker.stores.base import Store, Write
from worker.stores.errors import StoreDamaged, StoreError, StoreFull, StoreInUse
from worker.stores.lmdb import LmdbStore
from worker.stores.memory import MemoryStore

__all__ = [
    "LmdbStore",
    "MemoryStore",
    "Store",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "Write",
    "open_store",
]


def open_store(path: str | os.PathLike[str] | None) -> Store:
    """The store in the state folder `path`, made where there is none; without a folder, one in memory."""
    return MemoryStore() if path is None else LmdbStore(path)
