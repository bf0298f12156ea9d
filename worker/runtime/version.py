"""Which worker this is, for what it writes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def worker_version() -> str:
    """The installed distribution's version; `unknown` where the code runs without having been installed."""
    try:
        return version("lifecycle-worker")
    except PackageNotFoundError:
        return "unknown"
